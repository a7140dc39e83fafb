"""Claude Code's servers: ``--mcp-config=FILE`` with the same names.

Measured with 2.1.330: the last such file wins over files of the user and the repository, each
server is started once, and variables in it are expanded as elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentprov.ports import Launch, LaunchContext
from agentprov.record.agents import claude_settings
from agentprov.record.agents.command_line import (
    options_of,
    program_name,
    start_of_agent,
    values_of,
)
from agentprov.record.agents.places import upwards
from agentprov.record.agents.reading import items, json_file, json_object, mapping
from agentprov.record.mcp.wrapping import (
    FILE,
    GAP,
    Servers,
    before_operands,
    left,
    with_gaps,
    wrapped,
    write_private,
)

_POLICIES = ("allowedMcpServers", "deniedMcpServers")


def wrap(servers: Servers) -> Launch:
    """Name a private file with the entries that Claude would start, wrapped."""
    context, launch = servers.context, servers.launch
    start = start_of_agent(context.argv, _is_claude)
    words = context.argv[start:]
    layers = [settings for _, settings in claude_settings.layers(context, words)]
    gaps = _plugins(layers, words)
    why = _refuses(layers)
    if why:
        return with_gaps(launch, *gaps, *left(servers.names, why))
    ours: dict[str, Any] = {}
    waiting: list[str] = []
    for name, (entry, is_project) in entries(context, words).items():
        again = wrapped(context, name, entry)
        if name not in servers.names or again is None or _switched_off(name, context, layers):
            continue
        if is_project and not _may_start(name, context, layers, words):
            waiting.append(name)
            continue
        ours[name] = again
    gaps += left(waiting, "Claude asks for approval first")
    if ours:
        path = context.scratch / FILE
        write_private(path, {"mcpServers": ours})
        # With `=`, so that no word behind it is taken for another file. The last one wins.
        argv = before_operands(launch.argv, [f"--mcp-config={path}"], start)
        launch = replace(launch, argv=argv)
    return with_gaps(launch, *gaps)


def entries(
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


def _refuses(layers: Sequence[Mapping[str, Any]]) -> str | None:
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


__all__ = ["entries", "wrap"]
