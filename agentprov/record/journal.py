"""Writes a session's journal; fails open: what could not be written becomes a gap."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats import journal
from agentprov.ports import Clock
from agentprov.system.clock import rfc3339
from agentprov.system.files import append_durably, open_regular

_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
_NOT_THROUGH_LINKS = getattr(os, "O_NOFOLLOW", 0)


class JournalWriter:
    """Appends chained entries to one file and keeps the head.

    Writing never raises: after a failure (full disk, lost directory) the entry is dropped,
    counted, and the next entry that can be written is a ``gap`` that says how many were lost
    and why. Lines are flushed to the disk for `durable` entries only; the rest follow with
    them. Times never go back, whatever the clock does.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lost = 0
        self._lost_since = ""
        self._lost_why = ""
        self.head = journal.GENESIS
        self.length = 0
        self._size = 0
        self._torn = False
        self._at = ""
        self._descriptor = os.open(
            path,
            os.O_RDWR | os.O_CREAT | os.O_APPEND | _CLOSE_ON_EXEC | _NOT_THROUGH_LINKS,
            0o600,
        )

    @classmethod
    def resume(cls, path: Path, clock: Clock) -> tuple[JournalWriter, journal.Reading]:
        """Open an existing journal, cut a torn tail off, and go on after its last whole entry.

        What is cut off is first put aside, in a file beside the journal (`cut_off_of`): more than
        a torn line may stand behind the first bad byte. A journal that is gone is a defect like
        any other. Raises OSError.
        """
        try:
            with open(open_regular(path, follow=False), "rb") as stream:
                data = stream.read()
        except FileNotFoundError:
            data = b""
        reading = journal.read(data)
        rest = data[reading.valid_bytes :]
        if rest.strip(b"\0"):
            append_durably(cut_off_of(path), rest.replace(b"\n", b" "))
        writer = cls(path, clock)
        os.ftruncate(writer._descriptor, reading.valid_bytes)
        writer.head = reading.head
        writer.length = len(reading.entries)
        writer._size = reading.valid_bytes
        writer._at = reading.entries[-1].at if reading.entries else ""
        return writer, reading

    @property
    def lost(self) -> int:
        """Give how many entries could not be written and are not yet accounted for by a gap."""
        return self._lost

    def now(self) -> str:
        """Give the time as the next entry would have it: never before the last one's."""
        return max(self._at, rfc3339(self._clock.now()))

    def append(self, kind: str, data: Mapping[str, Any], *, durable: bool = False) -> bytes | None:
        """Append one entry and give its line; None when it could not be written."""
        now = self._at = self.now()
        if self._lost:
            gap = {
                "detail": f"{self._lost} entries lost: {self._lost_why}",
                "end": now,
                "start": self._lost_since,
                "why": "journal-write-failed",
            }
            if self._write(now, "gap", gap, durable=False) is not None:
                self._lost = 0
        line = self._write(now, kind, data, durable=durable)
        if line is None:
            self._lost += 1
            self._lost_since = self._lost_since if self._lost > 1 else now
        return line

    def _write(self, at: str, kind: str, data: Mapping[str, Any], *, durable: bool) -> bytes | None:
        try:
            line = journal.encode_line(self.length, at, kind, data, self.head)
            whole = line + b"\n"
            if self._torn:
                # Behind half a line nothing could be read any more.
                os.ftruncate(self._descriptor, self._size)
                self._torn = False
            written = os.write(self._descriptor, whole)
            if written != len(whole):
                raise OSError(f"only {written} of {len(whole)} bytes were written")
            if durable:
                os.fsync(self._descriptor)
        except (OSError, MalformedInput) as error:
            self._lost_why = getattr(error, "strerror", None) or str(error)
            self._cut_back()
            return None
        self._size += len(whole)
        self.head = journal.digest(line)
        self.length += 1
        return line

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._size)
            self._torn = False
        except OSError:
            self._torn = True

    def close(self) -> None:
        """Flush and close; what the disk refuses now, the reader will see as a torn end."""
        try:
            os.fsync(self._descriptor)
        except OSError:
            self._lost_why = "the last flush failed"
        finally:
            os.close(self._descriptor)


def cut_off_of(path: Path) -> Path:
    """Give the place that keeps what was cut off a journal: one line for each time."""
    return path.with_name("journal.cut-off")
