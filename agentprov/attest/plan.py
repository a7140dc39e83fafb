"""States a person's plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentprov.attest.descriptors import present, sha256
from agentprov.formats.names import PLAN_TYPE
from agentprov.formats.statement import Statement, Subject, build


@dataclass(frozen=True)
class Presentation:
    """What the signer was shown.

    `renderer` names the versioned function from plan bytes to shown bytes (``name/1``);
    `rendered_sha256` is of its result. `accepted` are ids of findings that the signer let pass.
    """

    renderer: str
    rendered_sha256: str
    shown_on: Literal["terminal", "pager", "none"]
    hidden_segments: int = 0
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """How far the plan reaches; whatever is None or empty is not limited."""

    repository: str | None = None
    target_ref: str | None = None
    allowed_paths: tuple[str, ...] = ()
    not_after: str | None = None
    constraints: Mapping[str, Any] | None = None


def plan_statement(
    *,
    name: str,
    digests: Mapping[str, str],
    author: str,
    declared_at: str,
    presentation: Presentation,
    limits: Limits | None = None,
    intent: str | None = None,
    supersedes: Sequence[str] = (),
) -> Statement:
    """State a plan (docs/spec/predicates/plan.md).

    `digests` of the plan's bytes: ``sha256``, and ``gitBlob`` where git keeps them. `intent` is
    published, so pass it only when asked. `supersedes` are payload digests of earlier plan
    statements. Raises MalformedInput for facts that the schema refuses. Does not read the plan.
    """
    limits = limits or Limits()
    predicate = present(
        author={"id": author, "kind": "human"},
        declaredAt=declared_at,
        intent=intent,
        scope=present(
            repository=limits.repository,
            targetRef=limits.target_ref,
            allowedPaths=list(limits.allowed_paths),
            notAfter=limits.not_after,
        ),
        constraints=dict(limits.constraints or {}),
        presentation=present(
            renderer=presentation.renderer,
            rendered=sha256(presentation.rendered_sha256),
            shownOn=presentation.shown_on,
            hiddenSegments=presentation.hidden_segments,
            accepted=list(presentation.accepted),
        ),
        supersedes=[sha256(item) for item in supersedes],
    )
    return build([Subject(name, digests)], PLAN_TYPE, predicate)
