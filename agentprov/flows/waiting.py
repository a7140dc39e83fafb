"""Whether anything waits to be taken in: asked by every reading command, so kept apart."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping

from agentprov.system.files import atomic_write, read_bounded
from agentprov.system.git import Git

_LOOKED_AT = "reflogs.json"
_MAX_BYTES = 16 * 1024 * 1024


def waiting(git: Git) -> bool:
    """Say whether anything may have to be taken in (by `flows.drain`); starts no process.

    Three directory listings, and where anything was recorded a look at the sizes of the reflogs.
    """
    for name in ("live", "pending", "spool"):
        try:
            if any(not entry.startswith(".") for entry in os.listdir(git.home / name)):
                return True
        except OSError:
            continue
    return _stirred(git)


def reflog_sizes(git: Git) -> dict[str, int]:
    """Give the size of the HEAD reflog of each work tree that has one."""
    sizes = {}
    for place in (str(git.common_dir), str(git.git_dir), *_worktrees(git)):
        path = os.path.join(place, "logs", "HEAD")
        try:
            sizes[path] = os.stat(path).st_size
        except OSError:
            continue
    return sizes


def _worktrees(git: Git) -> list[str]:
    above = os.path.join(git.common_dir, "worktrees")
    try:
        return [os.path.join(above, name) for name in os.listdir(above)]
    except OSError:
        return []


def looked_at(git: Git, sizes: Mapping[str, int]) -> None:
    """Remember how far the reflogs were read; what cannot be written is read again."""
    text = json.dumps(sizes, sort_keys=True, separators=(",", ":"))
    with contextlib.suppress(OSError):
        atomic_write(git.home / _LOOKED_AT, text.encode(), fsync=False)


def _stirred(git: Git) -> bool:
    """Say whether a HEAD moved since rewrites were last looked for, where anything was recorded."""
    try:
        known = json.loads(read_bounded(git.home / _LOOKED_AT, _MAX_BYTES))
    except (OSError, ValueError):
        if not os.path.isdir(git.home / "sessions"):
            return False
        known = None
    return bool(known != reflog_sizes(git))
