"""The records of a ledger: which places were named for writing, one per new fact.

A record is ``KIND NS PID DEV:INO DEV:INO:BIRTH COUNT PATH`` and a NUL; paths hold no NUL. A
record is in the file *before* the call that it tells of may happen, so that a supervisor which
is killed has told everything that happened; a torn last record belongs to a call that did not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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
AGAIN = "u"  # the same as before, COUNT more times, last at NS
CONTACT = "k"  # a process outside the tree that was spoken to
LINKED = "h"  # the opened file has other names too
MISSED = "g"  # PATH is the reason


class Entry(NamedTuple):
    """One record; `at` is ns since epoch."""

    kind: str
    at: int
    pid: int
    parent: tuple[int, int] | None
    file: FileId | None
    calls: int
    path: bytes

    def encode(self) -> bytes:
        """Give the record's bytes."""
        device, inode = self.parent or (0, 0)
        file = self.file or FileId(0, 0)
        return b"%b %d %d %d:%d %d:%d:%d %d %b\0" % (
            self.kind.encode(), self.at, self.pid, device, inode,
            file.device, file.inode, file.birth, self.calls, self.path,
        )  # fmt: skip


def entry(kind: str, at: int, pid: int, place: Place) -> Entry:
    """Make a record of a place."""
    return Entry(kind, at, pid, place.parent, place.file, 1, place.path)


def decode(data: bytes) -> Iterator[Entry]:
    """Give the whole records of a ledger; what is torn or strange is left out."""
    records = data.split(b"\0")
    for record in records[:-1]:
        parts = record.split(b" ", 6)
        try:
            kind, at, pid, parent, file, count, path = parts
            directory = tuple(int(number) for number in parent.split(b":"))
            device, inode, birth = (int(number) for number in file.split(b":"))
            yield Entry(
                kind.decode("ascii"),
                int(at),
                int(pid),
                (directory[0], directory[1]) if any(directory) else None,
                FileId(device, inode, birth) if inode else None,
                int(count),
                path,
            )
        except (ValueError, IndexError):
            continue
