"""One commit, as a session must state it: which of its changes came out of the session.

A change belongs to the session when the committed content differs from the parent's *and* from
what the work tree held when the session began. Everything is read from git objects, never from
the work tree (THREATS 45).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentprov.formats.facts import Change, Commit, Edit, LineRange, Operation
from agentprov.formats.quoting import unquote
from agentprov.record import origins
from agentprov.system.git import CatFile, CommitObject, Git, RawChange, diff_tree, read_commit

_PATCH_OPTIONS = (
    "-r", "-M", "-l0", "--no-ext-diff", "--no-textconv", "--full-index", "--src-prefix=a/",
    "--dst-prefix=b/",
)  # fmt: skip
_OPERATIONS: Mapping[str, Operation] = {
    "A": "add", "C": "add", "D": "delete", "R": "rename", "M": "modify", "T": "modify",
}  # fmt: skip
_TEXT_BYTES = 8000
MAX_TEXT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Evidence:
    """What a session knows about changes: its first snapshot and the reported writes.

    `edits` maps raw git paths to the writes reported for them, in time order. `why_not` is the
    reason given for added lines that no write accounts for. `limited_to`, when given, are the
    only paths that can have come out of the session (a finished session's open ends).
    `end_tree` is the last snapshot of a finished session: lines added after it are not its own.
    `by_command` are paths that changed only while a command that the agent ran was running.
    """

    baseline_tree: str
    edits: Mapping[bytes, Sequence[Edit]] = field(default_factory=dict)
    why_not: str = "no-model-text"
    limited_to: frozenset[bytes] | None = None
    end_tree: str | None = None
    by_command: frozenset[bytes] = frozenset()


def describe(
    git: Git,
    reader: CatFile,
    oid: str,
    evidence: Evidence,
    *,
    sequence: int,
    ref: str | None,
    during: bool,
) -> Commit:
    """Describe a commit; `git` must see the private objects that hold the baseline tree.

    Changes that did not come out of the session are left out. Raises GitFailed when the commit
    cannot be read. Does not decide whether the commit is worth a statement.
    """
    commit = read_commit(reader, oid)
    parents = commit.parents or (git.empty_tree,)
    raw = _changed(git, oid, parents)
    since_start = {
        change.path for change in diff_tree(git, evidence.baseline_tree, oid, renames=False)
    }
    mine = [
        change
        for change in raw
        if (change.path in since_start or change.old_path in since_start)
        and (evidence.limited_to is None or change.path in evidence.limited_to)
    ]
    added = _added(git, parents[0], oid) if mine else {}
    added_since = _added(git, evidence.baseline_tree, oid) if mine else {}
    added_after = _added(git, evidence.end_tree, oid) if mine and evidence.end_tree else {}
    changes = [
        _change(
            reader,
            change,
            evidence,
            _Lines(
                added.get(change.path, []),
                _numbers(added_since.get(change.path, [])),
                _numbers(added_after.get(change.path, [])),
            ),
        )
        for change in mine
    ]
    return Commit(
        oid=oid,
        tree=commit.tree,
        parents=commit.parents,
        patch_id=_patch_id(git, commit),
        ref=ref,
        sequence=sequence,
        changes=tuple(changes),
        during=during,
    )


def _changed(git: Git, oid: str, parents: Sequence[str]) -> list[RawChange]:
    """List what a commit itself changed: for a merge, what differs from every parent."""
    changes = diff_tree(git, parents[0], oid)
    for parent in parents[1:]:
        others = {change.path for change in diff_tree(git, parent, oid, renames=False)}
        changes = [change for change in changes if change.path in others]
    return changes


@dataclass(frozen=True)
class _Lines:
    """Added lines of one path: by the commit, since the session began, after it ended."""

    by_commit: Sequence[tuple[int, int]]
    since_start: frozenset[int]
    after_end: frozenset[int]


def _numbers(spans: Sequence[tuple[int, int]]) -> frozenset[int]:
    return frozenset(number for start, end in spans for number in range(start, end + 1))


def _change(reader: CatFile, raw: RawChange, evidence: Evidence, lines: _Lines) -> Change:
    op: Operation = _OPERATIONS.get(raw.status, "modify")
    if raw.status == "M" and raw.old_blob == raw.new_blob:
        op = "mode"
    if op == "delete":
        return Change(raw.path, op, raw.old_mode, None, None)
    if raw.new_mode == "160000":
        return Change(raw.path, op, raw.new_mode, raw.new_blob, None, why="submodule")
    found = reader.digest(raw.new_blob, keep=MAX_TEXT_BYTES)
    if found is None:
        return Change(raw.path, op, raw.new_mode, raw.new_blob, None, why="blob-missing")
    content = found.content
    ranges: tuple[LineRange, ...] = ()
    why = None
    if content is None:
        why = "too-large"
    elif b"\0" in content[:_TEXT_BYTES] or raw.new_mode == "120000":
        why = "binary"
    else:
        ranges = origins.ranges(
            content,
            lines.by_commit,
            {
                "before-session": _numbers(lines.by_commit) - lines.since_start,
                "after-session": lines.after_end,
            },
            evidence.edits.get(raw.path, ()),
            why_not=evidence.why_not,
            by_command=raw.path in evidence.by_command,
        )
    return Change(
        path=raw.path,
        op=op,
        mode=raw.new_mode,
        blob=raw.new_blob,
        sha256=found.sha256,
        size=found.size,
        old_path=raw.old_path if op == "rename" else None,
        ranges=ranges,
        why=why,
    )


def _added(git: Git, old: str, new: str) -> dict[bytes, list[tuple[int, int]]]:
    patch = git.run("diff-tree", "-p", "-U0", *_PATCH_OPTIONS, old, new)
    found: dict[bytes, list[tuple[int, int]]] = {}
    for part in (b"\n" + patch).split(b"\ndiff --git ")[1:]:
        header, hunk, body = part.partition(b"\n@@ ")
        if not hunk:
            continue
        path = _new_path(header)
        if path is not None:
            found[path] = list(origins.added_lines(_hunk_lines(b"@@ " + body)))
    return found


def _hunk_lines(body: bytes) -> bytes:
    """Keep hunk headers only: an added line that looks like one starts with ``+``."""
    return b"\n".join(line for line in body.split(b"\n") if line.startswith(b"@@ "))


def _new_path(header: bytes) -> bytes | None:
    for line in header.split(b"\n"):
        if line.startswith(b"+++ "):
            name = unquote(line[4:].removesuffix(b"\t"))
            return name[2:] if name.startswith(b"b/") else None
    return None


def _patch_id(git: Git, commit: CommitObject) -> str | None:
    if len(commit.parents) > 1:
        return None
    parent = commit.parents[0] if commit.parents else git.empty_tree
    patch = git.run("diff-tree", "-p", "-r", "--no-ext-diff", "--no-textconv", parent, commit.oid)
    out = git.run("patch-id", "--stable", input=patch)
    return os.fsdecode(out).split(" ")[0] or None
