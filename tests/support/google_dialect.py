"""The scripted model in the dialect of Gemini's generateContent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentprov.formats.exchange import ToolCall
from support import offered_tools
from support.model_dialects import Say, next_turn, steps

PREFIX = "fc_s"
ROUTED = '{"complexity_reasoning": "A scripted task.", "complexity_score": 50}'


def content(
    script: Sequence[Any],
    body: dict[str, Any],
    *,
    requested: str,
    root: Path,
    served: str | None,
) -> dict[str, Any]:
    """Answer one request; `requested` is the model that the path names."""
    history = json.dumps(body.get("contents", []))
    offered = [
        (one["name"], one.get("parametersJsonSchema") or one.get("parameters") or {})
        for tool in body.get("tools") or ()
        for one in tool.get("functionDeclarations") or ()
    ]
    parts: list[dict[str, Any]] = []
    model, number = requested, -1
    if not offered:
        parts = [{"text": ROUTED}]
    else:
        model = served or requested
        number = next_turn(script, history, PREFIX)
        for index, step in enumerate(steps(script, number)):
            if isinstance(step, Say):
                parts.append({"text": step.text})
                continue
            name, arguments = offered_tools.call(step, offered, root)
            called = {"id": f"{PREFIX}{number}x{index}", "name": name, "args": arguments}
            parts.append({"functionCall": called})
    return {
        "responseId": f"resp-s{number}-{len(history)}",
        "modelVersion": model,
        "candidates": [
            {"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
        ],
        "usageMetadata": {
            "promptTokenCount": 100,
            "candidatesTokenCount": 20,
            "totalTokenCount": 120,
        },
    }


def chunks(whole: dict[str, Any]) -> Iterator[bytes]:
    """Give an answer as the stream of a streamGenerateContent, one part an event."""
    (candidate,) = whole["candidates"]
    parts = candidate["content"]["parts"]
    for number, part in enumerate(parts):
        one = {**candidate, "content": {"role": "model", "parts": [part]}}
        if number < len(parts) - 1:
            del one["finishReason"]
        yield f"data: {json.dumps({**whole, 'candidates': [one]})}\r\n\r\n".encode()


def tool_calls(whole: dict[str, Any]) -> list[ToolCall]:
    """Give the calls that an answer asks for."""
    (candidate,) = whole["candidates"]
    called = [part.get("functionCall") for part in candidate["content"]["parts"]]
    return [ToolCall(one["id"], one["name"], json.dumps(one["args"])) for one in called if one]
