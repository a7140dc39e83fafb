"""Read Claude Code's transcripts: which models answered, what they wrote, what they ran.

One JSON object a line (Claude Code 2.1.330): ``assistant`` lines carry ``message.model`` (the
model that answered) and ``requestedModel``; a message of several blocks is written as several
lines that repeat its id and usage. ``user`` lines carry tool results. Kinds of lines that we do
not know are skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from agentprov.formats.facts import CommandWindow, Edit, ModelUse
from agentprov.record.agents.reading import (
    absolute,
    count,
    items,
    json_lines,
    mapping,
    moment,
    stamp,
    text,
)

Role = Literal["main", "helper", "subagent"]

PROVIDER = "anthropic"
STILL_RUNNING = "9999-12-31T23:59:59Z"
WRITE_TOOLS = ("Write", "Edit", "MultiEdit", "NotebookEdit")
COMMAND_TOOLS = ("Bash", "PowerShell")
HELPER_UNSEEN = "the transcript names only the requested model of helper calls"
_MAIN_SOURCES = ("sdk", "repl_main_thread")
_FINISHED = re.compile(
    r"<tool-use-id>([\w-]{1,80})</tool-use-id>.{0,2000}?<status>(?:completed|failed|killed)",
    re.DOTALL,
)


@dataclass
class _Answer:
    requested: str | None
    served: str | None
    role: Role
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass
class _Call:
    tool: str
    arguments: Mapping[str, Any]
    folder: object
    model: str | None
    started: datetime | None
    ended: datetime | None = None
    result: Literal["open", "good", "bad", "background"] = "open"
    response: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Transcript:
    """What a session's transcripts said, one line after the other; feed it with `read`.

    Lines older than `since` are passed over: a resumed session goes on in its old file.
    """

    since: datetime | None
    lines: int = 0
    last: datetime | None = None
    sessions: dict[str, None] = field(default_factory=dict)
    instructions: dict[str, None] = field(default_factory=dict)
    servers: dict[str, None] = field(default_factory=dict)
    _answers: dict[str, _Answer] = field(default_factory=dict)
    _calls: dict[str, _Call] = field(default_factory=dict)
    _helpers: dict[str, str] = field(default_factory=dict)

    def read(self, path: Path) -> None:
        """Take in one transcript, and those of the subagents beside it."""
        self._read_one(path, "main")
        folder = path.with_suffix("") / "subagents"
        try:
            names = sorted(os.listdir(folder))[:10_000]
        except (OSError, ValueError):
            return
        for name in names:
            if name.startswith("agent-") and name.endswith(".jsonl"):
                self._read_one(folder / name, "subagent")

    def knows(self, call: str) -> bool:
        """Say whether a tool call, by its id, stands in the transcript."""
        return call in self._calls

    def _read_one(self, path: Path, role: Role) -> None:
        for line in json_lines(path):
            at = moment(line.get("timestamp"))
            if at is not None and self.since is not None and at < self.since:
                continue
            kind = line.get("type")
            if at is not None:
                self.lines += 1
                self.last = max(at, self.last or at)
                session = text(line.get("sessionId"))
                if session:
                    self.sessions.setdefault(session)
            if kind == "assistant" and at is not None:
                self._assistant(line, at, "subagent" if line.get("isSidechain") is True else role)
            elif kind == "user" and at is not None:
                self._results(line, at)
            elif kind == "attachment":
                self._attachment(mapping(line.get("attachment")))
            elif kind == "api-request":
                self._request(line)
            elif kind == "queue-operation" and at is not None:
                self._finished(line.get("content"), at)

    def _assistant(self, line: Mapping[str, Any], at: datetime, role: Role) -> None:
        message = mapping(line.get("message"))
        served = text(message.get("model"))
        # Claude puts its own error texts into messages of a model with this name.
        if served == "<synthetic>":
            return
        requested = text(line.get("requestedModel"))
        reference = text(line.get("requestRef"))
        if reference is not None and self._helpers.pop(reference, None) is not None:
            role = "helper"
        name = text(message.get("id")) or f"line {self.lines}"
        answer = self._answers.setdefault(name, _Answer(requested, served, role))
        usage = mapping(message.get("usage"))
        answer.input_tokens = max(
            answer.input_tokens,
            count(usage.get("input_tokens"))
            + count(usage.get("cache_creation_input_tokens"))
            + count(usage.get("cache_read_input_tokens")),
        )
        answer.output_tokens = max(answer.output_tokens, count(usage.get("output_tokens")))
        for block in items(message.get("content")):
            fields = mapping(block)
            call, tool = text(fields.get("id")), text(fields.get("name"))
            if fields.get("type") != "tool_use" or call is None or tool is None:
                continue
            self._calls.setdefault(
                call,
                _Call(tool, mapping(fields.get("input")), line.get("cwd"), served, at),
            )
            self._server_of(tool)

    def _results(self, line: Mapping[str, Any], at: datetime) -> None:
        extra = mapping(line.get("toolUseResult"))
        for block in items(mapping(line.get("message")).get("content")):
            fields = mapping(block)
            call = self._calls.get(text(fields.get("tool_use_id")) or "")
            if fields.get("type") != "tool_result" or call is None:
                continue
            if text(extra.get("backgroundTaskId")):
                call.result = "background"
            else:
                call.result = "bad" if fields.get("is_error") is True else "good"
                call.ended = at
            call.response = extra

    def _finished(self, content: object, at: datetime) -> None:
        for match in _FINISHED.finditer(content if isinstance(content, str) else ""):
            call = self._calls.get(match.group(1))
            if call is not None and call.result == "background":
                call.ended = call.ended or at

    def _attachment(self, attachment: Mapping[str, Any]) -> None:
        if attachment.get("type") == "instructions":
            for entry in items(attachment.get("files")):
                path = absolute(mapping(entry).get("path"), None)
                if path:
                    self.instructions.setdefault(path)
        elif attachment.get("type") == "deferred_tools_delta":
            for name in items(attachment.get("addedNames")):
                self._server_of(name)

    def _request(self, line: Mapping[str, Any]) -> None:
        source, name = text(line.get("querySource")), text(line.get("id"))
        model = text(mapping(line.get("params")).get("model"))
        if source is None or name is None or model is None:
            return
        if source not in _MAIN_SOURCES and not source.startswith("agent:"):
            self._helpers[name] = model

    def _server_of(self, tool: object) -> None:
        parts = (text(tool) or "").split("__")
        if len(parts) >= 3 and parts[0] == "mcp" and parts[1]:
            self.servers.setdefault(parts[1])

    def models(self) -> tuple[ModelUse, ...]:
        """Give the uses of each (requested, served, role); input tokens count cached ones too."""
        answers = [*self._answers.values()]
        answers += [_Answer(model, None, "helper") for model in self._helpers.values()]
        groups: dict[tuple[str | None, str | None, Role], list[_Answer]] = {}
        for answer in answers:
            groups.setdefault((answer.requested, answer.served, answer.role), []).append(answer)
        return tuple(
            ModelUse(
                provider=PROVIDER,
                requested=requested,
                served=served,
                role=role,
                basis="reported",
                calls=len(group),
                input_tokens=sum(answer.input_tokens for answer in group),
                output_tokens=sum(answer.output_tokens for answer in group),
                why=None if served else HELPER_UNSEEN,
            )
            for (requested, served, role), group in groups.items()
        )

    def edits(self, responses: Mapping[str, Mapping[str, Any]]) -> tuple[Edit, ...]:
        """Give the text of each write that succeeded, in the order in which it was asked for.

        `responses` are tool responses by call id from another channel: subagents' transcripts
        leave them out.
        """
        found: list[Edit] = []
        for name, call in self._calls.items():
            if call.result == "good":
                at = stamp(call.ended) if call.ended else None
                response = call.response or responses.get(name, {})
                found += edits_of(call.tool, call.arguments, response, call.folder, call.model, at)
        return tuple(found)

    def commands(self) -> tuple[CommandWindow, ...]:
        """Give when each command ran; one that runs still ends at `STILL_RUNNING`."""
        found: list[CommandWindow] = []
        for call in self._calls.values():
            if call.tool in COMMAND_TOOLS and call.started is not None:
                end = stamp(call.ended) if call.ended else STILL_RUNNING
                found.append(CommandWindow(stamp(call.started), end, "reported"))
        return tuple(found)

    def read_paths(self) -> tuple[str, ...]:
        """Give the absolute paths of the files that the read tool read."""
        paths = [
            absolute(call.arguments.get("file_path"), call.folder)
            for call in self._calls.values()
            if call.tool == "Read" and call.result == "good"
        ]
        return tuple(dict.fromkeys(path for path in paths if path))


def edits_of(
    tool: str,
    arguments: Mapping[str, Any],
    response: Mapping[str, Any],
    folder: object,
    model: str | None,
    at: str | None,
) -> Iterator[Edit]:
    """Give the texts that one call of a write tool puts into its file; none for other tools.

    A replacement may begin and end inside a line. Then the lines that it made, as the tool's
    response shows them, follow the text that the model sent.
    """
    if tool not in WRITE_TOOLS:
        return
    path = absolute(arguments.get("file_path") or arguments.get("notebook_path"), folder)
    if path is None:
        return
    texts = [arguments.get("content"), arguments.get("new_string"), arguments.get("new_source")]
    texts += [mapping(edit).get("new_string") for edit in items(arguments.get("edits"))]
    sent = [new for new in map(text, texts) if new]
    # The person at the screen may change a proposal before it is written.
    if response.get("userModified") is not True and "content" not in arguments:
        sent += [made for made in _whole_lines(sent, response) if made not in sent]
    replaced = _replaced(arguments)
    for new in sent:
        old, every = replaced.get(new, (None, False))
        yield Edit(path, new, tool, model, "reported", at, replaces=old, every=every)


def _replaced(arguments: Mapping[str, Any]) -> dict[str, tuple[str | None, bool]]:
    """Give, by new text, which text it replaces and whether everywhere."""
    pieces = [arguments, *map(mapping, items(arguments.get("edits")))]
    return {
        new: (text(piece.get("old_string")), piece.get("replace_all") is True)
        for piece in pieces
        if (new := text(piece.get("new_string")))
    }


def _whole_lines(sent: list[str], response: Mapping[str, Any]) -> Iterator[str]:
    pieces = {piece for new in sent for piece in new.split("\n") if piece.strip()}
    for hunk in items(response.get("structuredPatch")):
        run: list[str] = []
        for line in [*items(mapping(hunk).get("lines")), ""]:
            if isinstance(line, str) and line.startswith("+"):
                run.append(line[1:])
                continue
            if run and all(
                not made.strip() or made in pieces or any(piece in made for piece in pieces)
                for made in run
            ):
                yield "\n".join(run)
            run = []
