"""Git objects as bytes: their ids, trees in and out, and a pack that carries many at once.

Building objects here, and handing all of them to one ``git unpack-objects``, costs one process
for a whole addition of records instead of one for every blob, tree and commit. Pure.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from agentprov.errors import MalformedInput
from agentprov.formats.value import value

ObjectFormat = Literal["sha1", "sha256"]
Kind = Literal["commit", "tree", "blob"]
TREE_MODE = b"40000"
FILE_MODE = b"100644"
_PACK_TYPES: Mapping[Kind, int] = {"commit": 1, "tree": 2, "blob": 3}


def _hash(format_: ObjectFormat, data: bytes) -> bytes:
    # SHA-1 names objects in git's own format; nothing of ours trusts it.
    return (
        hashlib.sha256(data).digest()
        if format_ == "sha256"
        else hashlib.sha1(data, usedforsecurity=False).digest()
    )


@dataclass(eq=False, repr=False)
class NewObjects:
    """Objects that are to be written together, each once."""

    format: ObjectFormat
    _bodies: dict[str, tuple[Kind, bytes]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Give how many objects there are to write."""
        return len(self._bodies)

    def add(self, kind: Kind, content: bytes) -> str:
        """Take in an object and give its id."""
        oid = _hash(self.format, b"%s %d\0%s" % (kind.encode(), len(content), content)).hex()
        self._bodies[oid] = (kind, content)
        return oid

    def ids(self) -> Iterable[str]:
        """Give the ids of all objects to write."""
        return self._bodies.keys()

    def pack(self) -> bytes:
        """Give a version 2 pack of all objects, without deltas, for ``git unpack-objects``."""
        out = bytearray(b"PACK\0\0\0\2" + len(self._bodies).to_bytes(4, "big"))
        for kind, content in self._bodies.values():
            out += _entry_header(_PACK_TYPES[kind], len(content))
            out += zlib.compress(content, 1)
        return bytes(out) + _hash(self.format, bytes(out))


def _entry_header(kind: int, size: int) -> bytes:
    out = bytearray()
    byte = (kind << 4) | (size & 15)
    size >>= 4
    while size:
        out.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    out.append(byte)
    return bytes(out)


@value
class Entry:
    """One entry of a tree."""

    mode: bytes
    oid: str

    @property
    def is_tree(self) -> bool:
        """Say whether the entry is a directory."""
        return self.mode == TREE_MODE

    @property
    def is_file(self) -> bool:
        """Say whether the entry is a blob, and no submodule or something that nobody writes."""
        return self.mode[:2] in (b"10", b"12")


def parse_tree(content: bytes, format_: ObjectFormat) -> dict[bytes, Entry]:
    """Read a tree object; raises MalformedInput when it is cut off."""
    width = 20 if format_ == "sha1" else 32
    entries: dict[bytes, Entry] = {}
    at = 0
    while at < len(content):
        space = content.find(b" ", at)
        end = content.find(b"\0", space)
        if space < 0 or end < 0 or end + 1 + width > len(content):
            raise MalformedInput("git tree object: cut off")
        oid = content[end + 1 : end + 1 + width].hex()
        entries[content[space + 1 : end]] = Entry(content[at:space], oid)
        at = end + 1 + width
    return entries


def format_tree(entries: Mapping[bytes, Entry]) -> bytes:
    """Write a tree object, in git's order (a directory sorts as if its name ended in a slash)."""
    ordered = sorted(entries.items(), key=lambda item: item[0] + (b"/" if item[1].is_tree else b""))
    return b"".join(
        b"%s %s\0%s" % (entry.mode, name, bytes.fromhex(entry.oid)) for name, entry in ordered
    )


def format_commit(
    tree: str, parents: Iterable[str], identity: str, seconds: int, message: str
) -> bytes:
    """Write a commit object whose author and committer are the same, at a time in UTC."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"{role} {identity} {seconds} +0000" for role in ("author", "committer")]
    return ("\n".join([*lines, "", message]) + "\n").encode("utf-8")
