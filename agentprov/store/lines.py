"""The body of a note: one signed bundle per line; a set, written sorted.

Sorted lines make the same set the same blob in every clone, and are what git's own
``cat_sort_uniq`` merge gives. Blank lines mean nothing (``git notes append`` leaves them).
"""

from __future__ import annotations

from collections.abc import Iterable

from agentprov.errors import MalformedInput


def split(body: bytes) -> set[bytes]:
    """Give the set of lines of a note's body."""
    return {line for line in (raw.strip(b"\r") for raw in body.split(b"\n")) if line.strip()}


def join(lines: Iterable[bytes]) -> bytes:
    """Give the body that holds these lines."""
    return b"".join(line + b"\n" for line in sorted(set(lines)))


def require_line(line: bytes) -> bytes:
    """Give the line back; raises MalformedInput for what cannot be one line of a note."""
    if not line.strip() or b"\n" in line or b"\r" in line:
        raise MalformedInput("a record must be one line that is not blank")
    return line
