"""Plan v0.1: a person says, before work starts, what an agent shall do (docs/spec/predicates).

The subject is the plan's bytes. `presentation` says what the signer was shown. Limits (`scope`,
`constraints`) are closed: a limit that a verifier does not know must not be ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from agentprov.formats import schema
from agentprov.formats.predicates import parts

_WORDS = schema.array(schema.text(most=1_024), most=1_000)

CHECK = schema.members(
    {
        "author": schema.members(
            {"id": schema.text(most=512), "kind": schema.one_of(("human",))}, unknown="ignore"
        ),
        "declaredAt": schema.time,
        "presentation": schema.members(
            {
                "renderer": schema.text(most=128, pattern=r"[a-z0-9-]+/[0-9]+"),
                "rendered": schema.sha256_set,
                "shownOn": schema.one_of(("terminal", "pager", "none")),
                "hiddenSegments": schema.integer(),
            },
            {"accepted": _WORDS},
            unknown="ignore",
        ),
    },
    {
        "intent": schema.text(most=4_000),
        "scope": schema.members(
            {},
            {
                "repository": schema.uri,
                "targetRef": schema.text(most=1_024),
                "allowedPaths": _WORDS,
                "notAfter": schema.time,
            },
        ),
        "constraints": schema.members(
            {},
            {
                "agents": _WORDS,
                "models": _WORDS,
                "mcpServers": _WORDS,
                "tools": schema.members({}, {"allow": _WORDS, "deny": _WORDS}),
                "network": schema.one_of(("allow", "deny")),
                "maxTurns": schema.integer(least=1),
            },
        ),
        "supersedes": schema.array(schema.sha256_set, most=1_000),
    },
    unknown="ignore",
)


class PlanView(NamedTuple):
    """The members of a plan statement that the judge needs; `blob` is git's id of its bytes."""

    name: str
    sha256: str
    blob: str | None
    author: str
    declared_at: str
    repository: str | None
    not_after: str | None
    limits: tuple[str, ...]
    renderer: str
    rendered_sha256: str
    shown_on: str
    hidden_segments: int
    accepted: tuple[str, ...]


def view(subjects: parts.Subjects, predicate: Mapping[str, Any]) -> PlanView:
    """Read a checked plan; the subjects must have passed `contradiction`."""
    name, digests = subjects[0]
    scope = predicate.get("scope", {})
    limits = [f"scope.{key}" for key in ("targetRef", "allowedPaths") if key in scope]
    limits += [f"constraints.{key}" for key in sorted(predicate.get("constraints", {}))]
    presentation = predicate["presentation"]
    return PlanView(
        name=name,
        sha256=digests["sha256"],
        blob=digests.get("gitBlob"),
        author=predicate["author"]["id"],
        declared_at=predicate["declaredAt"],
        repository=scope.get("repository"),
        not_after=scope.get("notAfter"),
        limits=tuple(limits),
        renderer=presentation["renderer"],
        rendered_sha256=presentation["rendered"]["sha256"],
        shown_on=presentation["shownOn"],
        hidden_segments=presentation["hiddenSegments"],
        accepted=tuple(presentation.get("accepted", ())),
    )


def contradiction(subjects: parts.Subjects, predicate: Mapping[str, Any]) -> str | None:
    """Say what in the statement cannot be true together, or None."""
    if len(subjects) != 1:
        return "a plan has exactly one subject"
    if "sha256" not in subjects[0][1]:
        return "the plan's bytes need a sha256"
    not_after = predicate.get("scope", {}).get("notAfter")
    if not_after is not None and schema.instant(not_after) < schema.instant(
        predicate["declaredAt"]
    ):
        return "it expired before it was declared"
    return None


__all__ = ["CHECK", "PlanView", "contradiction", "view"]
