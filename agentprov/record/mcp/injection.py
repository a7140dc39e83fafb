"""Puts our relay around an agent's stdio MCP servers, for one run; edits no file of anybody's.

Claude Code: ``--mcp-config FILE`` with the same names; measured with 2.1.330, the last such file
wins over files of the user and the repository, each server is started once, and variables in it
are expanded as elsewhere. Codex: ``-c mcp_servers.NAME.command`` and ``.args``, which merge into
what is configured. Servers keep their names, so that permissions by name still hold. What is
left alone is named in a gap.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext
from agentprov.record.agents import claude_settings, codex_settings
from agentprov.record.agents.command_line import (
    options_of,
    program_name,
    start_of_agent,
    values_of,
)
from agentprov.record.agents.places import upwards
from agentprov.record.agents.reading import items, json_file, json_object, mapping, text

FILE = "mcp-servers.json"
STATE = "mcp"
GAP = "mcp-not-watched"
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SPOOLS = ("AGENTPROV_SPOOL", "AGENTPROV_SPOOL_FALLBACK")
_POLICIES = ("allowedMcpServers", "deniedMcpServers")
_SHOWN = 10


def inject(
    agent_name: str,
    context: LaunchContext,
    launch: Launch,
    servers: Sequence[ConfiguredMcpServer],
) -> Launch:
    """Give a launch in which the agent's stdio servers are started through the relay.

    `launch` is what `prepare` gave, redirected or not; `servers` what the adapter says is
    configured. The same launch comes back where there is nothing to watch; with gaps for
    servers that are left as they are. Raises OSError if the scratch folder cannot be written.
    """
    local = [server for server in servers if server.command]
    remote = [server.name for server in servers if not server.command]
    gaps = _left(remote, "reached over the network")
    if not launch.channels and agent_name in ("claude-code", "codex"):
        return launch  # no session: such a command starts no server
    if agent_name == "claude-code":
        launch = _claude(context, launch, local)
    elif agent_name == "codex":
        launch = _codex(context, launch, local)
    elif local:
        gaps += _left([server.name for server in local], "this agent's servers cannot be wrapped")
    return replace(launch, gaps=(*launch.gaps, *gaps))


def relay_words(context: LaunchContext, name: str) -> list[str]:
    """Give the words in front of a server's own command that start it through the relay."""
    words = [sys.executable, "-I", "-m", "agentprov.record.mcp.process", "--name", name]
    for variable in _SPOOLS:
        if context.environment.get(variable):
            words += ["--spool", context.environment[variable]]
    return [*words, "--state", str(context.scratch / STATE), "--"]


def _left(names: Iterable[str], why: str) -> tuple[str, ...]:
    listed = sorted(name[:64] for name in names)
    if not listed:
        return ()
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return (f"{GAP}: {', '.join(listed[:_SHOWN])}{more}: {why}",)


def _unable() -> str | None:
    return "no relay on this system" if os.name == "nt" else None


def _claude(
    context: LaunchContext, launch: Launch, servers: Sequence[ConfiguredMcpServer]
) -> Launch:
    start = start_of_agent(context.argv, _is_claude)
    words = context.argv[start:]
    layers = [settings for _, settings in claude_settings.layers(context, words)]
    gaps = _plugins(layers, words)
    why = _unable() or _claude_refuses(layers)
    if why:
        names = [server.name for server in servers]
        return replace(launch, gaps=(*launch.gaps, *gaps, *_left(names, why)))
    wrapped: dict[str, Any] = {}
    waiting: list[str] = []
    known = {server.name for server in servers}
    for name, (entry, is_project) in claude_entries(context, words).items():
        command = text(entry.get("command"))
        if name not in known or command is None or _switched_off(name, context, layers):
            continue
        if is_project and not _may_start(name, context, layers, words):
            waiting.append(name)
            continue
        relay = relay_words(context, name)
        arguments = [*relay[1:], command, *(str(word) for word in items(entry.get("args")))]
        wrapped[name] = {**entry, "command": relay[0], "args": arguments}
    gaps += _left(waiting, "Claude asks for approval first")
    argv = launch.argv
    if wrapped:
        path = context.scratch / FILE
        _write_private(path, json.dumps({"mcpServers": wrapped}).encode())
        # With `=`, so that no word behind it is taken for another file. The last one wins.
        end = argv.index("--", start) if "--" in argv[start:] else len(argv)
        argv = (*argv[:end], f"--mcp-config={path}", *argv[end:])
    return replace(launch, argv=argv, gaps=(*launch.gaps, *gaps))


def claude_entries(
    context: LaunchContext, words: Sequence[str]
) -> dict[str, tuple[Mapping[str, Any], bool]]:
    """Give the entry that Claude would start under each name, and whether the repository's.

    Entries are as configured, values of variables included: they go nowhere but into a private
    file of this run.
    """
    found: dict[str, tuple[Mapping[str, Any], bool]] = {}

    def lay(servers: object, *, project: bool) -> None:
        for name, entry in mapping(servers).items():
            if mapping(entry):
                found[name] = (mapping(entry), project)

    if "--strict-mcp-config" not in options_of(words):
        state = json_file(claude_settings.state_file(context))
        lay(state.get("mcpServers"), project=False)
        for folder in reversed(list(upwards(context.cwd, context.top))):
            lay(json_file(folder / ".mcp.json").get("mcpServers"), project=True)
        for entry in _projects(state, context):
            lay(entry.get("mcpServers"), project=False)
    for value in _mcp_files(words):
        inline = value.lstrip().startswith("{")
        given = json_object(value) if inline else json_file(context.cwd / value)
        lay(given.get("mcpServers"), project=False)
    return found


def _mcp_files(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    taking = False
    for word in words:
        if word == "--":
            break
        if word.startswith("-"):
            taking = word == "--mcp-config"
            if word.startswith("--mcp-config="):
                found.append(word.partition("=")[2])
        elif taking:
            found.append(word)
    return found


def _is_claude(word: str) -> bool:
    return program_name(word) == "claude" or "@anthropic-ai/claude-code" in word


def _projects(state: Mapping[str, Any], context: LaunchContext) -> list[Mapping[str, Any]]:
    projects = mapping(state.get("projects"))
    names = (str(f) for folder in (context.top, context.cwd) for f in (folder, _real(folder)))
    return [mapping(projects[name]) for name in dict.fromkeys(names) if name in projects]


def _real(folder: Path) -> Path:
    return Path(os.path.realpath(folder))


def _claude_refuses(layers: Sequence[Mapping[str, Any]]) -> str | None:
    if any((folder / "managed-mcp.json").exists() for folder in claude_settings.MANAGED):
        return "managed settings fix the servers"
    # These rules may name commands, and ours would be another one.
    if any(policy in settings for settings in layers for policy in _POLICIES):
        return "settings allow or deny servers"
    return None


def _switched_off(name: str, context: LaunchContext, layers: Sequence[Mapping[str, Any]]) -> bool:
    state = json_file(claude_settings.state_file(context))
    places = (*layers, *_projects(state, context))
    keys = ("disabledMcpjsonServers", "disabledMcpServers")
    return any(name in items(place.get(key)) for place in places for key in keys)


def _may_start(
    name: str,
    context: LaunchContext,
    layers: Sequence[Mapping[str, Any]],
    words: Sequence[str],
) -> bool:
    """Say whether Claude starts a server of the repository's without asking."""
    if options_of(words) & {"-p", "--print"}:
        return True
    state = json_file(claude_settings.state_file(context))
    places = (*layers, *_projects(state, context))
    return any(
        place.get("enableAllProjectMcpServers") is True
        or name in items(place.get("enabledMcpjsonServers"))
        for place in places
    )


def _plugins(layers: Sequence[Mapping[str, Any]], words: Sequence[str]) -> tuple[str, ...]:
    named = [str(name) for layer in layers for name, on in _enabled(layer) if on]
    named += values_of(words, "--plugin-dir")
    return (f"{GAP}: servers of plug-ins, if they have any",) if named else ()


def _enabled(layer: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return mapping(layer.get("enabledPlugins")).items()


def _codex(
    context: LaunchContext, launch: Launch, servers: Sequence[ConfiguredMcpServer]
) -> Launch:
    why = _unable()
    if "mcp_servers" in codex_settings.managed(context):
        why = "managed settings fix the servers"
    elif any((codex_settings.SYSTEM / name).exists() for name in ("requirements.toml",)):
        why = "an administrator's requirements may name commands"
    watched = [s for s in servers if why is None and _PLAIN.fullmatch(s.name)]
    odd = [s.name for s in servers if why is None and s not in watched]
    gaps = _left([s.name for s in servers] if why else [], why or "")
    gaps += _left(odd, "the name cannot stand on a command line")
    ours: list[str] = []
    for server in watched:
        relay = relay_words(context, server.name)
        arguments = [*relay[1:], server.command or "", *server.arguments]
        key = f"mcp_servers.{server.name}"
        ours += ["-c", f"{key}.command={_toml(relay[0])}", "-c", f"{key}.args={_toml(arguments)}"]
    argv = launch.argv
    end = argv.index("--") if "--" in argv else len(argv)
    argv = (*argv[:end], *ours, *argv[end:])
    return replace(launch, argv=argv, gaps=(*launch.gaps, *gaps))


def _toml(value: str | list[str]) -> str:
    # JSON is TOML too, but for DEL, and for escaped pairs of surrogates.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write_private(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


__all__ = ["FILE", "GAP", "claude_entries", "inject", "relay_words"]
