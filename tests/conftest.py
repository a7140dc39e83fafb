"""What every test gets: a home of its own, and no way to reach the developer's."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from support.homes import private_home

_REAL_CONNECT = socket.socket.connect


def pytest_configure() -> None:
    """Start from default signal handling, also under nohup, ``&`` and runners that ignore some."""
    for name in ("SIGHUP", "SIGQUIT", "SIGINT", "SIGTERM"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
            signal.signal(number, default)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test its own HOME, git configuration and AGENTPROV_HOME."""
    base = tmp_path_factory.mktemp("home")
    private_home(base, monkeypatch)
    return base


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections that leave this machine, from this process."""

    def connect(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0] if isinstance(address, tuple) else address
            if host not in ("127.0.0.1", "::1", "localhost"):
                raise AssertionError(f"a test tried to reach {address!r}")
        _REAL_CONNECT(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)
