"""Read pi's session files: which models answered, what they wrote, what they ran.

One JSON object a line, version 3 (pi 0.87.1). ``message`` lines of role ``assistant`` carry
``model`` (requested), ``responseModel`` (served) and ``responseId``; those of role
``toolResult`` say how a call ended. Kinds of lines that we do not know are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agentprov.record.agents.calls import Answers, Call, Calls, Tools
from agentprov.record.agents.reading import (
    absolute,
    count,
    items,
    json_lines,
    mapping,
    moment,
    text,
)

TOOLS = Tools(
    writes=frozenset({"write", "edit"}),
    commands=frozenset({"bash", "powershell"}),
    reads=frozenset({"read"}),
)
SERVED_MISSING = "the provider named no model in its answer"


@dataclass
class Session:
    """What a session's files said; feed it with `read`. Lines older than `since` are skipped."""

    since: datetime | None
    lines: int = 0
    ids: dict[str, None] = field(default_factory=dict)
    calls: Calls = field(default_factory=lambda: Calls(TOOLS))
    answers: Answers = field(default_factory=Answers)

    def read(self, path: Path) -> None:
        """Take in one session file."""
        folder: str | None = None
        for line in json_lines(path):
            if line.get("type") == "session":
                folder = absolute(line.get("cwd"), None)
                name = text(line.get("id"))
                if name:
                    self.ids.setdefault(name)
            at = moment(line.get("timestamp"))
            if at is None or (self.since is not None and at < self.since):
                continue
            self.lines += 1
            message = mapping(line.get("message"))
            if line.get("type") == "message" and message.get("role") == "assistant":
                self._answer(message, at, folder)
            elif line.get("type") == "message" and message.get("role") == "toolResult":
                self._result(message, at)

    def _answer(self, message: Mapping[str, Any], at: datetime, folder: str | None) -> None:
        served, usage = text(message.get("responseModel")), mapping(message.get("usage"))
        if message.get("stopReason") != "error":
            fed = sum(count(usage.get(key)) for key in ("input", "cacheRead", "cacheWrite"))
            self.answers.add(
                text(message.get("responseId")) or f"line {self.lines}",
                text(message.get("provider")) or "unknown",
                text(message.get("model")),
                served,
                "main",
                (fed, usage.get("output")),
            )
        for block in items(message.get("content")):
            fields = mapping(block)
            name, tool = text(fields.get("id")), text(fields.get("name"))
            if fields.get("type") == "toolCall" and name and tool:
                arguments = mapping(fields.get("arguments"))
                self.calls.by_id.setdefault(name, Call(tool, arguments, folder, served, at))

    def _result(self, message: Mapping[str, Any], at: datetime) -> None:
        call = self.calls.by_id.get(text(message.get("toolCallId")) or "")
        if call is not None:
            call.ended = at
            call.result = "bad" if message.get("isError") is True else "good"
            call.diff = text(mapping(message.get("details")).get("patch"))
