from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentprov.record.watcher import Seen, Summary, Watcher
from agentprov.system.clock import SystemClock


@pytest.fixture
def top(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    (path / ".git" / "objects").mkdir(parents=True)
    return path


def watching(top: Path, act: Callable[[], None], **options: object) -> Summary:
    watcher = Watcher(top, SystemClock({}), **options)  # type: ignore[arg-type]
    watcher.start()
    assert watcher.ready(20)
    act()
    time.sleep(0.2)
    return watcher.stop()


def test_changes_are_counted_with_first_and_last_time(top: Path) -> None:
    (top / "old").write_text("x")

    def act() -> None:
        (top / "sub").mkdir()
        time.sleep(0.05)
        for _ in range(3):
            (top / "sub" / "file").write_text("x")
            time.sleep(0.02)
        (top / "old").rename(top / "new")

    summary = watching(top, act)
    seen = summary.paths[b"sub/file"]
    assert seen.count >= 3
    assert seen.first < seen.last
    assert {b"old", b"new", b"sub"} <= set(summary.paths)
    assert summary.gaps == ()
    assert summary.watching_since is not None


def test_reading_is_no_change(top: Path) -> None:
    (top / "file").write_text("x")

    def act() -> None:
        for _ in range(5):
            (top / "file").read_text()

    assert watching(top, act).paths == {}


def test_git_objects_and_our_own_directory_do_not_count(top: Path) -> None:
    own = top / ".git" / "agentprov"
    own.mkdir()

    def act() -> None:
        (top / ".git" / "objects" / "aa").write_text("x")
        (own / "journal").write_text("x")
        (top / ".git" / "HEAD").write_text("x")

    summary = watching(top, act, ignore=(own,))
    assert set(summary.paths) <= {b".git/HEAD", b".git"}
    assert b".git/HEAD" in summary.paths


def test_memory_is_bounded_and_what_did_not_fit_is_a_gap(top: Path) -> None:
    def act() -> None:
        for number in range(8):
            (top / f"f{number}").write_text("x")

    summary = watching(top, act, max_paths=3)
    assert len(summary.paths) == 3
    assert [gap.why for gap in summary.gaps] == ["file-events-too-many"]
    assert summary.gaps[0].start <= summary.gaps[0].end


def test_an_overflow_that_the_library_only_logs_is_a_gap(top: Path) -> None:
    def act() -> None:
        logging.getLogger("watchdog").warning("Inotify queue overflowed; events were lost")
        logging.getLogger("watchdog.observers.inotify_c").warning("something harmless")

    summary = watching(top, act)
    assert [gap.why for gap in summary.gaps] == ["file-events-lost"]
    assert logging.getLogger("watchdog").handlers == []


def test_a_watch_limit_is_a_gap_and_no_error(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from watchdog.observers.api import BaseObserver

    def limit(self: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(BaseObserver, "start", limit)
    watcher = Watcher(top, SystemClock({}))
    watcher.start()
    assert not watcher.ready(20)
    summary = watcher.stop()
    assert [gap.why for gap in summary.gaps] == ["file-events-unavailable"]
    assert "watch limit" in str(summary.gaps[0].detail)
    assert summary.watching_since is None


def test_a_tree_that_is_not_there_is_a_gap(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "gone", SystemClock({}))
    watcher.start()
    watcher.ready(20)
    assert [gap.why for gap in watcher.stop().gaps] == ["file-events-unavailable"]


def test_starting_returns_at_once_and_a_late_start_is_a_gap(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchdog.observers.api import BaseObserver

    go = threading.Event()
    real = BaseObserver.start

    def slow(self: BaseObserver) -> None:
        go.wait(20)
        real(self)

    monkeypatch.setattr(BaseObserver, "start", slow)

    class Clock:
        ticks = 0.0

        def now(self) -> datetime:
            return datetime(2026, 1, 1, tzinfo=UTC)

        def monotonic(self) -> float:
            self.ticks += 5.0
            return self.ticks

    watcher = Watcher(top, Clock())
    watcher.start()
    assert not watcher.ready(0)
    go.set()
    assert watcher.ready(20)
    assert [gap.why for gap in watcher.stop().gaps] == ["file-events-late"]


def test_stopping_twice_gives_the_same_and_no_thread_is_left(top: Path) -> None:
    before = threading.active_count()
    watcher = Watcher(top, SystemClock({}))
    watcher.start()
    watcher.ready(20)
    (top / "file").write_text("x")
    first = watcher.stop()
    assert watcher.stop() == first
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


@pytest.mark.skipif(os.name == "nt", reason="POSIX names")
def test_names_are_raw_bytes(top: Path) -> None:
    name = b"caf\xe9"

    def act() -> None:
        descriptor = os.open(os.fsencode(top) + b"/" + name, os.O_WRONLY | os.O_CREAT)
        os.close(descriptor)

    summary = watching(top, act)
    assert isinstance(summary.paths[name], Seen)
