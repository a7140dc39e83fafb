"""When paths of the work tree changed: file events, as timing beside the snapshots.

The snapshots are the record; events are known to lose data under load (GIT section 1.2). So
this may fail in any way without harm: it never raises, sets itself up in a thread of its own,
keeps a bounded amount, and tells every blind stretch as a gap.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprov.formats.facts import Gap
from agentprov.ports import Clock
from agentprov.system.clock import rfc3339
from agentprov.system.process import unsignalled

if TYPE_CHECKING:
    import logging

    from watchdog.events import FileSystemEvent

MAX_PATHS = 100_000
LATE_SECONDS = 1.0
_STOP_SECONDS = 2.0
_SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Seen:
    """Events on one path: the times of the first and the last (RFC 3339), and how many."""

    first: str
    last: str
    count: int


@dataclass(frozen=True)
class Summary:
    """What was seen from start to stop; keys are git paths relative to the top of the tree.

    `watching_since` is None when watching never began.
    """

    paths: dict[bytes, Seen] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    watching_since: str | None = None


class Watcher:
    """Watches one work tree between `start` and `stop`; optional, and never in the way.

    `ignore` are directories whose events do not count, besides ``.git/objects``; in the first of
    them, else in ``.git``, a file is made and removed at the end, to hear of it last. `noticed` is
    told each changed path and the time, in the watching thread: it must return at once. Does
    not see who wrote, nor writes through a memory map or a hard link from outside.
    """

    def __init__(
        self,
        top: Path,
        clock: Clock,
        *,
        ignore: Sequence[Path] = (),
        max_paths: int = MAX_PATHS,
        noticed: Callable[[bytes, str], None] | None = None,
    ) -> None:
        self._top = top
        self._prefix = os.fsencode(top).rstrip(b"/") + b"/"
        self._ignored = tuple(
            os.fsencode(path).rstrip(b"/") + b"/" for path in (top / ".git" / "objects", *ignore)
        )
        self._clock = clock
        self._max_paths = max_paths
        self._noticed = noticed
        self._paths: dict[bytes, Seen] = {}
        self._gaps: list[Gap] = []
        self._dropped: tuple[str, str, int] | None = None
        self._lock = threading.Lock()
        self._observer: Any = None
        self._log: logging.Handler | None = None
        self._since: str | None = None
        self._began = ""
        self._began_at = 0.0
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._mark = self._place_of_mark((*ignore, top / ".git"))
        self._marked = threading.Event()

    def start(self) -> None:
        """Begin in the background and return at once; large trees take a while to be watched."""
        self._began = self._now()
        self._began_at = self._clock.monotonic()
        self._thread = threading.Thread(target=self._begin, name="agentprov-watch", daemon=True)
        try:
            with unsignalled():
                self._thread.start()
        except RuntimeError as error:
            self._thread = None
            self._gap("file-events-unavailable", self._began, str(error))

    def ready(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until the tree is watched; say whether it is."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._since is not None

    def stop(self) -> Summary:
        """End watching and give what was seen; the same answer when called again."""
        if not self._stopped:
            self._stopped = True
            if self._thread is not None:
                self._thread.join(_STOP_SECONDS)
            self._end()
            if self._log is not None:
                import logging

                logging.getLogger("watchdog").removeHandler(self._log)
        return self.so_far()

    def so_far(self) -> Summary:
        """Give what was seen up to now, while watching goes on."""
        with self._lock:
            gaps = list(self._gaps)
            if self._dropped is not None:
                first, last, count = self._dropped
                detail = f"{count} events on more than {self._max_paths} paths"
                gaps.append(Gap("file-events-too-many", first, last, detail))
            return Summary(dict(self._paths), tuple(gaps), self._since)

    def _begin(self) -> None:
        try:
            self._listen()
            _quiet()
            self._observe()
        except Exception as error:  # noqa: BLE001 - timing is optional, the run is not
            self._gap("file-events-unavailable", self._began, f"{type(error).__name__}: {error}")
            return
        since = self._now()
        if self._clock.monotonic() - self._began_at > LATE_SECONDS:
            self._gap("file-events-late", self._began, "watching began late", end=since)
        self._since = since

    def _listen(self) -> None:
        import logging

        self._log = _hearing(self)
        logging.getLogger("watchdog").addHandler(self._log)

    def _observe(self) -> None:
        from watchdog import events
        from watchdog.observers import Observer

        # Reading a file is no change; without the filter every open would be an event.
        wanted = [
            events.FileCreatedEvent,
            events.FileModifiedEvent,
            events.FileDeletedEvent,
            events.FileMovedEvent,
            events.FileClosedEvent,
            events.DirCreatedEvent,
            events.DirDeletedEvent,
            events.DirMovedEvent,
        ]
        handler = events.FileSystemEventHandler()
        handler.on_any_event = self._on_event  # type: ignore[method-assign]
        observer = Observer()
        observer.daemon = True
        observer.schedule(handler, str(self._top), recursive=True, event_filter=wanted)
        observer.start()
        self._observer = observer

    def _end(self) -> None:
        observer = self._observer
        if observer is None:
            if self._since is None and not self._gaps:
                self._gap("file-events-unavailable", self._began, "not ready before the end")
            return
        died = not observer.is_alive()
        try:
            # What the kernel has queued by now still belongs to the session.
            self._settle()
            observer.stop()
            observer.join(_STOP_SECONDS)
        except Exception as error:  # noqa: BLE001 - see _begin
            self._gap("file-events-unavailable", self._began, f"{type(error).__name__}: {error}")
        if died:
            self._gap("file-events-unavailable", self._began, "the watching thread ended early")

    def _place_of_mark(self, places: Sequence[Path]) -> bytes | None:
        """Choose where to leave a file whose event tells that all before it were heard."""
        for place in places:
            mark = os.path.join(os.fsencode(place), b".agentprov-mark-%d" % os.getpid())
            if mark.startswith(self._prefix) and place.is_dir():
                return mark
        return None

    def _settle(self) -> None:
        """Hear what is still queued: events come in order, so the last is one of our own."""
        if self._mark is None or not self._leave_mark(self._mark):
            self._wait_for_quiet()
        elif not self._marked.wait(_SETTLE_SECONDS):
            self._gap("file-events-late", self._now(), "events were still queued at the end")

    @staticmethod
    def _leave_mark(mark: bytes) -> bool:
        try:
            os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            os.unlink(mark)
        except OSError:
            return False
        return True

    def _wait_for_quiet(self) -> None:
        quiet = threading.Event()
        before = -1
        for _ in range(10):
            with self._lock:
                now = sum(seen.count for seen in self._paths.values())
            if now == before:
                return
            before = now
            quiet.wait(0.05)

    def _on_event(self, event: FileSystemEvent) -> None:
        moment = self._now()
        for place in (event.src_path, event.dest_path):
            if place:
                self._count(os.fsencode(place), moment)

    def _count(self, place: bytes, moment: str) -> None:
        if not place.startswith(self._prefix):
            return
        if place == self._mark:
            self._marked.set()
            return
        if any((place + b"/").startswith(ignored) for ignored in self._ignored):
            return
        path = place[len(self._prefix) :]
        if self._noticed is not None:
            self._noticed(path, moment)
        with self._lock:
            old = self._paths.get(path)
            if old is not None:
                self._paths[path] = Seen(old.first, moment, old.count + 1)
            elif len(self._paths) < self._max_paths:
                self._paths[path] = Seen(moment, moment, 1)
            else:
                first, _, count = self._dropped or (moment, moment, 0)
                self._dropped = (first, moment, count + 1)

    def _gap(self, why: str, start: str, detail: str, *, end: str | None = None) -> None:
        with self._lock:
            if not any(gap.why == why and gap.detail == detail for gap in self._gaps):
                self._gaps.append(Gap(why, start, end or self._now(), detail))

    def overflowed(self) -> None:
        """Note that the system dropped events at this moment."""
        self._gap("file-events-lost", self._since or self._began, "the event queue overflowed")

    def _now(self) -> str:
        return rfc3339(self._clock.now())


def _hearing(watcher: Watcher) -> logging.Handler:
    """Make a handler that hears of lost events; watchdog tells them in no other way."""
    import logging

    class Overflow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with contextlib.suppress(Exception):
                if "overflow" in record.getMessage().lower():
                    watcher.overflowed()

    return Overflow(logging.WARNING)


def _quiet() -> None:
    # watchdog warns with the whole list of watches for nested new directories.
    import warnings

    warnings.filterwarnings("ignore", module="watchdog")
