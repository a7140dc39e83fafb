"""The plug-ins that a session of Claude Code loads: where their files lie, their MCP servers.

Measured with Claude Code 2.1.330: ``plugins/installed_plugins.json`` in the user's folder says
where each lies, ``enabledPlugins`` in settings switches them; one from a marketplace that is a
folder of this machine is read in that folder. ``--plugin-dir`` adds one for a run. Plug-ins that
come with Claude itself, or by ``--plugin-url``, have no files here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentprov.ports import ConfiguredMcpServer, LaunchContext
from agentprov.record.agents.command_line import values_of
from agentprov.record.agents.places import configured_servers, label, placed
from agentprov.record.agents.reading import items, json_file, mapping, text, within

MAX_PLUGINS = 200
_ROOT = "${CLAUDE_PLUGIN_ROOT}"


def state_files(user: Path) -> list[Path]:
    """Give the files that say which plug-ins are installed, and from where."""
    names = ("installed_plugins.json", "known_marketplaces.json")
    return [user / "plugins" / name for name in names]


def folders(
    context: LaunchContext, words: Sequence[str], user: Path, layers: Iterable[Mapping[str, Any]]
) -> list[Path]:
    """Give the folders of the plug-ins that are not switched off; `layers` rank upwards."""
    switches: dict[str, bool] = {}
    for settings in layers:
        for name, value in mapping(settings.get("enabledPlugins")).items():
            switches[name] = value is not False
    found = [context.cwd / value for value in values_of(words, "--plugin-dir")]
    installed = mapping(json_file(user / "plugins" / "installed_plugins.json").get("plugins"))
    for name in dict.fromkeys((*installed, *switches)):
        if switches.get(name, True):
            found += _places(installed.get(name), context)
            found += _in_marketplace(user, name)
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()][:MAX_PLUGINS]


def _places(entry: object, context: LaunchContext) -> Iterator[Path]:
    """Give where a plug-in lies that is installed for this work tree, or for all."""
    for one in items(entry) or [entry]:
        place = text(mapping(one).get("installPath"))
        project = text(mapping(one).get("projectPath"))
        if place and place.startswith("/") and (project is None or _is_ours(project, context)):
            yield Path(place)


def _is_ours(project: str, context: LaunchContext) -> bool:
    return within(str(context.cwd), Path(project)) or within(project, context.top)


def _in_marketplace(user: Path, name: str) -> Iterator[Path]:
    plugin, _, market = name.rpartition("@")
    known = mapping(json_file(user / "plugins" / "known_marketplaces.json").get(market))
    place = text(known.get("installLocation"))
    if mapping(known.get("source")).get("source") != "directory" or not place:
        return
    catalogue = json_file(Path(place) / ".claude-plugin" / "marketplace.json")
    for entry in items(catalogue.get("plugins")):
        source = text(mapping(entry).get("source"))
        if mapping(entry).get("name") == plugin and source and not source.startswith("/"):
            yield Path(place) / source


def mcp_servers(plugins: Iterable[Path], context: LaunchContext) -> list[ConfiguredMcpServer]:
    """Give the MCP servers that plug-ins bring, named as Claude does: ``plugin:NAME:SERVER``."""
    found: list[ConfiguredMcpServer] = []
    for folder in plugins:
        manifest = json_file(folder / ".claude-plugin" / "plugin.json")
        name = text(manifest.get("name")) or folder.name
        own = manifest.get("mcpServers")
        places = [folder / ".mcp.json"]
        named = own if isinstance(own, list) else [own]
        places += [folder / one for one in named if isinstance(one, str)]
        for path in places:
            listed = json_file(path)
            entries = mapping(listed.get("mcpServers")) or listed
            found += _servers(entries, name, folder, label(path, context))
        found += _servers(mapping(own), name, folder, label(folder, context))
    return found


def _servers(
    entries: Mapping[str, Any], plugin: str, folder: Path, source: str
) -> list[ConfiguredMcpServer]:
    named = {
        f"plugin:{plugin}:{name}": placed(entry, _ROOT, folder)
        for name, entry in entries.items()
        if mapping(entry)
    }
    return configured_servers(named, source)


__all__ = ["folders", "mcp_servers", "state_files"]
