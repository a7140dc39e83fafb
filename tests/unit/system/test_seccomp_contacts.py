from __future__ import annotations

import os
import socket
import struct

import pytest

from agentprov.system.attribution import contacts
from agentprov.system.attribution.contacts import Contacts
from agentprov.system.attribution.memory import Memory
from agentprov.system.attribution.seccomp import Notification
from support.attributed import needs_attribution

pytestmark = needs_attribution


class Given(Memory):
    """Memory in which one socket address lies."""

    def __init__(self) -> None:
        self.address = b""

    def read(self, pid: int, address: int, size: int) -> bytes:
        return self.address[:size]


def ask(known: Contacts, memory: Given, address: bytes, *, bound: bool = False) -> str | None:
    memory.address = address
    call = Notification(1, os.getpid(), 42, 0, (3, 4096, len(address), 0, 0, 0))
    return known.outside(call, bound=bound)


def ipv4(host: str, port: int) -> bytes:
    return struct.pack("=H", 2) + struct.pack(">H", port) + socket.inet_aton(host) + bytes(8)


def ipv6(host: str, port: int) -> bytes:
    inner = socket.inet_pton(socket.AF_INET6, host)
    return struct.pack("=H", 10) + struct.pack(">HI", port, 0) + inner + bytes(4)


@pytest.fixture
def memory() -> Given:
    return Given()


def test_a_listener_outside_the_tree_is_told_in_every_spelling(memory: Given) -> None:
    known = Contacts(b"MARK=nobody-has-this", memory)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for address in (ipv4("127.0.0.1", port), ipv6("::ffff:127.0.0.1", port)):
            assert ask(known, memory, address) == f"tcp:127.0.0.1:{port}"


def test_other_machines_name_servers_and_closed_ports_are_no_contacts(memory: Given) -> None:
    known = Contacts(b"MARK=x", memory)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (
        ipv4("192.0.2.1", 80),
        ipv4("127.0.0.53", 53),
        ipv4("127.0.0.1", port),
        ipv6("2001:db8::1", 443),
        struct.pack("=H", 16) + bytes(10),
        b"",
    ):
        assert ask(known, memory, address) is None


def test_what_the_tree_bound_by_name_is_inside(memory: Given) -> None:
    known = Contacts(b"MARK=nobody-has-this", memory)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = ipv4("127.0.0.1", server.getsockname()[1])
        assert ask(known, memory, address, bound=True) is None
        assert ask(known, memory, address) is None


def test_who_holds_a_listening_socket_is_looked_up_once(
    memory: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def holds(entry: str, link: str) -> bool:
        looks.append(link)
        return entry == str(os.getpid())

    monkeypatch.setattr(contacts, "_holds", holds)
    monkeypatch.setattr(contacts, "_listening", lambda _pid, _address: ["77"])
    monkeypatch.setattr(Contacts, "_marked", lambda _self, _entry: True)
    known = Contacts(b"MARK=x", memory)
    assert ask(known, memory, ipv4("127.0.0.1", 9000)) is None
    once = len(looks)
    for _ in range(100):
        assert ask(known, memory, ipv4("127.0.0.1", 9000)) is None
    assert len(looks) == once
