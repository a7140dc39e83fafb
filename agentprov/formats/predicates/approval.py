"""Approval v0.1: a person, having been shown a change, says yes or no to exactly these bytes.

The subject is the commit, with its tree, under the name ``.``. `scope.fromRevision` is the commit
that the change starts from; without it the change is everything the tree holds. `presentation`
says what the reviewer was shown, and of how many of the changed paths; `reviewed` names the
statements whose contents were part of that. docs/spec/predicates/approval.md is the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from agentprov.formats import schema
from agentprov.formats.predicates import parts
from agentprov.formats.predicates.generation import COMMIT_NAME

Decision = Literal["APPROVED", "REJECTED"]
DECISIONS: tuple[Decision, ...] = ("APPROVED", "REJECTED")
REVIEWED = ("plan", "plan-attestation", "generation-attestation", "session-attestation")
MAX_PATHS = 100_000

CHECK = schema.members(
    {
        "reviewer": schema.members(
            {"id": schema.text(most=512), "kind": schema.one_of(("human",))}, unknown="ignore"
        ),
        "decision": schema.one_of(DECISIONS),
        "decidedAt": schema.time,
        "scope": schema.members(
            {},
            {
                "repository": schema.uri,
                "fromRevision": schema.members({"gitCommit": schema.object_id}),
                "targetRef": schema.text(most=1_024),
            },
        ),
        "presentation": schema.members(
            {
                "renderer": schema.text(most=128, pattern=r"[a-z0-9-]+/[0-9]+"),
                "rendered": schema.sha256_set,
                "shownOn": schema.one_of(("terminal", "pager", "none")),
                "pathsInChange": schema.integer(most=10_000_000),
                "pathsPresented": schema.integer(most=10_000_000),
                "hiddenSegments": schema.integer(),
            },
            {
                "paths": schema.array(schema.path, most=MAX_PATHS),
                "accepted": schema.array(schema.text(most=16_384), most=1_000),
                "findings": schema.mapping(schema.integer(), most=1_000),
            },
            unknown="ignore",
        ),
        "reviewed": schema.array(
            schema.members(
                {"name": schema.one_of(REVIEWED), "digest": schema.sha256_set},
                {"mediaType": schema.text(most=256)},
                unknown="ignore",
            ),
            most=10_000,
        ),
    },
    {"notAfter": schema.time, "notes": schema.text(most=4_000)},
    unknown="ignore",
)


class ApprovalView(NamedTuple):
    """The members of an approval that the judge needs.

    `base` is the commit that the change starts from. `paths` are the labels that were shown
    where not all were. `reviewed` are (name, sha256): payload digests of statements, and the
    digests of plans.
    """

    commit: str
    tree: str
    base: str | None
    reviewer: str
    decision: str
    decided_at: str
    not_after: str | None
    repository: str | None
    target_ref: str | None
    renderer: str
    rendered_sha256: str
    shown_on: str
    paths_in_change: int
    paths_presented: int
    paths: tuple[str, ...] | None
    reviewed: tuple[tuple[str, str], ...]

    @property
    def partial(self) -> bool:
        """Say whether the reviewer was shown less than the change."""
        return self.paths_presented < self.paths_in_change


def view(subjects: parts.Subjects, predicate: Mapping[str, Any]) -> ApprovalView:
    """Read a checked approval; the subjects must have passed `contradiction`."""
    digests = subjects[0][1]
    scope, shown = predicate["scope"], predicate["presentation"]
    return ApprovalView(
        commit=digests["gitCommit"],
        tree=digests["gitTree"],
        base=scope.get("fromRevision", {}).get("gitCommit"),
        reviewer=predicate["reviewer"]["id"],
        decision=predicate["decision"],
        decided_at=predicate["decidedAt"],
        not_after=predicate.get("notAfter"),
        repository=scope.get("repository"),
        target_ref=scope.get("targetRef"),
        renderer=shown["renderer"],
        rendered_sha256=shown["rendered"]["sha256"],
        shown_on=shown["shownOn"],
        paths_in_change=shown["pathsInChange"],
        paths_presented=shown["pathsPresented"],
        paths=tuple(shown["paths"]) if "paths" in shown else None,
        reviewed=tuple((item["name"], item["digest"]["sha256"]) for item in predicate["reviewed"]),
    )


def contradiction(subjects: parts.Subjects, predicate: Mapping[str, Any]) -> str | None:
    """Say what in the statement cannot be true together, or None."""
    if len(subjects) != 1 or subjects[0][0] != COMMIT_NAME:
        return "an approval has one subject, the commit"
    digests = subjects[0][1]
    if "gitCommit" not in digests or "gitTree" not in digests:
        return "the commit needs a gitCommit and a gitTree"
    shown = predicate["presentation"]
    presented, whole = shown["pathsPresented"], shown["pathsInChange"]
    if presented > whole:
        return "more paths were shown than changed"
    if ("paths" in shown) != (presented < whole):
        return "paths are listed when, and only when, not all were shown"
    if "paths" in shown and len(set(shown["paths"])) != presented:
        return "pathsPresented is not the number of paths"
    not_after = predicate.get("notAfter")
    if not_after is not None and schema.instant(not_after) < schema.instant(predicate["decidedAt"]):
        return "it expired before it was decided"
    return None


__all__ = ["CHECK", "DECISIONS", "ApprovalView", "Decision", "contradiction", "view"]
