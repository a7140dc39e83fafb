"""`plan`: a signed plan behind each session, its signer's role, its age, and its limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from agentprov.formats import schema
from agentprov.formats.names import label_path
from agentprov.formats.policy_facts import JudgedCommit, PlanSeen, SessionSeen
from agentprov.formats.schema import instant
from agentprov.verify.finding import Problem
from agentprov.verify.rules import matcher, shapes
from agentprov.verify.rules.matcher import Pattern
from agentprov.verify.rules.rule import Asked


def CHECK(value: Any) -> None:
    """Accept the word `signed`, or an object that says it and more."""
    if type(value) is not dict:
        schema.one_of(("signed",))(value)
    else:
        schema.members(
            {"signed": shapes.true},
            {
                "role": schema.one_of(("human", "reviewer")),
                "maxAge": shapes.DURATION,
                "withinPaths": shapes.true,
            },
        )(value)


@dataclass(frozen=True)
class Plans:
    """`role` is one that the signer must hold, `max_age` how old a plan may be at the start.

    A plan that is asked for is asked for with its limits.
    """

    role: str | None = None
    max_age: timedelta | None = None
    needs_record: bool = False

    def misses(self, commit: JudgedCommit, _asked: Asked) -> Iterator[Problem]:
        """Give the sessions without a plan, and what is wrong with the plans of the others."""
        bare = sorted({item.session for item in commit.sessions if not item.plans})
        if bare:
            others = f", and {len(bare) - 1} more" if len(bare) > 1 else ""
            yield Problem(
                "policy-plan",
                f"no signed plan stands behind what session {bare[0]}{others} made",
            )
        for session in commit.sessions:
            for plan in session.plans:
                yield from self._about(plan, session)

    def _about(self, plan: PlanSeen, session: SessionSeen) -> Iterator[Problem]:
        if self.role is not None and self.role not in plan.roles:
            yield Problem(
                "policy-plan-signer",
                f"{plan.signer}, who signed {plan.name!r}, does not hold the role {self.role}",
            )
        if self.max_age is not None:
            age = instant(session.started) - instant(plan.declared_at)
            if age > self.max_age:
                yield Problem(
                    "policy-plan-age",
                    f"{plan.name!r} was signed at {plan.declared_at}, session {session.session} "
                    f"began at {session.started}",
                )
        for limit, sentence in plan.exceeded:
            code = "policy-plan-paths" if limit == "allowedPaths" else "policy-plan-limits"
            yield Problem(code, sentence)


def allows(allowed: Iterable[str], label: str) -> bool:
    """Say whether a plan allows a path; what is no pattern of ours allows nothing."""
    name = as_text(label)
    return any(matcher.why_not(text) is None and Pattern(text).matches(name) for text in allowed)


def as_text(label: str) -> str:
    """Give a path as the matcher compares it; bytes that are no text stay what they are."""
    return label_path(label).decode("utf-8", "surrogateescape")


def read(value: Any) -> Plans:
    """Read what `CHECK` accepts."""
    if value == "signed":
        return Plans()
    return Plans(
        role=value.get("role"),
        max_age=shapes.duration(value["maxAge"]) if "maxAge" in value else None,
        needs_record=True,
    )
