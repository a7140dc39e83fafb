"""`agents`: which agents may have made it, by package and version or by digest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentprov.formats import schema
from agentprov.formats.policy_facts import JudgedCommit
from agentprov.verify.finding import Problem
from agentprov.verify.rules import shapes
from agentprov.verify.rules.rule import Asked
from agentprov.verify.rules.shapes import Piece

CHECK = schema.members(
    {"allow": schema.array(shapes.piece(), least=1, most=1_000)}, {"basis": shapes.BASIS}
)


@dataclass(frozen=True)
class Agents:
    """`basis` is how its identity must be known at least."""

    allowed: tuple[Piece, ...]
    basis: str | None = None
    needs_record: bool = True

    def misses(self, commit: JudgedCommit, _asked: Asked) -> Iterator[Problem]:
        """Give the agents that are not allowed, or not known well enough."""
        for agent in dict.fromkeys(item.agent for item in commit.sessions):
            what = agent.purl or agent.name
            if not any(item.allows(agent.name, agent.purl, agent.sha256) for item in self.allowed):
                digest = f"sha256:{agent.sha256}" if agent.sha256 else "no digest"
                yield Problem("policy-agent", f"the agent {what!r} ({digest}) is not allowed")
            elif not shapes.reaches(agent.basis, self.basis):
                yield Problem(
                    "policy-basis",
                    f"that {what!r} ran is {agent.basis}; policy asks for {self.basis}",
                )


def read(value: Any) -> Agents:
    """Read what `CHECK` accepts."""
    return Agents(shapes.pieces(value["allow"]), value.get("basis"))
