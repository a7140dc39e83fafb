"""What we put right after a crash: said once by the command that did it, and kept for `doctor`.

The list is for people. Nothing is decided by it, so it may be lost and is waited for by nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from agentprov.formats.value import value
from agentprov.system.clock import rfc3339
from agentprov.system.files import read_bounded

MAX_BYTES = 256 * 1024
_untold: list[str] = []


@value
class Repair:
    """What was put right, and when, by this machine's clock (RFC 3339)."""

    at: str
    what: str


def note(home: Path, what: str) -> None:
    """Keep what was put right in `home`, our directory in the repository; raises nothing."""
    _untold.append(what)
    line = json.dumps({"at": rfc3339(datetime.now(UTC)), "what": what}).encode() + b"\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    with contextlib.suppress(OSError):
        place = _place(home)
        if place.exists() and place.stat().st_size > MAX_BYTES - 4096:
            os.replace(place, place.with_suffix(".former"))
        descriptor = os.open(place, flags, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


def untold() -> list[str]:
    """Give, once, what was put right in this process."""
    found = list(_untold)
    _untold.clear()
    return found


def recent(home: Path, most: int = 10) -> list[Repair]:
    """Give the last repairs, the newest last; lines that cannot be read are left out."""
    found: list[Repair] = []
    with contextlib.suppress(OSError):
        for line in read_bounded(_place(home), MAX_BYTES, follow=False).splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                kept = json.loads(line)
                found.append(Repair(str(kept["at"]), str(kept["what"])))
    return found[-most:]


def _place(home: Path) -> Path:
    return home / "repairs.jsonl"
