"""What is known of the remotes that records come from, beside a verdict about records.

Whoever keeps it has asked them, or not; here it is only put into words. A remote that took
records away harms no record that is here, so nothing of this fails a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentprov.formats.value import value
from agentprov.verify.finding import Finding, Problem, finding

_LACKING = frozenset({"provenance-missing", "record-missing"})


@value
class RemoteFacts:
    """How one remote's records stand: when it was last asked, and what is wrong there."""

    name: str
    asked: str
    problem: Problem | None = None


def judge(facts: Sequence[RemoteFacts], findings: Sequence[Finding]) -> list[Finding]:
    """Give the findings with what the remotes add to them.

    A record that is missing is missing here; which remotes were asked for it is said with it.
    """
    found = [
        finding(one.problem, subject=f"records of {one.name}", commit=None)
        for one in facts
        if one.problem is not None
    ]
    if not facts:
        return [*findings]
    asked = "; ".join(f"{one.name} was last asked {one.asked}" for one in facts)
    return found + [
        item._replace(message=f"{item.message} ({asked})") if item.code in _LACKING else item
        for item in findings
    ]
