"""One client connection and its counterpart: bytes pass both ways as they came.

Each connection of the agent has one connection to a model host of its own, opened with the first
request and closed with it: what one side does (keep alive, close, cut, reset) the other side
sees, as if they were connected. Heads of requests are read before they go out, because target
and Host change; all other bytes leave first and are looked at afterwards. A client that ends its
sending side is taken to be gone, as model hosts take it, so that an abort stops the model.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.record.gateway.door import Admitted, Door, Refused, Route, Tunnel
from agentprov.record.gateway.framing import (
    Body,
    RequestHead,
    head_length,
    parse_request,
    parse_response,
    request_body,
    response_body,
)
from agentprov.record.gateway.host import Host
from agentprov.record.gateway.spooling import Ledger
from agentprov.record.gateway.upstream import CannotReach, Dialer
from agentprov.record.gateway.watch import Watch, Watched

# How long a client that was refused may go on sending, seconds.
_LISTEN_ON = 2.0
# How often to see whether the reader has caught up, seconds.
_LOOK_AGAIN = 0.005


@dataclass
class House:
    """What all connections of one relay process share."""

    door: Door
    dialer: Dialer
    watch: Watch
    ledger: Ledger
    leaf: ssl.SSLContext | None = None
    connections: set[Client] = field(default_factory=set)
    tunnelled: set[str] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the callbacks; kept alive until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@dataclass
class _Exchange:
    method: bytes
    watched: Watched


class Client(asyncio.Protocol):
    """The agent's side of a connection, and all that is known about it.

    `inside` is the route when this connection came out of an opened tunnel.
    """

    def __init__(self, house: House, inside: Route | None = None) -> None:
        self._house = house
        self._inside = inside
        self._transport: asyncio.Transport | None = None
        self._host: Host | None = None
        self._held = b""
        self._seen = 0
        self._body: Body | None = None
        self._sending: _Exchange | None = None
        self._waiting: deque[_Exchange] = deque()
        self._when_quiet: Callable[[], None] | None = None
        self._busy = False
        self._host_full = False
        self._blind = False
        self._answer_head = b""
        self._answer_seen = 0
        self._answer_body: Body | None = None
        self._answers_blind = False
        self._reset_when_flushed = False
        self._deaf = False
        self._reader_full = False

    # --- the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._house.connections.add(self)
        # Out of an opened tunnel, a request may already have come.
        self._advance()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._house.watch.mark()
        self._held = self._held + data if self._held else data
        self._advance()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.connections.discard(self)
        self._transport = None
        self._house.watch.mark()
        self._end_all()
        if self._host is not None:
            self._host.leave(exc)

    def dismiss(self) -> None:
        """End this connection now: the session is over."""
        self._end_all()
        if self._host is not None:
            self._host.leave(None)
            self._host = None
        if self._transport is not None:
            self._transport.close()

    def pause_writing(self) -> None:
        if self._host is not None:
            self._host.hold_back("client", True)

    def resume_writing(self) -> None:
        if self._reset_when_flushed:
            self._reset()
        elif self._host is not None:
            self._host.hold_back("client", False)

    # --- from the agent to the model

    def _advance(self) -> None:
        while self._held and not self._busy and self._transport is not None:
            if self._blind:
                data, self._held = self._held, b""
                if self._host is not None:
                    self._host.write(data)
            elif self._body is not None:
                self._pass_body()
            elif not self._next_head():
                break
        self._regulate()

    def _next_head(self) -> bool:
        if self._seen == 0:
            # Some clients end a body with a line that is part of nothing; RFC 9112 2.2.
            self._held = self._held.lstrip(b"\r\n")
        try:
            length = head_length(self._held, self._seen)
            if not length:
                self._seen = len(self._held)
                return False
            head = parse_request(self._held[:length])
            body = request_body(head)
        except MalformedInput:
            self._held = b""
            self._quietly(lambda: self._refuse(Refused(400, "Bad Request")))
            return False
        self._held, self._seen = self._held[length:], 0
        verdict = self._house.door.judge(head, self._inside)
        if isinstance(verdict, Refused):
            self._quietly(lambda: self._refuse(verdict))
        elif isinstance(verdict, Tunnel):
            self._quietly(lambda: self._house.spawn(self._open_tunnel(verdict)))
        elif self._host is not None and self._host.route == verdict.route:
            self._send(verdict, head, body)
        else:
            self._quietly(lambda: self._house.spawn(self._connect(verdict, head, body)))
        return not self._busy and not self._deaf

    def _quietly(self, act: Callable[[], None]) -> None:
        """Do something once no answer is outstanding, and nothing else before."""
        self._busy = True
        if self._waiting:
            self._when_quiet = act
        else:
            act()

    async def _connect(self, place: Admitted, head: RequestHead, body: Body) -> None:
        old, self._host = self._host, None
        if old is not None:
            old.leave(None)
        try:
            await self._dial(place.route)
        except CannotReach as error:
            watch = self._house.watch
            watch.exchange(place.route, head.method, place.target, head.headers).end(cut=True)
            self._refuse(Refused(502, "Bad Gateway"), str(error))
            return
        self._busy = False
        self._send(place, head, body)
        self._advance()

    async def _dial(self, route: Route) -> None:
        host = Host(self, route)
        await self._house.dialer.open(route, lambda: host)
        if self._transport is None:
            host.leave(None)
            raise CannotReach("the client has gone")
        self._host = host

    def _send(self, place: Admitted, head: RequestHead, body: Body) -> None:
        assert self._host is not None
        raw = head.raw
        if self._inside is None:
            raw = head.addressed(place.target, place.host)
        self._host.write(raw)
        watched = self._house.watch.exchange(place.route, head.method, place.target, head.headers)
        exchange = _Exchange(head.method, watched)
        self._waiting.append(exchange)
        self._sending, self._body = exchange, body
        if body.done:
            self._request_done()

    def _pass_body(self) -> None:
        assert self._body is not None
        assert self._sending is not None
        data = self._held
        try:
            used, pieces = self._body.feed(data)
        except MalformedInput:
            self._go_blind()
            return
        self._held = data[used:]
        if self._host is not None:
            self._host.write(data if used == len(data) else data[:used])
        self._sending.watched.request_body(pieces)
        if self._body.done:
            self._request_done()
        if not self._reader_full and self._house.watch.full:
            self._wait_for_reader()

    def _request_done(self) -> None:
        assert self._sending is not None
        exchange, self._sending, self._body = self._sending, None, None
        exchange.watched.request_end()

    def host_full(self, full: bool) -> None:
        """Stop, or go on, reading from the agent, because the host reads more slowly."""
        self._host_full = full
        self._regulate()

    def _regulate(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if self._busy or self._host_full or self._reader_full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    # --- from the model to the agent

    def answer(self, data: bytes) -> None:
        """Pass on what the host sent, then look at it."""
        if self._transport is None:
            return
        watch = self._house.watch
        watch.mark()
        self._transport.write(data)
        try:
            while data and not self._answers_blind:
                data = self._look(data)
        except MalformedInput:
            self._go_blind()
        if watch.full and not self._reader_full:
            self._wait_for_reader()

    def _wait_for_reader(self) -> None:
        """Read nothing more while too much waits to be looked at."""
        full = self._house.watch.full
        if full:
            asyncio.get_running_loop().call_later(_LOOK_AGAIN, self._wait_for_reader)
        if self._host is not None:
            self._host.hold_back("reader", full)
        if full != self._reader_full:
            self._reader_full = full
            self._regulate()

    def _look(self, data: bytes) -> bytes:
        if self._answer_body is None and not self._answer_head:
            data = data.lstrip(b"\r\n")
        if not data:
            return b""
        if not self._waiting:
            # Nobody asked: a host says why it is about to close. The client may read it.
            self._answers_blind = True
            return b""
        exchange = self._waiting[0]
        if self._answer_body is None:
            self._answer_head += data
            length = head_length(self._answer_head, self._answer_seen)
            if not length:
                self._answer_seen = len(self._answer_head)
                return b""
            head = parse_response(self._answer_head[:length])
            data = self._answer_head[length:]
            self._answer_head, self._answer_seen = b"", 0
            if head.status == 101:
                raise MalformedInput("another protocol from here on")
            if head.status < 200:
                return data
            exchange.watched.response_head(head.status, head.headers)
            self._answer_body = response_body(head, exchange.method)
        else:
            used, pieces = self._answer_body.feed(data)
            data = data[used:]
            exchange.watched.response_body(pieces)
        if self._answer_body.done:
            self._answered(cut=False)
        return data

    def _answered(self, cut: bool) -> None:
        exchange = self._waiting.popleft()
        self._answer_body = None
        exchange.watched.end(cut)
        if not self._waiting and self._when_quiet is not None:
            act, self._when_quiet = self._when_quiet, None
            act()

    def _go_blind(self) -> None:
        """Give up looking, both ways, for the rest of this connection; the bytes go on."""
        if any(exchange.watched.live for exchange in self._waiting):
            detail = self._host.route.authority if self._host is not None else None
            self._house.ledger.gap("gateway-lost-framing", detail)
        self._end_all()
        self._blind = self._answers_blind = True
        self._busy, self._when_quiet = False, None

    def _end_all(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for exchange in waiting:
            exchange.watched.end(cut=True)

    def host_lost(self, host: Host, exc: Exception | None) -> None:
        """Pass on that the host closed, or broke, the connection."""
        if host is not self._host:
            return
        self._host = None
        self._house.watch.mark()
        self._when_quiet = None
        if exc is None and self._answer_body and self._answer_body.kind == "until-close":
            self._answered(cut=False)
        self._end_all()
        if self._transport is None:
            return
        if exc is None:
            self._transport.close()
        elif self._transport.get_write_buffer_size() == 0:
            self._reset()
        else:
            self._reset_when_flushed = True
            self._transport.set_write_buffer_limits(high=0)

    def _reset(self) -> None:
        if self._transport is None:
            return
        plain = self._transport.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    # --- what we say ourselves

    def _refuse(self, refused: Refused, text: str = "") -> None:
        if self._transport is None:
            return
        body = f"agentprov gateway: {text}\n".encode() if text else b""
        lines = [
            f"HTTP/1.1 {refused.status} {refused.reason}",
            *refused.headers,
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        if body:
            lines.append("Content-Type: text/plain; charset=utf-8")
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        # Closing at once would reset the connection under a client that is still sending, and
        # take our answer with it.
        self._held, self._deaf = b"", True
        self._busy = self._host_full = False
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LISTEN_ON, self._transport.close)
        self._regulate()

    async def _open_tunnel(self, tunnel: Tunnel) -> None:
        transport = self._transport
        if transport is None:
            return
        if self._host is not None or (self._held and tunnel.known):
            self._refuse(Refused(400, "Bad Request"))
            return
        if not tunnel.known:
            await self._pass_blind(tunnel.route)
            return
        transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        inner = Client(self._house, inside=tunnel.route)
        assert self._house.leaf is not None
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport, inner, self._house.leaf, server_side=True, ssl_shutdown_timeout=1.0
            )
        except (OSError, ssl.SSLError):
            # The client does not trust this session's authority, or has gone.
            self._house.ledger.gap("gateway-not-trusted", tunnel.route.authority)
            transport.abort()
            return
        self._house.connections.discard(self)
        self._transport = None
        if secured is not None:
            inner.connection_made(secured)

    async def _pass_blind(self, route: Route) -> None:
        try:
            await self._dial(route)
        except CannotReach as error:
            self._refuse(Refused(502, "Bad Gateway"), str(error))
            return
        if self._transport is None:
            return
        if route.whole not in self._house.tunnelled:
            self._house.tunnelled.add(route.whole)
            self._house.ledger.gap("gateway-tunnelled", route.whole)
        self._transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._blind = self._answers_blind = True
        self._busy = False
        self._advance()


__all__ = ["Client", "House"]
