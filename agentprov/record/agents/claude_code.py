"""Claude Code: hooks through a plug-in of this run only, and its transcripts.

Measured with Claude Code 2.1.330. The plug-in lives in the run's scratch folder; no file of the
user or the repository is touched. Transcripts are read whether or not the hooks were live.
"""

# The port gives every adapter the same arguments.
# ruff: noqa: ARG002
from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agentprov.formats.dropbox import Drop
from agentprov.formats.exchange import ToolCall
from agentprov.formats.facts import AgentReport, CommandWindow, Edit, Gap
from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext, Upstream
from agentprov.record.agents import claude_redirection, claude_settings
from agentprov.record.agents.claude_transcript import (
    COMMAND_TOOLS,
    STILL_RUNNING,
    Transcript,
    edits_of,
)
from agentprov.record.agents.command_line import (
    options_of,
    program_name,
    start_of_agent,
    values_of,
)
from agentprov.record.agents.reading import (
    absolute,
    json_lines,
    json_object,
    mapping,
    moment,
    stamp,
    text,
    within,
)
from agentprov.record.agents.redirection import NO_SESSION, intercepted

EVENTS = (
    "SessionStart",
    "InstructionsLoaded",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "SubagentStart",
    "SubagentStop",
    "Stop",
    "SessionEnd",
)
HOOK_TIMEOUT = 10
_PACKAGE = "@anthropic-ai/claude-code"
_NO_SESSION = frozenset(
    (
        "agents",
        "attach",
        "auth",
        "auto-mode",
        "config",
        "doctor",
        "gateway",
        "help",
        "import",
        "install",
        "kill",
        "logs",
        "mcp",
        "plugin",
        "plugins",
        "purge",
        "respawn",
        "rm",
        "setup-token",
        "stop",
        "ultrareview",
        "update",
        "upgrade",
    )
)
_QUICK = frozenset({"--version", "-v", "--help", "-h"})


@dataclass
class _Told:
    """What the hooks of a session dropped."""

    count: int = 0
    sessions: dict[str, None] = field(default_factory=dict)
    transcripts: dict[Path, None] = field(default_factory=dict)
    instructions: dict[str, None] = field(default_factory=dict)
    servers: dict[str, None] = field(default_factory=dict)
    begun: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    done: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


class ClaudeCode:
    """Adapter for Claude Code."""

    name = "claude-code"

    def recognises(self, command: str, package: str | None) -> bool:
        """Say whether this is Claude Code, by program name or npm package name."""
        if package is not None and (package == _PACKAGE or package.startswith(_PACKAGE + "-")):
            return True
        return program_name(command) == "claude"

    def prepare(self, context: LaunchContext) -> Launch:
        """Add ``--plugin-dir`` with this run's hooks, unless the command is no session.

        Gaps name what, as far as configuration tells, will keep the hooks silent. Raises OSError
        if the scratch folder cannot be written.
        """
        start = _start(context.argv)
        words = context.argv[start:]
        if not _is_session(words):
            return Launch(context.argv)
        folder = context.scratch / "claude-plugin"
        _write_plugin(folder, context.spool_script)
        # In front of the user's own words: theirs may end in `--` or in an open-ended option.
        argv = (*context.argv[:start], "--plugin-dir", str(folder), *words)
        off = claude_settings.hooks_are_off(context, words)
        gaps = (f"hooks-off: {off}",) if off else ()
        return Launch(argv, channels=("hooks", "transcript"), gaps=gaps)

    def upstream(self, context: LaunchContext) -> Upstream:
        """Give the effective base URL; none for clouds, and for logins without an API key."""
        words = context.argv[_start(context.argv) :]
        if not _is_session(words):
            return Upstream(None, why_not=NO_SESSION)
        return claude_redirection.upstream(context, words)

    def redirect(self, context: LaunchContext, launch: Launch, base_url: str) -> Launch:
        """Put the base URL into this run's ``--settings``, which the repository cannot outrank."""
        return claude_redirection.redirect(context, launch, base_url, _start(context.argv))

    def edits_of(self, call: ToolCall, cwd: str) -> Sequence[Edit]:
        """Give the texts that a call of Write, Edit, MultiEdit or NotebookEdit carries."""
        arguments = json_object(call.arguments)
        return intercepted(call, [*edits_of(call.name, arguments, {}, cwd, None, None)])

    def materials(self, context: LaunchContext) -> Sequence[tuple[str, Path]]:
        """Give (role, path) of the files that steer a session; existing ones only."""
        return claude_settings.materials(context, context.argv[_start(context.argv) :])

    def mcp_servers(self, context: LaunchContext) -> Sequence[ConfiguredMcpServer]:
        """Give the MCP servers that files and command line configure for this run."""
        return claude_settings.mcp_servers(context, context.argv[_start(context.argv) :])

    def report(self, context: LaunchContext, drops: Iterable[Drop], pid: int | None) -> AgentReport:
        """Read hooks and transcripts; `pid` plays no part, Claude's hooks name the session."""
        words = context.argv[_start(context.argv) :]
        if not _is_session(words):
            return AgentReport()
        started = moment(context.started)
        told = _read_drops(drops)
        gaps: list[Gap] = []
        transcripts = list(told.transcripts)
        if not told.count:
            gaps.append(Gap("hooks-silent", context.started, context.started))
            transcripts, why = _search(context, words, started)
            if why:
                gaps.append(Gap(why, context.started, context.started))
        transcript = Transcript(started)
        for path in transcripts:
            transcript.read(path)
        if told.count and not transcript.lines:
            gaps.append(Gap("transcript-missing", context.started, context.started))
        edits, commands = _only_in_hooks(told, transcript)
        channels = [*["hooks"] * bool(told.count), *["transcript"] * bool(transcript.lines)]
        responses = {
            call: mapping(payload.get("tool_response")) for call, payload in told.done.items()
        }
        reads = [
            absolute(mapping(payload.get("tool_input")).get("file_path"), payload.get("cwd"))
            for payload in told.done.values()
            if payload.get("tool_name") == "Read"
        ]
        return AgentReport(
            channels=tuple(channels),
            agent_sessions=tuple({**told.sessions, **transcript.sessions}),
            models=transcript.models(),
            edits=(*transcript.edits(responses), *edits),
            commands=(*transcript.commands(), *commands),
            instructions=tuple({**told.instructions, **transcript.instructions}),
            read_paths=tuple(
                dict.fromkeys((*transcript.read_paths(), *(path for path in reads if path)))
            ),
            gaps=tuple(gaps),
            mcp_connected=tuple({**told.servers, **transcript.servers}),
        )


def _start(argv: Sequence[str]) -> int:
    package = re.compile(r"(^|/)@anthropic-ai/claude-code(@|/|$)")
    return start_of_agent(
        argv, lambda word: program_name(word) == "claude" or bool(package.search(word))
    )


def _is_session(words: Sequence[str]) -> bool:
    if words and words[0] in _NO_SESSION:
        return False
    return not options_of(words) & _QUICK


def _write_plugin(folder: Path, spool_script: Path) -> None:
    hooks = {}
    for event in EVENTS:
        # Status 2 would block the tool, and text on stdout would reach the model.
        spool = shlex.join(["/bin/sh", str(spool_script), ClaudeCode.name, event])
        command = f"{spool} >/dev/null 2>&1 || :"
        hooks[event] = [
            {"hooks": [{"type": "command", "command": command, "timeout": HOOK_TIMEOUT}]}
        ]
    manifest = {
        "name": "agentprov",
        "version": "0.1.0",
        "description": "Tells the agentprov recorder of this run what the agent does",
    }
    (folder / ".claude-plugin").mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "hooks").mkdir(mode=0o700, exist_ok=True)
    (folder / ".claude-plugin" / "plugin.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "hooks" / "hooks.json").write_text(json.dumps({"hooks": hooks}), encoding="utf-8")


def _read_drops(drops: Iterable[Drop]) -> _Told:
    told = _Told()
    for drop in drops:
        if drop.channel != ClaudeCode.name:
            continue
        told.count += 1
        payload = json_object(drop.payload)
        session = text(payload.get("session_id"))
        if session:
            told.sessions.setdefault(session)
        transcript = absolute(payload.get("transcript_path"), None)
        if transcript and transcript.endswith(".jsonl"):
            told.transcripts.setdefault(Path(transcript))
        if drop.event == "InstructionsLoaded":
            path = absolute(payload.get("file_path"), payload.get("cwd"))
            if path:
                told.instructions.setdefault(path)
        server = text(mapping(payload.get("mcp_server")).get("name"))
        if server:
            told.servers.setdefault(server)
        call = text(payload.get("tool_use_id"))
        if call and drop.event == "PreToolUse":
            told.begun[call] = payload
        elif call and drop.event == "PostToolUse":
            told.done[call] = payload
        elif call and drop.event == "PostToolUseFailure":
            told.failed.add(call)
    return told


def _only_in_hooks(told: _Told, transcript: Transcript) -> tuple[list[Edit], list[CommandWindow]]:
    """Give what hooks know and the transcript does not have yet, or never will."""
    edits: list[Edit] = []
    for call, payload in told.done.items():
        if not transcript.knows(call):
            arguments = mapping(payload.get("tool_input"))
            tool = text(payload.get("tool_name")) or ""
            response = mapping(payload.get("tool_response"))
            edits += edits_of(tool, arguments, response, payload.get("cwd"), None, None)
    commands: list[CommandWindow] = []
    for call, payload in told.begun.items():
        # Hooks carry no time. A command that has begun and not ended began after the last line.
        running = call not in told.done and call not in told.failed
        if (
            running
            and transcript.last is not None
            and not transcript.knows(call)
            and payload.get("tool_name") in COMMAND_TOOLS
        ):
            commands.append(CommandWindow(stamp(transcript.last), STILL_RUNNING, "reported"))
    return edits, commands


def _search(
    context: LaunchContext, words: Sequence[str], started: datetime | None
) -> tuple[list[Path], str | None]:
    """Find the transcript without the help of hooks; a reason instead if that is a guess."""
    if "--no-session-persistence" in options_of(words) or started is None:
        return [], "transcript-missing"
    projects = claude_settings.user_folder(context) / "projects"
    wanted = {*values_of(words, "--session-id", "--resume", "-r")}
    found: list[Path] = []
    for folder in dict.fromkeys((str(context.cwd), os.path.realpath(context.cwd))):
        project = projects / re.sub(r"[^A-Za-z0-9]", "-", folder)
        try:
            entries = list(os.scandir(project))
        except OSError:
            continue
        for entry in entries:
            path = Path(entry.path)
            if path.suffix == ".jsonl" and path not in found and _is_of_run(path, context, started):
                found.append(path)
    named = [path for path in found if path.stem in wanted]
    if "--fork-session" not in options_of(words) and len(named) == 1:
        return named, None
    if len(found) == 1:
        return found, None
    return [], "transcript-ambiguous" if found else "transcript-missing"


def _is_of_run(path: Path, context: LaunchContext, started: datetime) -> bool:
    try:
        changed = path.stat().st_mtime
    except OSError:
        return False
    # File systems keep coarser times than transcripts.
    if changed < (started - timedelta(seconds=2)).timestamp():
        return False
    for line in json_lines(path):
        at, folder = moment(line.get("timestamp")), absolute(line.get("cwd"), None)
        if at is not None and at >= started and folder and within(folder, context.top):
            return True
    return False
