"""Turn a step of a script into a call of whichever tool an agent offered for it.

Agents that speak the chat and the Gemini dialects differ in the names of tools and of their
arguments; the request says which there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from support.model_dialects import Edit, McpCall, Read, Shell, Write

_TOOLS = {
    Write: ("write", "write_file"),
    Edit: ("edit", "replace"),
    Read: ("read", "read_file"),
    Shell: ("bash", "run_shell_command"),
}
_PATHS = ("filePath", "file_path", "path", "absolute_path")
_OLD = ("oldString", "old_string", "oldText")
_NEW = ("newString", "new_string", "newText")
_FILLERS: dict[str, Any] = {
    "description": "Do a part of the work",
    "instruction": "Do a part of the work",
    "is_background": False,
}


def call(
    step: Any, offered: Iterable[tuple[str, Mapping[str, Any]]], root: Path
) -> tuple[str, dict[str, Any]]:
    """Give (tool, arguments) of a step; `offered` are names and JSON schemas of parameters.

    Raises LookupError where nothing fit for the step was offered.
    """
    tools = dict(offered)
    if isinstance(step, McpCall):
        for name in (f"{step.server}_{step.tool}", f"mcp_{step.server}_{step.tool}"):
            if name in tools:
                return name, step.arguments
        # Some agents hide the tools of servers behind one that calls them.
        name = f"mcp__{step.server}__{step.tool}"
        if name in tools or "tool_call" not in tools:
            return name, step.arguments
        return "tool_call", {"name": name, "arguments": step.arguments}
    tool = next((name for name in _TOOLS[type(step)] if name in tools), None)
    if tool is None:
        raise LookupError(f"no tool for {step!r} among {sorted(tools)}")
    names = tools[tool].get("properties") or {}
    arguments = {name: value for name, value in _FILLERS.items() if name in names}
    if isinstance(step, Shell):
        return tool, {**arguments, "command": step.command}
    arguments[_one_of(_PATHS, names)] = str(root / step.path)
    if isinstance(step, Write):
        arguments["content"] = step.text
    elif isinstance(step, Edit) and "edits" in names:
        arguments["edits"] = [{"oldText": step.old, "newText": step.new}]
    elif isinstance(step, Edit):
        arguments[_one_of(_OLD, names)] = step.old
        arguments[_one_of(_NEW, names)] = step.new
    return tool, arguments


def _one_of(candidates: tuple[str, ...], names: Iterable[str]) -> str:
    return next(name for name in candidates if name in names)
