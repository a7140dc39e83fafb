"""Finds the commits that were made while nobody may have told us, and describes them.

Hooks are a trigger, not a guarantee (GIT sections 0.8 and 4): commits are found by what git
itself keeps, reflogs first, then branch tips. A commit that only arrived (fetch, fast-forward
of a remote-tracking branch, checkout, reset) is not one that was made here.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentprov.system.git import Git

MAX_FOUND = 5000
_MADE = re.compile(
    rb"(commit|cherry-pick|revert|am|rebase|pull|merge)\b(?!.*(Fast-forward|: checkout|\(start\)"
    rb"|\(finish\)|\(abort\)|returning to|updating HEAD))"
)


@dataclass(frozen=True)
class RefState:
    """Where refs stood: branch tips and HEADs (ids), and how long each HEAD's reflog was."""

    tips: tuple[str, ...] = ()
    reflogs: Mapping[str, int] = field(default_factory=dict)


class RefsAsked:
    """A git process that lists branch tips; `finish` gives the state."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._tips = git.ask("for-each-ref", "--format=%(objectname)", "refs/heads", "refs/remotes")

    def finish(self, head: str | None) -> RefState:
        """Wait for it, and add HEAD's commit; raises GitFailed when refs cannot be listed."""
        tips = set(self._tips.answer().decode().split())
        if head:
            tips.add(head)
        return RefState(tuple(sorted(tips)), _reflog_sizes(self._git))


def ref_state(git: Git) -> RefState:
    """Read where refs stand now (two git processes, side by side)."""
    asked = RefsAsked(git)
    return asked.finish(git.resolve("HEAD"))


def reflog_files(git: Git) -> list[Path]:
    """List the HEAD reflogs of all work trees; the files need not exist."""
    found = {git.common_dir / "logs" / "HEAD", git.git_dir / "logs" / "HEAD"}
    worktrees = git.common_dir / "worktrees"
    if worktrees.is_dir():
        found.update(entry / "logs" / "HEAD" for entry in worktrees.iterdir())
    return sorted(found)


def reflog_marks(git: Git) -> tuple[tuple[int, int], ...]:
    """Give size and time (ns) of each HEAD reflog: where they differ, something was committed."""
    found = []
    for path in reflog_files(git):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)


def _reflog_sizes(git: Git) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for path in reflog_files(git):
        try:
            sizes[str(path)] = path.stat().st_size
        except OSError:
            sizes[str(path)] = 0
    return sizes


def new_commits(git: Git, since: RefState, *, known: Iterable[str] = ()) -> list[str]:
    """List commits made here since a state, oldest first, without those in `known`.

    Reads the tails of the HEAD reflogs, then asks git for commits that branches and HEAD reach
    now and did not reach then, less what remote-tracking branches hold. At most `MAX_FOUND`.
    """
    if ref_state(git) == since:
        return []
    seen = set(known)
    found: list[str] = []
    for path in reflog_files(git):
        for oid in _made_in(path, since.reflogs.get(str(path), 0)):
            if oid not in seen:
                seen.add(oid)
                found.append(oid)
    for oid in _reachable_and_new(git, since):
        if oid not in seen:
            seen.add(oid)
            found.append(oid)
    if len(found) > 1:
        found = _oldest_first(git, found)
    return found[:MAX_FOUND]


def _made_in(path: Path, offset: int) -> list[str]:
    try:
        with path.open("rb") as stream:
            if offset <= os.fstat(stream.fileno()).st_size:
                stream.seek(offset)
            tail = stream.read()
    except OSError:
        return []
    made = []
    for line in tail.splitlines():
        head, tab, message = line.partition(b"\t")
        words = head.split(b" ", 2)
        if tab and len(words) == 3 and _MADE.match(message) and words[1].strip(b"0"):
            made.append(words[1].decode("ascii", "replace"))
    return made


def _reachable_and_new(git: Git, since: RefState) -> list[str]:
    # Older gits read only revisions from stdin, no options: those stand on the command line.
    head = git.resolve("HEAD")
    out = git.run(
        "rev-list", "--topo-order", "--reverse", f"--max-count={MAX_FOUND}", "--ignore-missing",
        "--stdin", *([head] if head else []), "--branches", "--not", "--remotes",
        input="".join(f"^{tip}\n" for tip in since.tips).encode(), check=False,
    )  # fmt: skip
    return out.decode().split()


def _oldest_first(git: Git, oids: list[str]) -> list[str]:
    """Put parents before children, else keep the order; drops ids that are no commits here.

    Dates cannot do it: several commits may share a second, and clocks go back.
    """
    out = git.run(
        "rev-list", "--no-walk=unsorted", "--parents", "--ignore-missing", "--stdin",
        input=("\n".join(oids) + "\n").encode(), check=False,
    )  # fmt: skip
    rows = [line.split() for line in out.decode().splitlines()]
    parents = {row[0]: row[1:] for row in rows}
    ordered: list[str] = []
    placed: set[str] = set()
    for oid in (oid for oid in oids if oid in parents):
        waiting = [oid]
        while waiting:
            current = waiting[-1]
            first = [p for p in parents[current] if p in parents and p not in placed]
            if current in placed or not first:
                waiting.pop()
                if current not in placed:
                    placed.add(current)
                    ordered.append(current)
            else:
                waiting += first
    return ordered
