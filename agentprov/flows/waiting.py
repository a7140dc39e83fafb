"""Whether anything waits to be taken in: asked by every reading command, so kept apart."""

from __future__ import annotations

import os

from agentprov.system.git import Git


def waiting(git: Git) -> bool:
    """Say whether anything may have to be taken in (by `flows.drain`): three directory listings."""
    for name in ("live", "pending", "spool"):
        try:
            if any(not entry.startswith(".") for entry in os.listdir(git.home / name)):
                return True
        except OSError:
            continue
    return False
