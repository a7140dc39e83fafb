"""What processes that were killed leave lying, and taking it away without harm to the living.

Files that are being written have names that no reader takes for finished ones. They are removed
by age alone: a process id says nothing across containers that share a repository.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from agentprov.formats.dropbox import SUFFIX
from agentprov.formats.journal import Reading
from agentprov.record.session import SessionDirectory, State
from agentprov.record.spool import Spool
from agentprov.system import repairs, scratch
from agentprov.system.files import atomic_write, remove_leftovers
from agentprov.system.process_table import carrying

_Format = Literal["sha1", "sha256"]
PART_SECONDS = 3600.0
# A snapshot of a very large work tree takes long.
INDEX_SECONDS = 24 * 3600.0
_EVERY_SECONDS = 3600.0
_INDEX = re.compile(r"index-[0-9a-f-]{16,36}-[0-9a-f]{12}(\.lock)?")


def sweep(home: Path) -> int:
    """Remove old unfinished files in our directory of a repository; gives how many.

    Looks at most once an hour. Raises nothing.
    """
    stamp = home / "swept"
    with contextlib.suppress(OSError):
        if abs(time.time() - stamp.stat().st_mtime) < _EVERY_SECONDS:
            return 0
    with contextlib.suppress(OSError):
        atomic_write(stamp, b"", fsync=False)
    count = 0
    for folder in _folders(home):
        count += len(remove_leftovers(folder, _is_part, PART_SECONDS))
    count += len(remove_leftovers(home, lambda n: bool(_INDEX.fullmatch(n)), INDEX_SECONDS))
    for folder in _object_folders(home / "objects"):
        count += len(remove_leftovers(folder, _is_unfinished_object, INDEX_SECONDS))
    count += _unbegun(home) + _unheard(home)
    if count:
        repairs.note(home, f"removed {count} unfinished files that killed processes had left")
    return count


def unfinished(home: Path) -> int:
    """Count unfinished files in our directory, old or in use; for `doctor`."""
    count = 0
    for folder in _folders(home):
        with contextlib.suppress(OSError):
            count += sum(_is_part(name) or bool(_INDEX.fullmatch(name)) for name in _names(folder))
    return count


def _is_part(name: str) -> bool:
    return name.endswith(".part")


def _is_drop(name: str) -> bool:
    return name.endswith(SUFFIX)


def _is_unfinished_object(name: str) -> bool:
    return name.startswith("tmp_obj_") or name.endswith(".part")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _folders(home: Path) -> Iterator[Path]:
    yield home
    for name in ("live", "pending", "spool", "log"):
        yield home / name
    for name in _names(home / "sessions"):
        yield home / "sessions" / name
        yield home / "sessions" / name / "spool"


def _object_folders(objects: Path) -> Iterator[Path]:
    yield from (objects / name for name in _names(objects) if len(name) == 2)


def _unbegun(home: Path) -> int:
    """Remove directories of sessions that never began: no state, no mark, a day old."""
    count = 0
    for name in _names(home / "sessions"):
        directory = SessionDirectory(home, name)
        if directory.marked_live() or directory.has_state() or directory.records.exists():
            continue
        with contextlib.suppress(OSError):
            if time.time() - directory.path.stat().st_mtime > INDEX_SECONDS:
                shutil.rmtree(directory.path, ignore_errors=True)
                count += 1
    return count


def _unheard(home: Path) -> int:
    """Remove drops that came when their session was closed already: texts go with the session."""
    count = 0
    for name in _names(home / "sessions"):
        directory = SessionDirectory(home, name)
        if not directory.marked_live():
            count += len(remove_leftovers(directory.spool, _is_drop, PART_SECONDS))
    return count


def after_session(directory: SessionDirectory, state: State) -> None:
    """Remove what a killed run left outside the repository, unless a process still uses it."""
    if state.scratch and not carrying("AGENTPROV_SESSION", directory.id):
        scratch.remove_left(state.scratch, directory.id)


def unread_drops(directory: SessionDirectory, reading: Reading) -> str | None:
    """Say, for a gap, what of a killed session's drop-box is damaged, or was never journaled."""
    box = Spool((directory.spool,))
    drops = len(box.new())
    journaled = sum(entry.kind == "drop" for entry in reading.entries)
    parts = []
    if box.defects or box.unfinished():
        parts.append(f"{len(box.defects) + box.unfinished()} not whole")
    if drops > journaled:
        parts.append(f"{drops - journaled} not read")
    return ", ".join(parts) or None


def remove_torn_objects(
    objects: Path, since: float, object_format: Literal["sha1", "sha256"]
) -> int:
    """Remove private git objects that a loss of power left damaged; gives how many.

    They are not waited for when they are written, and git would take a damaged one for there.
    Looks at those changed since a time (seconds since 1970). Raises nothing.
    """
    count = 0
    for folder in _object_folders(objects):
        for name in _names(folder):
            place = folder / name
            with contextlib.suppress(OSError):
                if place.stat().st_mtime >= since and not _is_whole(place, object_format):
                    place.unlink()
                    count += 1
    return count


def _is_whole(place: Path, object_format: _Format) -> bool:
    digest = hashlib.new(object_format, usedforsecurity=False)
    reader = zlib.decompressobj()
    try:
        with place.open("rb") as stream:
            while block := stream.read(1024 * 1024):
                digest.update(reader.decompress(block))
    except zlib.error:
        return False
    return reader.eof and digest.hexdigest() == place.parent.name + place.name
