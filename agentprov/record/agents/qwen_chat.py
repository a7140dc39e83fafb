"""Read Qwen Code's chat files: which models answered, what they wrote, what they ran.

One JSON object a line (Qwen Code 0.24.4). ``assistant`` lines name the requested model; the
``api_response`` event in front of them names the one that answered. An answer that no
``assistant`` line follows belongs to a helper. Kinds of lines that we do not know are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agentprov.record.agents.calls import Answers, Call, Calls, Role, Tools
from agentprov.record.agents.reading import (
    absolute,
    items,
    json_lines,
    mapping,
    moment,
    text,
)

TOOLS = Tools(
    writes=frozenset({"write_file", "edit", "notebook_edit"}),
    commands=frozenset({"run_shell_command"}),
    reads=frozenset({"read_file"}),
)
SERVED_MISSING = "the transcript names no answering model for these calls"
DEFERRED = "tool_call"


@dataclass
class Chat:
    """What a session's chat files said; feed it with `read`. Lines before `since` are skipped."""

    since: datetime | None
    provider: str
    lines: int = 0
    ids: dict[str, None] = field(default_factory=dict)
    servers: dict[str, None] = field(default_factory=dict)
    calls: Calls = field(default_factory=lambda: Calls(TOOLS))
    answers: Answers = field(default_factory=Answers)
    _waiting: Mapping[str, Any] | None = None

    def read(self, path: Path) -> None:
        """Take in one chat file."""
        for line in json_lines(path):
            at = moment(line.get("timestamp"))
            if at is None or (self.since is not None and at < self.since):
                continue
            self.lines += 1
            session = text(line.get("sessionId"))
            if session:
                self.ids.setdefault(session)
            if line.get("type") == "assistant":
                self._assistant(line, at)
            elif line.get("type") == "tool_result":
                self._result(mapping(line.get("toolCallResult")), at)
            elif line.get("subtype") == "ui_telemetry":
                self._event(mapping(mapping(line.get("systemPayload")).get("uiEvent")))
        self._count(None, "helper")

    def _event(self, event: Mapping[str, Any]) -> None:
        name = str(event.get("event.name"))
        if name.endswith(".api_response"):
            self._count(None, "helper")
            self._waiting = event
        elif name.endswith(".tool_call") and event.get("success") is True:
            server = text(event.get("mcp_server_name"))
            if server:
                self.servers.setdefault(server)

    def _count(self, requested: str | None, role: Role) -> str | None:
        event, self._waiting = self._waiting, None
        if event is None:
            return None
        served = text(event.get("model"))
        tokens = (event.get("input_token_count"), event.get("output_token_count"))
        name = text(event.get("response_id")) or f"line {self.lines}"
        self.answers.add(name, self.provider, requested, served, role, tokens)
        return served

    def _assistant(self, line: Mapping[str, Any], at: datetime) -> None:
        requested = text(line.get("model"))
        served = self._count(requested, "main")
        if served is None:
            usage = mapping(line.get("usageMetadata"))
            tokens = (usage.get("promptTokenCount"), usage.get("candidatesTokenCount"))
            name = f"line {self.lines}"
            self.answers.add(name, self.provider, requested, None, "main", tokens)
        folder = absolute(line.get("cwd"), None)
        for part in items(mapping(line.get("message")).get("parts")):
            call = mapping(mapping(part).get("functionCall"))
            name, tool = text(call.get("id")) or "", text(call.get("name"))
            if name and tool:
                tool, arguments = unwrapped(tool, mapping(call.get("args")))
                self.calls.by_id.setdefault(name, Call(tool, arguments, folder, served, at))

    def _result(self, result: Mapping[str, Any], at: datetime) -> None:
        call = self.calls.by_id.get(text(result.get("callId")) or "")
        if call is not None:
            call.ended = at
            call.result = "good" if result.get("status") == "success" else "bad"
            call.diff = text(mapping(result.get("resultDisplay")).get("fileDiff"))


def unwrapped(tool: str, arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Give the tool that a call really means: some are called through another one."""
    inner = text(arguments.get("name"))
    if tool == DEFERRED and inner:
        return inner, mapping(arguments.get("arguments"))
    return tool, arguments
