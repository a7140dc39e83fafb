"""Gemini CLI: its chat files, and a base URL through the environment.

Measured with Gemini CLI 0.61.0. There are no hooks here: they can only stand in the user's or the
repository's settings, or in a settings file of the system, which it refuses unless every folder
above it belongs to root and is closed to others. A variable of the process outranks ``.env``.
"""

# The port gives every adapter the same arguments.
# ruff: noqa: ARG002
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from agentprov.formats.dropbox import Drop
from agentprov.formats.exchange import ToolCall
from agentprov.formats.facts import AgentReport, Edit, Gap
from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext, Upstream
from agentprov.record.agents.calls import edits_in
from agentprov.record.agents.command_line import options_of, program_name, start_of_agent
from agentprov.record.agents.gemini_chat import PROVIDER, REQUESTED_ONLY, TOOLS, Chat
from agentprov.record.agents.gemini_settings import Family
from agentprov.record.agents.reading import (
    json_lines,
    json_object,
    mapping,
    moment,
    small_file,
    text,
    within,
)
from agentprov.record.agents.redirection import (
    NO_KEY,
    NO_SESSION,
    intercepted,
    past_proxies,
    upstream_at,
    with_environment,
)

DEFAULT = "https://generativelanguage.googleapis.com"
VARIABLE = "GOOGLE_GEMINI_BASE_URL"
FAMILY = Family(
    folder=".gemini",
    home_variable="GEMINI_CLI_HOME",
    moves_folder=False,
    system_variable="GEMINI_CLI_SYSTEM_SETTINGS_PATH",
    sandbox_variable="GEMINI_SANDBOX",
    system_folder="/etc/gemini-cli",
    mac_folder="GeminiCli",
    instructions=("GEMINI.md",),
    manifest="gemini-extension",
    kinds=("skills", "agents", "commands", "policies"),
)
_PACKAGE = "@google/gemini-cli"
_NO_SESSION = frozenset({"mcp", "extensions", "extension", "skills", "skill", "hooks", "gemma"})
_QUICK = frozenset(
    {"--version", "-v", "--help", "-h", "--list-sessions", "--list-extensions", "-l"}
)
_KEY_LOGIN = "gemini-api-key"
_MAX_CHATS = 20_000


class GeminiCli:
    """Adapter for Gemini CLI."""

    name = "gemini-cli"

    def recognises(self, command: str, package: str | None) -> bool:
        """Say whether this is Gemini CLI, by program name or npm package name."""
        return package == _PACKAGE if package is not None else program_name(command) == "gemini"

    def prepare(self, context: LaunchContext) -> Launch:
        """Leave the command line as it is; name the transcript channel if it is a session."""
        return Launch(context.argv, channels=("transcript",) if _is_session(context) else ())

    def upstream(self, context: LaunchContext) -> Upstream:
        """Give the base URL of the Gemini API; none for Google logins and Vertex AI."""
        if not _is_session(context):
            return Upstream(None, why_not=NO_SESSION)
        environment = FAMILY.environment(context)
        for variable in ("GOOGLE_GENAI_USE_GCA", "GOOGLE_GENAI_USE_VERTEXAI"):
            if environment.get(variable) == "true":
                return Upstream(None, PROVIDER, f"{variable} chooses another way")
        logins = _logins(context)
        if logins - {_KEY_LOGIN} or not environment.get("GEMINI_API_KEY"):
            return Upstream(None, PROVIDER, NO_KEY)
        # Without a choice in settings, a base URL makes it choose a login that it then refuses.
        if not logins:
            return Upstream(
                None, PROVIDER, "settings choose no login, so that it must stay as it is"
            )
        return upstream_at(environment.get(VARIABLE) or DEFAULT, PROVIDER)

    def redirect(self, context: LaunchContext, launch: Launch, base_url: str) -> Launch:
        """Set ``GOOGLE_GEMINI_BASE_URL``, which no file of the repository outranks."""
        return with_environment(
            launch, {VARIABLE: base_url}, past_proxies(FAMILY.environment(context))
        )

    def edits_of(self, call: ToolCall, cwd: str) -> Sequence[Edit]:
        """Give the texts that a call of write_file or replace carries."""
        if call.name not in TOOLS.writes:
            return ()
        return intercepted(call, [*edits_in(call.name, json_object(call.arguments), cwd)])

    def materials(self, context: LaunchContext) -> Sequence[tuple[str, Path]]:
        """Give (role, path) of the files that steer a session; existing ones only."""
        return FAMILY.materials(context)

    def mcp_servers(self, context: LaunchContext) -> Sequence[ConfiguredMcpServer]:
        """Give the MCP servers that settings name for this run."""
        return FAMILY.mcp_servers(context)

    def report(self, context: LaunchContext, drops: Iterable[Drop], pid: int | None) -> AgentReport:
        """Read the chat files; `pid` plays no part, so that two sessions at once are a gap."""
        started = moment(context.started)
        if not _is_session(context) or started is None:
            return AgentReport()
        mains, others = _search(context, started)
        chat = Chat(started, str(context.cwd))
        gaps: tuple[Gap, ...] = ()
        if len(mains) == 1:
            for path in (*mains, *others):
                chat.read(path)
        else:
            why = "transcript-ambiguous" if mains else "transcript-missing"
            gaps = (Gap(why, context.started, context.started),)
        called = [call.tool for call in chat.calls.by_id.values() if call.result == "good"]
        servers = mapping(FAMILY.effective(context).get("mcpServers"))
        return AgentReport(
            channels=("transcript",) if chat.lines else (),
            agent_sessions=tuple(chat.ids),
            models=chat.answers.uses(REQUESTED_ONLY),
            edits=chat.calls.edits(),
            commands=chat.calls.commands(),
            read_paths=chat.calls.read_paths(),
            gaps=gaps,
            mcp_connected=tuple(
                name
                for name in servers
                if any(tool.startswith((f"mcp_{name}_", f"{name}__")) for tool in called)
            ),
        )


def words_of(context: LaunchContext) -> tuple[str, ...]:
    """Give the agent's own words of the command line."""
    package = re.compile(r"(^|/)@google/gemini-cli(@|/|$)")
    start = start_of_agent(
        context.argv, lambda word: program_name(word) == "gemini" or bool(package.search(word))
    )
    return context.argv[start:]


def _is_session(context: LaunchContext) -> bool:
    words = words_of(context)
    return not (words and words[0] in _NO_SESSION) and not options_of(words) & _QUICK


def _logins(context: LaunchContext) -> set[str]:
    """Give the kinds of login that settings choose, the repository's only beside the user's."""
    chosen: list[str | None] = []
    for settings in (FAMILY.effective(context, repository=False), FAMILY.effective(context)):
        security = mapping(settings.get("security"))
        chosen.append(text(mapping(security.get("auth")).get("selectedType")))
    return {login for login in chosen if login} if chosen[0] else set()


def _search(context: LaunchContext, started: datetime) -> tuple[list[Path], list[Path]]:
    """Find the chats of this work tree since the start: those of the main agent, and others."""
    # File systems keep coarser times than chats.
    oldest = (started - timedelta(seconds=2)).timestamp()
    mains: list[Path] = []
    others: list[Path] = []
    places = (FAMILY.user_folder(context) / "tmp").glob("*/chats/**/*.jsonl")
    for number, path in enumerate(places):
        if number >= _MAX_CHATS:
            break
        try:
            if path.stat().st_mtime < oldest:
                continue
        except OSError:
            continue
        project = next(one for one in path.parents if one.name == "chats").parent
        root = (small_file(project / ".project_root") or b"").decode("utf-8", "replace").strip()
        if root and within(root, context.top) and _goes_on(path, started):
            header = next(iter(json_lines(path)), {})
            (mains if header.get("kind") in (None, "main") else others).append(path)
    return mains, others


def _goes_on(path: Path, started: datetime) -> bool:
    return any(
        (at := moment(line.get("timestamp"))) is not None and at >= started
        for line in json_lines(path)
    )
