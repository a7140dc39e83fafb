"""What every dialect gathers from an answer, and the bounds on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, NamedTuple

from agentprov.errors import MalformedInput
from agentprov.formats.exchange import ToolCall
from agentprov.record.gateway.dialects import wire_json

MAX_CHARACTERS = 16 * 1024 * 1024
MAX_TOOL_CALLS = 1024
MAX_BLOCKS = 16384
_MAX_FAULTS = 4


@dataclass
class Answer:
    """An answer as far as it was seen.

    `ended` says that the provider's own end came; `faults` are reasons not to trust the answer,
    in words that quote nothing of it; `remarks` are worth knowing and take no trust away.
    """

    served: str | None = None
    response_id: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    texts: list[str] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    ended: bool = False
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class Budget:
    """Counts characters over all parts of one answer; raises MalformedInput beyond the bound."""

    def __init__(self, characters: int) -> None:
        self._left = characters

    def take(self, characters: int) -> None:
        """Account for more text."""
        self._left -= characters
        if self._left < 0:
            raise MalformedInput("more text than is kept")

    def holds(self, characters: int) -> bool:
        """Say whether there is room for more text."""
        return characters <= self._left


class Part:
    """Text that arrives in pieces."""

    __slots__ = ("_budget", "_text", "pieces")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._text = StringIO()
        self.pieces = 0

    def add(self, piece: str) -> None:
        """Add a piece; an empty one is none."""
        if not piece:
            return
        self.add_run(piece, 1)

    def add_run(self, text: str, pieces: int) -> None:
        """Add what came in several pieces, already put together."""
        self._budget.take(len(text))
        self._text.write(text)
        self.pieces += pieces

    def holds(self, characters: int) -> bool:
        """Say whether so much more may be added."""
        return self._budget.holds(characters)

    @property
    def text(self) -> str:
        """Give all of it, with characters that came in two pieces put together."""
        return wire_json.whole_characters(self._text.getvalue())


class Repeatable(NamedTuple):
    """What may come again: an event that only brought text to a part.

    `path` says where in the event the text stands. `part` is None for text that is passed over.
    """

    path: tuple[str | int, ...]
    part: Part | None


class AnswerReader(ABC):
    """Reads one answer: `event` for each event of a stream, or `whole` for a plain JSON body.

    `event` and `whole` raise MalformedInput; the caller turns that into a fault by `fault` and
    may go on. `result` can be asked for at any time.

    `event` sets `repeatable` where an event that differs from this one in that text, and in
    members named in `passing`, would have no other effect than to bring its text. `passing` names
    members that are not read, or of which the last word counts.
    """

    needs_clean_end = False
    passing: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.repeatable: Repeatable | None = None
        self.answer = Answer()
        self.budget = Budget(MAX_CHARACTERS)

    def fault(self, reason: str) -> None:
        """Take the trust from this answer."""
        faults = self.answer.faults
        if reason not in faults and len(faults) < _MAX_FAULTS:
            faults.append(reason)

    def forget(self) -> None:
        """Begin another event: what the last one was may not be repeated any more."""
        self.repeatable = None

    def data(self, name: str | None, data: str) -> None:
        """Take the data of one server-sent event."""
        self.event(name, wire_json.loads_object(data))

    @abstractmethod
    def event(self, name: str | None, value: dict[str, Any]) -> None:
        """Take one event of a stream."""

    @abstractmethod
    def whole(self, value: Any) -> None:
        """Take a plain JSON body."""

    @abstractmethod
    def result(self) -> Answer:
        """Give what was gathered."""

    def serve(self, model: Any) -> None:
        """Note the model that the answer names; two different ones are a fault."""
        name = wire_json.word(model)
        if name is None:
            return
        if self.answer.served not in (None, name):
            self.fault("the answer names two models")
        self.answer.served = name

    def identify(self, value: Any) -> None:
        """Note the answer's id; the first one counts."""
        if self.answer.response_id is None:
            self.answer.response_id = wire_json.identifier(value)

    def call(self, identity: Any, name: Any, arguments: str) -> ToolCall:
        """Make a tool call; raises MalformedInput when it has no usable name."""
        tool = wire_json.word(name)
        if tool is None:
            raise MalformedInput("a tool call without a name")
        return ToolCall(
            id=wire_json.identifier(identity) or "",
            name=tool,
            arguments=wire_json.whole_characters(arguments),
        )

    def keep(self, calls: list[ToolCall]) -> None:
        """Keep calls as the answer's; a bounded number."""
        if len(calls) > MAX_TOOL_CALLS:
            self.fault("more tool calls than are kept")
        self.answer.tool_calls = calls[:MAX_TOOL_CALLS]

    def after_end(self) -> None:
        """Refuse content that comes after the answer's end."""
        if self.answer.ended:
            raise MalformedInput("the answer goes on after its end")


def error_code(value: Any) -> str:
    """Give the provider's code for an error, never its sentence (it may quote a key)."""
    error = wire_json.member(value, "error")
    source = error if isinstance(error, dict) else value
    for name in ("type", "code", "status"):
        found = wire_json.code(wire_json.member(source, name))
        if found is not None and found != "error":
            return found
    return "error"
