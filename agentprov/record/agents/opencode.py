"""opencode: its database, and a base URL through the configuration variable.

Measured with opencode 1.18.33. There are no hooks here: a plug-in would make opencode wait for a
package from the network at every start, and the database tells the same.
"""

# The port gives every adapter the same arguments.
# ruff: noqa: ARG002
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from agentprov.formats.dropbox import Drop
from agentprov.formats.exchange import ToolCall
from agentprov.formats.facts import AgentReport, Edit, Gap
from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext, Upstream
from agentprov.record.agents import opencode_settings
from agentprov.record.agents.calls import edits_in
from agentprov.record.agents.command_line import options_of, program_name, start_of_agent
from agentprov.record.agents.opencode_database import REQUESTED_ONLY, TOOLS, Database
from agentprov.record.agents.reading import json_object, mapping, moment, text
from agentprov.record.agents.redirection import (
    NO_KEY,
    NO_SESSION,
    OFF_THE_WIRE,
    PUBLIC,
    intercepted,
    past_proxies,
    upstream_at,
    with_environment,
)
from agentprov.record.agents.settings_text import lay_over

_PACKAGE = "opencode-ai"
_NO_SESSION = frozenset(
    (
        "acp", "agent", "attach", "auth", "completion", "db", "debug", "export", "github",
        "import", "mcp", "models", "plugin", "pr", "providers", "serve", "session", "stats",
        "uninstall", "upgrade", "web",
    )
)  # fmt: skip
_QUICK = frozenset({"--version", "-v", "--help", "-h", "--attach"})


class OpenCode:
    """Adapter for opencode."""

    name = "opencode"

    def recognises(self, command: str, package: str | None) -> bool:
        """Say whether this is opencode, by program name or npm package name."""
        if package is not None:
            return package == _PACKAGE or package.startswith("opencode-linux-")
        return program_name(command) == "opencode"

    def prepare(self, context: LaunchContext) -> Launch:
        """Leave the command line as it is; name the transcript channel if it is a session."""
        return Launch(context.argv, channels=("transcript",) if _is_session(context) else ())

    def upstream(self, context: LaunchContext) -> Upstream:
        """Give the base URL of the provider that the run's model belongs to."""
        if not _is_session(context):
            return Upstream(None, why_not=NO_SESSION)
        provider = opencode_settings.provider_of(context, _words(context))
        if provider is None:
            return Upstream(None, why_not="no model is chosen before the start")
        if opencode_settings.given(context) is None:
            return Upstream(None, provider, f"{opencode_settings.CONTENT} cannot be read")
        if opencode_settings.login_kind(context, provider) in ("oauth", "wellknown"):
            return Upstream(None, provider, NO_KEY)
        url = opencode_settings.base_url(context, provider) or PUBLIC.get(provider)
        if url is None:
            return Upstream(None, provider, "the provider's base URL is not known")
        return upstream_at(url, provider)

    def redirect(self, context: LaunchContext, launch: Launch, base_url: str) -> Launch:
        """Put the base URL into ``OPENCODE_CONFIG_CONTENT``, beside what the user has there."""
        provider = opencode_settings.provider_of(context, _words(context)) or ""
        content = dict(opencode_settings.given(context) or {})
        ours = {"provider": {provider: {"options": {"baseURL": base_url}}}}
        lay_over(content, ours)
        others = opencode_settings.other_providers(context, provider)
        return with_environment(
            replace(launch, gaps=(*launch.gaps, *(f"{OFF_THE_WIRE}: {one}" for one in others))),
            {opencode_settings.CONTENT: json.dumps(content)},
            past_proxies(context.environment),
        )

    def edits_of(self, call: ToolCall, cwd: str) -> Sequence[Edit]:
        """Give the texts that a call of write, edit or multiedit carries."""
        if call.name not in TOOLS.writes:
            return ()
        return intercepted(call, [*edits_in(call.name, json_object(call.arguments), cwd)])

    def materials(self, context: LaunchContext) -> Sequence[tuple[str, Path]]:
        """Give (role, path) of the files that steer a session; existing ones only."""
        return opencode_settings.materials(context)

    def mcp_servers(self, context: LaunchContext) -> Sequence[ConfiguredMcpServer]:
        """Give the MCP servers that configuration names for this run."""
        return opencode_settings.mcp_servers(context)

    def report(self, context: LaunchContext, drops: Iterable[Drop], pid: int | None) -> AgentReport:
        """Read the database; `pid` plays no part, so that two sessions at once are a gap."""
        started = moment(context.started)
        if not _is_session(context) or started is None:
            return AgentReport()
        database = Database(started)
        named = text(context.environment.get("OPENCODE_DB")) or "opencode.db"
        database.read(opencode_settings.data_folder(context) / named, context.top)
        why = "transcript-ambiguous" if database.ambiguous else "transcript-missing"
        gaps = (
            (Gap(why, context.started, context.started),)
            if database.ambiguous or not database.sessions
            else ()
        )
        return AgentReport(
            channels=("transcript",) if database.sessions and not gaps else (),
            agent_sessions=tuple(database.sessions) if not database.ambiguous else (),
            models=database.answers.uses(REQUESTED_ONLY),
            edits=database.calls.edits(),
            commands=database.calls.commands(),
            read_paths=database.calls.read_paths(),
            gaps=gaps,
            mcp_connected=_servers_called(context, database),
        )


def _servers_called(context: LaunchContext, database: Database) -> tuple[str, ...]:
    called = [call.tool for call in database.calls.by_id.values() if call.result == "good"]
    configured = mapping(opencode_settings.effective(context).get("mcp"))
    return tuple(
        name
        for name in configured
        if any(tool.startswith(re.sub(r"[^A-Za-z0-9_-]", "_", name) + "_") for tool in called)
    )


def _words(context: LaunchContext) -> tuple[str, ...]:
    package = re.compile(r"(^|/)opencode-ai(@|/|$)")
    start = start_of_agent(
        context.argv,
        lambda word: program_name(word) == "opencode" or bool(package.search(word)),
    )
    return context.argv[start:]


def _is_session(context: LaunchContext) -> bool:
    words = _words(context)
    return not (words and words[0] in _NO_SESSION) and not options_of(words) & _QUICK
