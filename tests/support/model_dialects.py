"""The two wire dialects of the scripted model, and how a step becomes an agent's own tool call."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from agentprov.formats.exchange import ToolCall

FINISHED = "Nothing is left to do."


@dataclass(frozen=True)
class Write:
    """Make a new file (path relative to the work tree) with this text."""

    path: str
    text: str


@dataclass(frozen=True)
class Edit:
    """Replace the one place where `old` stands in a file that this script wrote or read."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Read:
    """Read a file with the agent's read tool, or with `cat` where it has none."""

    path: str


@dataclass(frozen=True)
class Shell:
    """Run a shell command."""

    command: str


@dataclass(frozen=True)
class McpCall:
    """Call a tool of a configured MCP server."""

    server: str
    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Delegate:
    """Give a task to a subagent, which plays `script`; does not wait for it to end.

    Codex offers subagents only with models that it drives through code mode, ``gpt-6.1-sol``.
    """

    prompt: str
    script: tuple[Any, ...]


@dataclass(frozen=True)
class Say:
    """Say something and end the turn."""

    text: str


Step = Write | Edit | Read | Shell | McpCall | Delegate | Say


def anthropic_messages(
    script: Sequence[Any],
    body: dict[str, Any],
    *,
    root: Path,
    served: str | None,
    in_subagent: bool,
) -> Iterator[dict[str, Any]]:
    """Answer one Messages request as the stream of events of one message."""
    requested = str(body.get("model", ""))
    history = json.dumps(body.get("messages", []))
    if not body.get("tools"):
        # Calls without tools only want a small JSON object, such as a title for the session.
        blocks: list[dict[str, Any]] = [{"type": "text", "text": '{"title": "Scripted session"}'}]
        name, model = "helper", requested
    else:
        model = served or requested
        prefix = "toolu_s"
        if in_subagent:
            prefix, script = _delegated(script, history)
        number = next_turn(script, history, prefix)
        name = f"{prefix}{number}"
        blocks = []
        for index, step in enumerate(steps(script, number)):
            if isinstance(step, Say):
                blocks.append({"type": "text", "text": step.text})
            else:
                tool, arguments = _claude_tool(step, root)
                blocks.append(
                    {
                        "type": "tool_use",
                        "id": f"{prefix}{number}x{index}",
                        "name": tool,
                        "input": arguments,
                    }
                )
    tools = any(block["type"] == "tool_use" for block in blocks)
    usage = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 0}
    message = {
        "id": f"msg_{name}_{len(history)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    yield {"type": "message_start", "message": message}
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            start, delta = (
                {"type": "text", "text": ""},
                {"type": "text_delta", "text": block["text"]},
            )
        else:
            start = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield {"type": "content_block_start", "index": index, "content_block": start}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use" if tools else "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 20},
    }
    yield {"type": "message_stop"}


def openai_responses(
    script: Sequence[Any],
    body: dict[str, Any],
    *,
    served: str | None,
    in_subagent: bool,
) -> Iterator[dict[str, Any]]:
    """Answer one Responses request as the stream of events of one response."""
    requested = str(body.get("model", ""))
    history = json.dumps(body.get("input", []))
    # Newer models get their tools as an input item, and call them from JavaScript.
    in_code = '"additional_tools"' in history
    prefix = "call_s"
    if in_subagent:
        prefix, script = _delegated(script, history)
        prefix = prefix.replace("toolu", "call")
    number = next_turn(script, history, prefix)
    items: list[dict[str, Any]] = []
    for index, step in enumerate(steps(script, number)):
        tail = f"{prefix.removeprefix('call_')}{number}x{index}"
        if isinstance(step, Say):
            content = [{"type": "output_text", "text": step.text, "annotations": []}]
            items.append(
                {
                    "type": "message",
                    "id": f"msg_{tail}",
                    "role": "assistant",
                    "status": "completed",
                    "content": content,
                }
            )
        else:
            call = _codex_call(step, script[:number])
            if in_code and not isinstance(step, Delegate):
                call = _as_code(call)
            items.append({"id": f"item_{tail}", "call_id": f"call_{tail}", **call})
    response = {
        "id": f"resp_{prefix}{number}_{len(history)}",
        "object": "response",
        "model": served or requested,
        "status": "in_progress",
        "output": [],
    }
    yield {"type": "response.created", "response": response}
    for index, item in enumerate(items):
        yield {"type": "response.output_item.added", "output_index": index, "item": item}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 120,
    }
    done = {**response, "status": "completed", "output": items, "usage": usage}
    yield {"type": "response.completed", "response": done}


def tool_calls(events: Sequence[dict[str, Any]]) -> list[ToolCall]:
    """Give the calls that the events of one answer ask for."""
    found: list[ToolCall] = []
    for event in events:
        block, item = event.get("content_block", {}), event.get("item", {})
        if event["type"] == "content_block_start" and block["type"] == "tool_use":
            found.append(ToolCall(block["id"], block["name"], ""))
        elif event["type"] == "content_block_delta" and "partial_json" in event["delta"]:
            last = found.pop()
            found.append(ToolCall(last.id, last.name, event["delta"]["partial_json"]))
        elif event["type"] == "response.output_item.done" and "call_id" in item:
            arguments = item.get("arguments") or item.get("input") or ""
            found.append(ToolCall(item["call_id"], item["name"], arguments))
    return found


def steps(script: Sequence[Any], number: int) -> tuple[Any, ...]:
    """Give what the model does in one turn; behind the script's end it is finished."""
    if number >= len(script):
        return (Say(FINISHED),)
    turn = script[number]
    return turn if isinstance(turn, tuple) else (turn,)


def next_turn(script: Sequence[Any], history: str, prefix: str) -> int:
    """Give the number of the first turn that the conversation, as JSON, does not show yet."""
    for number in range(len(script)):
        for index, step in enumerate(steps(script, number)):
            shown = (
                f": {json.dumps(step.text)}"
                if isinstance(step, Say)
                else f'"{prefix}{number}x{index}"'
            )
            if shown not in history:
                return number
    return len(script)


def _delegated(script: Sequence[Any], history: str) -> tuple[str, Sequence[Any]]:
    for number, _ in enumerate(script):
        for index, step in enumerate(steps(script, number)):
            if isinstance(step, Delegate) and json.dumps(step.prompt)[1:-1] in history:
                return f"toolu_d{number}x{index}s", step.script
    return "toolu_d", ()


def _claude_tool(step: Any, root: Path) -> tuple[str, dict[str, Any]]:
    if isinstance(step, Write):
        return "Write", {"file_path": str(root / step.path), "content": step.text}
    if isinstance(step, Edit):
        return "Edit", {
            "file_path": str(root / step.path),
            "old_string": step.old,
            "new_string": step.new,
        }
    if isinstance(step, Read):
        return "Read", {"file_path": str(root / step.path)}
    if isinstance(step, Shell):
        return "Bash", {"command": step.command, "description": "Run a command"}
    if isinstance(step, McpCall):
        return f"mcp__{step.server}__{step.tool}", step.arguments
    if isinstance(step, Delegate):
        return "Agent", {
            "description": "A part of the work",
            "prompt": step.prompt,
            "subagent_type": "general-purpose",
        }
    raise TypeError(f"no tool for {step!r}")


def _codex_call(step: Any, before: Sequence[Any]) -> dict[str, Any]:
    if isinstance(step, Write):
        return _patch([f"*** Add File: {step.path}", *_marked("+", step.text)])
    if isinstance(step, Edit):
        return _patch([f"*** Update File: {step.path}", *_hunk(step, before)])
    if isinstance(step, Read):
        return _codex_function("exec_command", {"cmd": f"cat '{step.path}'"})
    if isinstance(step, Shell):
        return _codex_function("exec_command", {"cmd": step.command})
    if isinstance(step, McpCall):
        call = _codex_function(step.tool, step.arguments)
        return {**call, "namespace": f"mcp__{step.server}"}
    if isinstance(step, Delegate):
        task = {"task_name": "part", "message": step.prompt, "fork_turns": "none"}
        return {**_codex_function("spawn_agent", task), "namespace": "collaboration"}
    raise TypeError(f"no tool for {step!r}")


def _codex_function(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "function_call",
        "status": "completed",
        "name": name,
        "arguments": json.dumps(arguments),
    }


def _as_code(call: dict[str, Any]) -> dict[str, Any]:
    name = f"{call['namespace']}__{call['name']}" if "namespace" in call else call["name"]
    argument = call.get("arguments") or json.dumps(call["input"])
    code = f"text(await tools.{name}({argument}));\n"
    return {"type": "custom_tool_call", "status": "completed", "name": "exec", "input": code}


def _patch(lines: list[str]) -> dict[str, Any]:
    text = "\n".join(["*** Begin Patch", *lines, "*** End Patch", ""])
    return {"type": "custom_tool_call", "status": "completed", "name": "apply_patch", "input": text}


def _marked(mark: str, text: str) -> list[str]:
    return [mark + line for line in text.removesuffix("\n").split("\n")]


def _hunk(step: Edit, before: Sequence[Any]) -> list[str]:
    old, new = step.old, step.new
    known = _written(step.path, before)
    if known is not None and old in known:
        old, new = known, known.replace(old, new, 1)
    left, right = old.removesuffix("\n").split("\n"), new.removesuffix("\n").split("\n")
    lines = ["@@"]
    for tag, a, b, c, d in SequenceMatcher(a=left, b=right, autojunk=False).get_opcodes():
        if tag == "equal":
            lines += [" " + line for line in left[a:b]]
        else:
            lines += ["-" + line for line in left[a:b]] + ["+" + line for line in right[c:d]]
    return lines


def _written(path: str, before: Sequence[Any]) -> str | None:
    text: str | None = None
    for number in range(len(before)):
        for step in steps(before, number):
            if isinstance(step, Write) and step.path == path:
                text = step.text
            elif isinstance(step, Edit) and step.path == path and text is not None:
                text = text.replace(step.old, step.new, 1)
    return text
