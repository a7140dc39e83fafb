"""Read Codex's rollout files: which model was asked, what was patched, what was run.

One JSON object a line, ``{timestamp, type, payload}`` (Codex 0.169.0). ``response_item`` lines
are complete; ``event_msg`` items are sometimes missing, but tell what a patch did to which file,
and are all there is to see of calls that a script of the model makes (code mode). Codex keeps
the requested model only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
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
    json_object,
    mapping,
    moment,
    stamp,
    text,
)

Role = Literal["main", "helper", "subagent"]

STILL_RUNNING = "9999-12-31T23:59:59Z"
REQUESTED_ONLY = "codex keeps only the requested model"
_SHELLS = frozenset({"exec_command", "shell", "shell_command", "local_shell"})
_EXITED = re.compile(r"^(?:Process exited with code|Exit code:) ?-?\d+", re.MULTILINE)
_REPORT_HEAD = 2_000


@dataclass
class _Window:
    started: datetime
    ended: datetime | None = None


@dataclass
class _Patch:
    text: str
    folder: str | None
    good: bool = False
    ended: datetime | None = None


@dataclass
class Rollouts:
    """What the rollouts of one session said; feed it with `read`, the main thread's first.

    Lines older than `since` give no facts, only the state (model, folder) that later ones need.
    """

    since: datetime | None
    lines: int = 0
    threads: dict[str, None] = field(default_factory=dict)
    servers: dict[str, None] = field(default_factory=dict)
    reads: dict[str, None] = field(default_factory=dict)
    instructions: dict[str, str] = field(default_factory=dict)
    _uses: dict[tuple[str, str | None, Role], list[tuple[int, int]]] = field(default_factory=dict)
    _responses: set[str] = field(default_factory=set)
    _windows: dict[str, _Window] = field(default_factory=dict)
    _patches: dict[str, _Patch] = field(default_factory=dict)
    _changes: dict[str, list[Edit]] = field(default_factory=dict)

    def read(self, path: Path) -> None:
        """Take in one rollout file."""
        thread = _Thread(self)
        for line in json_lines(path):
            at = moment(line.get("timestamp"))
            if at is not None:
                thread.line(str(line.get("type")), mapping(line.get("payload")), at)

    def add_done(self, done: Iterable[Mapping[str, Any]]) -> None:
        """Take in what hooks said of tools that were done, after all rollouts.

        They see every patch and every server's tool, also those that a script calls, of which
        the rollout may say nothing. What a rollout said too stays as it said it.
        """
        for payload in done:
            call, tool = text(payload.get("tool_use_id")), text(payload.get("tool_name")) or ""
            body = text(mapping(payload.get("tool_input")).get("command"))
            shown = text(payload.get("tool_response")) or ""
            parts = tool.split("__")
            if call and tool == "apply_patch" and body and shown.startswith("Exit code: 0\n"):
                folder = absolute(payload.get("cwd"), None)
                self._patches.setdefault(call, _Patch(body, folder, good=True))
            elif len(parts) >= 3 and parts[0] == "mcp" and parts[1]:
                self.servers.setdefault(parts[1])

    def models(self) -> tuple[ModelUse, ...]:
        """Give the uses of each requested model; what was served Codex does not keep."""
        return tuple(
            ModelUse(
                provider=provider,
                requested=requested,
                served=None,
                role=role,
                basis="reported",
                calls=len(calls),
                input_tokens=sum(tokens for tokens, _ in calls),
                output_tokens=sum(tokens for _, tokens in calls),
                why=REQUESTED_ONLY,
            )
            for (provider, requested, role), calls in self._uses.items()
        )

    def edits(self) -> tuple[Edit, ...]:
        """Give what each patch that succeeded added: one entry per run of added lines.

        No entry names a model: which one sent the patch is not known, only which was asked.
        """
        found = [edit for edits in self._changes.values() for edit in edits]
        for call, patch in self._patches.items():
            if patch.good and call not in self._changes:
                at = stamp(patch.ended) if patch.ended else None
                for path, added in patch_additions(patch.text):
                    place = absolute(path, patch.folder)
                    if place:
                        found.append(Edit(place, added, "apply_patch", None, "reported", at))
        return tuple(found)

    def commands(self) -> tuple[CommandWindow, ...]:
        """Give when each command ran; one that runs still ends at `STILL_RUNNING`."""
        return tuple(
            CommandWindow(
                stamp(window.started),
                stamp(window.ended) if window.ended else STILL_RUNNING,
                "reported",
            )
            for window in self._windows.values()
        )


class _Thread:
    """The state of one rollout while it is read."""

    def __init__(self, sink: Rollouts) -> None:
        self.sink = sink
        self.provider = "openai"
        self.role: Role = "main"
        self.folder: str | None = None
        self.model: str | None = None

    def line(self, kind: str, payload: Mapping[str, Any], at: datetime) -> None:
        if kind == "session_meta":
            self._meta(payload)
        elif kind == "turn_context":
            self.model = text(payload.get("model")) or self.model
            self.folder = absolute(payload.get("cwd"), None) or self.folder
        elif kind == "world_state":
            self._instructions(payload)
        if self.sink.since is not None and at < self.sink.since:
            return
        self.sink.lines += 1
        if kind == "token_usage_record":
            usage = mapping(payload.get("usage"))
            name = text(payload.get("response_id")) or f"line {self.sink.lines}"
            tokens = (count(usage.get("input_tokens")), count(usage.get("output_tokens")))
            # A forked thread begins with a copy of its parent's lines.
            if name not in self.sink._responses:
                self.sink._responses.add(name)
                key = (self.provider, self.model, self.role)
                self.sink._uses.setdefault(key, []).append(tokens)
        elif kind == "response_item":
            self._item(payload, at)
        elif kind == "event_msg" and payload.get("type") == "item_completed":
            self._completed(mapping(payload.get("item")), at)

    def _meta(self, payload: Mapping[str, Any]) -> None:
        self.provider = text(payload.get("model_provider")) or self.provider
        self.folder = absolute(payload.get("cwd"), None)
        thread = text(payload.get("id"))
        if thread:
            self.sink.threads.setdefault(thread)
        child = mapping(payload.get("source")).get("subagent")
        if child is not None:
            self.role = "subagent" if "thread_spawn" in mapping(child) else "helper"

    def _instructions(self, payload: Mapping[str, Any]) -> None:
        loaded = mapping(mapping(payload.get("state")).get("agents_md"))
        folder, body = absolute(loaded.get("directory"), None), text(loaded.get("text"))
        if folder and body:
            self.sink.instructions[folder] = body

    def _item(self, item: Mapping[str, Any], at: datetime) -> None:
        kind, call, name = item.get("type"), text(item.get("call_id")), text(item.get("name"))
        if call is None:
            return
        if kind == "custom_tool_call" and name == "apply_patch":
            body = text(item.get("input"))
            if body:
                self.sink._patches.setdefault(call, _Patch(body, self.folder))
        elif kind == "custom_tool_call" and name == "exec":
            # A script: the commands in it are not items of their own, and its events may be lost.
            if "exec_command" in (text(item.get("input")) or ""):
                self.sink._windows.setdefault(call, _Window(at))
        elif kind in ("function_call", "local_shell_call"):
            if (name or "local_shell") in _SHELLS:
                self.sink._windows.setdefault(call, _Window(at))
                self._patch_in_shell(call, item)
            parts = (text(item.get("namespace")) or "").split("__")
            if len(parts) >= 2 and parts[0] == "mcp" and parts[1]:
                self.sink.servers.setdefault(parts[1])
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._output(call, item.get("output"), at)

    def _patch_in_shell(self, call: str, item: Mapping[str, Any]) -> None:
        arguments = json_object(text(item.get("arguments")) or "")
        words = items(arguments.get("command"))
        if len(words) == 2 and words[0] == "apply_patch" and isinstance(words[1], str):
            folder = absolute(arguments.get("workdir") or self.folder, self.folder)
            self.sink._patches.setdefault(call, _Patch(words[1], folder))

    def _output(self, call: str, output: object, at: datetime) -> None:
        parts = output if isinstance(output, list) else [{"text": output}]
        texts = [text(mapping(part).get("text")) or "" for part in parts]
        shown = texts[0] if texts else ""
        head = shown[:_REPORT_HEAD].partition("\nOutput:")[0]
        window = self.sink._windows.get(call)
        if window is not None:
            # A script may end and leave a command behind, which then has a session and no status.
            left = any('"session_id"' in one and '"exit_code"' not in one for one in texts[1:])
            if _EXITED.search(head) or (head.startswith("Script completed") and not left):
                window.ended = at
        patch = self.sink._patches.get(call)
        if patch is not None:
            patch.good = head.startswith("Exit code: 0\n") or shown.startswith("Success.")
            patch.ended = at

    def _completed(self, item: Mapping[str, Any], at: datetime) -> None:
        kind, name = item.get("type"), text(item.get("id"))
        if kind == "FileChange" and name and item.get("status") == "completed":
            edits = self.sink._changes.setdefault(name, [])
            for path, change in mapping(item.get("changes")).items():
                fields = mapping(change)
                place = absolute(fields.get("move_path") or path, self.folder)
                added = [text(fields.get("content"))] if fields.get("type") == "add" else []
                added += _added_runs(str(fields.get("unified_diff") or "").split("\n"))
                edits += [
                    Edit(place, new, "apply_patch", None, "reported", stamp(at))
                    for new in added
                    if place and new
                ]
        elif kind == "CommandExecution":
            window = self.sink._windows.get(name or "")
            if window is not None and window.ended is None:
                window.ended = at
            self._reads(item)
        elif kind == "McpToolCall" and item.get("status") == "completed":
            server = text(item.get("server"))
            if server:
                self.sink.servers.setdefault(server)

    def _reads(self, item: Mapping[str, Any]) -> None:
        folder = (text(item.get("cwd")) or "").removeprefix("file://") or self.folder
        for parsed in items(item.get("parsed_cmd")):
            fields = mapping(parsed)
            path = absolute(fields.get("path"), folder)
            if fields.get("type") == "read" and path and item.get("status") == "completed":
                self.sink.reads.setdefault(path)


def patch_additions(patch: str) -> Iterator[tuple[str, str]]:
    """Give (path, added text) for each run of added lines in an ``*** Begin Patch`` text.

    The path is the one that the file has afterwards. Does not check that the patch is sound.
    """
    path: str | None = None
    body: list[str] = []
    for line in [*patch.split("\n"), "*** End Patch"]:
        header = re.match(r"\*\*\* (?:(?:Add|Update) File|Move to): (.+)$", line)
        if not line.startswith("*** "):
            body.append(line)
            continue
        if path is not None:
            for run in _added_runs(body):
                yield path, run
        body = []
        path = header.group(1).strip() if header else None


def _added_runs(lines: list[str]) -> Iterator[str]:
    run: list[str] = []
    for line in [*lines, ""]:
        if line.startswith("+"):
            run.append(line[1:])
        elif run:
            yield "\n".join(run) + "\n"
            run = []
