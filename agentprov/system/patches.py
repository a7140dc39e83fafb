"""Which lines trees add to one another, as git's own diff counts them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agentprov.formats.quoting import unquote
from agentprov.system.git import Git

Spans = list[tuple[int, int]]

OPTIONS = (
    "-r", "-p", "-U0", "-M", "-l0", "--no-ext-diff", "--no-textconv", "--full-index",
    "--src-prefix=a/", "--dst-prefix=b/", "--diff-algorithm=myers", "--indent-heuristic",
)  # fmt: skip
_HUNK = re.compile(rb"@@ -[0-9]+(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@")
_PAIR = re.compile(rb"[0-9a-f]{40,64} [0-9a-f]{40,64}")


def added_lines(git: Git, old: str, new: str) -> dict[bytes, Spans]:
    """Give the lines that one tree or commit adds to another: by path, (start, end) from 1.

    Files of which git says that they are binary, and those without added lines, are left out.
    """
    return _read(git.run("diff-tree", *OPTIONS, old, new)).get(("", ""), {})


def added_in(git: Git, pairs: Sequence[tuple[str, str]]) -> list[dict[bytes, Spans]]:
    """Give the same for each (old tree, new tree), by one process."""
    if not pairs:
        return []
    asked = "".join(f"{old} {new}\n" for old, new in dict.fromkeys(pairs)).encode()
    answers = _read(git.run("diff-tree", "--stdin", *OPTIONS, input=asked))
    return [answers.get(pair, {}) for pair in pairs]


def _read(patches: bytes) -> dict[tuple[str, str], dict[bytes, Spans]]:
    found: dict[tuple[str, str], dict[bytes, Spans]] = {}
    current = found["", ""] = {}
    path: bytes | None = None
    lines = iter(patches.split(b"\n"))
    for line in lines:
        if line.startswith(b"@@ "):
            hunk = _HUNK.match(line)
            if hunk is None:
                continue
            removed, added = (1 if one is None else int(one) for one in (hunk[1], hunk[3]))
            if added and path is not None:
                start = int(hunk[2])
                current.setdefault(path, []).append((start, start + added - 1))
            _skip(lines, removed + added)
        elif line.startswith(b"diff --git "):
            path = None
        elif line.startswith(b"+++ "):
            name = unquote(line[4:].removesuffix(b"\t"))
            path = name[2:] if name.startswith(b"b/") else None
        elif _PAIR.fullmatch(line):
            old, _, new = line.decode().partition(" ")
            current = found[old, new] = {}
    return found


def _skip(lines: Iterator[bytes], count: int) -> None:
    """Pass over a hunk's own lines; what git says of a missing newline is none of them."""
    for _ in range(count):
        if next(lines, b"").startswith(b"\\"):
            next(lines, b"")


__all__ = ["Spans", "added_in", "added_lines"]
