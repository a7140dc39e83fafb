"""States which commits a new commit was made of, and which of its lines are whose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentprov.attest.descriptors import present, sha256
from agentprov.formats import carrying
from agentprov.formats.carrying import Claim
from agentprov.formats.names import REWRITE_TYPE
from agentprov.formats.predicates.generation import COMMIT_NAME
from agentprov.formats.predicates.rewrite import Rewritten, RewrittenPath
from agentprov.formats.statement import Statement, Subject, build


def rewrite(
    rewritten: Rewritten, *, builder: str, version: Mapping[str, str], repository: str
) -> Statement:
    """State a rewrite; holds no time, so that it comes out the same whenever it is made.

    Raises MalformedInput for facts that the schema refuses.
    """
    carried = sum(
        claim.end - claim.start + 1 for change in rewritten.changes for claim in change.claims
    )
    return build(
        [Subject(COMMIT_NAME, {"gitCommit": rewritten.commit})],
        REWRITE_TYPE,
        {
            "builder": {"id": builder, "version": dict(version)},
            "repository": repository,
            "method": rewritten.method,
            "carrying": carrying.VERSION,
            "commit": {
                "gitCommit": rewritten.commit,
                "gitTree": rewritten.tree,
                "parents": list(rewritten.parents),
            },
            "pairs": [
                {"old": {"gitCommit": old}, "new": {"gitCommit": rewritten.commit}}
                for old in rewritten.olds
            ],
            "sources": [
                {"gitCommit": commit, "statement": sha256(digest)}
                for commit, digest in rewritten.sources
            ],
            "changes": [_change(change) for change in rewritten.changes],
            "lines": {"claimed": rewritten.claimed, "carried": carried},
        },
    )


def _change(change: RewrittenPath) -> dict[str, Any]:
    return present(
        path=change.path,
        op=change.op,
        mode=change.mode,
        gitBlob=change.blob,
        oldPath=change.old_path,
        **{"from": change.came_from if change.came_from != change.path else None},
        ranges=_ranges(change.claims),
        source=change.source,
    )


def _ranges(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    return [
        present(
            start=claim.start,
            end=claim.end,
            origin=claim.origin,
            basis=claim.basis,
            model=claim.model,
            why=claim.why,
            source=claim.source,
        )
        for claim in claims
    ]


__all__ = ["Rewritten", "rewrite"]
