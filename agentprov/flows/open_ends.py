"""What of a session's work no commit holds yet, so that one made later can be bound."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from agentprov.formats.facts import Commit
from agentprov.record.describe import MAX_TEXT_BYTES
from agentprov.record.session import State
from agentprov.system.files import read_bounded
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile
from agentprov.system.trees import blobs_at, diff_pairs


def uncommitted(git: Git, baseline: str, end: str | None, commit: str) -> set[bytes]:
    """Give the paths that differ between a session's first and last tree, and from a commit's."""
    if end is None or end == baseline:
        return set()
    head = git.text("rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}", check=False)
    since, left = diff_pairs(git, [(baseline, end), (head or git.empty_tree, end)])
    return {change.path for change in since} & {change.path for change in left}


def still_open(
    git: Git, top: bytes, state: State, pending: Collection[bytes], bound: Sequence[Commit]
) -> set[bytes]:
    """Drop paths whose session content is committed as it was, or is gone from disk."""
    left = set(pending)
    if state.end_tree is None:
        return left
    touched: dict[bytes, str | None] = {
        change.path: change.blob for commit in bound for change in commit.changes
    }
    ends = blobs_at(git, state.end_tree, pending)
    starts = blobs_at(git, state.baseline_tree, pending)
    with git.cat_file() as reader:
        for path in pending:
            blob = ends.get(path)
            done = path in touched and touched[path] == blob
            versions = (starts.get(path), blob, touched.get(path))
            if done or not _lines_left(reader, os.path.join(top, path), versions):
                left.discard(path)
    return left


def _lines_left(
    reader: CatFile, place: bytes, versions: tuple[str | None, str | None, str | None]
) -> bool:
    """Say whether the work tree still holds lines of the session that no commit has.

    `versions` are the blobs at the session's start and end and in the commit, if any.
    """
    start, end, committed = versions
    if end is None:
        return not os.path.lexists(place)
    mine = _lines(reader, end) - _lines(reader, start) - _lines(reader, committed)
    try:
        now = set(read_bounded(Path(os.fsdecode(place)), MAX_TEXT_BYTES).split(b"\n"))
    except OSError:
        return False
    return bool(mine & now)


def _lines(reader: CatFile, blob: str | None) -> set[bytes]:
    found = reader.digest(blob, keep=MAX_TEXT_BYTES) if blob else None
    return set(found.content.split(b"\n")) if found and found.content is not None else set()
