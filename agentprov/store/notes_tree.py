"""The tree of a notes ref: finds notes at any fan-out, writes them where git would look.

git names the note of an object by its id, split into directories of two hex digits as the
notes grow (``ab/cdef...``). A tree may hold several depths at once; git reads them all, and so
do we. We write into the directories that are there, and at least one level deep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agentprov.errors import GitFailed, MalformedInput
from agentprov.store import lines, objects
from agentprov.store.objects import FILE_MODE, TREE_MODE, Entry, NewObjects, ObjectFormat
from agentprov.system.git_objects import OVERSIZED, CatFile

_HEX = re.compile(r"[0-9a-f]+")
_MAX_LEVELS = 8
_TOGETHER = 500
_AT_ONCE = 50
# A few bytes of a pack can stand for gigabytes; whoever may push the ref may push those.
MAX_NOTE_BYTES = 32 * 1024 * 1024
MAX_TREE_BYTES = 16 * 1024 * 1024
MAX_BYTES = 512 * 1024 * 1024
_OVERSIZED_LINE = b"(a note of more bytes than are read)"


def is_anchor(text: str, format_: ObjectFormat) -> bool:
    """Say whether this is an object id in this repository's format."""
    return len(text) == (40 if format_ == "sha1" else 64) and bool(_HEX.fullmatch(text))


def require_anchor(anchor: str, format_: ObjectFormat) -> str:
    """Give an object id back; raises MalformedInput for what is none in this repository."""
    if not is_anchor(anchor, format_):
        raise MalformedInput(f"{anchor!r} is not a {format_} object id")
    return anchor


def anchor_of(path: bytes, format_: ObjectFormat) -> str | None:
    """Give the object id that a path in a notes tree stands for, or None for any other file."""
    joined = path.replace(b"/", b"").decode("ascii", "replace")
    steps = path.split(b"/")
    if any(len(step) != 2 for step in steps[:-1]):
        return None
    try:
        return require_anchor(joined, format_)
    except MalformedInput:
        return None


@dataclass(eq=False, repr=False)
class NotesTree:
    """One version of a notes tree, read as needed and changed in memory.

    Anybody who may push the ref can have written it: what git would not write is passed over
    where that hides nothing, else GitFailed says so. A note that is too large to be read is one
    line that is no record to readers; writers, who would lose it, get GitFailed. With `keeping`,
    notes that were read stay in memory, for who asks twice. `restore` brings back what is missing
    if it can, and says whether it brought anything.
    """

    reader: CatFile
    format: ObjectFormat
    root: str | None
    keeping: bool = False
    restore: Callable[[], bool] = bool
    _read: dict[str, Mapping[bytes, Entry]] = field(default_factory=dict, repr=False)
    _kept: dict[str, set[bytes]] = field(default_factory=dict, repr=False)
    _size: int = field(default=0, repr=False)

    def find(self, anchor: str) -> set[bytes]:
        """Give the lines of one note, from every depth at which it stands."""
        found: set[bytes] = set()
        oid, rest = self.root, anchor
        for _ in range(_MAX_LEVELS):
            if oid is None:
                break
            entries = self._tree(oid)
            note = entries.get(rest.encode())
            if note is not None and note.is_file:
                found |= lines.split(self._blob(note.oid))
            below = entries.get(rest[:2].encode())
            oid, rest = (below.oid if below and below.is_tree else None), rest[2:]
        return found

    def find_many(self, anchors: Iterable[str], *, whole: bool = False) -> dict[str, set[bytes]]:
        """Give the lines of each of these notes, in a few turns with git however many they are.

        With `whole`, a note that is too large to be read is an error, as for writers.
        """
        found = self.stored_of(anchors, whole=whole)
        return {anchor: {lines.unpacked(line) for line in body} for anchor, body in found.items()}

    def stored_of(self, anchors: Iterable[str], *, whole: bool = False) -> dict[str, set[bytes]]:
        """Give what `find_many` does, each line as it is stored."""
        found: dict[str, set[bytes]] = {anchor: set() for anchor in anchors}
        blobs: list[tuple[str, str]] = []
        here = [(anchor, anchor, self.root) for anchor in found]
        for _ in range(_MAX_LEVELS):
            here = [place for place in here if place[2] is not None]
            self._read_trees(oid for _, _, oid in here if oid is not None)
            inner: list[tuple[str, str, str | None]] = []
            for anchor, rest, oid in here:
                entries = self._tree(oid) if oid is not None else {}
                note = entries.get(rest.encode())
                if note is not None and note.is_file:
                    blobs.append((anchor, note.oid))
                below = entries.get(rest[:2].encode())
                if below is not None and below.is_tree:
                    inner.append((anchor, rest[2:], below.oid))
            here = inner
        for anchor, body in self._bodies(blobs, whole=whole):
            found[anchor] |= body
        return found

    def places(self) -> dict[str, list[str]]:
        """Give the blobs of every note by object id; reads trees only.

        Raises GitFailed for a directory that stands at two places: notes of different objects
        have different names, and a few such trees inside each other stand for millions of notes.
        """
        found: dict[str, list[str]] = {}
        here = [("", self.root)] if self.root is not None else []
        seen: set[str] = set()
        for _ in range(_MAX_LEVELS):
            self._read_trees(oid for _, oid in here)
            _each_once((oid for _, oid in here if self._tree(oid)), seen)
            inner = []
            for above, oid in here:
                for name, entry in self._tree(oid).items():
                    step = name.decode("ascii", "replace")
                    if entry.is_tree:
                        if len(step) == 2:
                            inner.append((above + step, entry.oid))
                    elif entry.is_file and is_anchor(above + step, self.format):
                        found.setdefault(above + step, []).append(entry.oid)
            here = inner
        return found

    def everything(self) -> Iterator[tuple[str, set[bytes]]]:
        """Give (object id, lines) of every note, in order of object id."""
        for anchor, stored in self.stored():
            yield anchor, {lines.unpacked(line) for line in stored}

    def stored(self) -> Iterator[tuple[str, set[bytes]]]:
        """Give (object id, lines as they are stored) of every note, in order of object id."""
        found = self.places()
        anchors = sorted(found)
        self._size = 0
        for at in range(0, len(anchors), _TOGETHER):
            together = anchors[at : at + _TOGETHER]
            gathered: dict[str, set[bytes]] = {anchor: set() for anchor in together}
            blobs = [(anchor, oid) for anchor in together for oid in found[anchor]]
            for anchor, body in self._bodies(blobs):
                gathered[anchor] |= body
            yield from gathered.items()

    def difference(self, other: NotesTree) -> tuple[dict[str, set[bytes]], dict[str, set[bytes]]]:
        """Give the lines that only the other has, and those that only this one has, by object id.

        Subtrees that are the same are not read, so the cost is that of what differs. A note may
        stand at another depth in each: all of its places count.
        """
        here, there = self._differing(other)
        anchors = sorted(here | there)
        mine, theirs = (tree.find_many(anchors, whole=True) for tree in (self, other))
        only_there = {one: theirs[one] - mine[one] for one in anchors if theirs[one] - mine[one]}
        only_here = {one: mine[one] - theirs[one] for one in anchors if mine[one] - theirs[one]}
        return only_there, only_here

    def _differing(self, other: NotesTree) -> tuple[set[str], set[str]]:
        """Give the object ids of notes that stand differently, in this tree and in the other."""
        found: tuple[set[str], set[str]] = (set(), set())
        pairs: list[tuple[str, str | None, str | None]] = [("", self.root, other.root)]
        seen: set[str] = set()
        for _ in range(_MAX_LEVELS):
            pairs = [pair for pair in pairs if pair[1] != pair[2]]
            self._read_trees(oid for _, oid, _ in pairs if oid is not None)
            other._read_trees(oid for _, _, oid in pairs if oid is not None)
            _each_once((oid for _, _, oid in pairs if oid and other._tree(oid)), seen)
            inner: list[tuple[str, str | None, str | None]] = []
            for above, *oids in pairs:
                sides = [
                    tree._tree(oid) if oid is not None else {}
                    for tree, oid in zip((self, other), oids, strict=True)
                ]
                for name in sides[0].keys() | sides[1].keys():
                    entries = [side.get(name) for side in sides]
                    if entries[0] == entries[1]:
                        continue
                    step = above + name.decode("ascii", "replace")
                    mine, theirs = (one.oid if one and one.is_tree else None for one in entries)
                    if len(name) == 2 and (mine or theirs):
                        inner.append((step, mine, theirs))
                    for notes, entry in zip(found, entries, strict=True):
                        if entry and entry.is_file and is_anchor(step, self.format):
                            notes.add(step)
            pairs = inner
        return found

    def write(self, notes: Mapping[str, set[bytes]], new: NewObjects) -> str:
        """Give the id of a tree in which these notes stand as given; all else is unchanged.

        A note without lines is taken out, with the directories that held nothing else. New
        objects are put into `new`; nothing is written.
        """
        return self._write(self.root, dict(notes), 0, new)

    def _write(
        self, oid: str | None, notes: dict[str, set[bytes]], level: int, new: NewObjects
    ) -> str:
        entries = dict(self._tree(oid)) if oid is not None else {}
        below: dict[str, dict[str, set[bytes]]] = {}
        for rest, body in notes.items():
            directory = entries.get(rest[:2].encode())
            if level == 0 or (directory is not None and directory.is_tree):
                entries.pop(rest.encode(), None)
                below.setdefault(rest[:2], {})[rest[2:]] = body
            elif body:
                blob = new.add("blob", lines.join(body))
                entries[rest.encode()] = Entry(FILE_MODE, blob)
            else:
                entries.pop(rest.encode(), None)
        for name, inner in below.items():
            directory = entries.get(name.encode())
            start = directory.oid if directory is not None and directory.is_tree else None
            written = self._write(start, inner, level + 1, new)
            if any(inner.values()) or written != new.add("tree", b""):
                entries[name.encode()] = Entry(TREE_MODE, written)
            else:
                entries.pop(name.encode(), None)
        return new.add("tree", objects.format_tree(entries))

    def _tree(self, oid: str) -> Mapping[bytes, Entry]:
        # Many notes share the few trees above them.
        if oid not in self._read:
            self._keep(oid, self._get_many([oid], MAX_TREE_BYTES)[0])
        return self._read[oid]

    def _read_trees(self, oids: Iterable[str]) -> None:
        wanted = [oid for oid in dict.fromkeys(oids) if oid not in self._read]
        for oid, found in zip(wanted, self._get_many(wanted, MAX_TREE_BYTES), strict=True):
            self._keep(oid, found)

    def _keep(self, oid: str, found: tuple[str, bytes] | None) -> None:
        if found is not None and found[0] == OVERSIZED:
            raise _not_gits_own("one of its directories is too large")
        if found is None or found[0] != "tree":
            raise GitFailed(f"the notes tree {oid} is missing from this repository")
        self._read[oid] = objects.parse_tree(found[1], self.format)

    def _get_many(self, oids: Sequence[str], most: int) -> list[tuple[str, bytes] | None]:
        found = self.reader.get_many(oids, most=most)
        if None in found and self.restore():
            found = self.reader.get_many(oids, most=most)
        return found

    def _bodies(
        self, blobs: Sequence[tuple[str, str]], *, whole: bool = False
    ) -> Iterator[tuple[str, set[bytes]]]:
        """Give the stored lines of each (object id, blob); each blob is read once."""
        known = self._kept if self.keeping else {}
        wanted = [oid for oid in dict.fromkeys(oid for _, oid in blobs) if oid not in known]
        for at in range(0, len(wanted), _AT_ONCE):
            some = wanted[at : at + _AT_ONCE]
            contents = self._get_many(some, MAX_NOTE_BYTES)
            for oid, found in zip(some, contents, strict=True):
                if found is None:
                    raise GitFailed(f"the note {oid} is missing from this repository")
                if whole and found[0] == OVERSIZED:
                    raise _not_gits_own(f"its note {oid} is too large")
                self._size += len(found[1])
                if self._size > MAX_BYTES:
                    raise _not_gits_own(f"its notes are more than {MAX_BYTES} bytes")
                known[oid] = {_OVERSIZED_LINE} if found[0] == OVERSIZED else lines.stored(found[1])
        for anchor, oid in blobs:
            yield anchor, known[oid]

    def _blob(self, oid: str) -> bytes:
        (found,) = self._get_many([oid], MAX_NOTE_BYTES)
        if found is None:
            raise GitFailed(f"the note {oid} is missing from this repository")
        if found[0] == OVERSIZED:
            raise _not_gits_own(f"its note {oid} is too large")
        return found[1]


def _each_once(oids: Iterable[str], seen: set[str]) -> None:
    for oid in oids:
        if oid in seen:
            raise _not_gits_own("it holds one directory at several places")
        seen.add(oid)


def _not_gits_own(why: str) -> GitFailed:
    return GitFailed(
        f"the notes are not as git or agentprov write them: {why}",
        hint="somebody who may push refs/notes/agentprov put it there; see `git log` of that ref",
    )
