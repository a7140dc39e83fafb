"""What all rules are: asked about one commit, they say what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from agentprov.formats.policy_facts import JudgedCommit
from agentprov.verify.finding import Problem


@dataclass(frozen=True)
class Asked:
    """What else the policy says where a rule is asked.

    `timed` are the kinds of statements that count with a trusted time only. `excused` says that
    the commit has no record, is a person's, and that the policy takes that for enough.
    """

    as_of: str
    timed: frozenset[str] = frozenset()
    excused: bool = False


class Rule(Protocol):
    """One requirement. Must be monotonic: a commit of which less is known never lacks less."""

    @property
    def needs_record(self) -> bool:
        """Say whether it can be met only where a record says what a session did."""
        ...

    def misses(self, commit: JudgedCommit, asked: Asked, /) -> Iterator[Problem]:
        """Give what the commit lacks; one without sessions lacks nothing but its record."""
        ...
