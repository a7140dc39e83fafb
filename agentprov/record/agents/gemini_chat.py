"""Read Gemini CLI's chat files: which models were asked, what they wrote, what they ran.

One JSON object a line (Gemini CLI 0.61.0): a header, ``$set`` updates, and messages, which are
written again as they grow, so that the last of an id counts. Gemini CLI keeps the requested model
only, and nothing of the requests with which it chooses a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agentprov.record.agents.calls import Answers, Call, Calls, Role, Tools
from agentprov.record.agents.reading import items, json_lines, mapping, moment, text

TOOLS = Tools(
    writes=frozenset({"write_file", "replace"}),
    commands=frozenset({"run_shell_command"}),
    reads=frozenset({"read_file"}),
)
PROVIDER = "google"
REQUESTED_ONLY = "gemini-cli keeps only the requested model"


@dataclass
class Chat:
    """What a session's chat files said; feed it with `read`. Lines before `since` are skipped."""

    since: datetime | None
    folder: str
    lines: int = 0
    ids: dict[str, None] = field(default_factory=dict)
    calls: Calls = field(default_factory=lambda: Calls(TOOLS))
    answers: Answers = field(default_factory=Answers)

    def read(self, path: Path) -> None:
        """Take in one chat file."""
        role: Role = "main"
        for line in json_lines(path):
            session = text(line.get("sessionId"))
            if session:
                self.ids.setdefault(session)
                role = "main" if line.get("kind") in (None, "main") else "subagent"
            at = moment(line.get("timestamp"))
            if at is None or (self.since is not None and at < self.since):
                continue
            self.lines += 1
            if line.get("type") == "gemini":
                self._answer(line, at, role)

    def _answer(self, line: Mapping[str, Any], at: datetime, role: Role) -> None:
        name = text(line.get("id")) or f"line {self.lines}"
        tokens = mapping(line.get("tokens"))
        if tokens:
            fed = (tokens.get("input"), tokens.get("output"))
            self.answers.add(name, PROVIDER, text(line.get("model")), None, role, fed)
        for one in items(line.get("toolCalls")):
            fields = mapping(one)
            call, tool = text(fields.get("id")), text(fields.get("name"))
            if call is None or tool is None:
                continue
            known = Call(tool, mapping(fields.get("args")), self.folder, started=at)
            if fields.get("status") in ("success", "error", "cancelled"):
                known.ended = moment(fields.get("timestamp"))
                known.result = "good" if fields.get("status") == "success" else "bad"
            known.diff = text(mapping(fields.get("resultDisplay")).get("fileDiff"))
            # The tool's name is put in front of the id that the model gave.
            self.calls.by_id[call.removeprefix(f"{tool}__")] = known
