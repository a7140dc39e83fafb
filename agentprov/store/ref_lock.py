"""The lock file that a killed git leaves beside a ref, told from one that is in use.

git's lock files name no owner. Ours does: whoever writes the notes ref holds `notes.lock`, and
the git that writes for us inherits that hold, so that it ends with the last of the two. A mark in
the file says that a ref was being written. Who holds the file and finds the mark knows that the
writer died.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from agentprov.system import repairs
from agentprov.system.git import Git

STALE_SECONDS = 600.0
_OTHERS_SECONDS = 1.0
_MARK = b"writing\n"


@contextlib.contextmanager
def marked(held: int) -> Iterator[None]:
    """Mark the held lock file (its descriptor) while a ref is being written."""
    # A full disk may refuse the mark; then only the age of a lock file tells.
    with contextlib.suppress(OSError):
        os.pwrite(held, _MARK, 0)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(held, 0)


def remove_left(git: Git, ref: str, held: int | None = None) -> None:
    """Remove the lock file of a ref of ours if nobody can be using it any more.

    With `held`, the descriptor of our own lock file, a mark in it says that its last holder died
    while writing. Without a mark, a lock file of `STALE_SECONDS` is old enough: git holds one for
    milliseconds. Touches no other lock of git's. Raises nothing; says what was done as a repair.
    """
    place = git.common_dir / f"{ref}.lock"
    died = held is not None and _is_marked(held)
    if place.exists() and (_stays(place) if died else _is_old(place)):
        with contextlib.suppress(OSError):
            place.unlink()
            repairs.note(git.home, f"removed {ref}.lock, which a killed git had left")
    if died and held is not None:
        with contextlib.suppress(OSError):
            os.ftruncate(held, 0)


def _is_marked(held: int) -> bool:
    try:
        return os.fstat(held).st_size > 0
    except OSError:
        return False


def _stays(place: Path) -> bool:
    """Give whoever else may be writing this very moment a moment to be done."""
    deadline = time.monotonic() + _OTHERS_SECONDS
    while place.exists():
        if time.monotonic() >= deadline:
            return True
        time.sleep(0.02)
    return False


def _is_old(place: Path) -> bool:
    try:
        return time.time() - place.lstat().st_mtime > STALE_SECONDS
    except OSError:
        return False
