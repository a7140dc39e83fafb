"""`models`: which models may have answered, how well that is known, and where they were asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentprov.formats import schema
from agentprov.formats.policy_facts import JudgedCommit, ModelSeen
from agentprov.verify.finding import Problem
from agentprov.verify.rules import matcher, shapes
from agentprov.verify.rules.matcher import Pattern
from agentprov.verify.rules.rule import Asked


def _asks(value: Mapping[str, Any]) -> str | None:
    return None if value else "asks for nothing"


CHECK = schema.constrained(
    schema.members(
        {},
        {
            "allow": shapes.PATTERNS,
            "deny": shapes.PATTERNS,
            "basis": shapes.BASIS,
            "endpoints": shapes.PATTERNS,
        },
    ),
    _asks,
)


_ANYTHING = Pattern("**")


@dataclass(frozen=True)
class Models:
    """`allowed` are patterns of provider/served id, `endpoints` of hosts; None asks for nothing.

    `denied` are patterns in small letters: what somebody has reason to refuse is refused in any
    spelling of case.
    """

    allowed: tuple[Pattern, ...] | None
    basis: str | None = None
    endpoints: tuple[Pattern, ...] | None = None
    denied: tuple[Pattern, ...] | None = None
    needs_record: bool = True

    def misses(self, commit: JudgedCommit, _asked: Asked) -> Iterator[Problem]:
        """Give what each session's models lack; that none is named is one thing to lack."""
        for session in commit.sessions:
            if session.unnamed_models or not session.models:
                why = session.unnamed_models[0] if session.unnamed_models else "nothing said so"
                yield Problem(
                    "policy-model", f"which model answered session {session.session}: {why}"
                )
            for model in session.models:
                yield from self._about(model)

    def _about(self, model: ModelSeen) -> Iterator[Problem]:
        if self.allowed is not None and not matcher.names(self.allowed, model.name):
            yield Problem("policy-model", f"the model {model.name!r} is not allowed")
        if self.denied is not None and (
            # A name that cannot be compared has not been shown to be another one.
            not matcher.names((_ANYTHING,), model.name)
            or matcher.names(self.denied, model.name.casefold())
        ):
            yield Problem("policy-model", f"the model {model.name!r} is denied")
        if not shapes.reaches(model.basis, self.basis):
            yield Problem(
                "policy-basis",
                f"that {model.name!r} answered is {model.basis}; policy asks for {self.basis}",
            )
        if self.endpoints is not None and not matcher.names(self.endpoints, model.host):
            where = "at a host that nobody saw" if model.host is None else f"at {model.host!r}"
            yield Problem("policy-endpoint", f"{model.name!r} was asked {where}")


def read(value: Any) -> Models:
    """Read what `CHECK` accepts."""
    return Models(
        allowed=matcher.read(value["allow"]) if "allow" in value else None,
        basis=value.get("basis"),
        endpoints=matcher.read(value["endpoints"]) if "endpoints" in value else None,
        denied=(
            matcher.read(text.casefold() for text in value["deny"]) if "deny" in value else None
        ),
    )
