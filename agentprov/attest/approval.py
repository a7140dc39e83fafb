"""States a person's decision about a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agentprov.attest.descriptors import present, sha256
from agentprov.formats.names import APPROVAL_TYPE, PAYLOAD_TYPE
from agentprov.formats.predicates.approval import Decision
from agentprov.formats.predicates.generation import COMMIT_NAME
from agentprov.formats.statement import Statement, Subject, build


@dataclass(frozen=True)
class Shown:
    """What the reviewer was shown.

    `renderer` names the versioned function from the change to shown bytes (``name/1``);
    `rendered_sha256` is of its result. `paths` are the labels that were shown where not all
    were. `accepted` are ids of findings that the reviewer let pass; `findings` counts what the
    verifier had to say, by code.
    """

    renderer: str
    rendered_sha256: str
    shown_on: Literal["terminal", "pager", "none"]
    paths_in_change: int
    paths: Sequence[str] | None = None
    hidden_segments: int = 0
    accepted: Sequence[str] = ()
    findings: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Reviewed:
    """The statements that were part of what was shown: payload digests, and plans' digests."""

    plans: Sequence[str] = ()
    plan_statements: Sequence[str] = ()
    generations: Sequence[str] = ()
    sessions: Sequence[str] = ()


def approval_statement(
    *,
    commit: str,
    tree: str,
    base: str | None,
    repository: str | None,
    reviewer: str,
    decision: Decision,
    decided_at: str,
    shown: Shown,
    reviewed: Reviewed,
    not_after: str | None = None,
    target_ref: str | None = None,
    notes: str | None = None,
) -> Statement:
    """State an approval or a rejection (docs/spec/predicates/approval.md).

    `notes` are published. Raises MalformedInput for facts that the schema refuses. Does not look
    at the commit.
    """
    items = [
        *(("plan", digest, None) for digest in reviewed.plans),
        *(("plan-attestation", digest, PAYLOAD_TYPE) for digest in reviewed.plan_statements),
        *(("generation-attestation", digest, PAYLOAD_TYPE) for digest in reviewed.generations),
        *(("session-attestation", digest, PAYLOAD_TYPE) for digest in reviewed.sessions),
    ]
    whole = shown.paths is None
    predicate = present(
        reviewer={"id": reviewer, "kind": "human"},
        decision=decision,
        decidedAt=decided_at,
        notAfter=not_after,
        notes=notes,
        scope=present(
            repository=repository,
            fromRevision={"gitCommit": base} if base else None,
            targetRef=target_ref,
        ),
        presentation={
            **present(
                renderer=shown.renderer,
                rendered=sha256(shown.rendered_sha256),
                shownOn=shown.shown_on,
                accepted=list(shown.accepted),
                findings=dict(shown.findings or {}),
            ),
            "pathsInChange": shown.paths_in_change,
            "pathsPresented": shown.paths_in_change if whole else len(shown.paths or ()),
            "hiddenSegments": shown.hidden_segments,
            **({} if whole else {"paths": list(shown.paths or ())}),
        },
    )
    predicate["reviewed"] = [
        present(name=name, digest=sha256(digest), mediaType=media) for name, digest, media in items
    ]
    subject = Subject(COMMIT_NAME, {"gitCommit": commit, "gitTree": tree})
    return build([subject], APPROVAL_TYPE, predicate)
