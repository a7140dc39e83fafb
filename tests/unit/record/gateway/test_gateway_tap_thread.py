"""Taps run beside the relay: in order, with the wire's times, and a hung one stops nobody."""

from __future__ import annotations

import threading
import time

import pytest

from agentprov.record.gateway import tap_thread
from agentprov.record.gateway.tap_thread import TapThread, as_text


def test_work_is_done_in_order_and_before_the_end() -> None:
    taps, done = TapThread(), list[int]()
    for number in range(500):
        taps.run(lambda number=number: done.append(number))
    assert taps.finish(5)
    assert done == list(range(500))


def test_a_tap_sees_the_time_of_its_bytes_not_its_own() -> None:
    taps, gate, seen = TapThread(), threading.Event(), list[str]()
    taps.run(lambda: [gate.wait(5), None][1])
    before = time.time_ns()
    taps.mark()
    taps.run(lambda: seen.append(taps.now()))
    after = time.time_ns()
    time.sleep(0.05)
    taps.mark()
    gate.set()
    assert taps.finish(5)
    assert as_text(before) <= seen[0] <= as_text(after)


def test_times_are_written_as_everywhere_else() -> None:
    assert as_text(1_700_000_000_123_999_999) == "2023-11-14T22:13:20.123Z"


def test_what_waits_is_counted_until_it_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap_thread, "BACKLOG_BYTES", 10)
    taps, gate = TapThread(), threading.Event()
    taps.run(lambda: [gate.wait(5), None][1], 11)
    assert taps.full
    gate.set()
    assert taps.finish(5)
    assert not taps.full


def test_taps_that_hang_are_given_up_once_and_hold_nobody_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tap_thread, "BACKLOG_BYTES", 10)
    monkeypatch.setattr(tap_thread, "HUNG_SECONDS", 0.05)
    taps, gate, done = TapThread(), threading.Event(), list[int]()
    assert not taps.hung()
    taps.run(lambda: [gate.wait(5), None][1], 11)
    taps.run(lambda: done.append(1), 11)
    assert not taps.hung()
    time.sleep(0.1)
    assert taps.hung()
    assert not taps.hung()
    assert not taps.full
    taps.run(lambda: done.append(2))
    gate.set()
    assert not taps.finish(5)
    assert done == []
