"""Which process makes a call, and whose child it is: read while the call waits.

A process is its id and when it started, so that an id that is used again is another process.
Its parents are read when it is first seen: later they may be gone, and it somebody else's child.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import NamedTuple

_MAX_KNOWN = 20_000
_MAX_LINE = 8192
_MAX_PARENTS = 64


class Process(NamedTuple):
    """A process: its id, and when it started (ns since epoch, exact to a clock tick)."""

    pid: int
    started: int


class Kin(NamedTuple):
    """A process that was seen, its parent then, and its command line (arguments by 0x1f)."""

    process: Process
    parent: Process | None
    line: bytes


class Family:
    """Knows processes; `tell` gets each one when it is first seen, after its parents."""

    def __init__(self, tell: Callable[[Kin], None]) -> None:
        self._tell = tell
        self._threads: dict[int, tuple[int, Process]] = {}
        self._known: set[Process] = set()
        self._tick = 10**9 // os.sysconf("SC_CLK_TCK")
        self._boot = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def of(self, thread: int) -> Process | None:
        """Give the process of a calling thread, None when it cannot be seen from here."""
        try:
            started, _ = _stat(thread)
            known = self._threads.get(thread)
            if known is not None and known[0] == started:
                return known[1]
            process = self._meet(_process_of(thread), 0)
        except (OSError, ValueError, IndexError):
            return None
        if len(self._threads) >= _MAX_KNOWN:
            self._threads.clear()
        self._threads[thread] = (started, process)
        return process

    def _meet(self, pid: int, depth: int) -> Process:
        started, parent = _stat(pid)
        # The clock may be set meanwhile; a process must not become another by that.
        process = Process(pid, self._boot + started * self._tick)
        if process in self._known:
            return process
        above = None
        if parent > 0 and depth < _MAX_PARENTS:
            with contextlib.suppress(OSError, ValueError, IndexError):
                above = self._meet(parent, depth + 1)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known.add(process)
        self._tell(Kin(process, above, _line(pid)))
        return process


def _stat(pid: int) -> tuple[int, int]:
    """Read when a process or thread started (clock ticks since boot), and its parent."""
    # For every call that waits: a buffered stream would take twice as long.
    opened = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(opened, 4096)
    finally:
        os.close(opened)
    # The name stands in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rfind(b")") + 1 :].split()
    return int(fields[19]), int(fields[1])


def _process_of(thread: int) -> int:
    with open(f"/proc/{thread}/status", "rb") as stream:
        return int(stream.read().split(b"\nTgid:")[1].split()[0])


def _line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read(_MAX_LINE).rstrip(b"\0").replace(b"\0", b"\x1f")
    except OSError:
        return b""
