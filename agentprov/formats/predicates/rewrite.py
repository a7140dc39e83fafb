"""Rewrite: which commits a new commit was made of, and which of its lines are whose.

One statement for one new commit. It points at the statements about the old commits by payload
digest and repeats what they say of the lines that live on, so that a reader without the old
commits has an answer; verifiers with them make it again (formats.carrying). Each range points
at the generation that it is from, also where an old commit was itself made of older ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from agentprov.formats import schema
from agentprov.formats.predicates import parts
from agentprov.formats.predicates.generation import COMMIT_NAME
from agentprov.formats.value import value
from agentprov.formats.vocabulary import OPERATIONS, ORIGINS

if TYPE_CHECKING:
    from agentprov.formats.carrying import Claim, StatedChange

METHODS = ("amend", "rebase", "cherry-pick", "am", "squash", "filter", "replace", "content")
"""How it became known which commits a commit was made of; the last is a finding, not a report."""


_RANGE = schema.constrained(
    schema.members(
        {
            "start": schema.integer(least=1),
            "end": schema.integer(least=1),
            "origin": schema.one_of(ORIGINS),
            "basis": parts.BASIS,
            "source": schema.integer(),
        },
        {"model": schema.text(most=512), "why": parts.WHY},
        unknown="ignore",
    ),
    parts.forwards,
)


def _shape_of_change(value: Any) -> str | None:
    if bool(value.get("ranges")) == ("source" in value):
        return "it has either ranges or one source for the whole path"
    return parts.shape_of_change(value)


_CHANGE = schema.constrained(
    schema.members(
        {"path": schema.path, "op": schema.one_of(OPERATIONS), "mode": schema.git_mode},
        {
            "gitBlob": schema.object_id,
            "oldPath": schema.path,
            "from": schema.path,
            "ranges": schema.array(_RANGE),
            "source": schema.integer(),
        },
        unknown="ignore",
    ),
    _shape_of_change,
)

_COMMIT = schema.members({"gitCommit": schema.object_id})

CHECK = schema.members(
    {
        "builder": parts.BUILDER,
        "repository": schema.uri,
        "method": schema.one_of(METHODS),
        "carrying": schema.text(most=64),
        "commit": schema.members(
            {
                "gitCommit": schema.object_id,
                "gitTree": schema.object_id,
                "parents": schema.array(schema.object_id, most=1_000),
            },
            unknown="ignore",
        ),
        "pairs": schema.array(
            schema.members({"old": _COMMIT, "new": _COMMIT}), least=1, most=10_000
        ),
        "sources": schema.array(
            schema.members({"gitCommit": schema.object_id, "statement": schema.sha256_set}),
            least=1,
            most=10_000,
        ),
        "changes": schema.array(_CHANGE, least=1),
        "lines": schema.members({"claimed": schema.integer(), "carried": schema.integer()}),
    },
    unknown="ignore",
)


class RewrittenPath(NamedTuple):
    """One path of the new commit that holds something of the old ones.

    `came_from` is the path at which the old commits left it. `source` numbers the statement for
    paths without lines (a delete, a mode, a binary file); None where there are `claims`.
    """

    path: str
    op: str
    mode: str
    blob: str | None
    old_path: str | None
    came_from: str
    claims: tuple[Claim, ...]
    source: int | None


@value
class Rewritten:
    """A new commit, what it was made of, and what of that lives on in it.

    `olds` are ids of old commits, oldest first; `sources` are (commit id, payload digest) of the
    statements about them that claims number. `claimed` counts the lines that these claim.
    """

    commit: str
    tree: str
    parents: tuple[str, ...]
    method: str
    olds: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    changes: tuple[RewrittenPath, ...]
    claimed: int


class RewriteView(NamedTuple):
    """The members of a rewrite statement that the judge needs.

    `olds` are the ids of the commits that were rewritten, in their order; `sources` are
    (commit id, payload digest) of the statements about them, and of the generations that these
    rest on where they are rewrites.
    """

    builder: str
    repository: str
    method: str
    carrying: str
    commit: str
    tree: str
    parents: tuple[str, ...]
    olds: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    changes: tuple[RewrittenPath, ...]
    claimed: int
    carried: int


def view(predicate: Mapping[str, Any]) -> RewriteView:
    """Read a checked rewrite statement."""
    commit = predicate["commit"]
    return RewriteView(
        builder=predicate["builder"]["id"],
        repository=predicate["repository"],
        method=predicate["method"],
        carrying=predicate["carrying"],
        commit=commit["gitCommit"],
        tree=commit["gitTree"],
        parents=tuple(commit["parents"]),
        olds=tuple(pair["old"]["gitCommit"] for pair in predicate["pairs"]),
        sources=tuple(
            (item["gitCommit"], item["statement"]["sha256"]) for item in predicate["sources"]
        ),
        changes=tuple(
            RewrittenPath(
                path=item["path"],
                op=item["op"],
                mode=item["mode"],
                blob=item.get("gitBlob"),
                old_path=item.get("oldPath"),
                came_from=item.get("from", item["path"]),
                claims=tuple(_claim(one) for one in item.get("ranges", ())),
                source=item.get("source"),
            )
            for item in predicate["changes"]
        ),
        claimed=predicate["lines"]["claimed"],
        carried=predicate["lines"]["carried"],
    )


def _claim(item: Mapping[str, Any]) -> Claim:
    from agentprov.formats.carrying import Claim

    return Claim(
        item["start"],
        item["end"],
        item["origin"],
        item["basis"],
        item.get("model"),
        item.get("why"),
        item["source"],
    )


def stated(view: RewriteView, number: Callable[[tuple[str, str]], int]) -> dict[str, StatedChange]:
    """Give what a statement says of each path, for carrying it on to the next commit.

    `number` gives the caller's own number of a source, which is (commit id, payload digest).
    """
    from agentprov.formats.carrying import StatedChange

    return {
        change.path: StatedChange(
            change.op,
            change.old_path,
            tuple(
                claim._replace(source=number(view.sources[claim.source])) for claim in change.claims
            ),
            None,
            change.blob,
            change.mode,
            None if change.source is None else number(view.sources[change.source]),
        )
        for change in view.changes
    }


def bases(predicate: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give (JSON pointer, basis) of every claim in a rewrite statement."""
    for index, change in enumerate(predicate["changes"]):
        for number, item in enumerate(change.get("ranges", ())):
            yield f"/changes/{index}/ranges/{number}", item["basis"]


def contradiction(subjects: parts.Subjects, predicate: Mapping[str, Any]) -> str | None:
    """Say what in the statement cannot be true together, or None."""
    commit = predicate["commit"]["gitCommit"]
    name, digests = subjects[0]
    if len(subjects) != 1 or name != COMMIT_NAME or digests != {"gitCommit": commit}:
        return "its one subject is the new commit"
    olds = [pair["old"]["gitCommit"] for pair in predicate["pairs"]]
    if any(pair["new"]["gitCommit"] != commit for pair in predicate["pairs"]):
        return "a pair leads to another commit than it is about"
    if len(set(olds)) != len(olds) or commit in olds:
        return "a commit was rewritten twice, or from itself"
    sources = [(one["gitCommit"], one["statement"]["sha256"]) for one in predicate["sources"]]
    if len(set(sources)) != len(sources) or commit in (old for old, _ in sources):
        return "a source stands there twice, or is about the new commit itself"
    if not any(old in olds for old, _ in sources):
        return "no source is about a commit of a pair"
    paths = [change["path"] for change in predicate["changes"]]
    if len(set(paths)) != len(paths):
        return "a path stands there twice"
    numbers = {change["source"] for change in predicate["changes"] if "source" in change}
    numbers |= {
        item["source"] for change in predicate["changes"] for item in change.get("ranges", ())
    }
    if numbers and max(numbers) >= len(sources):
        return "a range has a source that is not listed"
    lines = predicate["lines"]
    carried = sum(
        item["end"] - item["start"] + 1
        for change in predicate["changes"]
        for item in change.get("ranges", ())
    )
    if carried != lines["carried"] or lines["carried"] > lines["claimed"]:
        return "its numbers of lines do not fit its ranges"
    return None


__all__ = [
    "CHECK",
    "METHODS",
    "RewriteView",
    "Rewritten",
    "RewrittenPath",
    "bases",
    "contradiction",
    "stated",
    "view",
]
