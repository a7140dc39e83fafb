"""Anthropic Messages: ``POST .../v1/messages``."""

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
    "temperature",
    "top_p",
    "top_k",
    "thinking.type",
    "thinking.budget_tokens",
    "output_config.effort",
    "tool_choice.type",
    "service_tier",
    "speed",
    "stream",
)
_TEXT = ("delta", "text")
_INPUT = ("delta", "partial_json")
_THINKING = ("delta", "thinking")
_INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class _Block:
    __slots__ = ("input", "kind", "opening", "part", "stopped")

    def __init__(self, opening: dict[str, Any], part: Part) -> None:
        self.opening = opening
        self.kind = opening.get("type")
        self.part = part
        self.input = opening.get("input")
        self.stopped = False


class MessagesAnswer(AnswerReader):
    """Reads one message, streamed or whole.

    Thinking and tools that the provider runs itself are passed over. `input_tokens` is the sum
    of the fresh, the newly cached and the cached tokens, which this provider counts apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self._blocks: dict[int, _Block] = {}
        self._usage: dict[str, int] = {}
        self._started = False

    def event(self, name: str | None, value: dict[str, Any]) -> None:
        """Take one event; unknown kinds are passed over."""
        kind = value.get("type")
        if name is not None and name != kind:
            raise MalformedInput("an event that is named otherwise than its data")
        if kind == "content_block_delta":
            self._delta(value)
        elif kind == "content_block_start":
            self._start(value)
        elif kind == "content_block_stop":
            self._block(value).stopped = True
        elif kind == "message_start":
            self.after_end()
            if self._started:
                raise MalformedInput("two messages in one answer")
            self._started = True
            self._message(value.get("message"))
        elif kind == "message_delta":
            self.after_end()
            self._count(value.get("usage"))
        elif kind == "message_stop":
            if not self._started or any(not b.stopped for b in self._blocks.values()):
                raise MalformedInput("the message ends before its parts do")
            self.answer.ended = True
        elif kind == "error":
            self.fault(f"error event: {error_code(value)}")

    def _start(self, value: dict[str, Any]) -> None:
        self.after_end()
        place = wire_json.index(value.get("index"))
        opening = value.get("content_block")
        if not isinstance(opening, dict) or place in self._blocks:
            raise MalformedInput("a part that begins twice or with nothing")
        if len(self._blocks) >= MAX_BLOCKS:
            raise MalformedInput("more parts than are kept")
        block = _Block(opening, Part(self.budget))
        if block.kind == "text" and wire_json.text(opening.get("text")):
            block.part.add(opening["text"])
        self._blocks[place] = block

    def _delta(self, value: dict[str, Any]) -> None:
        self.after_end()
        block = self._block(value)
        delta = value.get("delta")
        if not isinstance(delta, dict):
            raise MalformedInput("a piece of the answer without content")
        kind = delta.get("type")
        if kind == "text_delta" and block.kind == "text":
            block.part.add(wire_json.text(delta.get("text")))
            self.repeatable = Repeatable(_TEXT, block.part)
        elif kind == "input_json_delta" and block.kind == "tool_use":
            block.part.add(wire_json.text(delta.get("partial_json")))
            self.repeatable = Repeatable(_INPUT, block.part)
        elif kind in ("text_delta", "input_json_delta") and block.kind in ("text", "tool_use"):
            raise MalformedInput("a piece of another kind than its part")
        elif kind == "thinking_delta":
            self.repeatable = Repeatable(_THINKING, None)

    def _block(self, value: dict[str, Any]) -> _Block:
        block = self._blocks.get(wire_json.index(value.get("index")))
        if block is None or block.stopped:
            raise MalformedInput("a piece of a part that is not open")
        return block

    def _message(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise MalformedInput("a message without content")
        self.serve(message.get("model"))
        self.identify(message.get("id"))
        self._count(message.get("usage"))

    def _count(self, usage: Any) -> None:
        for name in (*_INPUT_COUNTS, "output_tokens"):
            found = wire_json.member(usage, name)
            if found is not None:
                self._usage[name] = wire_json.count(found)

    def whole(self, value: Any) -> None:
        """Take a message that came in one piece."""
        if not isinstance(value, dict) or value.get("type") != "message":
            raise MalformedInput(f"no message: {error_code(value)}")
        self._message(value)
        for place, block in enumerate(wire_json.objects(value.get("content"))):
            self._start({"index": place, "content_block": block})
            self._blocks[place].stopped = True
        self.answer.ended = isinstance(value.get("stop_reason"), str)

    def result(self) -> Answer:
        """Give what was gathered; a call whose input had not ended is left out."""
        answer = self.answer
        blocks = [self._blocks[place] for place in sorted(self._blocks)]
        answer.texts = [b.part.text for b in blocks if b.kind == "text" and b.part.pieces]
        calls = []
        for block in blocks:
            if block.kind != "tool_use" or not block.stopped:
                continue
            try:
                arguments = block.part.text or wire_json.dumps(block.input or {})
                calls.append(
                    self.call(block.opening.get("id"), block.opening.get("name"), arguments)
                )
            except MalformedInput as error:
                self.fault(error.message)
        self.keep(calls)
        answer.input_tokens = wire_json.count(sum(self._usage.get(n, 0) for n in _INPUT_COUNTS))
        answer.output_tokens = self._usage.get("output_tokens", 0)
        return answer
