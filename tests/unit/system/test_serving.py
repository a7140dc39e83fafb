"""Which process serves a port, and which files it holds, asked of real processes."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentprov.system import serving as table
from support.model_server import serving

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
def test_the_process_behind_a_port_is_found_with_what_it_maps_and_opens(tmp_path: Path) -> None:
    mapped, opened = tmp_path / "mapped.gguf", tmp_path / "opened.gguf"
    for path in (mapped, opened):
        path.write_bytes(path.name.encode() * 100)
    with serving("--map", str(mapped), "--open", str(opened)) as server:
        listener = table.listener_on("127.0.0.1", server.port)
        assert listener is not None
        assert listener.pids == (server.process.pid,)
        assert listener.uid == os.getuid()
        held = {Path(file.path).name: file for file in table.held_files(server.process.pid)}
        for path in (mapped, opened):
            descriptor = held[path.name].open()
            try:
                assert os.read(descriptor, 100_000) == path.read_bytes()
            finally:
                os.close(descriptor)
    assert table.listener_on("127.0.0.1", server.port) is None


@linux
def test_another_file_under_the_same_name_is_not_what_is_held(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"held" * 100)
    with serving("--map", str(path)) as server:
        (held,) = [f for f in table.held_files(server.process.pid) if f.path == str(path)]
        other = tmp_path / "other"
        other.write_bytes(b"laid there instead" * 100)
        os.replace(other, path)
        with pytest.raises(OSError, match="replaced since"):
            replace(held, links=held.links[-1:]).open()
        try:
            descriptor = held.open()
        except OSError:
            return
        # Privileged, the very file is reached although its name is gone.
        try:
            assert os.read(descriptor, 4) == b"held"
        finally:
            os.close(descriptor)


@linux
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_socket_for_every_address_counts_too(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"{host} cannot be had here")
        listener.listen()
        port = listener.getsockname()[1]
        asked = "::1" if host == "::1" else "localhost"
        found = table.listener_on(asked, port)
        assert found is not None
        assert os.getpid() in found.pids


def test_loopback_is_told_from_other_hosts() -> None:
    assert all(table.is_loopback(host) for host in ("localhost", "127.9.0.1", "::1", "[::1]"))
    others = ("localhost.example", "10.0.0.1", "0.0.0.0", "api.example.com", "fe80::1", "")
    assert not any(table.is_loopback(host) for host in others)
