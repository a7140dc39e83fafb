"""What Gemini CLI and Qwen Code, its descendant, read when they start.

Settings are JSON with comments, merged from four places (Gemini CLI 0.61.0, Qwen Code 0.24.4).
Variables may also stand in a ``.env`` file, where they yield to those of the process. All installed
extensions count, also those that are switched off for a folder.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentprov.ports import ConfiguredMcpServer, LaunchContext
from agentprov.record.agents import folders
from agentprov.record.agents.command_line import options_of
from agentprov.record.agents.imports import imports_of
from agentprov.record.agents.places import (
    MAX_SERVERS,
    configured_servers,
    existing,
    first_of_each_name,
    label,
    listed,
    placed,
    upwards,
)
from agentprov.record.agents.reading import items, mapping, small_file, text, within
from agentprov.record.agents.settings_text import lay_over, read_commented

_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Family:
    """Where one of the two keeps things, and what it calls them.

    `home_variable` moves the folder itself where `moves_folder`, else the home it lies in.
    """

    folder: str
    home_variable: str
    moves_folder: bool
    system_variable: str
    sandbox_variable: str
    system_folder: str
    mac_folder: str
    instructions: tuple[str, ...]
    manifest: str
    kinds: tuple[str, ...]
    rules: str | None = None

    def user_folder(self, context: LaunchContext) -> Path:
        """Give the folder of the user's own settings."""
        moved = context.environment.get(self.home_variable)
        if not moved:
            return context.home / self.folder
        return context.cwd / moved if self.moves_folder else context.cwd / moved / self.folder

    def system_file(self, context: LaunchContext) -> Path:
        """Give the settings file of whoever manages the machine, which outranks all others."""
        named = context.environment.get(self.system_variable)
        if named:
            return context.cwd / named
        mac = sys.platform == "darwin"
        base = f"/Library/Application Support/{self.mac_folder}" if mac else self.system_folder
        return Path(base) / "settings.json"

    def settings_files(self, context: LaunchContext) -> list[Path]:
        """Give the settings files, the one of least rank first; not all of them need exist."""
        system = self.system_file(context)
        projects = [folder / self.folder for folder in dict.fromkeys((context.top, context.cwd))]
        return [
            system.with_name("system-defaults.json"),
            self.user_folder(context) / "settings.json",
            *(folder / "settings.json" for folder in projects),
            system,
        ]

    def effective(self, context: LaunchContext, *, repository: bool = True) -> dict[str, Any]:
        """Give the merged settings; whether the repository's are trusted is not looked at."""
        merged: dict[str, Any] = {}
        for path in self.settings_files(context):
            if repository or not within(str(path), context.top):
                lay_over(merged, read(path))
        return merged

    def environment(self, context: LaunchContext) -> dict[str, str]:
        """Give the variables that hold inside: those of the process, then of the ``.env`` file."""
        return {**_variables(self._env_file(context)), **context.environment}

    def _env_file(self, context: LaunchContext) -> Path | None:
        user = self.user_folder(context)
        candidates = [
            place
            for folder in upwards(context.cwd)
            for place in (folder / self.folder / ".env", folder / ".env")
        ]
        candidates += [user / ".env", context.home / ".env"]
        return next((path for path in candidates if small_file(path) is not None), None)

    def materials(self, context: LaunchContext) -> list[tuple[str, Path]]:
        """Give (role, path) of the files that steer a session; existing ones only."""
        return existing(self._candidates(context))

    def instruction_names(self, context: LaunchContext) -> tuple[str, ...]:
        """Give the names that instruction files have for this run."""
        named = mapping(self.effective(context).get("context")).get("fileName")
        chosen = [text(named)] if isinstance(named, str) else [text(one) for one in items(named)]
        return tuple(name for name in chosen if name) or self.instructions

    def _candidates(self, context: LaunchContext) -> Iterator[tuple[str, Path]]:
        names = self.instruction_names(context)
        user = self.user_folder(context)
        projects = list(reversed(list(upwards(context.cwd, context.top))))
        for folder in (user, *projects):
            for name in names:
                yield "instruction", folder / name
                for imported in imports_of(folder / name, context.home):
                    yield "instruction", imported
        for folder in (user, *(one / self.folder for one in projects)):
            for path in listed(folder / self.rules, ".md") if self.rules else ():
                yield "instruction", path
        for path in self.settings_files(context):
            yield "settings", path
        own = [user, *(one / self.folder for one in projects)]
        yield from folders.skills(own, ("hooks",), context, "hooks")
        yield from folders.skills(own, self.kinds, context)
        shared = (one / ".agents" for one in (context.home, *projects))
        yield from folders.skills(shared, ("skills",), context)
        for extension in self._extensions(user):
            yield from folders.plugin(extension, context)

    def _extensions(self, user: Path) -> Iterator[Path]:
        """Give the folders of installed extensions; of a linked one that where its files lie."""
        place = user / "extensions"
        for name in listed(place, ""):
            source = read(name / f".{self.manifest}-install.json")
            linked = text(source.get("source")) if source.get("type") == "link" else None
            if linked and linked.startswith("/"):
                yield Path(linked)
            if name.is_dir():
                yield name

    def mcp_entries(self, context: LaunchContext) -> dict[str, tuple[Mapping[str, Any], Path]]:
        """Give the entry of settings that wins under each name, as it stands there, and its file.

        Values of variables are among them: they belong into no record. The repository's settings
        are those of the working folder; whether they are trusted is not looked at.
        """
        found: dict[str, tuple[Mapping[str, Any], Path]] = {}
        for path in self.settings_files(context):
            if path.parent == context.top / self.folder and context.top != context.cwd:
                continue
            for name, entry in mapping(read(path).get("mcpServers")).items():
                if mapping(entry):
                    found[name] = (mapping(entry), path)
        return found

    def mcp_servers(self, context: LaunchContext) -> list[ConfiguredMcpServer]:
        """Give the configured MCP servers, the winner of each name."""
        found = servers_of(self.mcp_entries(context), context)
        return first_of_each_name((*found, *self.extension_servers(context)))

    def extension_servers(self, context: LaunchContext) -> list[ConfiguredMcpServer]:
        """Give the MCP servers that installed extensions bring; whether they are on is not seen."""
        found: list[ConfiguredMcpServer] = []
        for extension in self._extensions(self.user_folder(context)):
            path = extension / f"{self.manifest}.json"
            entries = {
                name: placed(entry, "${extensionPath}", extension)
                for name, entry in mapping(read(path).get("mcpServers")).items()
            }
            found += configured_servers(entries, label(path, context))
        return found


def servers_of(
    entries: Mapping[str, tuple[Mapping[str, Any], Path]], context: LaunchContext
) -> list[ConfiguredMcpServer]:
    """Give what may be recorded of entries."""
    found: list[ConfiguredMcpServer] = []
    for name, (entry, path) in list(entries.items())[:MAX_SERVERS]:
        fields = {**entry, "url": entry.get("url") or entry.get("httpUrl")}
        found += configured_servers({name: fields}, label(path, context))
    return found


def is_sandboxed(family: Family, context: LaunchContext, words: Sequence[str]) -> bool:
    """Say whether the agent starts itself again inside a sandbox; `words` are its own."""
    chosen = family.environment(context).get(family.sandbox_variable, "")
    if options_of(words) & {"-s", "--sandbox"} or chosen not in ("", "0", "false"):
        return True
    return bool(mapping(family.effective(context).get("tools")).get("sandbox"))


def read(path: Path) -> dict[str, Any]:
    """Give the settings in a file, empty where there are none."""
    return read_commented((small_file(path) or b"").decode("utf-8", "replace"))


def _variables(path: Path | None) -> dict[str, str]:
    data = small_file(path) if path is not None else None
    found: dict[str, str] = {}
    for name, value in _ASSIGNMENT.findall((data or b"").decode("utf-8", "replace")):
        found[name] = value.strip().strip("\"'")
    return found
