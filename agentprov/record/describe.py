"""One commit, as a session must state it: which of its changes came out of the session.

A change belongs to the session when the committed content differs from the parent's *and* from
what the work tree held when the session began. Everything is read from git objects, never from
the work tree (THREATS 45).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agentprov.formats.carrying import added_digest
from agentprov.formats.facts import Change, Commit, Edit, LineRange, Operation
from agentprov.record import origins
from agentprov.record.accounts import Account, Circumstances
from agentprov.record.neighbours import Neighbours
from agentprov.record.versions import Version, instant
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile, read_commit
from agentprov.system.patches import added_lines, patch_id
from agentprov.system.trees import RawChange, diff_tree

_OPERATIONS: Mapping[str, Operation] = {
    "A": "add", "C": "add", "D": "delete", "R": "rename", "M": "modify", "T": "modify",
}  # fmt: skip
_TEXT_BYTES = 8000
_Versions = Mapping[bytes, Sequence[Version]]
MAX_TEXT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Evidence:
    """What a session knows about changes: its first snapshot, versions and writes.

    `edits` maps raw git paths to the writes reported for them, `wire` to those that answers on
    the wire asked for, each in time order. `versions_of` gives what files held in between, of
    all files for None.
    `limited_to`, when given, are the only paths that can have come out of the session (a
    finished session's open ends). `end_tree` is the last snapshot of a finished session: lines
    added after it are not its own. `by_command` are paths that changed only while a command
    that the agent ran was running. `circumstances` hold for all paths.
    """

    baseline_tree: str
    edits: Mapping[bytes, Sequence[Edit]] = field(default_factory=dict)
    wire: Mapping[bytes, Sequence[Edit]] = field(default_factory=dict)
    versions_of: Callable[[Collection[bytes] | None], _Versions] = lambda _: {}
    limited_to: frozenset[bytes] | None = None
    end_tree: str | None = None
    by_command: frozenset[bytes] = frozenset()
    circumstances: Circumstances = field(default_factory=Circumstances)

    def with_neighbours(self, reader: CatFile) -> Evidence:
        """Give the same, with all files that changed in the session to look lines up in."""

        def accounts() -> Mapping[bytes, Account]:
            versions = self.versions_of(None)
            return {path: self.account(reader, [path], versions) for path in versions}

        about = replace(self.circumstances, neighbours=Neighbours(accounts))
        return replace(self, circumstances=about)

    def account(self, reader: CatFile, names: Sequence[bytes], versions: _Versions) -> Account:
        """Put together what is known of a path; `names` are its old name, if any, and its own."""
        path = names[-1]
        seen = [
            version
            for name in names
            for version in versions.get(name, ())
            if version.content is not None or name == path
        ]
        return Account(
            path=path,
            before=_at(reader, self.baseline_tree, names[0]),
            versions=sorted(seen, key=lambda version: instant(version.at)),
            reported=[edit for name in names for edit in self.edits.get(name, ())],
            wire=[edit for name in names for edit in self.wire.get(name, ())],
            by_command=path in self.by_command,
            names=names,
        )


def _at(reader: CatFile, tree: str, path: bytes) -> bytes:
    found = reader.get(f"{tree}:{os.fsdecode(path)}") if b"\n" not in path else None
    return found[1] if found is not None and found[0] == "blob" else b""


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
    raw = changed_paths(git, oid, parents)
    since_start = {
        change.path for change in diff_tree(git, evidence.baseline_tree, oid, renames=False)
    }
    mine = [
        change
        for change in raw
        if (change.path in since_start or change.old_path in since_start)
        and (evidence.limited_to is None or change.path in evidence.limited_to)
    ]
    added = added_lines(git, parents[0], oid) if mine else {}
    added_since = added_lines(git, evidence.baseline_tree, oid) if mine else {}
    added_after = added_lines(git, evidence.end_tree, oid) if mine and evidence.end_tree else {}
    versions = evidence.versions_of(
        {name for change in mine for name in (change.path, change.old_path) if name}
    )
    evidence = evidence.with_neighbours(reader)
    changes = [
        _change(
            reader,
            change,
            evidence,
            versions,
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
        patch_id=patch_id(git, commit),
        ref=ref,
        sequence=sequence,
        changes=tuple(changes),
        during=during,
    )


def changed_paths(git: Git, oid: str, parents: Sequence[str]) -> list[RawChange]:
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


def is_binary(content: bytes) -> bool:
    """Say whether git would take this content for one without lines."""
    return b"\0" in content[:_TEXT_BYTES]


def operation(raw: RawChange) -> Operation:
    """Give the word with which statements name what happened to a path."""
    if raw.status == "M" and raw.old_blob == raw.new_blob:
        return "mode"
    return _OPERATIONS.get(raw.status, "modify")


def _change(
    reader: CatFile, raw: RawChange, evidence: Evidence, versions: _Versions, lines: _Lines
) -> Change:
    op = operation(raw)
    if op == "delete":
        return Change(raw.path, op, raw.old_mode, None, None)
    if raw.new_mode == "160000":
        return Change(raw.path, op, raw.new_mode, raw.new_blob, None, why="submodule")
    found = reader.digest(raw.new_blob, keep=MAX_TEXT_BYTES)
    if found is None:
        return Change(raw.path, op, raw.new_mode, raw.new_blob, None, why="blob-missing")
    content = found.content
    ranges: tuple[LineRange, ...] = ()
    why = added = None
    if content is None:
        why = "too-large"
    elif is_binary(content) or raw.new_mode == "120000":
        why = "binary"
    else:
        names = [raw.old_path] if raw.status == "R" and raw.old_path else []
        names.append(raw.path)
        if lines.by_commit and op != "add":
            added = added_digest(content, lines.by_commit)
        ranges = origins.ranges(
            content,
            lines.by_commit,
            {
                "before-session": _numbers(lines.by_commit) - lines.since_start,
                "after-session": lines.after_end,
            },
            evidence.account(reader, names, versions),
            evidence.circumstances,
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
        added=added,
    )
