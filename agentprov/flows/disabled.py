"""Standing aside on request, and leaving word of it for the next session's record."""

from __future__ import annotations

import os
from pathlib import Path

from agentprov.errors import AgentprovError
from agentprov.formats import dropbox
from agentprov.record.spool import DISABLED
from agentprov.system.files import atomic_write
from agentprov.system.git import Git


def tell(start: Path) -> None:
    """Leave word that a run was not recorded, where this repository was ever recorded at all.

    Never raises: whoever switched us off gets their command, whatever happens here.
    """
    try:
        spool = Git.discover(start).home / "spool"
        if spool.is_dir():
            drop = dropbox.Drop("git", DISABLED, b"run\n")
            atomic_write(spool / f"run-{os.getpid()}{dropbox.SUFFIX}", dropbox.encode(drop))
    except (AgentprovError, OSError):
        return
