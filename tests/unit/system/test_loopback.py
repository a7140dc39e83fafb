"""Loopback sockets: reachable from this machine, inherited by nobody."""

from __future__ import annotations

import os
import socket

import pytest

from agentprov.errors import CannotStart
from agentprov.system import loopback


def test_it_listens_on_loopback_and_programs_do_not_inherit_it() -> None:
    with loopback.listen() as listener:
        host, port = loopback.address_of(listener)
        assert host == "127.0.0.1"
        assert not os.get_inheritable(listener.fileno())
        socket.create_connection((host, port)).close()


def test_an_ipv6_address_is_given_as_urls_have_it() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with listener:
        assert loopback.address_of(listener)[0] == "[::1]"


def test_a_machine_without_loopback_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(loopback.socket.socket, "bind", refuse)
    with pytest.raises(CannotStart):
        loopback.listen()
