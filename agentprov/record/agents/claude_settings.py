"""What Claude Code reads when it starts: instruction files, settings, MCP configuration.

The places were seen with strace (Claude Code 2.1.330). Folders below the working directory are
not looked at; what is loaded from there, hooks tell.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentprov.ports import ConfiguredMcpServer, LaunchContext
from agentprov.record.agents import claude_plugins, folders
from agentprov.record.agents.command_line import options_of, values_of
from agentprov.record.agents.imports import imports_of
from agentprov.record.agents.places import (
    configured_servers,
    existing,
    first_of_each_name,
    label,
    listed,
    upwards,
)
from agentprov.record.agents.reading import json_file, json_object, mapping, small_file

KINDS = ("skills", "agents", "commands", "output-styles", "workflows")
MANAGED = (Path("/etc/claude-code"), Path("/Library/Application Support/ClaudeCode"))


def user_folder(context: LaunchContext) -> Path:
    """Give the folder of the user's own settings, ``~/.claude`` unless the user moved it."""
    moved = context.environment.get("CLAUDE_CONFIG_DIR")
    return context.cwd / moved if moved else context.home / ".claude"


def state_file(context: LaunchContext) -> Path:
    """Give the file in which Claude keeps its state and the user's MCP servers."""
    moved = context.environment.get("CLAUDE_CONFIG_DIR")
    return context.cwd / moved / ".claude.json" if moved else context.home / ".claude.json"


def materials(context: LaunchContext, words: Sequence[str]) -> list[tuple[str, Path]]:
    """Give (role, path) of the files that steer a session; `words` are the agent's own."""
    return existing(_candidates(context, words))


def _candidates(context: LaunchContext, words: Sequence[str]) -> Iterator[tuple[str, Path]]:
    user = user_folder(context)
    for path in _instructions(context, user):
        yield "instruction", path
        for imported in imports_of(path, context.home):
            yield "instruction", imported
    for path in settings_files(context, words):
        yield "settings", path
    for folder in upwards(context.cwd, context.top):
        yield "mcp-configuration", folder / ".mcp.json"
    for managed in MANAGED:
        yield "mcp-configuration", managed / "managed-mcp.json"
    for value in _mcp_words(words):
        if not value.lstrip().startswith("{"):
            yield "mcp-configuration", context.cwd / value
    # It is rewritten at every start: named only where it has something to say about servers.
    if any(_state_servers(context)):
        yield "mcp-configuration", state_file(context)
    bases = _bases(context, words, user)
    yield from folders.skills(bases, ("hooks",), context, "hooks")
    yield from folders.skills(bases, KINDS, context)
    for path in claude_plugins.state_files(user):
        yield "settings", path
    for plugin in _plugins(context, words):
        yield from folders.plugin(plugin, context)


def _bases(context: LaunchContext, words: Sequence[str], user: Path) -> list[Path]:
    """Give the folders that hold skills and the like, the user's first."""
    found = [*(managed / ".claude" for managed in MANAGED), user]
    found += [folder / ".claude" for folder in reversed(list(upwards(context.cwd, context.top)))]
    return found + [context.cwd / one / ".claude" for one in values_of(words, "--add-dir")]


def _plugins(context: LaunchContext, words: Sequence[str]) -> list[Path]:
    settings = [one for _, one in layers(context, words)]
    return claude_plugins.folders(context, words, user_folder(context), settings)


def _instructions(context: LaunchContext, user: Path) -> Iterator[Path]:
    for managed in MANAGED:
        yield managed / "CLAUDE.md"
        yield from _rules(managed / ".claude", context)
    yield user / "CLAUDE.md"
    yield from _rules(user, context)
    for folder in reversed(list(upwards(context.cwd))):
        yield folder / "CLAUDE.md"
        yield folder / ".claude" / "CLAUDE.md"
        yield folder / "CLAUDE.local.md"
        yield folder / "AGENTS.md"
        yield from _rules(folder / ".claude", context)


def _rules(base: Path, context: LaunchContext) -> Iterator[Path]:
    return (path for _, path in folders.below("instruction", base / "rules", context, (".md",)))


def settings_files(context: LaunchContext, words: Sequence[str]) -> list[Path]:
    """Give the settings files, the one of least rank first; not all of them need exist."""
    folders = list(dict.fromkeys((context.top, context.cwd)))
    found = [user_folder(context) / "settings.json"]
    found += [folder / ".claude" / "settings.json" for folder in folders]
    found += [folder / ".claude" / "settings.local.json" for folder in folders]
    found += [
        context.cwd / value
        for value in values_of(words, "--settings")
        if not value.lstrip().startswith("{")
    ]
    return found + managed_files()


def layers(context: LaunchContext, words: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give (label, settings) of every source that holds for this run, the least rank first."""
    user = user_folder(context) / "settings.json"
    wanted = values_of(words, "--setting-sources")
    sources = wanted[-1].split(",") if wanted else ["user", "project", "local"]
    places = {
        "user": user,
        "project": context.cwd / ".claude" / "settings.json",
        "local": context.cwd / ".claude" / "settings.local.json",
    }
    for name, path in places.items():
        if name in sources:
            yield label(path, context), json_file(path)
    given = given_settings(context, words)
    if given is not None:
        yield "--settings", given
    for managed in managed_files():
        yield str(managed), json_file(managed)


def managed_files() -> list[Path]:
    """Give the settings files of whoever manages the machine; not all of them need exist."""
    found: list[Path] = []
    for managed in MANAGED:
        found.append(managed / "managed-settings.json")
        found += listed(managed / "managed-settings.d", ".json")
    return found


def given_settings(context: LaunchContext, words: Sequence[str]) -> Mapping[str, Any] | None:
    """Give what the last ``--settings`` holds; None if there is none, or it is no object."""
    values = values_of(words, "--settings")
    if not values:
        return None
    data: bytes | str = values[-1]
    if not values[-1].lstrip().startswith("{"):
        data = small_file(context.cwd / values[-1]) or b""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def environment_of(context: LaunchContext, words: Sequence[str]) -> dict[str, str]:
    """Give the variables that hold inside Claude: settings outrank those of the process."""
    merged = dict(context.environment)
    for _, settings in layers(context, words):
        for name, value in mapping(settings.get("env")).items():
            merged[name] = str(value)
    return merged


def hooks_are_off(context: LaunchContext, words: Sequence[str]) -> str | None:
    """Say what switches hooks off for this run, as far as configuration tells; None if nothing."""
    for option in ("--bare", "--safe-mode"):
        if option in options_of(words):
            return option
    for name in ("CLAUDE_CODE_SIMPLE", "CLAUDE_CODE_SAFE_MODE"):
        if context.environment.get(name):
            return name
    # A later --settings outranks all files of the user and the repository.
    inline = [json_object(value) for value in values_of(words, "--settings")]
    if any(one.get("disableAllHooks") is False for one in inline):
        return None
    if any(one.get("disableAllHooks") is True for one in inline):
        return "--settings"
    for path in settings_files(context, words):
        if json_file(path).get("disableAllHooks") is True:
            return label(path, context)
    return None


def mcp_servers(context: LaunchContext, words: Sequence[str]) -> list[ConfiguredMcpServer]:
    """Give the configured MCP servers, the winner of each name; the command line ranks highest."""
    found: list[ConfiguredMcpServer] = []
    for value in _mcp_words(words):
        if value.lstrip().startswith("{"):
            entries, source = json_object(value), "--mcp-config"
        else:
            path = context.cwd / value
            entries, source = json_file(path), label(path, context)
        found += configured_servers(mapping(entries.get("mcpServers")), source)
    if "--strict-mcp-config" in options_of(words):
        return first_of_each_name(found)
    local, user = _state_servers(context)
    found += local
    for managed in MANAGED:
        path = managed / "managed-mcp.json"
        found += configured_servers(mapping(json_file(path).get("mcpServers")), str(path))
    project = [folder / ".mcp.json" for folder in upwards(context.cwd, context.top)]
    for path in (*project, *reversed(settings_files(context, words))):
        entries = json_file(path)
        found += configured_servers(mapping(entries.get("mcpServers")), label(path, context))
    plugins = claude_plugins.mcp_servers(_plugins(context, words), context)
    return first_of_each_name([*found, *user, *plugins])


def _state_servers(
    context: LaunchContext,
) -> tuple[list[ConfiguredMcpServer], list[ConfiguredMcpServer]]:
    state = json_file(state_file(context))
    source = label(state_file(context), context)
    local: list[ConfiguredMcpServer] = []
    projects = mapping(state.get("projects"))
    for folder in dict.fromkeys((context.cwd, context.top)):
        for name in dict.fromkeys((str(folder), os.path.realpath(folder))):
            entry = mapping(projects.get(name))
            local += configured_servers(mapping(entry.get("mcpServers")), source)
    return local, configured_servers(mapping(state.get("mcpServers")), source)


def _mcp_words(words: Sequence[str]) -> list[str]:
    # --mcp-config takes any number of words: all up to the next option.
    found: list[str] = []
    taking = False
    for word in words:
        if word == "--":
            break
        if word.startswith("--mcp-config="):
            found.append(word.partition("=")[2])
            taking = True
        elif word.startswith("-"):
            taking = word == "--mcp-config"
        elif taking:
            found.append(word)
    return found
