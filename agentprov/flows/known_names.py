"""Names that matter in a repository, with which look-alikes are compared.

Read from the work tree, so whoever writes the plan may have written them too: a name that is
missing here costs a warning, and no name here makes anything pass.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentprov.errors import AgentprovError, ConfigurationInvalid
from agentprov.flows import strict_yaml
from agentprov.flows.trust import working_trust
from agentprov.flows.world import World
from agentprov.record.agents.registry import names as agent_names
from agentprov.system import files
from agentprov.system.git import Git

MAX_NAMES = 20_000
_MAX_BYTES = 512 * 1024


def known_names(git: Git, home: Path) -> frozenset[str]:
    """Give the names that are known in a repository; what cannot be read gives none.

    Paths of tracked files, coding agents, signers, what the policy names (models too), MCP
    servers, packages that the project depends on; at most MAX_NAMES paths.
    """
    top = Path(git.top)
    listed = git.text("ls-files", "-z", check=False).split("\0")
    found = {path for path in listed[:MAX_NAMES] if path}
    found.update(agent_names())
    try:
        trust = working_trust(git, home)
    except AgentprovError:
        pass
    else:
        found.update(key.person for key in trust.keys)
    found.update(_policy(top))
    found.update(_servers(top))
    found.update(_packages(top))
    return frozenset(found)


def known_names_here() -> frozenset[str]:
    """Give the names known where this process stands; none outside a repository."""
    try:
        world = World.here()
    except AgentprovError:
        return frozenset()
    return known_names(world.git, world.home)


def _policy(top: Path) -> Iterator[str]:
    try:
        value = strict_yaml.parse(_text(top / ".agentprov/policy.yaml").encode(), source="policy")
    except ConfigurationInvalid:
        return
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and len(item) <= 200:
            yield item
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _servers(top: Path) -> Iterator[str]:
    for name in (".mcp.json", ".cursor/mcp.json", ".vscode/mcp.json", ".gemini/settings.json"):
        value = _json(top / name)
        for key in ("mcpServers", "servers"):
            yield from _keys(value, key)


def _packages(top: Path) -> Iterator[str]:
    package = _json(top / "package.json")
    for key in ("dependencies", "devDependencies"):
        yield from _keys(package, key)
    try:
        project = tomllib.loads(_text(top / "pyproject.toml"))
        cargo = tomllib.loads(_text(top / "Cargo.toml"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return
    yield from _keys(cargo, "dependencies")
    table = project.get("project")
    listed = table.get("dependencies") if isinstance(table, dict) else None
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, str):
            yield item.partition(";")[0].split("[")[0].split("=")[0].rstrip("<>~! ")


def _keys(value: Any, key: str) -> Iterator[str]:
    table = value.get(key) if isinstance(value, dict) else None
    if isinstance(table, dict):
        yield from (name for name in table if isinstance(name, str))


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path) or "null")
    except (ValueError, RecursionError):
        return None


def _text(path: Path) -> str:
    try:
        return files.read_bounded(path, _MAX_BYTES, follow=False).decode("utf-8", "replace")
    except OSError:
        return ""
