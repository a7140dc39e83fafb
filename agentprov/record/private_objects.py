"""What of the private objects is still needed, and how the rest goes while a session may write.

Snapshots and versions of files are loose git objects in ``<home>/objects`` that no ref names. What
is needed is what the states of kept sessions lead to. What is younger than the cut is kept
whatever it is, because a live session writes objects before it writes down that it needs them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agentprov.record.session import SessionDirectory, State
from agentprov.record.snapshot import private_git
from agentprov.system.files import open_regular
from agentprov.system.git import Git

_NAME = re.compile(r"[0-9a-f]{38}(?:[0-9a-f]{24})?")
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
PACK_FROM = 500
"""So many loose objects that are needed are put into a pack."""


@dataclass(frozen=True)
class Loose:
    """One loose object: its id, its file, the bytes on disk."""

    oid: str
    path: Path
    size: int


@dataclass(frozen=True)
class Sorted:
    """Private objects by what becomes of them.

    `unneeded` and `needed` are loose. `stale` are packs (without ending) with something in them
    that is not needed: `packed` such objects of `packed_bytes`; `wanted` are to be kept of them.
    """

    unneeded: tuple[Loose, ...]
    needed: tuple[Loose, ...]
    stale: tuple[Path, ...] = ()
    packed: int = 0
    packed_bytes: int = 0
    wanted: tuple[str, ...] = ()


def roots(directory: SessionDirectory, state: State) -> set[str]:
    """Give the ids of objects that a session names: its snapshots and the versions of files."""
    found = {oid for oid in (state.baseline_tree, state.end_tree) if oid}
    with contextlib.suppress(OSError), open(open_regular(directory.versions), "rb") as stream:
        for line in stream:
            # A line that a crash cut off names nothing that its session could still find.
            with contextlib.suppress(ValueError, LookupError, TypeError):
                blob = json.loads(line)[3]
                found |= {blob} if isinstance(blob, str) and _OID.fullmatch(blob) else set()
    return found


def sort(git: Git, wanted: Iterable[str], before: float) -> Sorted:
    """Sort the loose objects: what `wanted` leads to, what not, and what is younger than the cut.

    `before` is seconds since the epoch. Raises GitFailed where what is wanted cannot be followed;
    then nothing may be taken away.
    """
    objects = git.home / "objects"
    loose, packs = list(_loose(objects)), list(_packs(git, objects / "pack"))
    reached = _reached(git, wanted) if loose or packs else set()
    unneeded = [item for item, at in loose if item.oid not in reached and at < before]
    needed = [item for item, _ in loose if item.oid in reached]
    stale = [(pack, oids) for pack, oids, at in packs if oids - reached and at < before]
    dropped = sorted({oid for _, oids in stale for oid in oids - reached})
    return Sorted(
        tuple(unneeded),
        tuple(needed),
        tuple(pack for pack, _ in stale),
        len(dropped),
        _packed_bytes(git, dropped),
        tuple(sorted({oid for _, oids in stale for oid in oids & reached})),
    )


def remove(objects: Iterable[Loose], before: float) -> None:
    """Remove loose objects, but those that were wanted again meanwhile. Raises OSError.

    Whoever is about to need an object that is there already makes it look new, as git does.
    """
    for item in objects:
        with contextlib.suppress(FileNotFoundError):
            if item.path.stat().st_mtime < before:
                item.path.unlink()


def pack(git: Git, found: Sorted) -> None:
    """Put what is needed into one pack; then remove its loose files, and packs that are stale.

    A reader that misses a file looks for new packs, as git does. Raises GitFailed, OSError; then
    every object is still where it was.
    """
    place = git.home / "objects" / "pack"
    place.mkdir(mode=0o700, exist_ok=True)
    oids = [*(item.oid for item in found.needed), *found.wanted]
    made = ""
    if oids:
        listed = "".join(f"{oid}\n" for oid in oids).encode()
        words = ("pack-objects", "-q", str(place / "pack"))
        made = private_git(git).run(*words, input=listed).decode().strip()
    for item in found.needed:
        item.path.unlink(missing_ok=True)
    for old in found.stale:
        if old.name != f"pack-{made}":
            # Its index first: without, git does not look into the pack.
            for ending in (".idx", ".rev", ".pack"):
                old.with_suffix(ending).unlink(missing_ok=True)


def _loose(objects: Path) -> Iterator[tuple[Loose, float]]:
    if objects.is_symlink():
        return
    for folder in _entries(objects):
        if len(folder.name) != 2 or not folder.is_dir(follow_symlinks=False):
            continue
        for entry in _entries(Path(folder.path)):
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                found = Loose(folder.name + entry.name, Path(entry.path), status.st_size)
                yield found, status.st_mtime


def _packs(git: Git, place: Path) -> Iterator[tuple[Path, set[str], float]]:
    for entry in _entries(place):
        if entry.name.endswith(".idx"):
            index = Path(entry.path)
            listing = git.run("show-index", input=index.read_bytes()).decode()
            oids = {line.split()[1] for line in listing.splitlines()}
            yield index.with_suffix(""), oids, index.with_suffix(".pack").stat().st_mtime


def _packed_bytes(git: Git, oids: Iterable[str]) -> int:
    listed = "".join(f"{oid}\n" for oid in oids).encode()
    if not listed:
        return 0
    words = ("cat-file", "--batch-check=%(objectsize:disk)")
    return sum(map(int, private_git(git).run(*words, input=listed).split()))


def _entries(place: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return []


def _reached(git: Git, wanted: Iterable[str]) -> set[str]:
    private = private_git(git)
    with private.cat_file() as reader:
        here = [oid for oid in sorted(set(wanted)) if reader.get(oid) is not None]
    words = ("rev-list", "--objects", "--no-object-names", "--stdin")
    listing = private.run(*words, input="".join(f"{oid}\n" for oid in here).encode())
    return set(listing.decode().split())
