"""`origins`: where added lines may have come from, and how much of that may stay open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentprov.formats import schema
from agentprov.formats.policy_facts import JudgedCommit
from agentprov.verify.finding import Problem
from agentprov.verify.rules import shapes
from agentprov.verify.rules.rule import Asked

_NAMED = 3


def _asks(value: Mapping[str, Any]) -> str | None:
    asked = {"noAgent", "maxUnknown", "weak"} & value.keys()
    return None if asked else "asks for none of noAgent, maxUnknown, weak"


CHECK = schema.constrained(
    schema.members(
        {},
        {
            "noAgent": shapes.true,
            "maxUnknown": shapes.PERCENT,
            "weak": schema.members({"below": shapes.BASIS, "most": shapes.PERCENT}),
            "untold": schema.one_of(("accept",)),
        },
    ),
    _asks,
)


@dataclass(frozen=True)
class Origins:
    """Shares are percent of the added lines that records of the commit account for.

    `weak` is a basis and the share of lines that may be known less well than that. `untold` are
    files of which no record accounts for lines: missed, unless accepted.
    """

    no_agent: bool = False
    max_unknown: int | None = None
    weak: tuple[str, int] | None = None
    accept_untold: bool = False
    needs_record: bool = True

    def misses(self, commit: JudgedCommit, _asked: Asked) -> Iterator[Problem]:
        """Give the lines that should not be, and those of which too little is known."""
        if not commit.sessions:
            return
        lines = [item for session in commit.sessions for item in session.lines]
        whole = sum(item.count for item in lines)
        if self.no_agent:
            for path in sorted({item.path for item in lines if item.origin == "agent"}):
                count = sum(
                    item.count for item in lines if item.origin == "agent" and item.path == path
                )
                yield Problem(
                    "policy-origin", f"{count} lines of {path!r} were put there by the agent"
                )
        if self.max_unknown is not None:
            # An agent's own word for its lines must not make them known.
            unknown = sum(
                item.count for item in lines if item.origin == "unknown" or item.basis == "declared"
            )
            if unknown * 100 > self.max_unknown * whole:
                yield Problem(
                    "policy-origin",
                    f"of {unknown} of {whole} added lines nobody knows who wrote them; policy "
                    f"allows {self.max_unknown} %",
                )
        if self.weak is not None:
            least, most = self.weak
            weak = sum(item.count for item in lines if not shapes.reaches(item.basis, least))
            if weak * 100 > most * whole:
                yield Problem(
                    "policy-basis",
                    f"{weak} of {whole} added lines are known less well than {least}; policy "
                    f"allows {most} %",
                )
        if commit.untold and not self.accept_untold:
            shown = ", ".join(repr(path) for path in commit.untold[:_NAMED])
            more = (
                f", and {len(commit.untold) - _NAMED} more" if len(commit.untold) > _NAMED else ""
            )
            yield Problem("policy-origin", f"no record accounts for the lines of {shown}{more}")


def read(value: Any) -> Origins:
    """Read what `CHECK` accepts."""
    weak = value.get("weak")
    return Origins(
        no_agent=value.get("noAgent", False),
        max_unknown=value.get("maxUnknown"),
        weak=(weak["below"], weak["most"]) if weak else None,
        accept_untold="untold" in value,
    )
