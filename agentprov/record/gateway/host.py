"""The model host's side of a relayed connection."""

from __future__ import annotations

import asyncio
from typing import Protocol

from agentprov.record.gateway.door import Route

# How long a host may take to read what a client that is gone had still sent, seconds.
_LINGER = 5.0


class Near(Protocol):
    """The agent's side, as the host's side sees it."""

    def answer(self, data: bytes) -> None:
        """Take what the host sent."""
        ...

    def host_lost(self, host: Host, exc: Exception | None) -> None:
        """Learn that the host closed (no exception) or broke the connection."""
        ...

    def host_full(self, full: bool) -> None:
        """Learn that the host reads more slowly than it is sent to, or has caught up."""
        ...


class Host(asyncio.Protocol):
    """The connection to a host, from when it is open; passes everything to the agent's side."""

    def __init__(self, client: Near, route: Route) -> None:
        self.route = route
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._left = False
        self._slow: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._client.answer(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._left:
            self._client.host_lost(self, exc)

    def pause_writing(self) -> None:
        self._client.host_full(True)

    def resume_writing(self) -> None:
        self._client.host_full(False)

    def write(self, data: bytes) -> None:
        """Send to the host; nothing when it has gone."""
        if self._transport is not None and data:
            self._transport.write(data)

    def hold_back(self, why: str, full: bool) -> None:
        """Stop, or go on, reading from the host, because somebody else reads more slowly."""
        (self._slow.add if full else self._slow.discard)(why)
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if self._slow else self._transport.resume_reading)()

    def leave(self, exc: Exception | None) -> None:
        """Close, because the client has gone: what it sent still goes out unless it broke off."""
        self._left = True
        transport = self._transport
        if transport is None:
            return
        if exc is not None:
            transport.abort()
            return
        transport.close()
        asyncio.get_running_loop().call_later(_LINGER, transport.abort)


__all__ = ["Host", "Near"]
