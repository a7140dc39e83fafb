"""Runs taps beside the relay's loop: one thread, in wire order, with the wire's own times.

The relay never waits for a parser. It only reads more slowly while more than BACKLOG_BYTES wait
to be looked at, and gives taps up when one of them makes no headway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from queue import SimpleQueue

BACKLOG_BYTES = 8 * 1024 * 1024
HUNG_SECONDS = 10.0

Work = Callable[[], None]


class TapThread:
    """Takes work of the relay's thread, which alone calls everything here but `now`."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[int, int, Work] | None] = SimpleQueue()
        self._at = time.time_ns()
        self._current = self._at
        self._taken = self._done = 0
        self._count_taken = self._count_done = 0
        self._seen_done = 0
        self._moved = time.monotonic()
        self.abandoned = False
        self._thread = threading.Thread(target=self._work, name="taps", daemon=True)
        self._thread.start()

    def mark(self) -> None:
        """Take the time for the work that comes next: when its bytes came, before they left."""
        self._at = time.time_ns()

    def run(self, work: Work, size: int = 0) -> None:
        """Do some work after all that was given before; `size` counts bytes that it holds."""
        if not self.abandoned:
            self._taken += size
            self._count_taken += 1
            self._queue.put((self._at, size, work))

    def now(self) -> str:
        """Give the time of the work that is being done, RFC 3339 with milliseconds and Z."""
        return as_text(self._current)

    @property
    def full(self) -> bool:
        """Say whether so much waits that no more should be read from the wire."""
        return not self.abandoned and self._taken - self._done > BACKLOG_BYTES

    def hung(self) -> bool:
        """Say, once, that work has made no headway for HUNG_SECONDS; none is done afterwards."""
        done = self._count_done
        if done != self._seen_done or done == self._count_taken or self.abandoned:
            self._seen_done, self._moved = done, time.monotonic()
            return False
        self.abandoned = time.monotonic() - self._moved > HUNG_SECONDS
        return self.abandoned

    def finish(self, timeout: float) -> bool:
        """Do what is left and end; False when that takes longer, or taps were given up."""
        self._queue.put(None)
        self._thread.join(timeout)
        return not self.abandoned and not self._thread.is_alive()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self.abandoned:
                continue
            self._current, size, work = item
            work()
            self._done += size
            self._count_done += 1


def as_text(nanoseconds: int) -> str:
    """Write a time since the epoch as RFC 3339 with milliseconds and Z."""
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000 / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["BACKLOG_BYTES", "HUNG_SECONDS", "TapThread", "Work", "as_text"]
