"""`rewrites`: how sure a commit must be to be what recorded ones were made into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentprov.formats import schema
from agentprov.formats.policy_facts import JudgedCommit
from agentprov.verify.finding import Problem
from agentprov.verify.rules import shapes
from agentprov.verify.rules.rule import Asked


def _asks(value: Mapping[str, Any]) -> str | None:
    return None if value else "asks for none of replayed, content"


CHECK = schema.constrained(
    schema.members({}, {"replayed": shapes.true, "content": schema.one_of(("refuse",))}), _asks
)


@dataclass(frozen=True)
class Rewrites:
    """Links must have been made again here; content alone must not be what covers a commit."""

    replayed: bool = False
    refuse_content: bool = False
    needs_record: bool = False

    def misses(self, commit: JudgedCommit, _asked: Asked) -> Iterator[Problem]:
        """Give what a covered commit rests on and must not; of an uncovered one, nothing."""
        if self.replayed and commit.via == "rewrite" and commit.replayed is not True:
            yield Problem("policy-rewrite", "its rewrite link could not be made again here")
        if self.refuse_content and commit.via == "content":
            yield Problem(
                "policy-rewrite", "nothing but like content says which records it was made of"
            )


def read(value: Any) -> Rewrites:
    """Read what `CHECK` accepts."""
    return Rewrites(value.get("replayed", False), "content" in value)
