"""Finds a session that was recorded in this repository by the first digits of its id."""

from __future__ import annotations

from pathlib import Path

from agentprov.errors import UserError
from agentprov.record.session import SessionDirectory


def find(home: Path, session: str) -> SessionDirectory:
    """Give the one session whose id starts so; raises UserError for none or several."""
    found = sorted(
        place.name for place in (home / "sessions").glob("*") if place.name.startswith(session)
    )
    if len(found) != 1:
        many = "more than one session starts" if found else "no session starts"
        raise UserError(
            f"{many} with {session!r}", hint="`agentprov log --json` lists the ids of sessions"
        )
    return SessionDirectory(home, found[0])
