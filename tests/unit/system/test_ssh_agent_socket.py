from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from agentprov.errors import AgentGarbled, AgentTimedOut, AgentUnreachable, NoAgent
from agentprov.system.ssh_agent import MAX_MESSAGE, connected, socket_path
from support.ssh import odd_agent, replies, request, short_directory

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


def ask(path: str, seconds: float = 5.0) -> bytes:
    with connected(path) as agent:
        return agent.ask(b"\x0b", seconds)


def test_a_reply_comes_back_whole_however_it_is_cut() -> None:
    def dribble(stream: socket.socket) -> None:
        request(stream)
        for byte in (5).to_bytes(4, "big") + b"abcde":
            stream.sendall(bytes([byte]))
            time.sleep(0.002)

    with odd_agent(dribble) as path:
        assert ask(path) == b"abcde"


def test_without_the_variable_there_is_no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, ""):
        if value is not None:
            monkeypatch.setenv("SSH_AUTH_SOCK", value)
        with pytest.raises(NoAgent, match="not set") as caught:
            socket_path()
        assert "ssh-agent" in (caught.value.hint or "")


def test_a_dead_socket_a_plain_file_and_an_overlong_path_are_unreachable() -> None:
    with short_directory() as place:
        dead = place / "dead"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(dead))
        plain = place / "plain"
        plain.write_text("x")
        for path in (dead, plain, place / "missing", place / ("x" * 200)):
            with pytest.raises(AgentUnreachable, match="no ssh-agent answers"):
                ask(str(path))


def test_an_agent_that_says_nothing_is_given_up_in_time() -> None:
    def wait(stream: socket.socket) -> None:
        request(stream)
        stream.recv(1)  # until the other side hangs up

    with odd_agent(wait) as path:
        begun = time.monotonic()
        with pytest.raises(AgentTimedOut, match=r"within 0\.2 s"):
            ask(path, 0.2)
        assert time.monotonic() - begun < 10


def test_an_agent_that_dribbles_for_ever_is_given_up_in_time() -> None:
    def dribble(stream: socket.socket) -> None:
        stream.sendall((100).to_bytes(4, "big"))
        for _ in range(100):
            stream.sendall(b"x")
            time.sleep(0.05)

    with odd_agent(dribble) as path, pytest.raises(AgentTimedOut):
        ask(path, 0.3)


@pytest.mark.parametrize("size", [0, MAX_MESSAGE + 1, 0xFFFF_FFFF])
def test_a_reply_of_an_impossible_size_is_not_read(size: int) -> None:
    def answer(stream: socket.socket) -> None:
        request(stream)
        stream.sendall(size.to_bytes(4, "big"))
        stream.recv(1)

    with odd_agent(answer) as path, pytest.raises(AgentGarbled, match=f"of {size} bytes"):
        ask(path)


def test_the_largest_reply_is_read() -> None:
    with odd_agent(replies(b"x" * MAX_MESSAGE)) as path:
        assert len(ask(path)) == MAX_MESSAGE


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\x09abc"])
def test_a_reply_that_breaks_off_is_garbled(sent: bytes) -> None:
    def answer(stream: socket.socket) -> None:
        request(stream)
        stream.sendall(sent)

    with odd_agent(answer) as path, pytest.raises(AgentGarbled, match="in the middle"):
        ask(path)


def test_the_connection_is_closed_whatever_happens(tmp_path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    with odd_agent(replies(b"x")) as path:
        for _ in range(20):
            assert ask(path) == b"x"
    assert len(os.listdir("/dev/fd")) <= before + 1
