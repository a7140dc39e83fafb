"""OpenAI Responses: ``POST .../responses``."""

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

PARAMETERS = (
    "max_output_tokens",
    "temperature",
    "top_p",
    "reasoning.effort",
    "reasoning.context",
    "text.verbosity",
    "text.format.type",
    "tool_choice",
    "parallel_tool_calls",
    "service_tier",
    "truncation",
    "store",
    "stream",
)
_DEFAULT_NAMESPACE = "functions"
_STATES = ("response.created", "response.queued", "response.in_progress")
_PIECES = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
}
_WHOLES = {
    "response.function_call_arguments.done": "arguments",
    "response.custom_tool_call_input.done": "input",
}
_TEXT = ("delta",)
_DIFFER = "pieces and whole of an item differ"


class _Item:
    __slots__ = ("done", "opening", "pieces")

    def __init__(self, opening: dict[str, Any], part: Part) -> None:
        self.opening = opening
        self.pieces = part
        self.done: dict[str, Any] | None = None


class ResponsesAnswer(AnswerReader):
    """Reads one response, streamed or whole.

    An item counts as its ``output_item.done`` has it; pieces that add up to something else are
    a fault. Items that only the final response lists are taken from there. Reasoning and tools
    that the provider runs itself are passed over.
    """

    passing = frozenset(("sequence_number", "obfuscation"))

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[int, _Item] = {}

    def event(self, name: str | None, value: dict[str, Any]) -> None:
        """Take one event; unknown kinds are passed over."""
        kind = value.get("type")
        if name is not None and name != kind:
            raise MalformedInput("an event that is named otherwise than its data")
        if not isinstance(kind, str):
            return
        if kind in _PIECES:
            self.after_end()
            pieces = self._item(value).pieces
            pieces.add(wire_json.text(value.get("delta")))
            self.repeatable = Repeatable(_TEXT, pieces)
        elif kind in _WHOLES:
            self.after_end()
            item = self._item(value)
            whole = wire_json.whole_characters(wire_json.text(value.get(_WHOLES[kind])))
            if item.pieces.pieces and item.pieces.text != whole:
                self.fault(_DIFFER)
        elif kind == "response.output_item.added":
            self._add(value, wire_json.index(value.get("output_index")))
        elif kind == "response.output_item.done":
            self._finish(value)
        elif kind in _STATES:
            self.after_end()
            self._response(value.get("response"))
        elif kind == "response.completed":
            self.after_end()
            self._response(value.get("response"))
            self._final_output(wire_json.member(value, "response", "output"))
            self.answer.ended = True
        elif kind in ("response.incomplete", "response.failed"):
            self._response(value.get("response"))
            reason = wire_json.member(value, "response", "incomplete_details", "reason")
            said = wire_json.code(reason) or error_code(value.get("response"))
            self.fault(f"{kind.partition('.')[2]}: {said}")
        elif kind == "error":
            self.fault(f"error event: {error_code(value)}")
        elif kind.endswith(".delta"):
            # Reasoning and the like, which nobody reads here.
            self.repeatable = Repeatable(_TEXT, None)

    def _add(self, value: dict[str, Any], place: int) -> _Item:
        self.after_end()
        opening = value.get("item")
        if not isinstance(opening, dict) or place in self._items:
            raise MalformedInput("an item that begins twice or with nothing")
        if len(self._items) >= MAX_BLOCKS:
            raise MalformedInput("more items than are kept")
        item = self._items[place] = _Item(opening, Part(self.budget))
        return item

    def _finish(self, value: dict[str, Any]) -> None:
        self.after_end()
        done = value.get("item")
        if not isinstance(done, dict):
            raise MalformedInput("an item that ends with nothing")
        place = value.get("output_index")
        if place is None:
            place = max(self._items, default=-1) + 1
        place = wire_json.index(place)
        item = self._items.get(place) or self._add(value, place)
        if item.done is not None:
            raise MalformedInput("an item that ends twice")
        self._settle(item, done)

    def _settle(self, item: _Item, done: dict[str, Any]) -> None:
        if item.opening.get("type") != done.get("type"):
            raise MalformedInput("an item that changes its kind")
        content = _arguments(done) if _is_call(done) else _said(done)
        if item.pieces.pieces:
            if item.pieces.text != wire_json.whole_characters(content):
                self.fault(_DIFFER)
        else:
            self.budget.take(len(content))
        item.done = done

    def _item(self, value: dict[str, Any]) -> _Item:
        item = self._items.get(wire_json.index(value.get("output_index")))
        if item is None or item.done is not None:
            raise MalformedInput("a piece of an item that is not open")
        return item

    def _response(self, response: Any) -> None:
        if not isinstance(response, dict):
            raise MalformedInput("an event without its response")
        self.serve(response.get("model"))
        self.identify(response.get("id"))
        usage = response.get("usage")
        if isinstance(usage, dict):
            self.answer.input_tokens = wire_json.count(usage.get("input_tokens"))
            self.answer.output_tokens = wire_json.count(usage.get("output_tokens"))

    def _final_output(self, output: Any) -> None:
        known = [item.done for item in self._items.values() if item.done is not None]
        calls = {d.get("call_id"): _arguments(d) for d in known if _is_call(d)}
        for place, done in enumerate(wire_json.objects(output)):
            if _is_call(done):
                if done.get("call_id") in calls:
                    if calls[done.get("call_id")] != _arguments(done):
                        self.fault(_DIFFER)
                    continue
            elif known or not _said(done):
                continue
            spot = place if place not in self._items else max(self._items) + 1
            item = self._items.get(place)
            if item is not None and item.done is None:
                self._settle(item, done)
            else:
                self._settle(self._add({"item": done}, spot), done)

    def whole(self, value: Any) -> None:
        """Take a response that came in one piece."""
        if not isinstance(value, dict) or "output" not in value:
            raise MalformedInput(f"no response: {error_code(value)}")
        self._response(value)
        self._final_output(value.get("output"))
        self.answer.ended = value.get("status") == "completed"
        if not self.answer.ended:
            reason = wire_json.member(value, "incomplete_details", "reason")
            self.fault(f"not completed: {wire_json.code(reason) or error_code(value)}")

    def result(self) -> Answer:
        """Give what was gathered; a call whose item had not ended is left out."""
        texts: list[str] = []
        calls: list[ToolCall] = []
        for place in sorted(self._items):
            item = self._items[place]
            final = item.done
            try:
                if final is not None and _is_call(final):
                    calls.append(
                        self.call(final.get("call_id"), _tool_name(final), _arguments(final))
                    )
                elif item.opening.get("type") == "message":
                    said = _said(final) if final is not None else item.pieces.text
                    if said:
                        texts.append(wire_json.whole_characters(said))
            except MalformedInput as error:
                self.fault(error.message)
        self.answer.texts = texts
        self.keep(calls)
        return self.answer


def _is_call(item: dict[str, Any]) -> bool:
    # Tools that the provider runs itself have no call_id: nobody has to answer them.
    return wire_json.text(item.get("type")).endswith("_call") and bool(item.get("call_id"))


def _tool_name(item: dict[str, Any]) -> Any:
    name = item.get("name")
    if name is None:
        return wire_json.text(item.get("type")).removesuffix("_call")
    return qualified(item.get("namespace"), name)


def qualified(namespace: Any, name: Any) -> Any:
    """Give a tool's name with its namespace in front, as agents write it in their hooks."""
    if not isinstance(namespace, str) or namespace in ("", _DEFAULT_NAMESPACE):
        return name
    return f"{namespace}__{name}" if isinstance(name, str) else name


def _arguments(item: dict[str, Any]) -> str:
    for name in ("arguments", "input", "action", "operation"):
        found = item.get(name)
        if isinstance(found, str):
            return found
        if found is not None:
            return wire_json.dumps(found)
    return ""


def _said(item: dict[str, Any]) -> str:
    if item.get("type") != "message":
        return ""
    parts = wire_json.objects(item.get("content"))
    return "".join(
        wire_json.text(part.get("text")) + wire_json.text(part.get("refusal")) for part in parts
    )
