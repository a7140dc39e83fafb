"""A run's own directory outside the repository, and taking it away after a run that was killed."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

PREFIX = "agentprov-"
_MARK = ".session"


def make(session: str) -> Path:
    """Make a directory (0700) for one session's files; raises OSError."""
    place = Path(tempfile.mkdtemp(prefix=PREFIX))
    (place / _MARK).write_text(f"{session}\n", encoding="ascii")
    return place


def remove_left(place: str, session: str) -> bool:
    """Remove the directory that a killed run of this session left; says whether it was there.

    Only what `make` made: by its name, owner, kind and mark. What a file says that anybody may
    have written must not choose what is deleted. Whether a process still uses it is not asked.
    """
    path = Path(place)
    if not path.is_absolute() or not path.name.startswith(PREFIX):
        return False
    try:
        status = path.lstat()
        mark = path / _MARK
        mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
        if not (stat.S_ISDIR(status.st_mode) and mine and stat.S_ISREG(mark.lstat().st_mode)):
            return False
        if mark.read_bytes() != session.encode("utf-8") + b"\n":
            return False
    except OSError:
        return False
    shutil.rmtree(path, ignore_errors=True)
    return True
