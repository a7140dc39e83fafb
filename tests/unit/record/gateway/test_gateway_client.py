"""The relay without sockets: any split of what either side sends changes nothing of what passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprov.record.gateway.door import Door, Route
from agentprov.record.gateway.relay import Client, House
from agentprov.record.gateway.upstream import CannotReach

TOKEN = "0" * 32
ROUTE = Route("api.model.example", 443, True, "model")
HEAD = b"POST %s HTTP/1.1\r\nhost: %s\r\nX-K:  v \r\n%s\r\n"


class Wire(asyncio.Transport):
    """A transport that keeps what is written; `high` makes it full after so many bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed: str | None = None
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = self.closed or "closed"

    def abort(self) -> None:
        self.closed = "aborted"

    def is_closing(self) -> bool:
        return self.closed is not None

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False


@dataclass
class Heard:
    """What one exchange's watcher was told."""

    target: bytes
    live: bool = True
    asked: bytes = b""
    asked_all: bool = False
    status: int = 0
    answered: bytes = b""
    ended: list[bool] = field(default_factory=list)

    def request_body(self, pieces: list[bytes]) -> None:
        self.asked += b"".join(pieces)

    def request_end(self) -> None:
        self.asked_all = True

    def response_head(self, status: int, headers: object) -> None:
        self.status = status

    def response_body(self, pieces: list[bytes]) -> None:
        self.answered += b"".join(pieces)

    def end(self, cut: bool) -> None:
        self.ended.append(cut)


class Stage:
    """A client connection, the hosts it was connected to, and what was watched."""

    def __init__(self, *, unreachable: bool = False) -> None:
        self.hosts: list[tuple[asyncio.Protocol, Wire]] = []
        self.heard: list[Heard] = []
        self.gaps: list[str] = []
        self.unreachable = unreachable
        watch = SimpleNamespace(mark=lambda: None, full=False, exchange=self._exchange)
        ledger = SimpleNamespace(gap=lambda why, detail=None: self.gaps.append(why))
        house = House(
            Door(9, {TOKEN: ROUTE, "1" * 32: Route("127.0.0.1", 80, False)}),
            cast(Any, SimpleNamespace(open=self._open)),
            cast(Any, watch),
            cast(Any, ledger),
        )
        self.wire = Wire()
        self.client = Client(house)
        self.client.connection_made(self.wire)

    def _exchange(self, route: Route, method: bytes, target: bytes, headers: object) -> Heard:
        self.heard.append(Heard(target))
        return self.heard[-1]

    async def _open(self, route: Route, protocol: Callable[[], asyncio.Protocol]) -> None:
        await asyncio.sleep(0)
        if self.unreachable:
            raise CannotReach("nobody there")
        made, wire = protocol(), Wire()
        made.connection_made(wire)
        self.hosts.append((made, wire))

    async def sends(self, *pieces: bytes) -> None:
        """Play the agent; like a socket, delivers only while reading is not paused."""
        for piece in pieces:
            while not self.wire.reading and not self.wire.closed:
                await asyncio.sleep(0)
            if self.wire.closed:
                return
            self.client.data_received(piece)
        for _ in range(5):
            await asyncio.sleep(0)


def request(fields: bytes = b"", token: str = TOKEN) -> bytes:
    return HEAD % (b"/s/" + token.encode() + b"/v1/x", b"127.0.0.1:9", fields)


def passed_on(fields: bytes = b"", host: bytes = b"api.model.example") -> bytes:
    return HEAD % (b"/v1/x", host, fields)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


def chunked(contents: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in contents) + b"0\r\nT: 1\r\n\r\n"


CUTS = st.lists(st.integers(0, 5_000), max_size=10)
CONTENTS = st.lists(st.binary(min_size=1, max_size=50), max_size=4)


@given(CONTENTS, CONTENTS, st.binary(max_size=60), CUTS, CUTS)
def test_any_split_passes_unchanged_and_is_watched_in_its_parts(
    asked: list[bytes], answered: list[bytes], second: bytes, ask_cuts: list[int], cuts: list[int]
) -> None:
    async def play() -> None:
        stage = Stage()
        te, cl = b"Transfer-Encoding: chunked\r\n", b"Content-Length: %d\r\n" % len(second)
        body = chunked(asked)
        await stage.sends(*split(request(te) + body + request(cl) + second, ask_cuts))
        ((host, wire),) = stage.hosts
        assert wire.written == passed_on(te) + body + passed_on(cl) + second
        answers = (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunked(answered)
            + b"HTTP/1.1 529 Busy\r\nContent-Length: %d\r\n\r\n" % len(second)
            + second
        )
        for piece in split(answers, cuts):
            host.data_received(piece)
        assert stage.wire.written == answers
        assert stage.heard == [
            Heard(b"/v1/x", True, b"".join(asked), True, 200, b"".join(answered), [False]),
            Heard(b"/v1/x", True, second, True, 529, second, [False]),
        ]

    asyncio.run(play())


@given(st.binary(max_size=300), st.binary(max_size=300), CUTS)
def test_no_bytes_of_either_side_break_the_relay_and_the_hosts_always_pass(
    noise: bytes, answer: bytes, cuts: list[int]
) -> None:
    async def play() -> None:
        stage = Stage()
        await stage.sends(request(b"Content-Length: 1\r\n") + b"x")
        ((host, _),) = stage.hosts
        for piece in split(answer, cuts):
            host.data_received(piece)
        assert stage.wire.written == answer
        await stage.sends(*split(noise, cuts))
        host.connection_lost(None)
        stage.client.connection_lost(None)
        assert all(len(heard.ended) == 1 for heard in stage.heard)

    asyncio.run(play())


@pytest.mark.parametrize("broken", [None, ConnectionResetError()])
def test_what_ends_before_its_end_is_cut_and_the_client_sees_how(
    broken: Exception | None,
) -> None:
    async def play() -> None:
        stage = Stage()
        await stage.sends(request())
        ((host, _),) = stage.hosts
        host.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        host.connection_lost(broken)
        assert stage.heard[0].ended == [True]
        assert stage.wire.closed == ("closed" if broken is None else "aborted")

    asyncio.run(play())


def test_an_answer_that_ends_with_the_connection_is_whole_unless_it_breaks() -> None:
    async def play(broken: Exception | None) -> list[bool]:
        stage = Stage()
        await stage.sends(request())
        ((host, _),) = stage.hosts
        host.data_received(b"HTTP/1.1 200 OK\r\n\r\nall")
        host.connection_lost(broken)
        return stage.heard[0].ended

    assert asyncio.run(play(None)) == [False]
    assert asyncio.run(play(ConnectionResetError())) == [True]


def test_an_agent_that_goes_takes_its_connection_to_the_host_along() -> None:
    async def play() -> None:
        stage = Stage()
        await stage.sends(request())
        ((_, wire),) = stage.hosts
        stage.client.connection_lost(None)
        assert wire.closed == "closed"
        assert stage.heard[0].ended == [True]

    asyncio.run(play())


def test_a_slow_side_stops_the_other() -> None:
    async def play() -> None:
        stage = Stage()
        await stage.sends(request())
        ((host, wire),) = stage.hosts
        stage.client.pause_writing()
        assert not wire.reading
        stage.client.resume_writing()
        assert wire.reading
        host.pause_writing()
        assert not stage.wire.reading
        host.resume_writing()
        assert stage.wire.reading

    asyncio.run(play())


def test_another_host_is_only_turned_to_when_nothing_is_outstanding() -> None:
    async def play() -> None:
        stage = Stage()
        await stage.sends(request(), request(token="1" * 32))
        ((host, wire),) = stage.hosts
        assert wire.closed is None
        host.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
        await stage.sends()
        assert wire.closed == "closed"
        assert stage.hosts[1][1].written == passed_on(host=b"127.0.0.1")

    asyncio.run(play())


def test_a_host_that_cannot_be_reached_is_said_and_the_exchange_is_cut() -> None:
    async def play() -> None:
        stage = Stage(unreachable=True)
        await stage.sends(request())
        assert stage.wire.written.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert stage.wire.written.endswith(b"agentprov gateway: nobody there\n")
        assert stage.heard[0].ended == [True]
        stage.client.connection_lost(None)

    asyncio.run(play())


def test_a_change_of_protocol_is_passed_blind_and_leaves_a_gap() -> None:
    async def play() -> None:
        stage = Stage()
        await stage.sends(request(b"Upgrade: h2c\r\n"))
        ((host, wire),) = stage.hosts
        host.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x00\x01")
        await stage.sends(b"\x02\x03")
        assert wire.written.endswith(b"\x02\x03")
        assert stage.wire.written.endswith(b"\r\n\r\n\x00\x01")
        assert stage.gaps == ["gateway-lost-framing"]

    asyncio.run(play())
