"""Which lines trees add to one another, as git's own diff counts them.

Attributes of the work tree have no say: with ``*.py -diff`` git calls any file binary, and its
lines would be nobody's. Text is what holds no NUL near its start, by git's own rule.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

from agentprov.formats.carrying import MAX_TEXT_BYTES, is_text
from agentprov.formats.quoting import unquote
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile, CommitObject
from agentprov.system.trees import RawChange, diff_tree

Spans = list[tuple[int, int]]

OPTIONS = (
    "-r", "-p", "-U0", "-M", "-l0", "--no-ext-diff", "--no-textconv", "--full-index",
    "--src-prefix=a/", "--dst-prefix=b/", "--diff-algorithm=myers", "--indent-heuristic",
)  # fmt: skip
_WHOLE = ("-p", "-r", "--no-ext-diff", "--no-textconv")
_HUNK = re.compile(rb"@@ -[0-9]+(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@")
_NOTHING = "000000"
_PAIR = re.compile(rb"[0-9a-f]{40,64} [0-9a-f]{40,64}")


def patch_id(git: Git, commit: CommitObject) -> str | None:
    """Give git's stable patch id of what a commit changed; None for a merge and an empty one.

    White space has no part in it, and of a file that git calls binary only its name.
    """
    if len(commit.parents) > 1:
        return None
    return _patch_id(git, git.run("diff-tree", *_WHOLE, *_sides(git, commit.parents, commit.oid)))


def text_patch_id(git: Git, parents: Sequence[str], oid: str, most: int) -> str | None:
    """Give the same, where it stands for all that was changed; else None.

    That is where git shows each file as text, and the patch has at most `most` bytes.
    """
    if len(parents) > 1:
        return None
    patch, whole = git.run_within(most, "diff-tree", *_WHOLE, *_sides(git, parents, oid), input=b"")
    if not whole or b"\nBinary files " in b"\n" + patch:
        return None
    return _patch_id(git, patch)


def _sides(git: Git, parents: Sequence[str], oid: str) -> tuple[str, str]:
    return (parents[0] if parents else git.empty_tree), oid


def _patch_id(git: Git, patch: bytes) -> str | None:
    out = git.run("patch-id", "--stable", input=patch)
    return os.fsdecode(out).split(" ")[0] or None


def added_lines(git: Git, old: str, new: str) -> dict[bytes, Spans]:
    """Give the lines that one tree or commit adds to another: by path, (start, end) from 1.

    Binary and very large files, and those without added lines, are left out.
    """
    read = _read(git.run("diff-tree", *OPTIONS, old, new))
    found = read.added.get(("", ""), {})
    return {**found, **_called_binary(git, old, new, found)} if read.binary else found


def added_in(git: Git, pairs: Sequence[tuple[str, str]]) -> list[dict[bytes, Spans]]:
    """Give the same for each (old tree, new tree), by one process where all text is called text."""
    return [found or {} for found in added_within(git, pairs, None)]


def added_within(
    git: Git, pairs: Sequence[tuple[str, str]], most: int | None
) -> list[dict[bytes, Spans] | None]:
    """Give what `added_in` gives, reading no more than `most` bytes of patches.

    None for the pairs that come after: a small blob that stands at many paths is a large patch.
    """
    if not pairs:
        return []
    order = list(dict.fromkeys(pairs))
    asked = "".join(f"{old} {new}\n" for old, new in order).encode()
    patches, whole = git.run_within(most, "diff-tree", "--stdin", *OPTIONS, input=asked)
    read = _read(patches)
    unread: set[tuple[str, str]] = set()
    if not whole:
        # The last pair that was begun is not known to its end.
        last = max(
            (order.index(pair) for pair in list(read.added)[-1:] if pair in order), default=0
        )
        unread.update(order[last:])
    for old, new in read.binary.keys() - unread:
        read.added[old, new].update(_called_binary(git, old, new, read.added[old, new]))
    return [None if pair in unread else read.added.get(pair, {}) for pair in pairs]


def _called_binary(
    git: Git, old: str, new: str, known: Mapping[bytes, Spans]
) -> Mapping[bytes, Spans]:
    """Give the added lines of text files that git, told so by an attribute, calls binary."""
    with git.cat_file() as reader:
        changes = [
            change
            for change in diff_tree(git, old, new)
            if change.path not in known and _is_text(reader, change)
        ]
    if not changes:
        return {}
    names = dict.fromkeys(name for one in changes for name in (one.old_path, one.path) if name)
    out = git.run("--literal-pathspecs", "diff-tree", "--text", *OPTIONS, old, new, "--", *names)
    wanted = {change.path for change in changes}
    added = _read(out).added.get(("", ""), {})
    return {path: spans for path, spans in added.items() if path in wanted}


def _is_text(reader: CatFile, change: RawChange) -> bool:
    sides = ((change.old_mode, change.old_blob), (change.new_mode, change.new_blob))
    return change.old_blob != change.new_blob and all(
        _has_lines(reader, blob) for mode, blob in sides if mode != _NOTHING
    )


def _has_lines(reader: CatFile, blob: str) -> bool:
    found = reader.digest(blob, keep=MAX_TEXT_BYTES)
    return found is not None and found.content is not None and is_text(found.content)


@dataclass
class _Read:
    """Patches as read: added lines by pair of trees, and the pairs with files called binary."""

    added: dict[tuple[str, str], dict[bytes, Spans]]
    binary: dict[tuple[str, str], None]


def _read(patches: bytes) -> _Read:
    pair = ("", "")
    current: dict[bytes, Spans] = {}
    read = _Read({pair: current}, {})
    path: bytes | None = None
    lines = (line.removesuffix(b"\n") for line in BytesIO(patches))
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
        elif line.startswith(b"Binary files "):
            read.binary[pair] = None
        elif _PAIR.fullmatch(line):
            old, _, new = line.decode().partition(" ")
            pair = (old, new)
            current = read.added[pair] = {}
    return read


def _skip(lines: Iterator[bytes], count: int) -> None:
    """Pass over a hunk's own lines; what git says of a missing newline is none of them."""
    for _ in range(count):
        if next(lines, b"").startswith(b"\\"):
            next(lines, b"")


__all__ = ["Spans", "added_in", "added_lines"]
