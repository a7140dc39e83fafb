"""`approvals`: how many different people approved all of it, and which of their words count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from agentprov.formats import schema
from agentprov.formats.policy_facts import ApprovalSeen, JudgedCommit
from agentprov.formats.schema import instant
from agentprov.verify.finding import Problem
from agentprov.verify.rules import shapes
from agentprov.verify.rules.rule import Asked

CHECK = schema.members(
    {"people": schema.integer(least=1, most=100)},
    {
        "notPlanAuthor": schema.boolean,
        "withRecords": shapes.true,
        "maxAge": shapes.DURATION,
    },
)


@dataclass(frozen=True)
class Approvals:
    """`not_author` leaves out who signed the plan, `with_records` what names no record of it."""

    people: int
    not_author: bool = False
    with_records: bool = False
    max_age: timedelta | None = None
    needs_record: bool = False

    def misses(self, commit: JudgedCommit, asked: Asked) -> Iterator[Problem]:
        """Give what is missing; a rejection that stands denies by itself."""
        for item in commit.approvals:
            if item.decision != "approved":
                yield Problem("policy-approvals", f"{item.signer} rejected it")
                return
        whole = [item for item in commit.approvals if not item.partial]
        timed = [item for item in whole if item.trusted_time or "approval" not in asked.timed]
        proven = {item.counted_as for item in timed}
        for item in whole:
            if item.counted_as not in proven:
                yield Problem("policy-time", f"no trusted time says when {item.signer} decided")
        fresh = [item for item in timed if not self._old(item, asked.as_of)]
        informed = [item for item in fresh if self._informed(item, commit, asked)]
        people = {item.counted_as for item in informed}
        authors = {plan.counted_as for item in commit.sessions for plan in item.plans}
        notes = ""
        if len(fresh) < len(timed):
            notes += ", not counting what is too old"
        if len(informed) < len(fresh):
            notes += ", not counting who was shown none of its records"
        if self.not_author and people & authors:
            people -= authors
            notes += ", not counting who signed the plan"
        if len(people) < self.people:
            yield Problem(
                "policy-approvals",
                f"{len(people)} of {self.people} people have approved all of it{notes}",
            )

    def _old(self, item: ApprovalSeen, as_of: str) -> bool:
        return self.max_age is not None and instant(as_of) - instant(item.decided_at) > self.max_age

    def _informed(self, item: ApprovalSeen, commit: JudgedCommit, asked: Asked) -> bool:
        if not self.with_records or asked.excused:
            return True
        return not {session.sha256 for session in commit.sessions}.isdisjoint(item.records)


def read(value: Any) -> Approvals:
    """Read what `CHECK` accepts."""
    return Approvals(
        people=value["people"],
        not_author=value.get("notPlanAuthor", False),
        with_records=value.get("withRecords", False),
        max_age=shapes.duration(value["maxAge"]) if "maxAge" in value else None,
    )
