"""Watching: the relay tells a reader what passes, never waits for it, and replaces a bad one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from agentprov.formats import dropbox
from agentprov.formats.exchange import unsealed
from agentprov.record.gateway import watch as watching
from agentprov.record.gateway.door import Route
from agentprov.record.gateway.spooling import Ledger
from agentprov.record.gateway.watch import Watch, Watched

ROUTE = Route("api.model.example", 443, True, "model")
DEAF = (sys.executable, "-I", "-c", "import time; time.sleep(60)")
DYING = (sys.executable, "-I", "-c", "pass")


def drops(spool: Path, event: str) -> list[Any]:
    read = [dropbox.decode(path.read_bytes()) for path in spool.glob("*.drop")]
    return [json.loads(unsealed(drop.payload)) for drop in read if drop.event == event]


def run(spool: Path, play: Callable[[Watch], Coroutine[Any, Any, None]], *argv: str) -> None:
    async def session() -> None:
        ledger = Ledger(spool, lambda: None)
        watch = Watch(spool, b"key", 40, ledger, argv) if argv else Watch(spool, b"k", 40, ledger)
        await watch.open()
        try:
            await play(watch)
        finally:
            watch.close()

    asyncio.run(session())


def asked(watch: Watch, path: bytes = b"/v1/messages") -> Watched:
    watched = watch.exchange(ROUTE, b"POST", path, [(b"x-api-key", b"sk-secret")])
    watched.request_body([b"{}"])
    watched.request_end()
    return watched


def answered(watched: Watched, pieces: list[bytes]) -> None:
    watched.response_head(200, [(b"content-type", b"application/json")])
    watched.response_body(pieces)
    watched.end(cut=False)
    watched.end(cut=True)


def test_exchanges_are_read_by_another_process_and_numbered(tmp_path: Path) -> None:
    async def play(watch: Watch) -> None:
        for _ in range(2):
            answered(asked(watch), [b'{"model": "served', b'"}'])
        await watch.finish()

    run(tmp_path, play)
    assert sorted(exchange["number"] for exchange in drops(tmp_path, "exchange")) == [40, 41]
    assert drops(tmp_path, "gap") == []


def test_what_speaks_no_dialect_is_not_told(tmp_path: Path) -> None:
    async def play(watch: Watch) -> None:
        watched = asked(watch, b"/v1/files")
        assert not watched.live
        answered(watched, [b"x"])
        await watch.finish()

    run(tmp_path, play)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_too_large_is_not_read_on_and_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MAX_READ_BYTES", 20)

    async def play(watch: Watch) -> None:
        watched = asked(watch)
        watched.response_head(200, [])
        for piece in (b'{"model": "served"}', b"  ", b"  "):
            watched.response_body([piece])
        watched.end(cut=False)
        await watch.finish()

    run(tmp_path, play)
    assert [gap["why"] for gap in drops(tmp_path, "gap")] == ["gateway-answer-too-large"]
    assert [exchange["complete"] for exchange in drops(tmp_path, "exchange")] == [False]


def test_a_reader_that_is_killed_is_replaced_and_leaves_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_AGAIN_SECONDS", 0.0)

    async def play(watch: Watch) -> None:
        lost = asked(watch)
        first = watch.reader_pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        while watch.reader_pid in (None, first):
            await asyncio.sleep(0.01)
        answered(lost, [b"{}"])
        answered(asked(watch), [b'{"model": "served"}'])
        await watch.finish()

    run(tmp_path, play)
    assert [exchange["number"] for exchange in drops(tmp_path, "exchange")] == [41]
    assert [gap["why"] for gap in drops(tmp_path, "gap")] == ["gateway-parser-died"]


def test_exchanges_that_nobody_reads_leave_a_gap_each(tmp_path: Path) -> None:
    async def play(watch: Watch) -> None:
        await asyncio.sleep(0.3)
        assert not asked(watch).live
        assert not watch.full

    run(tmp_path, play, *DYING)
    whys = [gap["why"] for gap in drops(tmp_path, "gap")]
    assert sorted(whys) == ["gateway-not-read", "gateway-parser-died"]


def test_a_reader_that_makes_no_headway_holds_the_wire_back_and_is_then_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BACKLOG_BYTES", 1000)
    monkeypatch.setattr(watching, "HUNG_SECONDS", 0.1)

    async def play(watch: Watch) -> None:
        watched = asked(watch)
        assert not watch.full
        watched.response_head(200, [])
        watched.response_body([b"x" * 2000])
        assert watch.full
        await watch.check()
        assert watch.full
        await asyncio.sleep(0.2)
        await watch.check()
        assert not watch.full

    run(tmp_path, play, *DEAF)
    assert [gap["why"] for gap in drops(tmp_path, "gap")] == ["gateway-parser-hung"]


def test_a_reader_that_never_ends_is_a_gap_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_FINISH_SECONDS", 0.1)

    async def play(watch: Watch) -> None:
        asked(watch)
        await watch.finish()

    run(tmp_path, play, *DEAF)
    assert [gap["why"] for gap in drops(tmp_path, "gap")] == ["gateway-parser-hung"]
