"""The scripted model in the dialect of OpenAI's chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentprov.formats.exchange import ToolCall
from support import offered_tools
from support.model_dialects import Say, next_turn, steps

TITLE = "Scripted session"
PREFIX = "call_s"
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def completion(
    script: Sequence[Any], body: dict[str, Any], *, root: Path, served: str | None
) -> dict[str, Any]:
    """Answer one request as one whole completion."""
    history = json.dumps(body.get("messages", []))
    requested = str(body.get("model", ""))
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    model, number = requested, -1
    if not body.get("tools"):
        message["content"] = TITLE
    else:
        model = served or requested
        number = next_turn(script, history, PREFIX)
        offered = [
            (one["function"]["name"], one["function"].get("parameters") or {})
            for one in body["tools"]
        ]
        calls = []
        for index, step in enumerate(steps(script, number)):
            if isinstance(step, Say):
                message["content"] += step.text
                continue
            name, arguments = offered_tools.call(step, offered, root)
            calls.append(
                {
                    "id": f"{PREFIX}{number}x{index}",
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(arguments)},
                }
            )
        if calls:
            message["tool_calls"] = calls
    return {
        "id": f"chatcmpl-s{number}-{len(history)}",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "system_fingerprint": "fp_script",
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
            }
        ],
        "usage": USAGE,
    }


def chunks(whole: dict[str, Any]) -> Iterator[bytes]:
    """Give a completion as the stream that a client asks for with ``stream: true``."""
    (choice,) = whole["choices"]
    message = choice["message"]
    head = {**whole, "object": "chat.completion.chunk"}
    del head["usage"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": message["content"]}]
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        start = {**call, "index": index, "function": {**function, "arguments": ""}}
        half = len(function["arguments"]) // 2
        deltas.append({"tool_calls": [start]})
        for part in (function["arguments"][:half], function["arguments"][half:]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    for delta in deltas:
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    yield _event({**head, "choices": [end]})
    yield _event({**head, "choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def tool_calls(whole: dict[str, Any]) -> list[ToolCall]:
    """Give the calls that a completion asks for."""
    (choice,) = whole["choices"]
    return [
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in choice["message"].get("tool_calls", ())
    ]


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()
