"""OpenAI Chat Completions and what imitates it: ``POST .../chat/completions``."""

from __future__ import annotations

from typing import Any

from agentprov.errors import MalformedInput
from agentprov.record.gateway.dialects import wire_json
from agentprov.record.gateway.dialects.answer import (
    MAX_BLOCKS,
    Answer,
    AnswerReader,
    Part,
    Repeatable,
    error_code,
)

PARAMETERS = (
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "n",
    "reasoning_effort",
    "reasoning.effort",
    "verbosity",
    "response_format.type",
    "tool_choice",
    "parallel_tool_calls",
    "service_tier",
    "store",
    "stream",
)
_END = "[DONE]"
_DELTA = ("choices", 0, "delta")
# What a chunk may hold beside its text and yet bring nothing else.
_SILENT = frozenset(("role", "reasoning", "reasoning_content"))
_NUMBERED = frozenset(("index", "id", "type"))


class _Call:
    __slots__ = ("arguments", "id", "name")

    def __init__(self, part: Part) -> None:
        self.id = ""
        self.name = ""
        self.arguments = part


class _Choice:
    __slots__ = ("calls", "finished", "places", "text")

    def __init__(self, part: Part) -> None:
        self.text = part
        self.calls: list[_Call] = []
        self.places: dict[int, _Call] = {}
        self.finished = False


class ChatAnswer(AnswerReader):
    """Reads one completion, streamed or whole.

    Complete after ``[DONE]`` with a finish reason for every choice. Servers that number no tool
    call, or give every one the number 0, are understood by the calls' ids. Of a stream that was
    cut, the call that was being written is left out.
    """

    passing = frozenset(("created", "obfuscation", "usage"))

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, _Choice] = {}
        self._calls = 0

    def data(self, name: str | None, data: str) -> None:
        """Take the data of one event; the end is not JSON."""
        if data.strip() == _END:
            if not self._choices or not all(c.finished for c in self._choices.values()):
                raise MalformedInput("the stream ends before the completion does")
            self.answer.ended = True
            return
        super().data(name, data)

    def event(self, name: str | None, value: dict[str, Any]) -> None:
        """Take one chunk."""
        if value.get("error") is not None or name == "error":
            self.fault(f"error event: {error_code(value)}")
            return
        self.after_end()
        self._head(value)
        choices = wire_json.objects(value.get("choices"))
        for given in choices:
            choice = self._choice(given.get("index", 0))
            delta = given.get("delta")
            if isinstance(delta, dict):
                self._message(choice, delta)
                if len(choices) == 1:
                    self.repeatable = self._repeatable(choice, delta)
            if isinstance(given.get("finish_reason"), str):
                choice.finished = True

    def _repeatable(self, choice: _Choice, delta: dict[str, Any]) -> Repeatable | None:
        given = {name for name, value in delta.items() if value is not None}
        brought = given - _SILENT
        if brought == {"content"} and isinstance(delta["content"], str):
            return Repeatable((*_DELTA, "content"), choice.text)
        if brought == {"tool_calls"} and isinstance(delta["tool_calls"], list):
            pieces = delta["tool_calls"]
            return self._repeatable_call(choice, pieces[0]) if len(pieces) == 1 else None
        if not brought:
            for name in sorted(given - {"role"}):
                return Repeatable((*_DELTA, name), None)
        return None

    def _repeatable_call(self, choice: _Choice, piece: Any) -> Repeatable | None:
        if not isinstance(piece, dict) or not isinstance(piece.get("function"), dict):
            return None
        body = piece["function"]
        known = choice.places.get(piece.get("index", -1))
        silent = piece.keys() <= _NUMBERED | {"function"} and body.keys() <= {"name", "arguments"}
        if known is None or not silent or not isinstance(body.get("arguments"), str):
            return None
        return Repeatable((*_DELTA, "tool_calls", 0, "function", "arguments"), known.arguments)

    def _head(self, value: dict[str, Any]) -> None:
        self.serve(value.get("model"))
        self.identify(value.get("id"))
        usage = value.get("usage")
        if isinstance(usage, dict):
            self.answer.input_tokens = wire_json.count(usage.get("prompt_tokens"))
            self.answer.output_tokens = wire_json.count(usage.get("completion_tokens"))

    def _choice(self, place: Any) -> _Choice:
        place = wire_json.index(place)
        if place not in self._choices:
            if len(self._choices) >= MAX_BLOCKS:
                raise MalformedInput("more choices than are kept")
            self._choices[place] = _Choice(Part(self.budget))
        return self._choices[place]

    def _message(self, choice: _Choice, message: dict[str, Any]) -> None:
        content = message.get("content")
        if isinstance(content, str):
            if content:
                choice.text.add(content)
        else:
            for part in wire_json.objects(content):
                if part.get("type") in (None, "text", "output_text"):
                    choice.text.add(wire_json.text(part.get("text")))
        if wire_json.text(message.get("refusal")):
            choice.text.add(message["refusal"])
        for piece in wire_json.objects(message.get("tool_calls")):
            self._piece(choice, piece)
        if isinstance(message.get("function_call"), dict):
            self._piece(choice, {"index": 0, "function": message["function_call"]})

    def _piece(self, choice: _Choice, piece: dict[str, Any]) -> None:
        identity = wire_json.text(piece.get("id"))
        call = self._call(choice, piece.get("index"), identity)
        call.id = call.id or identity
        for kind, content in (("function", "arguments"), ("custom", "input")):
            body = piece.get(kind)
            if isinstance(body, dict):
                call.name = call.name or wire_json.text(body.get("name"))
                given = body.get(content)
                if given is not None:
                    # Some servers give the arguments as an object.
                    call.arguments.add(given if isinstance(given, str) else wire_json.dumps(given))

    def _call(self, choice: _Choice, place: Any, identity: str) -> _Call:
        known = None
        if place is None:
            known = choice.calls[-1] if choice.calls else None
        else:
            known = choice.places.get(wire_json.index(place))
        if known is not None and not (identity and known.id and identity != known.id):
            return known
        self._calls += 1
        if self._calls > MAX_BLOCKS:
            raise MalformedInput("more tool calls than are kept")
        call = _Call(Part(self.budget))
        choice.calls.append(call)
        if place is not None:
            choice.places[place] = call
        return call

    def whole(self, value: Any) -> None:
        """Take a completion that came in one piece."""
        if not isinstance(value, dict) or "choices" not in value:
            raise MalformedInput(f"no completion: {error_code(value)}")
        self._head(value)
        for place, given in enumerate(wire_json.objects(value.get("choices"))):
            choice = self._choice(given.get("index", place))
            message = given.get("message")
            if isinstance(message, dict):
                pieces = wire_json.objects(message.get("tool_calls"))
                numbered = [{**piece, "index": number} for number, piece in enumerate(pieces)]
                self._message(choice, {**message, "tool_calls": numbered})
            choice.finished = isinstance(given.get("finish_reason"), str)
        choices = self._choices.values()
        self.answer.ended = bool(choices) and all(c.finished for c in choices)

    def result(self) -> Answer:
        """Give what was gathered."""
        texts = []
        calls = []
        for place in sorted(self._choices):
            choice = self._choices[place]
            if choice.text.pieces:
                texts.append(choice.text.text)
            for call in choice.calls if choice.finished else choice.calls[:-1]:
                try:
                    calls.append(self.call(call.id, call.name, call.arguments.text))
                except MalformedInput as error:
                    self.fault(error.message)
        self.answer.texts = texts
        self.keep(calls)
        return self.answer
