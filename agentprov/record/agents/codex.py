"""Codex: its rollout files, and hooks of this run.

Measured with Codex 0.169.0. A running Codex keeps the rollouts of its threads open: on Linux
that tells ours from those of another Codex in the same work tree, and so do the hooks everywhere.
Without either, a rollout is ours if it is the only session of this work tree since the start.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from agentprov.formats.dropbox import Drop
from agentprov.formats.exchange import ToolCall
from agentprov.formats.facts import AgentReport, Edit, Gap
from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext, Upstream
from agentprov.record.agents import codex_calls, codex_hooks, codex_redirection, codex_settings
from agentprov.record.agents.codex_rollout import Rollouts
from agentprov.record.agents.command_line import options_of, program_name, start_of_agent
from agentprov.record.agents.reading import (
    absolute,
    items,
    json_file,
    json_lines,
    mapping,
    moment,
    text,
    within,
)
from agentprov.record.agents.redirection import NO_SESSION, intercepted

MAX_ROLLOUTS = 50_000
_PACKAGE = "@openai/codex"
_NO_SESSION = frozenset(
    (
        "agents", "review", "login", "logout", "mcp", "mcp-server", "plugin", "app-server",
        "remote-control", "completion", "update", "doctor", "sandbox", "debug", "apply", "a",
        "queue", "archive", "delete", "migrate-rollouts", "migrate-nfs-db", "unarchive", "cloud",
        "exec-server", "features", "help",
    )
)  # fmt: skip
_QUICK = frozenset({"--version", "-V", "--help", "-h"})
_SEEN = "codex-rollouts.json"


@dataclass(frozen=True)
class _Rollout:
    path: Path
    session: str
    is_child: bool


class Codex:
    """Adapter for OpenAI Codex."""

    name = "codex"

    def recognises(self, command: str, package: str | None) -> bool:
        """Say whether this is Codex, by program name or npm package name."""
        if package is not None and (package == _PACKAGE or package.startswith(_PACKAGE + "-")):
            return True
        return program_name(command) in ("codex", "codex.js")

    def prepare(self, context: LaunchContext) -> Launch:
        """Add ``-c`` with this run's hooks if it is a session and the line sets none itself."""
        words = _words(context)
        if not _is_session(words):
            return Launch(context.argv)
        gaps = ["transcript-off: --ephemeral"] if "--ephemeral" in options_of(words) else []
        ours = codex_hooks.options(words, context.spool_script)
        if not ours:
            gaps.append("hooks-off: the command line sets hooks")
        end = context.argv.index("--") if "--" in context.argv else len(context.argv)
        argv = (*context.argv[:end], *ours, *context.argv[end:])
        channels = (*["hooks"] * bool(ours), "transcript")
        return Launch(argv, channels=channels, gaps=tuple(gaps))

    def upstream(self, context: LaunchContext) -> Upstream:
        """Give the effective base URL; none for a ChatGPT login and for built-in local models."""
        words = _words(context)
        if not _is_session(words):
            return Upstream(None, why_not=NO_SESSION)
        return codex_redirection.upstream(context, words)

    def redirect(self, context: LaunchContext, launch: Launch, base_url: str) -> Launch:
        """Add ``-c`` with the base URL, behind the user's own options."""
        return codex_redirection.redirect(context, launch, base_url, _words(context))

    def edits_of(self, call: ToolCall, cwd: str) -> Sequence[Edit]:
        """Give the added lines of a patch, also of one that stands in full in a script.

        Nothing for a patch that a script puts together, and for shell commands.
        """
        return intercepted(call, codex_calls.edits_of(call.name, call.arguments, cwd))

    def materials(self, context: LaunchContext) -> Sequence[tuple[str, Path]]:
        """Give (role, path) of the files that steer a session; existing ones only."""
        return codex_settings.materials(context, _words(context))

    def mcp_servers(self, context: LaunchContext) -> Sequence[ConfiguredMcpServer]:
        """Give the MCP servers that files and command line configure for this run."""
        return codex_settings.mcp_servers(context, _words(context))

    def report(self, context: LaunchContext, drops: Iterable[Drop], pid: int | None) -> AgentReport:
        """Read the rollouts of this session, of its subagents and reviewers.

        What the process tree of `pid` holds open is remembered in the run's scratch folder, so
        that a report after the agent's end still knows it.
        """
        started = moment(context.started)
        if not _is_session(_words(context)) or started is None:
            return AgentReport()
        told = codex_hooks.read(drops)
        sessions = codex_settings.user_folder(context) / "sessions"
        held = _remember(context, _held_open(pid, sessions) if pid else [])
        recent = _recent(sessions, context, started)
        if told.sessions:
            recent = [rollout for rollout in recent if rollout.session in told.sessions]
        known = held | told.rollouts.keys()
        owners = {rollout.session for rollout in recent if str(rollout.path) in known}
        ours = [rollout for rollout in recent if rollout.session in owners]
        gaps: list[Gap] = []
        if not told.sessions and codex_hooks.options(_words(context), context.spool_script):
            gaps.append(Gap("hooks-silent", context.started, context.started))
        if not owners:
            groups = {rollout.session for rollout in recent}
            ours = recent if len(groups) == 1 else []
            if len(groups) != 1:
                why = "transcript-ambiguous" if groups else "transcript-missing"
                gaps.append(Gap(why, context.started, context.started))
        rollouts = Rollouts(started)
        for rollout in sorted(ours, key=lambda one: (one.is_child, one.path.name)):
            rollouts.read(rollout.path)
        rollouts.add_done(told.done)
        found = [*told.sessions, *(rollout.session for rollout in ours)]
        return AgentReport(
            channels=(*["hooks"] * bool(told.sessions), *["transcript"] * bool(rollouts.lines)),
            agent_sessions=tuple(dict.fromkeys(found)),
            models=rollouts.models(),
            edits=rollouts.edits(),
            commands=rollouts.commands(),
            instructions=tuple(codex_settings.loaded(context, rollouts.instructions)),
            read_paths=tuple(rollouts.reads),
            gaps=tuple(gaps),
            mcp_connected=tuple(rollouts.servers),
        )


def _words(context: LaunchContext) -> tuple[str, ...]:
    package = re.compile(r"(^|/)@openai/codex(@|/|$)")
    start = start_of_agent(
        context.argv,
        lambda word: program_name(word) in ("codex", "codex.js") or bool(package.search(word)),
    )
    return context.argv[start:]


def _is_session(words: Sequence[str]) -> bool:
    if options_of(words) & _QUICK:
        return False
    return not (words and words[0] in _NO_SESSION)


def _recent(sessions: Path, context: LaunchContext, started: datetime) -> list[_Rollout]:
    """Find the rollouts that were written to since the start, by sessions of this work tree."""
    found: list[_Rollout] = []
    # File systems keep coarser times than rollouts.
    oldest = (started - timedelta(seconds=2)).timestamp()
    for number, path in enumerate(_files(sessions)):
        if number >= MAX_ROLLOUTS:
            break
        try:
            if path.stat().st_mtime < oldest:
                continue
        except OSError:
            continue
        for line in json_lines(path):
            meta = mapping(line.get("payload")) if line.get("type") == "session_meta" else {}
            folder = absolute(meta.get("cwd"), None)
            thread = text(meta.get("id"))
            if thread and folder and within(folder, context.top) and _goes_on(path, started):
                session = text(meta.get("session_id")) or thread
                found.append(_Rollout(path, session, session != thread))
            break
    return found


def _goes_on(path: Path, started: datetime) -> bool:
    for line in json_lines(path):
        at = moment(line.get("timestamp"))
        if at is not None and at >= started:
            return True
    return False


def _files(sessions: Path) -> Iterable[Path]:
    for folder, folders, names in os.walk(sessions):
        folders.sort(reverse=True)
        for name in sorted(names, reverse=True):
            if name.startswith("rollout-") and name.endswith(".jsonl"):
                yield Path(folder, name)


def _remember(context: LaunchContext, held: Iterable[str]) -> frozenset[str]:
    place = context.scratch / _SEEN
    known = [str(path) for path in items(json_file(place).get("paths"))]
    union = list(dict.fromkeys((*known, *held)))
    if union != known:
        with contextlib.suppress(OSError):
            place.write_text(json.dumps({"paths": union}), encoding="utf-8")
    return frozenset(union)


def _held_open(pid: int, sessions: Path) -> list[str]:
    """Give the rollouts that the process or a descendant has open, in our spelling of the path."""
    if not sys.platform.startswith("linux"):
        return []
    real = os.path.realpath(sessions)
    found: list[str] = []
    for process in _tree(pid):
        folder = f"/proc/{process}/fd"
        try:
            descriptors = os.listdir(folder)
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(f"{folder}/{descriptor}")
            except OSError:
                continue
            if target.startswith(real + os.sep) and target.endswith(".jsonl"):
                found.append(str(sessions / os.path.relpath(target, real)))
    return found


def _tree(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:
                # The program's name stands in parentheses and may itself hold spaces and those.
                parent = int(stream.read(4096).rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(name))
    found = [pid]
    for process in found:
        found += [child for child in children.get(process, ()) if child not in found]
    return found
