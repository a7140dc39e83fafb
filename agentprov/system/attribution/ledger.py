"""Sums up what supervisors left: which places a tree of processes named for writing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

from agentprov.formats.facts import Gap
from agentprov.system.attribution import records
from agentprov.system.attribution.records import Entry, decode
from agentprov.system.attribution.resolve import FileId
from agentprov.system.clock import rfc3339


class Touched(NamedTuple):
    """First and last time (RFC 3339) and the least number of calls that named a path."""

    first: str
    last: str
    calls: int


@dataclass(frozen=True)
class Attributed:
    """What a tree of processes is known to have named for writing, until now.

    `paths` are absolute, without symbolic links, as the recorder sees them. `names` are
    (device, inode of the directory, last name), `files` the files as such, `moved` the
    directories (device, inode) that the tree renamed and `moved_paths` their old and new
    paths. `contacts` are the addresses outside the tree that it connected to on this machine.
    `complete` says that nothing was missed: then, and only then, absence means something.
    """

    paths: dict[bytes, Touched] = field(default_factory=dict)
    names: frozenset[tuple[int, int, bytes]] = frozenset()
    files: frozenset[FileId] = frozenset()
    moved: frozenset[tuple[int, int]] = frozenset()
    moved_paths: frozenset[bytes] = frozenset()
    contacts: frozenset[str] = frozenset()
    gaps: tuple[Gap, ...] = ()
    complete: bool = False
    unseen: tuple[bytes, ...] = ()


_TOUCHING = frozenset(
    (
        records.OPENED, records.CREATED, records.REMOVED, records.RENAMED, records.MOVED,
        records.NAMED, records.MODE, records.AGAIN,
    )
)  # fmt: skip
_SETTLING = frozenset(
    (records.IDENTIFIED, records.VOID, records.REMOVED, records.RENAMED, records.MOVED)
)


def read(data: bytes) -> Attributed:
    """Sum a ledger up; `complete` is True unless the ledger itself tells of something missed.

    `unseen` are created files that nobody identified so far and the tree did not remove.
    """
    sums = _Sums()
    for item in decode(data):
        sums.add(item)
    return sums.result()


class _Sums:
    def __init__(self) -> None:
        self._times: dict[bytes, tuple[int, int, int]] = {}
        self._names: set[tuple[int, int, bytes]] = set()
        self._files: set[FileId] = set()
        self._moved: set[tuple[int, int]] = set()
        self._moved_paths: set[bytes] = set()
        self._contacts: set[str] = set()
        self._missed: dict[bytes, tuple[int, int]] = {}
        self._fresh: set[bytes] = set()

    def add(self, item: Entry) -> None:
        if item.kind == records.MISSED:
            first, _ = self._missed.get(item.path, (item.at, item.at))
            self._missed[item.path] = (first, item.at)
        elif item.kind == records.CONTACT:
            self._contacts.add(item.path.decode("utf-8", "backslashreplace"))
        elif item.kind in _TOUCHING:
            self._touch(item)
        if item.kind in (records.OPENED, records.IDENTIFIED) and item.file is not None:
            self._files.add(item.file)
        if item.kind == records.CREATED and item.parent is not None:
            self._fresh.add(item.path)
        elif item.kind in _SETTLING:
            self._fresh.discard(item.path)
        if item.kind == records.MOVED:
            self._moved_paths.add(item.path)
            if item.file is not None:
                self._moved.add((item.file.device, item.file.inode))

    def _touch(self, item: Entry) -> None:
        old = self._times.get(item.path)
        if old is None:
            self._times[item.path] = (item.at, item.at, item.calls)
        else:
            first, last, count = old
            self._times[item.path] = (min(first, item.at), max(last, item.at), count + item.calls)
        if item.parent is not None:
            self._names.add((*item.parent, item.path.rpartition(b"/")[2]))

    def result(self) -> Attributed:
        gaps = tuple(
            Gap("process-attribution-missed", time_of(first), time_of(last), os_text(reason))
            for reason, (first, last) in self._missed.items()
        )
        return Attributed(
            paths={
                path: Touched(time_of(first), time_of(last), count)
                for path, (first, last, count) in self._times.items()
            },
            names=frozenset(self._names),
            files=frozenset(self._files),
            moved=frozenset(self._moved),
            moved_paths=frozenset(self._moved_paths),
            contacts=frozenset(self._contacts),
            gaps=gaps,
            complete=not gaps,
            unseen=tuple(sorted(self._fresh)),
        )


def with_gap(known: Attributed, gap: Gap) -> Attributed:
    """Give the same, incomplete because of a gap."""
    return replace(known, gaps=(*known.gaps, gap), complete=False)


def time_of(at: int) -> str:
    """Give ns since epoch as RFC 3339."""
    return rfc3339(datetime.fromtimestamp(at / 10**9, UTC))


def os_text(reason: bytes) -> str:
    """Give a reason from a ledger as text that can be printed."""
    return reason.decode("utf-8", "backslashreplace")
