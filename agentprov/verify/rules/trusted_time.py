"""`trustedTime`: which statements count with a time of a trusted authority only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentprov.formats import schema
from agentprov.formats.policy_facts import JudgedCommit
from agentprov.verify.finding import Problem
from agentprov.verify.rules.rule import Asked

_WORDS = ("plan", "approval")
CHECK = schema.array(schema.one_of(_WORDS), least=1, most=len(_WORDS))


@dataclass(frozen=True)
class TrustedTimes:
    """`kinds` of statements; approvals without a time are for the rule about these to leave out."""

    kinds: frozenset[str]
    needs_record: bool = False

    def misses(self, commit: JudgedCommit, _asked: Asked) -> Iterator[Problem]:
        """Give the plans behind the commit that have none."""
        if "plan" not in self.kinds:
            return
        plans = [plan for item in commit.sessions for plan in item.plans if not plan.trusted_time]
        for name in dict.fromkeys(plan.name for plan in plans):
            yield Problem("policy-time", f"no trusted time says when {name!r} was signed")


def read(value: Any) -> TrustedTimes:
    """Read what `CHECK` accepts."""
    return TrustedTimes(frozenset(value))
