"""Gemini: ``POST .../models/M:generateContent`` and ``:streamGenerateContent``."""

from __future__ import annotations

from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats.exchange import ToolCall
from agentprov.record.gateway.dialects import wire_json
from agentprov.record.gateway.dialects.answer import (
    MAX_BLOCKS,
    Answer,
    AnswerReader,
    Part,
    Repeatable,
    error_code,
)

_TEXT = ("candidates", 0, "content", "parts", 0, "text")
PARAMETERS = tuple(
    f"generationConfig.{name}"
    for name in (
        "temperature",
        "topP",
        "topK",
        "maxOutputTokens",
        "seed",
        "candidateCount",
        "presencePenalty",
        "frequencyPenalty",
        "responseMimeType",
        "thinkingConfig.thinkingLevel",
        "thinkingConfig.thinkingBudget",
    )
)


class GeminiAnswer(AnswerReader):
    """Reads one answer, as a stream of events, a JSON list of them, or one.

    This dialect has no end of its own beside a finish reason, so that a connection that breaks
    after it still counts as cut. Thoughts are passed over.
    """

    needs_clean_end = True
    passing = frozenset(("usageMetadata", "createTime"))

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[int, Part] = {}
        self._calls: list[ToolCall] = []
        self._finished: dict[int, bool] = {}

    def event(self, name: str | None, value: dict[str, Any]) -> None:
        """Take one piece of the answer."""
        inner = value.get("response")
        wrapped = isinstance(inner, dict) and "candidates" not in value
        if isinstance(inner, dict) and wrapped:
            value = inner
        if value.get("error") is not None or name == "error":
            self.fault(f"error event: {error_code(value)}")
            return
        self.serve(value.get("modelVersion"))
        self.identify(value.get("responseId"))
        usage = value.get("usageMetadata")
        if isinstance(usage, dict):
            asked = ("promptTokenCount", "toolUsePromptTokenCount")
            said = ("candidatesTokenCount", "thoughtsTokenCount")
            self.answer.input_tokens = _total(usage, asked)
            self.answer.output_tokens = _total(usage, said)
        blocked = wire_json.member(value, "promptFeedback", "blockReason")
        if blocked is not None:
            self.fault(f"blocked: {wire_json.code(blocked) or 'no reason'}")
        candidates = wire_json.objects(value.get("candidates"))
        for candidate in candidates:
            self._candidate(candidate)
        self.answer.ended = bool(self._finished) and all(self._finished.values())
        if len(candidates) == 1:
            self.repeatable = self._repeatable(candidates[0], ("response",) if wrapped else ())

    def _candidate(self, candidate: dict[str, Any]) -> None:
        place = wire_json.index(candidate.get("index", 0))
        if len(self._finished) >= MAX_BLOCKS and place not in self._finished:
            raise MalformedInput("more candidates than are kept")
        parts = wire_json.objects(wire_json.member(candidate, "content", "parts"))
        content = any(part.get("text") or part.get("functionCall") for part in parts)
        if content and self._finished.get(place):
            raise MalformedInput("the answer goes on after its end")
        self._finished.setdefault(place, False)
        for part in parts:
            if isinstance(part.get("functionCall"), dict):
                self._function_call(part["functionCall"])
            elif part.get("thought") is not True and wire_json.text(part.get("text")):
                self._texts.setdefault(place, Part(self.budget)).add(part["text"])
        if wire_json.text(candidate.get("finishReason")):
            self._finished[place] = True

    def _repeatable(self, candidate: dict[str, Any], inside: tuple[str, ...]) -> Repeatable | None:
        place = candidate.get("index", 0)
        parts = wire_json.member(candidate, "content", "parts")
        if self._finished.get(place) or not isinstance(parts, list) or len(parts) != 1:
            return None
        part = parts[0]
        if not isinstance(part, dict) or "functionCall" in part or not part.get("text"):
            return None
        into = None if part.get("thought") is True else self._texts.get(place)
        if into is None and part.get("thought") is not True:
            return None
        return Repeatable((*inside, *_TEXT), into)

    def _function_call(self, call: dict[str, Any]) -> None:
        if call.get("partialArgs") is not None or call.get("willContinue"):
            raise MalformedInput("arguments in pieces, which are not read in this dialect")
        if len(self._calls) >= MAX_BLOCKS:
            raise MalformedInput("more tool calls than are kept")
        arguments = wire_json.dumps(call.get("args") or {})
        self.budget.take(len(arguments))
        self._calls.append(self.call(call.get("id"), call.get("name"), arguments))

    def whole(self, value: Any) -> None:
        """Take an answer that came in one piece."""
        pieces = value if isinstance(value, list) else [value]
        for piece in pieces:
            if not isinstance(piece, dict):
                raise MalformedInput("an answer that is no object")
            self.event(None, piece)

    def result(self) -> Answer:
        """Give what was gathered."""
        self.answer.texts = [self._texts[place].text for place in sorted(self._texts)]
        self.keep(self._calls)
        return self.answer


def _total(usage: dict[str, Any], names: tuple[str, ...]) -> int:
    return wire_json.count(sum(wire_json.count(usage.get(name)) for name in names))
