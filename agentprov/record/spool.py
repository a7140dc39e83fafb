"""Reads the drop-box of a session: events that hooks left, oldest first.

Files stay where they are until the session closes, so that a crash loses nothing; what is not
a whole drop is reported once and skipped.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agentprov.errors import MalformedInput
from agentprov.formats import dropbox

MAX_DROPS = 200_000
DISABLED = "disabled"


@dataclass(frozen=True)
class Dropped:
    """One event with the file it came in and when that file was completed (ns since epoch)."""

    path: Path
    at_ns: int
    drop: dropbox.Drop


class Spool:
    """Watches one or more drop directories; `new` gives each event once."""

    def __init__(self, directories: Iterable[Path]) -> None:
        self._directories = tuple(directories)
        self._seen: set[str] = set()
        self.all: list[Dropped] = []
        self.defects: list[str] = []

    def new(self) -> list[Dropped]:
        """Give the events that arrived since the last call, by completion time."""
        fresh: list[Dropped] = []
        for directory in self._directories:
            fresh += self._scan(directory)
        fresh.sort(key=lambda item: (item.at_ns, item.path.name))
        self.all += fresh
        return fresh

    def _scan(self, directory: Path) -> list[Dropped]:
        found: list[Dropped] = []
        try:
            entries = list(os.scandir(directory))
        except OSError:
            return found
        for entry in entries:
            key = entry.path
            if not entry.name.endswith(dropbox.SUFFIX) or key in self._seen:
                continue
            if len(self._seen) >= MAX_DROPS:
                break
            self._seen.add(key)
            try:
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    raise MalformedInput("not a regular file")
                if status.st_size > dropbox.MAX_DROP_BYTES:
                    raise MalformedInput("too large")
                drop = dropbox.decode(Path(entry.path).read_bytes())
            except (OSError, MalformedInput) as error:
                self.defects.append(f"{entry.name}: {error}")
                continue
            found.append(Dropped(Path(entry.path), status.st_mtime_ns, drop))
        return found

    def unfinished(self) -> int:
        """Count payloads that were cut off: files that a writer began and never put in place."""
        count = 0
        for directory in self._directories:
            try:
                count += sum(name.endswith(".part") for name in os.listdir(directory))
            except OSError:
                continue
        return count

    def troubles(self) -> list[tuple[str, str]]:
        """Give what could not be read, as gaps: reason and detail."""
        cut_off = self.unfinished()
        found = [("drops-cut-off", f"{cut_off} payloads of hooks are not whole")] if cut_off else []
        return found + [("drop-unreadable", defect) for defect in self.defects]

    def clear(self, *, but: str | None = None) -> None:
        """Remove every drop that was read, except events called `but`; what cannot be stays."""
        for item in self.all:
            if but is None or item.drop.event != but:
                item.path.unlink(missing_ok=True)
        self.all = []


def stood_aside(directory: Path) -> list[Dropped]:
    """Give, and take away, the drops by which hooks said that they were switched off."""
    spool = Spool((directory,))
    found = [item for item in spool.new() if item.drop.event == DISABLED]
    for item in found:
        item.path.unlink(missing_ok=True)
    return found
