"""The one matcher of policies: for paths, refs, models, packages, MCP servers and endpoints.

A pattern is steps between slashes and must match all of a name. ``?`` is one character, ``*`` any
number of them, neither is ever a slash; a step that is ``**`` is any number of whole steps, also
none. Everything else stands for itself, case included. There is no negation, no class, no
alternative and no escape: a pattern that looks as if it had one is refused, not read otherwise.

Patterns are the policy's; names come from whoever made the change. Work is bounded by the product
of their lengths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agentprov.formats.schema import Mismatch

MAX_LENGTH = 512
MAX_STEPS = 32
_REFUSED = re.compile(r"[\[\]{}()\\!|\x00-\x1f\x7f]")
_ANY = "**"


@dataclass(frozen=True)
class Pattern:
    """A pattern that was read; raises ValueError for text that is none."""

    text: str
    _steps: tuple[re.Pattern[str] | None, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        complaint = why_not(self.text)
        if complaint is not None:
            raise ValueError(complaint)
        steps: list[re.Pattern[str] | None] = []
        for step in self.text.split("/"):
            if step != _ANY:
                steps.append(_step(step))
            elif not steps or steps[-1] is not None:
                steps.append(None)
        object.__setattr__(self, "_steps", tuple(steps))

    def matches(self, name: str) -> bool:
        """Say whether the pattern matches all of a name."""
        states = self._onward({0})
        for step in name.split("/"):
            reached: set[int] = set()
            for state in states:
                if state == len(self._steps):
                    continue
                wanted = self._steps[state]
                if wanted is None:
                    reached.add(state)
                elif wanted.fullmatch(step):
                    reached.add(state + 1)
            states = self._onward(reached)
            if not states:
                return False
        return len(self._steps) in states

    def _onward(self, states: set[int]) -> set[int]:
        """Add where one gets without reading a step: past each ``**``."""
        found = set(states)
        for state in states:
            while state < len(self._steps) and self._steps[state] is None:
                state += 1
                found.add(state)
        return found


def why_not(text: str) -> str | None:
    """Say why a text is no pattern, or None."""
    if not 0 < len(text) <= MAX_LENGTH:
        return f"has {len(text)} characters, 1 to {MAX_LENGTH} are allowed"
    refused = _REFUSED.search(text)
    if refused is not None:
        return f"{refused[0]!r} has no meaning in a pattern; `?` stands for any one character"
    steps = text.split("/")
    if len(steps) > MAX_STEPS:
        return f"has {len(steps)} steps, {MAX_STEPS} are allowed"
    for step in steps:
        if step in ("", ".", ".."):
            return f"the step {step!r} can never match: no slash at the ends, none doubled, no dots"
        if _ANY in step and step != _ANY:
            return "`**` must be a whole step"
    return None


def pattern(value: Any) -> None:
    """Accept the text of a pattern (a check of formats.schema)."""
    if type(value) is not str:
        raise Mismatch("must be text")
    complaint = why_not(value)
    if complaint is not None:
        raise Mismatch(complaint)


def read(texts: Iterable[str]) -> tuple[Pattern, ...]:
    """Read several patterns."""
    return tuple(Pattern(text) for text in texts)


def names(patterns: Iterable[Pattern], name: str | None) -> bool:
    """Say whether one of the patterns names it; for lists of what is allowed.

    Only visible ASCII can be allowed, so that a name with a letter that merely looks like the right
    one is never taken in by a wildcard. None, for what is not known, is never allowed.
    """
    if name is None or not name or not name.isascii() or not name.isprintable() or " " in name:
        return False
    return any(item.matches(name) for item in patterns)


def _step(text: str) -> re.Pattern[str]:
    """Compile a step so that no choice is made twice: atomic, each piece at its first place."""
    first, *rest = (_piece(piece) for piece in re.split(r"\*+", text))
    if not rest:
        return re.compile(first, re.DOTALL)
    *middle, last = rest
    found = "".join(f"(?>.*?{piece})" for piece in middle if piece)
    return re.compile(f"{first}{found}.*{last}", re.DOTALL)


def _piece(text: str) -> str:
    return "".join("." if char == "?" else re.escape(char) for char in text)
