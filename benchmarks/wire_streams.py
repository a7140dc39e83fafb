"""Answers as models stream them, in all four dialects: thousands of pieces of a few characters."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

_WORDS = (
    "I", "'ll", " write", " the", "\n    ", "return", " x", "(", ")", " =", '"name"', " é", "✓",
    "\\n", "0", "12", ";", " value", "self", "_count",
)  # fmt: skip
# Seeded: the same stream in every run.
_RANDOM = random.Random(3)

PATHS = {
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "google": "/v1beta/models/bench:streamGenerateContent?alt=sse",
}


def stream(dialect: str, size: int) -> list[bytes]:
    """Give the events of an answer of about `size` bytes, half text and half tool input."""
    make = _MAKERS[dialect]
    sample = sum(map(len, make(500)))
    return make(500 * size // sample)


def _event(value: dict[str, Any], name: str | None) -> bytes:
    head = f"event: {name}\n" if name else ""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return f"{head}data: {text}\n\n".encode()


def _words(count: int) -> Iterator[str]:
    return (_RANDOM.choice(_WORDS) for _ in range(count))


def _padding() -> str:
    # Some providers hide the length of a piece behind random letters.
    return "".join(
        _RANDOM.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=_RANDOM.randint(2, 16))
    )


def _anthropic(count: int) -> list[bytes]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "bench", "usage": {}}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "Write", "input": {}}
    delta, start, stop = "content_block_delta", "content_block_start", "content_block_stop"
    values: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": start, "index": 0, "content_block": {"type": "text", "text": ""}},
        *[
            {"type": delta, "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in _words(count)
        ],
        {"type": stop, "index": 0},
        {"type": start, "index": 1, "content_block": tool},
        *[
            {"type": delta, "index": 1, "delta": {"type": "input_json_delta", "partial_json": word}}
            for word in _words(count)
        ],
        {"type": stop, "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
        {"type": "message_stop"},
    ]
    return [_event(value, value["type"]) for value in values]


def _responses(count: int) -> list[bytes]:
    response = {"id": "resp_1", "object": "response", "model": "bench", "output": []}
    texts, inputs = list(_words(count)), list(_words(count))
    message = {"id": "msg_1", "type": "message", "role": "assistant"}
    call = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "write"}
    said = [{"type": "output_text", "text": "".join(texts)}]
    item = "0af1" * 12
    text, argument = "response.output_text.delta", "response.function_call_arguments.delta"
    added, done = "response.output_item.added", "response.output_item.done"
    values: list[dict[str, Any]] = [
        {"type": "response.created", "response": response},
        {"type": added, "output_index": 0, "item": {**message, "content": []}},
        *[
            {"type": text, "item_id": item, "output_index": 0, "content_index": 0,
             "delta": word, "logprobs": [], "obfuscation": _padding()}
            for word in texts
        ],
        {"type": done, "output_index": 0, "item": {**message, "content": said}},
        {"type": added, "output_index": 1, "item": {**call, "arguments": ""}},
        *[
            {"type": argument, "item_id": item, "output_index": 1,
             "delta": word, "obfuscation": _padding()}
            for word in inputs
        ],
        {"type": done, "output_index": 1, "item": {**call, "arguments": "".join(inputs)}},
        {"type": "response.completed", "response": response},
    ]  # fmt: skip
    return [
        _event({**value, "sequence_number": number}, value["type"])
        for number, value in enumerate(values)
    ]


def _chat(count: int) -> list[bytes]:
    function = {"name": "write", "arguments": ""}
    opening = {"index": 0, "id": "call_1", "type": "function", "function": function}
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": "", "refusal": None},
        *[{"content": word} for word in _words(count)],
        {"tool_calls": [opening]},
        *[{"tool_calls": [{"index": 0, "function": {"arguments": w}}]} for w in _words(count)],
    ]
    ends = [None] * (len(deltas) - 1) + ["tool_calls"]
    events = []
    for delta, end in zip(deltas, ends, strict=True):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}
        events.append(
            _event(
                {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_795_300_000,
                 "model": "bench", "service_tier": "default", "system_fingerprint": "fp_4470",
                 "choices": [choice], "usage": None, "obfuscation": _padding()},
                None,
            )
        )  # fmt: skip
    return [*events, b"data: [DONE]\n\n"]


def _google(count: int) -> list[bytes]:
    events = []
    for number in range(2 * count):
        # This provider sends longer pieces, and counts tokens in each.
        part = {"text": "".join(_words(8))}
        usage = {"promptTokenCount": 700, "candidatesTokenCount": number, "totalTokenCount": number}
        events.append(_candidate({"parts": [part], "role": "model"}, None, usage))
    return [*events, _candidate({"parts": [{"text": ""}]}, "STOP", {})]


def _candidate(content: dict[str, Any], end: str | None, usage: dict[str, Any]) -> bytes:
    ended = {"finishReason": end} if end else {}
    return _event(
        {"candidates": [{"content": content, **ended, "index": 0}], "usageMetadata": usage,
         "modelVersion": "bench", "responseId": "cmVzcA"},
        None,
    )  # fmt: skip


_MAKERS: dict[str, Callable[[int], list[bytes]]] = {
    "anthropic": _anthropic,
    "responses": _responses,
    "chat": _chat,
    "google": _google,
}
