"""Signed bytes against real ones: a generation statement against the commit in git.

Git facts come in as plain values, so that this stays pure; whoever makes them reads objects, not
the work tree, with replace refs and grafts off (THREATS 45, 46).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import NamedTuple

from agentprov.formats import names
from agentprov.formats.predicates.generation import ChangeView, GenerationView
from agentprov.formats.value import value
from agentprov.verify.finding import Problem

_TRAILER = re.compile(rf"^{names.TRAILER}:[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
MAX_PLACE_DIGITS = 8
"""No session makes more commits than these digits can number; a trailer with more is none."""
EMPTY_BLOBS = frozenset(
    {
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
    }
)
"""The blob id of an empty file, by SHA-1 and by SHA-256."""
_FILES = frozenset({"100644", "100664", "100755", "120000"})


class Described(NamedTuple):
    """What a statement says of the commit that it names; all that `compare` needs of it."""

    tree: str
    parents: tuple[str, ...]
    changes: tuple[ChangeView, ...]


class PathDiff(NamedTuple):
    """One path, before and after: git mode and object id, None where there is none."""

    old_mode: str | None
    old_blob: str | None
    new_mode: str | None
    new_blob: str | None


@value
class CommitFacts:
    """A commit as git holds it.

    `diffs` are all paths that differ from the first parent (from the empty tree for a root
    commit), without rename detection. `sha256_of` gives the digest of a blob's content, or None
    when the object is not there. `trailers` are the values of its session trailers.
    `signed_by` is the SubjectPublicKeyInfo of the key whose signature on the commit itself was
    checked by the caller.
    """

    oid: str
    tree: str
    parents: tuple[str, ...]
    diffs: Mapping[bytes, PathDiff]
    sha256_of: Callable[[str], str | None]
    trailers: tuple[str, ...] = field(default=())
    signed_by: bytes | None = None


def session_trailers(message: str) -> tuple[str, ...]:
    """Give the values of all session trailers in a commit message.

    Looks at every line, not at the last paragraph only, because squash merges put messages one
    after another.
    """
    return tuple(match.group(1) for match in _TRAILER.finditer(message))


def compare(view: GenerationView | Described, facts: CommitFacts) -> Iterator[Problem]:
    """Give every difference between a signed commit and the real one of the same id."""
    if view.tree != facts.tree:
        yield Problem("commit-differs", f"tree {view.tree} was signed, git has {facts.tree}")
    if view.parents != facts.parents:
        yield Problem("commit-differs", "other parents were signed than git has")
    for change in view.changes:
        yield from _compare_change(change, facts)


def _compare_change(change: ChangeView, facts: CommitFacts) -> Iterator[Problem]:
    real = facts.diffs.get(names.label_path(change.path))
    if real is None:
        yield Problem(
            "change-differs", f"{change.path!r} does not change in this commit", change.path
        )
        return
    if change.op == "delete":
        if real.new_mode is not None:
            yield Problem(
                "change-differs",
                f"{change.path!r} is signed as deleted, yet it exists",
                change.path,
            )
        elif real.old_mode != change.mode:
            yield Problem(
                "change-differs", f"{change.path!r} had another mode than was signed", change.path
            )
        return
    if real.new_mode is None:
        yield Problem(
            "change-differs", f"{change.path!r} was deleted, not {change.op}", change.path
        )
        return
    if real.new_mode != change.mode:
        yield Problem(
            "change-differs",
            f"{change.path!r} has mode {real.new_mode}, {change.mode} was signed",
            change.path,
        )
    if not _did(change, real, facts):
        yield Problem(
            "change-differs", f"{change.path!r} was not changed by {change.op}", change.path
        )
    if real.new_blob != change.blob:
        yield Problem(
            "content-differs", f"{change.path!r} is another blob than was signed", change.path
        )
    if change.sha256 is not None and real.new_blob is not None:
        yield from _compare_content(change.path, change.sha256, real, facts)


def _did(change: ChangeView, real: PathDiff, facts: CommitFacts) -> bool:
    """Say whether the path changed in the way that was signed."""
    if change.op == "add":
        return real.old_mode is None
    if change.op == "rename":
        old = facts.diffs.get(names.label_path(change.old_path or ""))
        return (
            real.old_mode is None
            and old is not None
            and old.old_mode is not None
            and old.new_mode is None
        )
    if change.op == "mode":
        return real.old_blob == real.new_blob and real.old_mode not in (None, real.new_mode)
    return real.old_mode is not None


def _compare_content(
    path: str, signed: str, real: PathDiff, facts: CommitFacts
) -> Iterator[Problem]:
    if real.new_mode not in _FILES or real.new_blob is None:
        yield Problem("content-differs", f"{path!r} is a submodule, content was signed", path)
        return
    content = facts.sha256_of(real.new_blob)
    if content is None:
        yield Problem("content-missing", f"the content of {path!r} is not in this repository", path)
    elif content != signed:
        yield Problem("content-differs", f"the content of {path!r} is not what was signed", path)
