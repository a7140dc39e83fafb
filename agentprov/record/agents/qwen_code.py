"""Qwen Code: hooks through a settings file of this run, its chat files, a base URL by option.

Measured with Qwen Code 0.24.4. ``QWEN_CODE_SYSTEM_SETTINGS_PATH`` names a settings file whose
hooks run beside the user's own; what the real one holds is taken up into ours. The base URL goes
into the environment and on the command line, which outranks the settings of the repository.
"""

# The port gives every adapter the same arguments.
# ruff: noqa: ARG002
from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agentprov.formats.dropbox import Drop
from agentprov.formats.exchange import ToolCall
from agentprov.formats.facts import AgentReport, Edit, Gap
from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext, Upstream
from agentprov.record.agents.calls import edits_in
from agentprov.record.agents.command_line import (
    options_of,
    program_name,
    start_of_agent,
    values_of,
    without_option,
)
from agentprov.record.agents.gemini_settings import read, servers_of
from agentprov.record.agents.places import first_of_each_name
from agentprov.record.agents.qwen_chat import SERVED_MISSING, TOOLS, Chat, unwrapped
from agentprov.record.agents.qwen_settings import FAMILY, sources
from agentprov.record.agents.reading import (
    absolute,
    items,
    json_lines,
    json_object,
    mapping,
    moment,
    text,
    within,
)
from agentprov.record.agents.redirection import (
    NO_KEY,
    NO_SESSION,
    PUBLIC,
    intercepted,
    past_proxies,
    upstream_at,
    with_environment,
)

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
PROVIDER = "openai"
VARIABLE = "OPENAI_BASE_URL"
OPTION = "--openai-base-url"
HOOK_TIMEOUT_MS = 10_000
_PACKAGE = "@qwen-code/qwen-code"
_NO_SESSION = frozenset(
    {"mcp", "extensions", "auth", "hooks", "channel", "review", "serve", "sessions", "update"}
)
_QUICK = frozenset({"--version", "-v", "--help", "-h", "--list-extensions", "-l"})
_MAX_CHATS = 20_000


class QwenCode:
    """Adapter for Qwen Code."""

    name = "qwen-code"

    def recognises(self, command: str, package: str | None) -> bool:
        """Say whether this is Qwen Code, by program name or npm package name."""
        return package == _PACKAGE if package is not None else program_name(command) == "qwen"

    def prepare(self, context: LaunchContext) -> Launch:
        """Name a settings file with this run's hooks, unless the command is no session.

        Raises OSError if the scratch folder cannot be written.
        """
        if not _is_session(context):
            return Launch(context.argv)
        path = context.scratch / "qwen" / "settings.json"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        system = FAMILY.system_file(context)
        settings = read(system)
        settings["hooks"] = _with_ours(mapping(settings.get("hooks")), context.spool_script)
        _write_private(path, settings)
        _write_private(
            path.with_name("system-defaults.json"), read(system.with_name("system-defaults.json"))
        )
        off = FAMILY.effective(context).get("disableAllHooks") is True
        gaps = ("hooks-off: disableAllHooks",) if off else ()
        return Launch(
            context.argv,
            {FAMILY.system_variable: str(path)},
            channels=("hooks", "transcript"),
            gaps=gaps,
        )

    def upstream(self, context: LaunchContext) -> Upstream:
        """Give the base URL of an OpenAI-like provider; none for models configured one by one."""
        if not _is_session(context):
            return Upstream(None, why_not=NO_SESSION)
        settings, environment = FAMILY.effective(context), _environment(context)
        login = mapping(mapping(settings.get("security")).get("auth"))
        words = _words(context)
        kind = values_of(words, "--auth-type") or [text(login.get("selectedType")) or PROVIDER]
        if kind[-1] != PROVIDER:
            return Upstream(None, kind[-1], NO_KEY)
        if settings.get("modelProviders"):
            return Upstream(None, PROVIDER, "models are configured one by one")
        key = values_of(words, "--openai-api-key") or [environment.get("OPENAI_API_KEY", "")]
        if not key[-1] and not text(login.get("apiKey")):
            return Upstream(None, PROVIDER, NO_KEY)
        url = values_of(words, OPTION) or [
            environment.get(VARIABLE) or text(login.get("baseUrl")) or PUBLIC[PROVIDER]
        ]
        return upstream_at(url[-1], PROVIDER)

    def redirect(self, context: LaunchContext, launch: Launch, base_url: str) -> Launch:
        """Set the base URL by option and by variable."""
        start = start_of(context)
        argv = [
            *launch.argv[:start],
            OPTION,
            base_url,
            *without_option(launch.argv[start:], OPTION),
        ]
        return with_environment(
            replace(launch, argv=tuple(argv)),
            {VARIABLE: base_url},
            past_proxies(_environment(context)),
        )

    def edits_of(self, call: ToolCall, cwd: str) -> Sequence[Edit]:
        """Give the texts that a call of write_file or edit carries, also through ``tool_call``."""
        tool, arguments = unwrapped(call.name, json_object(call.arguments))
        if tool not in TOOLS.writes:
            return ()
        return intercepted(call, [*edits_in(tool, arguments, cwd)])

    def materials(self, context: LaunchContext) -> Sequence[tuple[str, Path]]:
        """Give (role, path) of the files that steer a session; existing ones only."""
        return FAMILY.materials(context)

    def mcp_servers(self, context: LaunchContext) -> Sequence[ConfiguredMcpServer]:
        """Give the MCP servers that settings, ``.mcp.json`` and command line name for this run."""
        found = servers_of(sources(context, _words(context)).all, context)
        return first_of_each_name((*found, *FAMILY.extension_servers(context)))

    def report(self, context: LaunchContext, drops: Iterable[Drop], pid: int | None) -> AgentReport:
        """Read hooks and chat files; `pid` plays no part, the hooks name the session."""
        started = moment(context.started)
        if not _is_session(context) or started is None:
            return AgentReport()
        told = [
            (drop.event, json_object(drop.payload)) for drop in drops if drop.channel == self.name
        ]
        gaps: list[Gap] = []
        named = (absolute(payload.get("transcript_path"), None) for _, payload in told)
        paths = [Path(path) for path in dict.fromkeys(path for path in named if path)]
        ambiguous = False
        if not told:
            gaps.append(Gap("hooks-silent", context.started, context.started))
            paths = _search(context, started)
            ambiguous = len(paths) > 1
        chat = Chat(started, PROVIDER)
        for path in () if ambiguous else paths:
            chat.read(path)
        if not chat.lines:
            why = "transcript-ambiguous" if ambiguous else "transcript-missing"
            gaps.append(Gap(why, context.started, context.started))
        loaded = (
            absolute(payload.get("file_path"), payload.get("cwd"))
            for event, payload in told
            if event == "InstructionsLoaded"
        )
        return AgentReport(
            channels=(*["hooks"] * bool(told), *["transcript"] * bool(chat.lines)),
            agent_sessions=tuple(chat.ids),
            models=chat.answers.uses(SERVED_MISSING),
            edits=chat.calls.edits(),
            commands=chat.calls.commands(),
            instructions=tuple(dict.fromkeys(path for path in loaded if path)),
            read_paths=chat.calls.read_paths(),
            gaps=tuple(gaps),
            mcp_connected=tuple(chat.servers),
        )


def start_of(context: LaunchContext) -> int:
    """Give the index of the word behind the agent's own name."""
    package = re.compile(r"(^|/)@qwen-code/qwen-code(@|/|$)")
    return start_of_agent(
        context.argv, lambda word: program_name(word) == "qwen" or bool(package.search(word))
    )


def _words(context: LaunchContext) -> tuple[str, ...]:
    return context.argv[start_of(context) :]


def _is_session(context: LaunchContext) -> bool:
    words = _words(context)
    return not (words and words[0] in _NO_SESSION) and not options_of(words) & _QUICK


def _environment(context: LaunchContext) -> dict[str, str]:
    # What settings hold as variables yields to everything else.
    held = mapping(FAMILY.effective(context).get("env"))
    return {**{name: str(value) for name, value in held.items()}, **FAMILY.environment(context)}


def _with_ours(hooks: Mapping[str, Any], spool_script: Path) -> dict[str, Any]:
    merged = dict(hooks)
    for event in EVENTS:
        # Status 2 would block the tool, and text on stdout would reach the model.
        spool = shlex.join(["/bin/sh", str(spool_script), QwenCode.name, event])
        ours = {
            "type": "command",
            "command": f"{spool} >/dev/null 2>&1 || :",
            "timeout": HOOK_TIMEOUT_MS,
        }
        merged[event] = [*items(merged.get(event)), {"hooks": [ours]}]
    return merged


def _write_private(path: Path, settings: Mapping[str, Any]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(json.dumps(settings).encode())


def _search(context: LaunchContext, started: datetime) -> list[Path]:
    """Find the chats of this work tree that were written to since the start."""
    # File systems keep coarser times than chats.
    oldest = (started - timedelta(seconds=2)).timestamp()
    found: list[Path] = []
    places = (FAMILY.user_folder(context) / "projects").glob("*/chats/*.jsonl")
    for number, path in enumerate(places):
        if number >= _MAX_CHATS:
            break
        try:
            if path.stat().st_mtime < oldest:
                continue
        except OSError:
            continue
        for line in json_lines(path):
            at, folder = moment(line.get("timestamp")), absolute(line.get("cwd"), None)
            if at is not None and at >= started and folder and within(folder, context.top):
                found.append(path)
                break
    return found
