"""`sessions`: that the recorder saw a session's end, and was not blind in ways that matter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentprov.formats import schema
from agentprov.formats.policy_facts import JudgedCommit
from agentprov.verify.finding import Problem
from agentprov.verify.rules import matcher, shapes
from agentprov.verify.rules.matcher import Pattern
from agentprov.verify.rules.rule import Asked


def _asks(value: Mapping[str, Any]) -> str | None:
    return None if value else "asks for nothing"


CHECK = schema.constrained(
    schema.members({}, {"complete": shapes.true, "noGaps": shapes.PATTERNS}), _asks
)


@dataclass(frozen=True)
class Sessions:
    """`no_gaps` are patterns of the kinds of gaps that must not be."""

    complete: bool = False
    no_gaps: tuple[Pattern, ...] = ()
    needs_record: bool = True

    def misses(self, commit: JudgedCommit, _asked: Asked) -> Iterator[Problem]:
        """Give the sessions that are not whole; without its end nobody knows a session's gaps."""
        for session in commit.sessions:
            where = f"session {session.session}"
            if self.complete and not session.complete:
                yield Problem("policy-session", f"nobody saw the end of {where}")
            if self.no_gaps and not session.closed:
                yield Problem(
                    "policy-session", f"{where} has no closing statement, which would say its gaps"
                )
            for kind in session.gaps:
                # A kind is one word; a slash in it must not hide it from `*`.
                if any(item.matches(kind.replace("/", "-")) for item in self.no_gaps):
                    yield Problem("policy-session", f"{where} has a gap: {kind}")


def read(value: Any) -> Sessions:
    """Read what `CHECK` accepts."""
    return Sessions(value.get("complete", False), matcher.read(value.get("noGaps", ())))
