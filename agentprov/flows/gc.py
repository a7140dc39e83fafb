"""What of our own data nothing needs any more: found, explained, and taken away when asked.

Local state only; records in the notes are `agentprov.flows.gc_records`. A closed session loses its
files and keeps its empty directory: the signing log knows by it what was recorded in this clone.
docs/spec/gc.md is the page.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from agentprov.errors import MalformedInput, UserError
from agentprov.flows.gc_published import Published
from agentprov.flows.world import World
from agentprov.formats import dropbox
from agentprov.record import private_objects
from agentprov.record.session import DROPPED, SessionDirectory, State
from agentprov.system import files
from agentprov.system.process_table import carrying

KEEP_DAYS = 30
_DAY = 86_400.0
LOCK_SECONDS = 30.0
_ASIDE = re.compile(r"\..*\.part|index-.*")
_SCRATCH = "agentprov-"


@dataclass(frozen=True)
class Unneeded:
    """One kind of thing that can go: how many, how many bytes on disk, and what is lost with it."""

    what: str
    count: int
    bytes: int
    why: str
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """Something that stays though it is old, and what needs it."""

    what: str
    count: int
    why: str


@dataclass(frozen=True)
class Survey:
    """What can go and what stays though it is old, in this clone."""

    unneeded: tuple[Unneeded, ...]
    kept: tuple[Kept, ...]


def collect(
    world: World,
    *,
    keep_days: int = KEEP_DAYS,
    transcripts: bool = False,
    prune: bool = False,
    dropped: Set[bytes] = frozenset(),
) -> Survey:
    """Look at what lies in this clone and beside it; with `prune` take away what can go.

    `keep_days` is how long everything is kept after it was last written; `transcripts` lets
    sessions go whose channels the user had kept. `dropped` are bundles that go from the notes by
    the same command: they keep no session, like those that went before. Holds the lock
    of `drain` meanwhile, so that nothing is taken in. Raises UserError inside a recorded run,
    GitFailed, Busy, OSError.
    """
    require_outside(prune)
    files.private_directory(world.git.home)
    with files.locked(world.git.home / "lock", LOCK_SECONDS):
        found = _Survey(world, keep_days, transcripts, dropped)
        found.make()
        if prune:
            for step in found.steps:
                step()
    kept = tuple(Kept("sessions", count, why) for why, count in sorted(found.kept.items()))
    return Survey(tuple(found.unneeded), kept)


def require_outside(prune: bool) -> None:
    """Raise UserError where something is to be removed by a recorded agent."""
    if prune and os.environ.get("AGENTPROV_SESSION"):
        raise UserError(
            "what is recorded is for a person to remove; this is inside a recorded run",
            hint="run `agentprov gc --prune` when the agent is done",
        )


class _Survey:
    def __init__(
        self, world: World, keep_days: int, transcripts: bool, dropped: Set[bytes]
    ) -> None:
        self.world = world
        self.home = world.git.home
        self.transcripts = transcripts
        self.dropped = dropped
        self.cut = time.time() - keep_days * _DAY
        # A file aside belongs to a write of this moment, however few days are to be kept.
        self.aside_cut = min(self.cut, time.time() - _DAY)
        self.unneeded: list[Unneeded] = []
        self.kept: dict[str, int] = {}
        self.steps: list[Callable[[], None]] = []

    def make(self) -> None:
        places = self.home / "sessions"
        # A link that stands where a session should leads to what is not ours to remove.
        names = [name for name in _names(places) if not (places / name).is_symlink()]
        directories = [SessionDirectory(self.home, name) for name in names]
        live = [item for item in directories if item.is_live()]
        live_since = min((_oldest(item.path) for item in live), default=time.time())
        gone: list[SessionDirectory] = []
        wanted: set[str] = set()
        unread = 0
        published = Published(self.world)
        for item in directories:
            if not _names(item.path):
                continue
            try:
                state: State | None = item.load()
            except MalformedInput:
                state = None
            why = self._needed(item, state, live_since, published)
            if why is None:
                gone.append(item)
                continue
            if why:
                self.kept[why] = self.kept.get(why, 0) + 1
            if state is None:
                unread += 1
            else:
                wanted |= private_objects.roots(item, state)
        self._sessions(gone)
        self._objects(wanted, unread, live_since)
        self._asides(live)
        self._scratch()

    def _needed(
        self,
        item: SessionDirectory,
        state: State | None,
        live_since: float,
        published: Published,
    ) -> str | None:
        """Say what needs a session's files; empty for its youth alone, None where nothing does."""
        if item.owner() is not None:
            return "a recorder serves it, or died and has not been cleared up after"
        if item.pending():
            return "some of its output is not committed yet"
        # That its records were dropped since makes a session no younger.
        own = (path for path in _files(item.path) if path.name != DROPPED)
        newest = max(map(_changed, own), default=0.0)
        if newest >= self.cut:
            return ""
        if newest >= live_since:
            return "a live session has to know who else worked at its time"
        if state is not None and state.phase == "open":
            return "it was never closed; the next command that reads records closes it"
        committed = state is None or bool(state.bound)
        dropped = self.dropped | {*item.dropped_bundles()}
        missing = published.lacks(item.bundles(), committed=committed, dropped=dropped)
        if missing:
            return missing
        if not self.transcripts and any(
            path.name.startswith("transcript.") for path in _files(item.path)
        ):
            return "its channels were kept on purpose (--transcripts lets them go)"
        return None

    def _sessions(self, gone: Sequence[SessionDirectory]) -> None:
        if not gone:
            return
        paths = [path for item in gone for path in _files(item.path)]
        self._add(
            "sessions",
            len(gone),
            # The list of what was dropped is new where a real run follows a dry one.
            [path for path in paths if path.name != DROPPED],
            "closed, old, published or without a commit; `replay` and `transcript` lose them",
            [item.id for item in gone],
        )
        # These go last: cut off in between, the session is found again and finished.
        last = (DROPPED, "state.json")
        ordered = sorted(paths, key=lambda path: (path.name in last, str(path)))
        self.steps.append(lambda: _unlink(ordered))
        self.steps.append(lambda: _empty(item.path for item in gone))

    def _objects(self, wanted: Iterable[str], unread: int, live_since: float) -> None:
        if unread:
            self.kept["what it needs of the private objects cannot be read, so all stay"] = unread
            return
        git = self.world.git
        cut = min(self.cut, live_since - _DAY)
        found = private_objects.sort(git, wanted, cut)
        if found.unneeded or found.stale:
            self._add(
                "private objects",
                len(found.unneeded) + found.packed,
                [item.path for item in found.unneeded],
                "snapshots and versions of files that no kept session names",
                more=found.packed_bytes,
            )
            self.steps.append(lambda: private_objects.remove(found.unneeded, cut))
        if found.stale or len(found.needed) >= private_objects.PACK_FROM:
            self.steps.append(lambda: private_objects.pack(git, found))

    def _asides(self, live: Sequence[SessionDirectory]) -> None:
        ids = tuple(item.id for item in live)
        places = [self.home, *(self.home / name for name in ("live", "pending", "sessions"))]
        found = [
            path
            for place in places
            for path in _files(place, deep=False)
            if _ASIDE.fullmatch(path.name)
            and _changed(path) < self.aside_cut
            and not any(one in path.name for one in ids)
        ]
        found += [
            path
            for path in _files(self.home / "spool", deep=False)
            if _changed(path) < self.aside_cut and not path.name.endswith(dropbox.SUFFIX)
        ]
        if found:
            self._add("temporary files", len(found), found, "left by processes that were killed")
            self.steps.append(lambda: _unlink(found))

    def _scratch(self) -> None:
        """Find directories that runs made for agents; those of other repositories look the same."""
        found: list[Path] = []
        place = Path(tempfile.gettempdir())
        for name in _names(place):
            path = place / name
            if not name.startswith(_SCRATCH) or not _is_our_scratch(path):
                continue
            if carrying("AGENTPROV_SPOOL_FALLBACK", str(path / "spool")):
                continue
            if max(map(_changed, [path, *_files(path)])) < self.aside_cut:
                found.append(path)
        if found:
            inside = [file for path in found for file in _files(path)]
            self._add(
                "fallback directories",
                len(found),
                inside,
                "made for a run that did not come to remove them, and quiet since",
            )
            self.steps.append(lambda: _remove_trees(found))

    def _add(
        self,
        what: str,
        count: int,
        paths: Iterable[Path],
        why: str,
        places: Sequence[str] = (),
        more: int = 0,
    ) -> None:
        size = sum(map(_size, paths)) + more
        self.unneeded.append(Unneeded(what, count, size, why, tuple(places)))


def _is_our_scratch(path: Path) -> bool:
    try:
        status = path.lstat()
        known = (path / "spool").is_dir() and (path / "spool.sh").is_file()
    except OSError:
        return False
    mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return stat.S_ISDIR(status.st_mode) and mine and known


def _names(place: Path) -> list[str]:
    try:
        return sorted(os.listdir(place))
    except OSError:
        return []


def _files(place: Path, *, deep: bool = True) -> Iterator[Path]:
    """Give the files under a directory; follows no link, nor is one that stands for it."""
    if place.is_symlink():
        return
    for folder, folders, names in os.walk(place):
        if not deep:
            folders.clear()
        for name in names:
            yield Path(folder) / name


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _oldest(place: Path) -> float:
    return min(map(_changed, _files(place)), default=time.time())


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _empty(places: Iterable[Path]) -> None:
    """Remove the directories inside; each place itself stays, as a sign that it was here."""
    for place in places:
        for folder, _, _ in os.walk(place, topdown=False):
            if Path(folder) != place:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def _remove_trees(paths: Iterable[Path]) -> None:
    import shutil

    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


__all__ = ["KEEP_DAYS", "LOCK_SECONDS", "Kept", "Survey", "Unneeded", "collect", "require_outside"]
