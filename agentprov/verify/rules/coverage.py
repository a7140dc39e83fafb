"""`coverage`: what a commit may be, and since when that is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentprov.formats import schema
from agentprov.formats.policy_facts import JudgedCommit
from agentprov.verify.finding import Problem
from agentprov.verify.rules.rule import Asked

_WORDS = ("covered", "human", "matched")
_ACCEPTED = schema.array(schema.one_of(_WORDS), least=1, most=len(_WORDS))


def CHECK(value: Any) -> None:
    """Accept a list of coverages, or an object with it and the commit of adoption."""
    if type(value) is list:
        _ACCEPTED(value)
    else:
        schema.members({"accept": _ACCEPTED}, {"since": schema.object_id})(value)


@dataclass(frozen=True)
class Coverage:
    """A commit must be one of `accepted`, unless it is `since` or led to it.

    `matched` accepts one whose every added line is found in recorded commits, without a link.
    """

    accepted: frozenset[str]
    since: str | None = None
    needs_record: bool = False

    def misses(self, commit: JudgedCommit, _asked: Asked) -> Iterator[Problem]:
        """Give the coverage that is not accepted."""
        if commit.coverage in self.accepted or self.since in commit.led_to:
            return
        if "matched" in self.accepted and commit.matched:
            return
        wanted = " or ".join(sorted(self.accepted))
        yield Problem("policy-coverage", f"it is {commit.coverage}; policy asks for {wanted}")


def read(value: Any) -> Coverage:
    """Read what `CHECK` accepts."""
    if isinstance(value, list):
        return Coverage(frozenset(value))
    return Coverage(frozenset(value["accept"]), value.get("since"))
