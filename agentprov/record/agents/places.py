"""Shared answers about files that steer an agent: which exist, and what their source is called."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agentprov.ports import ConfiguredMcpServer, LaunchContext
from agentprov.record.agents.reading import items, mapping, text

MAX_MATERIALS = 3_000
FOLDERS = frozenset({"skill", "plugin", "hooks"})
MAX_SERVERS = 200


def existing(candidates: Iterable[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Give the candidates that are regular files, each file once, in the order given.

    A folder passes where it stands for what was not looked at (see `folders.below`), and behind
    the last of too many candidates.
    """
    found: list[tuple[str, Path]] = []
    seen: set[str] = set()
    for role, path in candidates:
        try:
            if not path.is_file() and not (role in FOLDERS and path.is_dir()):
                continue
            place = os.path.realpath(path)
        except (OSError, ValueError):
            continue
        if place in seen:
            continue
        seen.add(place)
        if len(found) == MAX_MATERIALS:
            found.append((role, path.parent))
            break
        found.append((role, path))
    return found


def listed(folder: Path, suffix: str) -> list[Path]:
    """Give the files of a folder whose names end so, sorted; none if there is no such folder."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(suffix))
    except (OSError, ValueError):
        return []
    return [folder / name for name in names[:MAX_MATERIALS]]


def upwards(start: Path, stop: Path | None = None) -> Iterator[Path]:
    """Give a folder and its parents, up to and including `stop`, else up to the root."""
    for folder in (start, *start.parents):
        yield folder
        if stop is not None and folder == stop:
            return


def label(path: Path, context: LaunchContext) -> str:
    """Name a place as a person would: inside the work tree, under ``~``, or in full."""
    for root, prefix in ((context.top, ""), (context.home, "~/")):
        try:
            return prefix + path.relative_to(root).as_posix()
        except ValueError:
            continue
    return str(path)


def configured_servers(entries: Mapping[str, Any], source: str) -> list[ConfiguredMcpServer]:
    """Read ``name -> {command, args, env | url}``; keeps names of variables, never their values.

    Does not expand variables, and does not look whether the command exists.
    """
    servers: list[ConfiguredMcpServer] = []
    for name, entry in list(entries.items())[:MAX_SERVERS]:
        fields = mapping(entry)
        if not fields or fields.get("enabled") is False or text(name) is None:
            continue
        variables = [text(word) for word in (*mapping(fields.get("env")),)]
        variables += [text(word) for word in items(fields.get("env_vars"))]
        variables += [text(fields.get("bearer_token_env_var"))]
        servers.append(
            ConfiguredMcpServer(
                name=name,
                command=text(fields.get("command")),
                arguments=tuple(str(word) for word in items(fields.get("args"))),
                url=text(fields.get("url")),
                environment_names=tuple(sorted({word for word in variables if word})),
                source=source,
            )
        )
    return servers


def placed(value: Any, variable: str, folder: Path) -> Any:
    """Put a plug-in's folder in where the texts of its configuration name it by a variable."""
    if isinstance(value, str):
        return value.replace(variable, str(folder))
    if isinstance(value, list):
        return [placed(one, variable, folder) for one in value]
    if isinstance(value, dict):
        return {name: placed(one, variable, folder) for name, one in value.items()}
    return value


def first_of_each_name(servers: Iterable[ConfiguredMcpServer]) -> list[ConfiguredMcpServer]:
    """Drop the servers whose name was already given by a source of higher rank."""
    winners: dict[str, ConfiguredMcpServer] = {}
    for server in servers:
        winners.setdefault(server.name, server)
    return list(winners.values())
