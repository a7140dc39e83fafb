"""Sums up what supervisors left: which places a tree of processes named for writing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Generic, NamedTuple, TypeVar

from agentprov.formats.facts import Gap
from agentprov.system.attribution import records
from agentprov.system.attribution.family import Kin, Process
from agentprov.system.attribution.records import Entry, decode
from agentprov.system.attribution.resolve import FileId
from agentprov.system.clock import rfc3339

Key = TypeVar("Key", bound=Hashable)


class Touched(NamedTuple):
    """First and last time (RFC 3339) and the least number of calls that named a path."""

    first: str
    last: str
    calls: int


class Opening(NamedTuple):
    """A process named a path for writing between two times (ns since epoch), once or often.

    `name` is the directory's device and inode with the last name; `file` the file, where known.
    `process` is None where it could not be told.
    """

    first: int
    last: int
    process: Process | None
    path: bytes
    name: tuple[int, int, bytes] | None
    file: FileId | None


@dataclass(frozen=True)
class Attributed:
    """What a tree of processes is known to have named for writing, until now.

    `paths` are absolute, without symbolic links, as the recorder sees them. `names` are
    (device, inode of the directory, last name), whatever path led there; `files` the files as
    such. `ids` are the files that were seen at a path. `moved` are the directories (device,
    inode) that the tree renamed, `moved_paths` their old and new paths. `linked` says that a
    file was opened that had other names too. `contacts` are the addresses outside the tree that
    it connected to on this machine. `openings` are the single calls, `processes` who made them,
    with their parents, and `root` is the id of the agent's first process. `complete` says that
    nothing was missed: then, and only then, absence means something.
    """

    paths: Mapping[bytes, Touched] = field(default_factory=dict)
    names: Mapping[tuple[int, int, bytes], Touched] = field(default_factory=dict)
    files: Mapping[FileId, Touched] = field(default_factory=dict)
    ids: Mapping[bytes, frozenset[FileId]] = field(default_factory=dict)
    moved: frozenset[tuple[int, int]] = frozenset()
    moved_paths: frozenset[bytes] = frozenset()
    linked: bool = False
    contacts: frozenset[str] = frozenset()
    gaps: tuple[Gap, ...] = ()
    complete: bool = False
    unseen: tuple[bytes, ...] = ()
    openings: tuple[Opening, ...] = ()
    processes: Mapping[Process, Kin] = field(default_factory=dict)
    root: int = 0


_TOUCHING = frozenset(
    (
        records.OPENED, records.CREATED, records.REMOVED, records.RENAMED, records.MOVED,
        records.NAMED, records.MODE, records.AGAIN,
    )
)  # fmt: skip
_WRITING = frozenset((records.OPENED, records.IDENTIFIED))
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


class _Times(Generic[Key]):
    """First and last time and number of calls, by key."""

    def __init__(self) -> None:
        self._times: dict[Key, tuple[int, int, int]] = {}

    def add(self, key: Key, item: Entry) -> None:
        first, last, calls = self._times.get(key, (item.at, item.at, 0))
        self._times[key] = (min(first, item.at), max(last, item.at), calls + item.calls)

    def result(self) -> dict[Key, Touched]:
        return {
            key: Touched(time_of(first), time_of(last), calls)
            for key, (first, last, calls) in self._times.items()
        }


class _Sums:
    def __init__(self) -> None:
        self._paths: _Times[bytes] = _Times()
        self._names: _Times[tuple[int, int, bytes]] = _Times()
        self._files: _Times[FileId] = _Times()
        self._missed: _Times[bytes] = _Times()
        self._ids: dict[bytes, set[FileId]] = {}
        self._moved: set[tuple[int, int]] = set()
        self._moved_paths: set[bytes] = set()
        self._contacts: set[str] = set()
        self._fresh: set[bytes] = set()
        self._linked = False
        self._openings: list[Opening] = []
        self._processes: dict[Process, Kin] = {}

    def add(self, item: Entry) -> None:
        if item.kind == records.PROCESS:
            self._meet(item)
        elif item.kind == records.MISSED:
            self._missed.add(item.path, item)
        elif item.kind == records.CONTACT:
            self._contacts.add(item.path.decode("utf-8", "backslashreplace"))
        elif item.kind == records.LINKED:
            self._linked = True
        elif item.kind in _TOUCHING:
            self._touch(item)
        if item.kind in _TOUCHING or item.kind == records.IDENTIFIED:
            name = (*item.parent, item.path.rpartition(b"/")[2]) if item.parent else None
            since = item.since or item.at
            self._openings.append(Opening(since, item.at, item.process, item.path, name, item.file))
        if item.kind in _WRITING and item.file is not None:
            self._files.add(item.file, item)
        if item.kind == records.CREATED and item.parent is not None:
            self._fresh.add(item.path)
        elif item.kind in _SETTLING:
            self._fresh.discard(item.path)
        if item.kind == records.MOVED:
            self._moved_paths.add(item.path)
            if item.file is not None:
                self._moved.add((item.file.device, item.file.inode))

    def _meet(self, item: Entry) -> None:
        process = item.process
        if process is not None:
            parent = Process(*item.parent) if item.parent else None
            # A supervisor that took over may find it orphaned: the first word counts.
            self._processes.setdefault(process, Kin(process, parent, item.path))

    def _touch(self, item: Entry) -> None:
        self._paths.add(item.path, item)
        if item.parent is not None:
            self._names.add((*item.parent, item.path.rpartition(b"/")[2]), item)
        if item.file is not None:
            self._ids.setdefault(item.path, set()).add(item.file)

    def result(self) -> Attributed:
        gaps = tuple(
            Gap("process-attribution-missed", times.first, times.last, os_text(reason))
            for reason, times in self._missed.result().items()
        )
        return Attributed(
            paths=self._paths.result(),
            names=self._names.result(),
            files=self._files.result(),
            ids={path: frozenset(ids) for path, ids in self._ids.items()},
            moved=frozenset(self._moved),
            moved_paths=frozenset(self._moved_paths),
            linked=self._linked,
            contacts=frozenset(self._contacts),
            gaps=gaps,
            complete=not gaps,
            unseen=tuple(sorted(self._fresh)),
            openings=tuple(self._openings),
            processes=self._processes,
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
