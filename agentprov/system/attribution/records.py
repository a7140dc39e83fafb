"""The records of a ledger: which places were named for writing, one per new fact.

A record is ``KIND NS:SINCE PID:START DEV:INO DEV:INO:BIRTH COUNT PATH`` and a NUL; paths hold no
NUL. A record is in the file *before* the call that it tells of may happen, so that a supervisor
which is killed has told everything that happened; a torn last record belongs to a call that did
not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from agentprov.system.attribution.family import Kin, Process
from agentprov.system.attribution.resolve import FileId, Place

# What a record says of its path:
OPENED = "w"  # opened for writing, or truncated
CREATED = "c"  # opened for writing where no file was
IDENTIFIED = "i"  # the file that was created there
VOID = "x"  # nothing was created there after all
REMOVED = "r"
RENAMED = "m"  # a file got or lost this name
MOVED = "d"  # a directory got or lost this name
NAMED = "l"  # a hard link, symbolic link or node got this name
MODE = "a"
AGAIN = "u"  # the same as before, COUNT more times, from SINCE to NS
CONTACT = "k"  # a process outside the tree that was spoken to
LINKED = "h"  # the opened file has other names too
MISSED = "g"  # PATH is the reason
PROCESS = "p"  # who PID is: DEV:INO are its parent's id and start, PATH is its command line


class Entry(NamedTuple):
    """One record; `at` is ns since epoch, `since` too (0: the same time).

    The process is `pid`, which began at `started` (ns since epoch, 0: not known).
    """

    kind: str
    at: int
    pid: int
    parent: tuple[int, int] | None
    file: FileId | None
    calls: int
    path: bytes
    started: int = 0
    since: int = 0

    @property
    def process(self) -> Process | None:
        """Give the process, None where it could not be told."""
        return Process(self.pid, self.started) if self.started else None

    def encode(self) -> bytes:
        """Give the record's bytes."""
        device, inode = self.parent or (0, 0)
        file = self.file or FileId(0, 0)
        return b"%b %d:%d %d:%d %d:%d %d:%d:%d %d %b\0" % (
            self.kind.encode(), self.at, self.since, self.pid, self.started, device, inode,
            file.device, file.inode, file.birth, self.calls, self.path,
        )  # fmt: skip


def entry(kind: str, at: int, pid: int, place: Place, started: int = 0) -> Entry:
    """Make a record of a place."""
    return Entry(kind, at, pid, place.parent, place.file, 1, place.path, started)


def process(kin: Kin) -> Entry:
    """Make a record of a process."""
    pid, started = kin.process
    return Entry(PROCESS, started, pid, kin.parent, None, 1, kin.line, started)


def decode(data: bytes) -> Iterator[Entry]:
    """Give the whole records of a ledger; what is torn or strange is left out."""
    records = data.split(b"\0")
    for record in records[:-1]:
        parts = record.split(b" ", 6)
        try:
            kind, times, who, parent, file, count, path = parts
            at, since = (int(number) for number in times.split(b":"))
            pid, started = (int(number) for number in who.split(b":"))
            directory = tuple(int(number) for number in parent.split(b":"))
            device, inode, birth = (int(number) for number in file.split(b":"))
            yield Entry(
                kind.decode("ascii"),
                at,
                pid,
                (directory[0], directory[1]) if any(directory) else None,
                FileId(device, inode, birth) if inode else None,
                int(count),
                path,
                started,
                since,
            )
        except (ValueError, IndexError):
            continue
