"""Where Qwen Code keeps its settings, and from which four places its MCP servers come.

Measured with Qwen Code 0.24.4. Lowest rank first: settings of machine defaults and user,
``.mcp.json`` of the working folder, settings of the repository and the machine, and one
``--mcp-config``, a file or JSON. Variables are put in only where an entry stands in settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentprov.ports import LaunchContext
from agentprov.record.agents.command_line import options_of, values_of
from agentprov.record.agents.gemini_settings import Family, read
from agentprov.record.agents.reading import mapping, within
from agentprov.record.agents.settings_text import read_commented

FAMILY = Family(
    folder=".qwen",
    home_variable="QWEN_HOME",
    moves_folder=True,
    system_variable="QWEN_CODE_SYSTEM_SETTINGS_PATH",
    sandbox_variable="QWEN_SANDBOX",
    system_folder="/etc/qwen-code",
    mac_folder="QwenCode",
    instructions=("QWEN.md", "AGENTS.md"),
    manifest="qwen-extension",
    kinds=("skills", "agents", "commands", "output-styles", "workflows"),
    rules="rules",
)
OPTION = "--mcp-config"
PROJECT = ".mcp.json"
COMMAND_LINE = Path("command line")
_BARE = ("--bare", "--safe-mode")
_BARE_VARIABLES = ("QWEN_CODE_SIMPLE", "QWEN_CODE_SAFE_MODE")

Entries = dict[str, tuple[Mapping[str, Any], Path]]


@dataclass(frozen=True)
class Sources:
    """The entry that wins under each name, by the kind of place that it stands in."""

    settings: Entries = field(default_factory=dict)
    project: Entries = field(default_factory=dict)
    option: Entries = field(default_factory=dict)

    @property
    def all(self) -> Entries:
        """Give them all; no name is in two places."""
        return {**self.settings, **self.project, **self.option}


def sources(context: LaunchContext, words: Sequence[str]) -> Sources:
    """Give the entries as they stand; values of variables among them belong into no record."""
    option = _option(context, words)
    bare = any(context.environment.get(name) for name in _BARE_VARIABLES)
    if bare or options_of(words) & {*_BARE}:
        return Sources(option=option)
    settings = FAMILY.mcp_entries(context)
    place = context.cwd / PROJECT
    project: Entries = {
        name: (mapping(entry), place)
        for name, entry in mapping(read(place).get("mcpServers")).items()
        if mapping(entry) and name not in option and not _above(settings.get(name), context)
    }
    taken = project.keys() | option.keys()
    return Sources({n: one for n, one in settings.items() if n not in taken}, project, option)


def _above(entry: tuple[Mapping[str, Any], Path] | None, context: LaunchContext) -> bool:
    return entry is not None and (
        within(str(entry[1]), context.top) or entry[1] == FAMILY.system_file(context)
    )


def _option(context: LaunchContext, words: Sequence[str]) -> Entries:
    given = values_of(words, OPTION)
    if not given:
        return {}
    inline = given[-1].lstrip().startswith("{")
    value = read_commented(given[-1]) if inline else read(context.cwd / given[-1])
    servers = mapping(value.get("mcpServers")) or value
    return {name: (mapping(one), COMMAND_LINE) for name, one in servers.items() if mapping(one)}
