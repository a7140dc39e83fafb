"""The tree of a notes ref: finds notes at any fan-out, writes them where git would look.

git names the note of an object by its id, split into directories of two hex digits as the
notes grow (``ab/cdef...``). A tree may hold several depths at once; git reads them all, and so
do we. We write into the directories that are there, and at least one level deep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from agentprov.errors import GitFailed, MalformedInput
from agentprov.store import lines, objects
from agentprov.store.objects import FILE_MODE, TREE_MODE, Entry, NewObjects, ObjectFormat
from agentprov.system.git import CatFile

_HEX = re.compile(r"[0-9a-f]+")
_MAX_LEVELS = 8


def require_anchor(anchor: str, format_: ObjectFormat) -> str:
    """Give an object id back; raises MalformedInput for what is none in this repository."""
    if len(anchor) != (40 if format_ == "sha1" else 64) or not _HEX.fullmatch(anchor):
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


@dataclass
class NotesTree:
    """One version of a notes tree, read as needed and changed in memory."""

    reader: CatFile
    format: ObjectFormat
    root: str | None
    _read: dict[str, Mapping[bytes, Entry]] = field(default_factory=dict, repr=False)

    def find(self, anchor: str) -> set[bytes]:
        """Give the lines of one note, from every depth at which it stands."""
        found: set[bytes] = set()
        oid, rest = self.root, anchor
        for _ in range(_MAX_LEVELS):
            if oid is None:
                break
            entries = self._tree(oid)
            note = entries.get(rest.encode())
            if note is not None and not note.is_tree:
                found |= lines.split(self._blob(note.oid))
            below = entries.get(rest[:2].encode())
            oid, rest = (below.oid if below and below.is_tree else None), rest[2:]
        return found

    def write(self, notes: Mapping[str, set[bytes]], new: NewObjects) -> str:
        """Give the id of a tree in which these notes stand as given; all else is unchanged.

        New objects are put into `new`; nothing is written.
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
            else:
                blob = new.add("blob", lines.join(body))
                entries[rest.encode()] = Entry(FILE_MODE, blob)
        for name, inner in below.items():
            directory = entries.get(name.encode())
            start = directory.oid if directory is not None and directory.is_tree else None
            entries[name.encode()] = Entry(TREE_MODE, self._write(start, inner, level + 1, new))
        return new.add("tree", objects.format_tree(entries))

    def _tree(self, oid: str) -> Mapping[bytes, Entry]:
        # Many notes share the few trees above them.
        if oid not in self._read:
            found = self.reader.get(oid)
            if found is None or found[0] != "tree":
                raise GitFailed(f"the notes tree {oid} is missing from this repository")
            self._read[oid] = objects.parse_tree(found[1], self.format)
        return self._read[oid]

    def _blob(self, oid: str) -> bytes:
        found = self.reader.get(oid)
        if found is None:
            raise GitFailed(f"the note {oid} is missing from this repository")
        return found[1]
