"""The body of a note: one signed bundle per line; a set, written sorted.

Sorted lines make the same set the same blob in every clone, and are what git's own
``cat_sort_uniq`` merge gives. Blank lines mean nothing (``git notes append`` leaves them).
Bundles are stored packed; all others see them as they were signed.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentprov.errors import MalformedInput
from agentprov.formats import packed


def split(body: bytes) -> set[bytes]:
    """Give the set of lines of a note's body, each bundle in its own form however it is stored.

    A line that is no bundle, packed or not, is given as it stands.
    """
    return {unpacked(line) for line in stored(body)}


def stored(body: bytes) -> set[bytes]:
    """Give the set of lines of a note's body as they are stored."""
    raw = (line.strip(b"\r") for line in body.split(b"\n"))
    return {line for line in raw if line.strip()}


def join(lines: Iterable[bytes]) -> bytes:
    """Give the body that holds these lines, bundles packed."""
    return b"".join(line + b"\n" for line in sorted({packed.pack(line) for line in lines}))


def unpacked(line: bytes) -> bytes:
    """Give the bundle that a stored line stands for; what stands for none, as it is."""
    try:
        return packed.unpack(line)
    except MalformedInput:
        return line


def require_line(line: bytes) -> bytes:
    """Give the line back; raises MalformedInput for what cannot be one line of a note."""
    if not line.strip() or b"\n" in line or b"\r" in line:
        raise MalformedInput("a record must be one line that is not blank")
    return line
