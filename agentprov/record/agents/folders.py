"""Folders that steer an agent: skills, sub-agents, commands, plug-ins; as the files in them.

An agent may load any file of such a folder, at its start or when a model asks for it, and may run
the programs that lie there. So all of them count, in a fixed order and up to a limit; where more
lies there than is looked at, the folder itself is given behind its files, for somebody to say so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from agentprov.ports import LaunchContext
from agentprov.record.agents.reading import within

MAX_FILES = 500
MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 10
SKILL = "skill"
PLUGIN = "plugin"
_HISTORY = ".git"
_PACKAGES = "node_modules"

Pairs = Iterator[tuple[str, Path]]


def below(
    role: str, folder: Path, context: LaunchContext, suffixes: tuple[str, ...] = ("",)
) -> Pairs:
    """Give (role, path) of the regular files below a folder whose names end in a suffix.

    A link to a folder is followed once, as agents do; one in the work tree only where it leads to
    the work tree, so that a repository cannot have other folders read out. A folder that is not
    followed, or not to its end, is given as such. Nothing where there is no such folder.
    """
    seen: set[tuple[int, int]] = set()
    left = [MAX_FILES, MAX_BYTES]
    for path in _walk(folder, context, seen, 0):
        if path.is_dir():
            yield role, path
            continue
        if not path.name.endswith(suffixes):
            continue
        try:
            left = [left[0] - 1, left[1] - path.stat().st_size]
        except OSError:
            continue
        if min(left) < 0:
            yield role, folder
            return
        yield role, path


def _walk(
    folder: Path, context: LaunchContext, seen: set[tuple[int, int]], depth: int
) -> Iterator[Path]:
    """Give the files below a folder, and folders that were not entered."""
    try:
        status = folder.stat()
        entries = sorted(
            os.scandir(folder), key=lambda entry: (entry.name == _PACKAGES, entry.name)
        )
    except (OSError, ValueError):
        return
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    if depth > MAX_DEPTH or _leads_out(folder, context):
        yield folder
        return
    later: list[Path] = []
    for entry in entries:
        try:
            if entry.is_dir():
                later += [folder / entry.name] * (entry.name != _HISTORY)
            elif entry.is_file():
                yield folder / entry.name
        except OSError:
            continue
    for inner in later:
        yield from _walk(inner, context, seen, depth + 1)


def _leads_out(folder: Path, context: LaunchContext) -> bool:
    named, real = os.path.abspath(folder), os.path.realpath(folder)
    return within(named, context.top) and not within(real, context.top)


def skills(
    bases: Iterable[Path], names: Iterable[str], context: LaunchContext, role: str = SKILL
) -> Pairs:
    """Give the files below these folders of each base."""
    kinds = tuple(names)
    for base in bases:
        for name in kinds:
            yield from below(role, base / name, context)


def plugin(folder: Path, context: LaunchContext) -> Pairs:
    """Give the files of a plug-in; its hooks and lists of MCP servers keep their own roles."""
    for role, path in below(PLUGIN, folder, context):
        steps = path.relative_to(folder).parts
        if steps and (steps[0] == "hooks" or steps == ("hooks.json",)):
            role = "hooks"
        elif steps == (".mcp.json",):
            role = "mcp-configuration"
        yield role, path


__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_FILES", "PLUGIN", "SKILL", "below", "plugin", "skills"]
