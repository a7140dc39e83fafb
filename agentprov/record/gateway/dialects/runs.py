"""Runs of events that differ in one text only, read many at a time.

A long answer is mostly such a run: thousands of small pieces around which everything else stays
the same. The first event of a run is parsed like any other. From its own bytes an expression is
made in which the text, and members that do not count, may be any JSON string or number, and all
else must be the same to the byte. What it matches is valid JSON of the same meaning, so only the
texts are taken. Whatever it does not match is parsed; so is the last of a run, whose word counts.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from agentprov.errors import MalformedInput
from agentprov.record.gateway.dialects import wire_json
from agentprov.record.gateway.dialects.answer import Repeatable

# Learning a form takes as long as parsing a few hundred events: only where as many may follow.
WORTH_LEARNING = 4096
MAX_LEARNT = 64
_MAX_DEPTH = 16
_MAX_SCALARS = 256
_MAX_TEXT = 16 * 1024

# What Python's json takes for a string: no control character, only known escapes.
_CHARACTERS = r'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+'
_NUMBER = r"(?:0|[1-9][0-9]{0,14})"
_STRING = re.compile(f'"{_CHARACTERS}"')
_WHOLE_NUMBER = re.compile(_NUMBER)
_SCALAR = re.compile(r"[^\s,\]}]+")
_BLANK = re.compile(r"[ \t\n\r]*+")

Path = tuple[str | int, ...]


class _Scalar(NamedTuple):
    path: Path
    start: int
    end: int


class _Form:
    """Events that look like one that was parsed."""

    def __init__(self, path: Path, before: str, event: str) -> None:
        self.path = path
        self.one = re.compile(f"{before}({_CHARACTERS}){event}")
        # Without groups: nothing is remembered for each event.
        self.many = re.compile(f"(?:{before}{_CHARACTERS}{event})*+")


class Runs:
    """Recognises runs in one answer; `passing` as the answer's reader has it."""

    def __init__(self, passing: frozenset[str]) -> None:
        self._passing = passing
        self._form: _Form | None = None
        self._learnt = 0

    def pass_over(self, block: str, begun: int, at: int, repeatable: Repeatable) -> int:
        """Take the texts of what follows an event; give where parsing has to go on.

        The event stands in `block` from `begun` to `at` and was just parsed.
        """
        form = self._form
        if (
            form is None
            or form.path != repeatable.path
            or form.one.fullmatch(block, begun, at) is None
        ):
            if len(block) - at < WORTH_LEARNING or self._learnt >= MAX_LEARNT:
                return at
            self._learnt += 1
            form = self._form = _learn(block[begun:at], repeatable.path, self._passing)
            if form is None:
                return at
        found = form.many.match(block, at)
        end = at if found is None else found.end()
        last = block.rfind("\n\n", at, max(at, end - 2)) + 2
        if last <= at:
            return at
        if repeatable.part is not None:
            texts = form.one.findall(block, at, last)
            joined = "".join(texts)
            if not repeatable.part.holds(len(joined)):
                # One by one up to the bound, and no run again: looking this far for each event
                # would take longer than parsing them.
                self._form, self._learnt = None, MAX_LEARNT
                return at
            if "\\" in joined:
                joined = wire_json.loads(f'"{joined}"')
            repeatable.part.add_run(joined, len(texts) - texts.count(""))
        return last


def _learn(event: str, path: Path, passing: frozenset[str]) -> _Form | None:
    """Make the form of an event; None for one that is laid out in a way that nobody uses."""
    start = event.find("data: ") + 6
    if start < 6 or len(event) > _MAX_TEXT:
        return None
    scalars: list[_Scalar] = []
    try:
        _scan(event, start, (), scalars)
    except MalformedInput:
        return None
    pieces: list[str] = []
    at, before = 0, ""
    for scalar in scalars:
        token = event[scalar.start : scalar.end]
        if scalar.path == path and token.startswith('"'):
            before = "".join([*pieces, re.escape(event[at : scalar.start + 1])])
            pieces, at = [], scalar.end - 1
        elif any(name in passing for name in scalar.path):
            anything = _anything_like(token)
            if anything is not None:
                pieces += [re.escape(event[at : scalar.start]), anything]
                at = scalar.end
    if not before:
        return None
    return _Form(path, before, "".join([*pieces, re.escape(event[at:])]))


def _anything_like(token: str) -> str | None:
    if token.startswith('"'):
        return f'"{_CHARACTERS}"'
    return _NUMBER if _WHOLE_NUMBER.fullmatch(token) else None


def _scan(text: str, at: int, path: Path, found: list[_Scalar]) -> int:
    """Find the scalars of a JSON value that is known to be one; gives where it ends.

    Raises MalformedInput for names that come twice, and for more than anybody sends.
    """
    at = _blank(text, at)
    if len(path) > _MAX_DEPTH or len(found) > _MAX_SCALARS:
        raise MalformedInput("more than is learnt")
    if text[at] not in "{[":
        string = _STRING.match(text, at)
        scalar = string or _SCALAR.match(text, at)
        if scalar is None:
            raise MalformedInput("not a value")
        found.append(_Scalar(path, at, scalar.end()))
        return scalar.end()
    ends, named = ("}", True) if text[at] == "{" else ("]", False)
    names: set[str] = set()
    at = _blank(text, at + 1)
    while text[at] != ends:
        name: str | int = len(names)
        if named:
            written = _STRING.match(text, at)
            if written is None:
                raise MalformedInput("not a name")
            name = wire_json.loads(written[0])
            # After the colon.
            at = _blank(text, written.end()) + 1
        if str(name) in names:
            raise MalformedInput("a name that comes twice")
        names.add(str(name))
        at = _blank(text, _scan(text, at, (*path, name), found))
        if text[at] == ",":
            at = _blank(text, at + 1)
    return at + 1


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return at if found is None else found.end()
