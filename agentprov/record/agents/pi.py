"""pi: an extension of this run only, and its session files.

Measured with pi 0.87.1. Extensions that ``-e`` names load whatever else is configured, also with
``--no-extensions``; ours tell the recorder which session file is written and which tools run, and
set the provider's base URL. No file of the user or the repository is touched.
"""

# The port gives every adapter the same arguments.
# ruff: noqa: ARG002
from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from agentprov.formats.dropbox import Drop
from agentprov.formats.exchange import ToolCall
from agentprov.formats.facts import AgentReport, Edit, Gap
from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext, Upstream
from agentprov.record.agents import folders
from agentprov.record.agents.calls import edits_in
from agentprov.record.agents.command_line import (
    options_of,
    program_name,
    start_of_agent,
    values_of,
)
from agentprov.record.agents.pi_session import SERVED_MISSING, TOOLS, Session
from agentprov.record.agents.places import existing, upwards
from agentprov.record.agents.reading import (
    absolute,
    items,
    json_file,
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

PACKAGES = ("@earendil-works/pi-coding-agent", "@mariozechner/pi-coding-agent")
_COMMANDS = frozenset({"install", "remove", "uninstall", "update", "list", "config", "auth"})
_QUICK = frozenset({"--version", "-v", "--help", "-h", "--list-models", "--export"})
_CONTEXT_FILES = ("AGENTS.override.md", "AGENTS.md", "CLAUDE.md")
_MAX_SESSIONS = 20_000
# A handler that throws blocks the tool, and text on stdout would break JSON modes.
_HOOKS = """import {{ spawnSync }} from "node:child_process";
const command = {command};
const tell = (event, fields, ctx) => {{
  try {{
    const manager = ctx?.sessionManager;
    const payload = {{
      at: new Date().toISOString(),
      cwd: ctx?.cwd,
      sessionFile: manager?.getSessionFile?.(),
      ...fields,
    }};
    spawnSync(command[0], [...command.slice(1), event], {{
      input: JSON.stringify(payload),
      stdio: ["pipe", "ignore", "ignore"],
      timeout: 5000,
    }});
  }} catch {{
    // The session goes on unobserved.
  }}
}};
export default function (pi) {{
  pi.on("session_start", (event, ctx) => tell("session_start", {{}}, ctx));
  pi.on("session_shutdown", (event, ctx) => tell("session_shutdown", {{}}, ctx));
  for (const name of ["tool_call", "tool_result"]) {{
    pi.on(name, (event, ctx) => {{
      const {{ toolName, toolCallId, input, isError }} = event;
      tell(name, {{ toolName, toolCallId, input, isError }}, ctx);
    }});
  }}
}}
"""
_RELAY = """export default function (pi) {{
  pi.registerProvider({provider}, {{ baseUrl: {url} }});
}}
"""


class Pi:
    """Adapter for pi."""

    name = "pi"

    def recognises(self, command: str, package: str | None) -> bool:
        """Say whether this is pi, by program name or npm package name."""
        return package in PACKAGES if package is not None else program_name(command) == "pi"

    def prepare(self, context: LaunchContext) -> Launch:
        """Add ``-e`` with this run's extension, unless the command is no session.

        Other programs are called ``pi`` too: one that does not lie in pi's package is left as it
        is. Raises OSError if the scratch folder cannot be written.
        """
        start = _start(context)
        if not _is_session(context):
            return Launch(context.argv)
        spool = ["/bin/sh", str(context.spool_script), self.name]
        place = context.scratch / "agentprov-hooks.js"
        place.write_text(_HOOKS.format(command=json.dumps(spool)), encoding="utf-8")
        argv = (*context.argv[:start], "-e", str(place), *context.argv[start:])
        gaps = (
            ("transcript-off: --no-session",)
            if "--no-session" in options_of(context.argv[start:])
            else ()
        )
        return Launch(argv, channels=("hooks", "transcript"), gaps=gaps)

    def upstream(self, context: LaunchContext) -> Upstream:
        """Give the base URL of the chosen provider; a switch of providers later is not foreseen."""
        if not _is_session(context):
            return Upstream(None, why_not=NO_SESSION)
        provider = _provider(context)
        if provider is None:
            return Upstream(None, why_not="no provider is chosen before the start")
        login = mapping(json_file(_agent_folder(context) / "auth.json").get(provider))
        if login.get("type") == "oauth":
            return Upstream(None, provider, NO_KEY)
        models = mapping(json_file(_agent_folder(context) / "models.json").get("providers"))
        url = text(mapping(models.get(provider)).get("baseUrl")) or PUBLIC.get(provider)
        if url is None:
            return Upstream(None, provider, "the provider's base URL is not known")
        if provider == "anthropic":
            url = url.removesuffix("/v1")
        return upstream_at(url, provider)

    def redirect(self, context: LaunchContext, launch: Launch, base_url: str) -> Launch:
        """Add ``-e`` with an extension that sets the provider's base URL, and nothing else of it.

        Raises OSError if the scratch folder cannot be written.
        """
        place = context.scratch / "agentprov-relay.js"
        source = _RELAY.format(provider=json.dumps(_provider(context)), url=json.dumps(base_url))
        place.write_text(source, encoding="utf-8")
        start = _start(context)
        argv = (*launch.argv[:start], "-e", str(place), *launch.argv[start:])
        return with_environment(replace(launch, argv=argv), past_proxies(context.environment))

    def edits_of(self, call: ToolCall, cwd: str) -> Sequence[Edit]:
        """Give the texts that a call of write or edit carries."""
        if call.name not in TOOLS.writes:
            return ()
        return intercepted(call, [*edits_in(call.name, json_object(call.arguments), cwd)])

    def materials(self, context: LaunchContext) -> Sequence[tuple[str, Path]]:
        """Give (role, path) of the files that steer a session; existing ones only."""
        return existing(_candidates(context))

    def mcp_servers(self, context: LaunchContext) -> Sequence[ConfiguredMcpServer]:
        """Give none: pi speaks to no MCP server of its own accord."""
        return ()

    def report(self, context: LaunchContext, drops: Iterable[Drop], pid: int | None) -> AgentReport:
        """Read what the extension dropped and the session files; `pid` plays no part."""
        started = moment(context.started)
        if not _is_session(context) or started is None:
            return AgentReport()
        told = [json_object(drop.payload) for drop in drops if drop.channel == self.name]
        gaps: list[Gap] = []
        named = (absolute(payload.get("sessionFile"), None) for payload in told)
        paths = [Path(path) for path in dict.fromkeys(path for path in named if path)]
        if not told:
            gaps.append(Gap("hooks-silent", context.started, context.started))
            paths = _search(context, started)
            if len(paths) > 1:
                gaps.append(Gap("transcript-ambiguous", context.started, context.started))
                paths = []
        session = Session(started)
        for path in paths:
            session.read(path)
        if not session.lines and not any(gap.why == "transcript-ambiguous" for gap in gaps):
            gaps.append(Gap("transcript-missing", context.started, context.started))
        return AgentReport(
            channels=(*["hooks"] * bool(told), *["transcript"] * bool(session.lines)),
            agent_sessions=tuple(session.ids),
            models=session.answers.uses(SERVED_MISSING),
            edits=session.calls.edits(),
            commands=session.calls.commands(),
            read_paths=session.calls.read_paths(),
            gaps=tuple(gaps),
        )


def _start(context: LaunchContext) -> int:
    package = re.compile(r"(^|/)pi-coding-agent(@|/|$)")
    return start_of_agent(
        context.argv, lambda word: program_name(word) == "pi" or bool(package.search(word))
    )


def _is_session(context: LaunchContext) -> bool:
    start = _start(context)
    words = context.argv[start:]
    if (words and words[0] in _COMMANDS) or options_of(words) & _QUICK:
        return False
    named = context.argv[max(start - 1, 0)]
    found = shutil.which(named, path=context.environment.get("PATH")) or str(context.cwd / named)
    return "pi-coding-agent" in Path(os.path.realpath(found)).parts or "pi-coding-agent" in named


def _agent_folder(context: LaunchContext) -> Path:
    moved = context.environment.get("PI_CODING_AGENT_DIR")
    return context.cwd / moved if moved else context.home / ".pi" / "agent"


def _provider(context: LaunchContext) -> str | None:
    words = context.argv[_start(context) :]
    if values_of(words, "--provider"):
        return values_of(words, "--provider")[-1]
    model = values_of(words, "--model")
    if model and "/" in model[-1]:
        return model[-1].partition("/")[0]
    if model:
        return None
    files = (_agent_folder(context) / "settings.json", context.cwd / ".pi" / "settings.json")
    chosen = {text(json_file(path).get("defaultProvider")) for path in files} - {None}
    # Whether pi trusts the repository's settings is not known here.
    return chosen.pop() if len(chosen) == 1 else None


def _candidates(context: LaunchContext) -> Iterator[tuple[str, Path]]:
    agent = _agent_folder(context)
    for folder in (agent, *reversed(list(upwards(context.cwd)))):
        for name in _CONTEXT_FILES:
            yield "instruction", folder / name
    for folder in (agent, context.cwd / ".pi"):
        for name in ("SYSTEM.md", "APPEND_SYSTEM.md"):
            yield "instruction", folder / name
        yield "settings", folder / "settings.json"
        yield from folders.below("hooks", folder / "extensions", context)
        yield from folders.skills((folder,), ("skills", "prompts"), context)
        for path in _named(folder, context):
            yield from _extra(path, context)
    yield "settings", agent / "models.json"
    bases = (context.home, *reversed(list(upwards(context.cwd, context.top))))
    yield from folders.skills((base / ".agents" for base in bases), ("skills",), context)
    words = context.argv[_start(context) :]
    for option in ("-e", "--extension", "--skill", "--prompt-template"):
        for value in values_of(words, option):
            yield from _extra(context.cwd / value, context)


def _extra(path: Path, context: LaunchContext) -> Iterator[tuple[str, Path]]:
    if path.is_dir():
        yield from folders.plugin(path, context)
    elif path.suffix in (".ts", ".js", ".mjs"):
        yield "hooks", path
    else:
        yield folders.SKILL, path


def _named(folder: Path, context: LaunchContext) -> Iterator[Path]:
    """Give where the packages and resources lie that a folder's settings name."""
    settings = json_file(folder / "settings.json")
    for kind in ("packages", "extensions", "skills", "prompts"):
        for entry in items(settings.get(kind)):
            word = text(entry) or text(mapping(entry).get("source")) or ""
            scheme, _, rest = word.partition(":")
            if scheme == "npm":
                at = rest.find("@", 1)
                yield folder / "npm" / "node_modules" / (rest if at < 0 else rest[:at])
            elif scheme == "git":
                yield folder / "git" / re.sub(r"^\w+://|@[^/]*$|\.git$", "", rest)
            elif word.startswith("~/"):
                yield context.home / word[2:]
            elif word and "://" not in word:
                yield folder / word


def _search(context: LaunchContext, started: datetime) -> list[Path]:
    """Find the session files of this work tree that were written to since the start."""
    words = context.argv[_start(context) :]
    place = values_of(words, "--session-dir") or [
        context.environment.get("PI_CODING_AGENT_SESSION_DIR")
        or str(_agent_folder(context) / "sessions")
    ]
    # File systems keep coarser times than sessions.
    oldest = (started - timedelta(seconds=2)).timestamp()
    found: list[Path] = []
    for number, path in enumerate((context.cwd / place[-1]).rglob("*.jsonl")):
        if number >= _MAX_SESSIONS:
            break
        try:
            if path.stat().st_mtime < oldest:
                continue
        except OSError:
            continue
        header = next(iter(json_lines(path)), {})
        folder = absolute(header.get("cwd"), None)
        if header.get("type") == "session" and folder and within(folder, context.top):
            found.append(path)
    return found
