"""What Codex reads when it starts: instruction files, settings, MCP configuration.

The places were seen with strace (Codex 0.169.0).
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentprov.ports import ConfiguredMcpServer, LaunchContext
from agentprov.record.agents import folders
from agentprov.record.agents.command_line import values_of
from agentprov.record.agents.places import configured_servers, existing, label, listed, upwards
from agentprov.record.agents.reading import items, mapping, small_file, text
from agentprov.record.agents.settings_text import lay_over

SYSTEM = Path("/etc/codex")


def user_folder(context: LaunchContext) -> Path:
    """Give CODEX_HOME, or ``~/.codex``."""
    moved = context.environment.get("CODEX_HOME")
    return context.cwd / moved if moved else context.home / ".codex"


def instruction_files(context: LaunchContext) -> list[Path]:
    """Give the instruction files in the order in which Codex joins them; not all need exist."""
    user = user_folder(context)
    names = ["AGENTS.override.md", "AGENTS.md"]
    settings = _toml(user / "config.toml")
    names += [str(name) for name in items(settings.get("project_doc_fallback_filenames"))[:20]]
    found = [user / name for name in names[:2]]
    for folder in reversed(list(upwards(context.cwd, context.top))):
        found += [folder / name for name in names]
    return found


def materials(context: LaunchContext, words: Sequence[str]) -> list[tuple[str, Path]]:
    """Give (role, path) of the files that steer a session; `words` are the agent's own."""
    return existing(_candidates(context, words))


def _candidates(context: LaunchContext, words: Sequence[str]) -> Iterator[tuple[str, Path]]:
    user = user_folder(context)
    for path in instruction_files(context):
        yield "instruction", path
    for path in _settings_files(context, words):
        yield "settings", path
    for folder in (SYSTEM, user, context.top / ".codex", context.cwd / ".codex"):
        yield "hooks", folder / "hooks.json"
    for folder in (SYSTEM, user, context.top / ".codex"):
        for path in listed(folder / "rules", ".rules"):
            yield "settings", path
    projects = [*reversed(list(upwards(context.cwd, context.top)))]
    shared = [context.home / ".agents", *(folder / ".agents" for folder in projects)]
    own = [SYSTEM, user, *(folder / ".codex" for folder in projects)]
    yield from folders.skills(own, ("hooks",), context, "hooks")
    yield from folders.skills((*own, *shared), ("skills",), context)
    yield from folders.skills(own, ("agents", "prompts"), context)
    for plugin in _plugins(context, words):
        yield from folders.plugin(plugin, context)


def _plugins(context: LaunchContext, words: Sequence[str]) -> Iterator[Path]:
    """Give the folders of the plug-ins, in all cached versions, that are not switched off."""
    cache = user_folder(context) / "plugins" / "cache"
    for name, fields in mapping(effective(context, words).get("plugins")).items():
        plugin, _, market = name.rpartition("@")
        steps = (market, plugin)
        if mapping(fields).get("enabled") is False or any(step in ("", "..") for step in steps):
            continue
        if not any(os.sep in step for step in steps):
            yield cache / market / plugin


def _settings_files(context: LaunchContext, words: Sequence[str]) -> list[Path]:
    user = user_folder(context)
    names = ("config.toml", "managed_config.toml", "requirements.toml")
    found = [SYSTEM / name for name in names]
    found.append(user / "config.toml")
    found += [
        user / f"{name}.config.toml"
        for name in values_of(words, "-p", "--profile")
        if os.sep not in name
    ]
    folders = reversed(list(upwards(context.cwd, context.top)))
    return found + [folder / ".codex" / "config.toml" for folder in folders]


def mcp_servers(context: LaunchContext, words: Sequence[str]) -> list[ConfiguredMcpServer]:
    """Give the configured MCP servers; a key set later, the command line last, wins."""
    merged: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}
    trusted = _is_trusted(context)
    for path in _settings_files(context, words):
        if path.parent.name == ".codex" and path.parent != user_folder(context) and not trusted:
            continue
        servers = mapping(_toml(path).get("mcp_servers"))
        _merge(merged, sources, servers, label(path, context))
    for value in _overrides(words):
        overrides = mapping(_override(value).get("mcp_servers"))
        _merge(merged, sources, overrides, "command line")
    found: list[ConfiguredMcpServer] = []
    for name, fields in merged.items():
        found += configured_servers({name: fields}, sources[name])
    return found


def effective(context: LaunchContext, words: Sequence[str]) -> dict[str, Any]:
    """Give the settings that hold for this run: all files, then the command line.

    A table is merged key by key. Does not look into managed settings, see `managed`.
    """
    merged: dict[str, Any] = {}
    trusted = _is_trusted(context)
    for path in _settings_files(context, words):
        if path.name != "config.toml" and path.parent == SYSTEM:
            continue
        if path.parent.name == ".codex" and path.parent != user_folder(context) and not trusted:
            continue
        lay_over(merged, _toml(path))
    given_here = given(words)
    profile = values_of(words, "-p", "--profile") or [text(merged.get("profile")) or ""]
    lay_over(merged, mapping(mapping(merged.get("profiles")).get(profile[-1])))
    lay_over(merged, given_here)
    return merged


def given(words: Sequence[str]) -> dict[str, Any]:
    """Give the settings on the command line; `words` are the agent's own."""
    merged: dict[str, Any] = {}
    for value in _overrides(words):
        lay_over(merged, _override(value))
    return merged


def quoted(value: str | list[str]) -> str:
    """Write text, or a list of texts, as TOML on a command line."""
    # JSON is TOML too, but for DEL, and for escaped pairs of surrogates.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def managed(context: LaunchContext) -> dict[str, Any]:
    """Give the settings that outrank the command line."""
    merged: dict[str, Any] = {}
    for path in (SYSTEM / "managed_config.toml", user_folder(context) / "managed_config.toml"):
        lay_over(merged, _toml(path))
    return merged


def _overrides(words: Sequence[str]) -> list[str]:
    # Also -cKEY=VALUE in one word, which is not told apart from the values of other options.
    spread: list[str] = []
    for word in words:
        if word == "--":
            break
        joined = word.startswith("-c") and "=" in word
        spread += ["-c", word[2:].removeprefix("=")] if joined else [word]
    return values_of(spread, "-c", "--config")


def _merge(
    merged: dict[str, dict[str, Any]],
    sources: dict[str, str],
    servers: Mapping[str, Any],
    source: str,
) -> None:
    for name, fields in servers.items():
        if mapping(fields):
            merged.setdefault(name, {}).update(mapping(fields))
            # A line that only adjusts a server does not become where it comes from.
            if {"command", "url"} & mapping(fields).keys() or name not in sources:
                sources[name] = source


def _is_trusted(context: LaunchContext) -> bool:
    projects = mapping(_toml(user_folder(context) / "config.toml").get("projects"))
    for folder in (context.top, context.cwd):
        for name in {str(folder), os.path.realpath(folder)}:
            if mapping(projects.get(name)).get("trust_level") == "trusted":
                return True
    return False


def _override(word: str) -> Mapping[str, Any]:
    key, equals, value = word.partition("=")
    if not equals:
        return {}
    for right in (value, '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'):
        try:
            return tomllib.loads(f"{key.strip()} = {right}\n")
        except (ValueError, RecursionError):
            continue
    return {}


def _toml(path: Path) -> Mapping[str, Any]:
    data = small_file(path)
    try:
        return tomllib.loads((data or b"").decode("utf-8"))
    except (ValueError, RecursionError):
        return {}


def loaded(context: LaunchContext, told: Mapping[str, str]) -> list[str]:
    """Give the instruction files whose text stands in what Codex says it loaded.

    Codex names a folder and the joined text, not the files. A file that changed in between is
    not found.
    """
    found: list[str] = []
    for path in instruction_files(context):
        body = text((small_file(path) or b"").decode("utf-8", "replace").strip())
        if body and any(body in joined for joined in told.values()):
            found.append(os.path.normpath(path))
    return found
