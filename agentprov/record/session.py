"""A session's own directory: what must survive between the recorder and later commands.

``<common git dir>/agentprov/sessions/<id>/`` holds ``journal.jsonl``, ``state.json``, ``spool/``,
``records.jsonl`` (the signed bundles of this session) and ``next`` (the next sequence number,
for the message hook). ``live/<id>`` stands while the recorder lives; ``pending/<id>`` lists the
paths (as git quotes them) whose session content is not committed yet. docs/spec/layout.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from agentprov.errors import MalformedInput
from agentprov.formats import canonical, frozen
from agentprov.formats.facts import AgentReport, Session
from agentprov.formats.journal import MAX_LINE_BYTES
from agentprov.record.accounts import Hand
from agentprov.record.commits import RefState
from agentprov.system.files import atomic_write, open_regular
from agentprov.system.process import alive

STATE_VERSION = 1


@dataclass(frozen=True)
class State:
    """What is known of a session so far, enough for another process to go on with it.

    `by_command` are the labels of paths that changed only while a command of the agent ran;
    `followed` says that the contents of changed files were kept from the start without a gap,
    `alone` that no other session was live in the repository until this one closed. `untouched`
    are the labels of uncommitted paths that the agent's processes did not write, `opened` label,
    first and last time of those that they may have, `openings` label, single times and whose hand
    it was; None and none without process attribution.
    """

    session: Session
    baseline_tree: str
    phase: Literal["open", "closed", "incomplete"]
    worktree: str
    open_sha256: str | None = None
    generations: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    sequence: int = 0
    anchor: str | None = None
    end_tree: str | None = None
    report: AgentReport = field(default_factory=AgentReport)
    tips: tuple[str, ...] = ()
    reflogs: tuple[tuple[str, int], ...] = ()
    by_command: tuple[str, ...] = ()
    followed: bool = False
    alone: bool = True
    untouched: tuple[str, ...] | None = None
    opened: tuple[tuple[str, str, str], ...] = ()
    openings: tuple[tuple[str, str, str, Hand], ...] = ()

    @property
    def refs(self) -> RefState:
        """Give where refs stood when the session began."""
        return RefState(self.tips, dict(self.reflogs))


class SessionDirectory:
    """One session's files; made by `create`, found again by its id."""

    def __init__(self, home: Path, session_id: str) -> None:
        self.home = home
        self.id = session_id
        self.path = home / "sessions" / session_id
        self.journal = self.path / "journal.jsonl"
        self.spool = self.path / "spool"
        self.records = self.path / "records.jsonl"
        self.versions = self.path / "versions.jsonl"
        self._state = self.path / "state.json"
        self._next = self.path / "next"
        self._token = self.path / "token"
        self._live = home / "live" / session_id
        self._pending = home / "pending" / session_id

    @classmethod
    def create(cls, home: Path, session_id: str) -> SessionDirectory:
        """Make the directories of a new session (0700); raises OSError."""
        directory = cls(home, session_id)
        for place in (home / "sessions", home / "live", home / "pending"):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.path.mkdir(mode=0o700)
        directory.spool.mkdir(mode=0o700)
        directory.set_next(1)
        return directory

    @classmethod
    def said_live(cls, home: Path) -> Iterator[SessionDirectory]:
        """Give the sessions that a recorder says it serves; it may have died since."""
        try:
            names = sorted(os.listdir(home / "live"))
        except OSError:
            return
        for name in names:
            if not name.startswith("."):
                yield cls(home, name)

    def others_began_since(self, started: str) -> bool:
        """Say whether another session of this repository opened at or after a time (RFC 3339)."""
        since = datetime.fromisoformat(started)
        try:
            entries = list(os.scandir(self.home / "sessions"))
        except OSError:
            return False
        for entry in entries:
            place = os.path.join(entry.path, self.journal.name)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                if entry.name == self.id or os.stat(place).st_mtime < since.timestamp():
                    continue
                with open(open_regular(place), "rb") as stream:
                    opened = json.loads(stream.readline(MAX_LINE_BYTES))["at"]
                if datetime.fromisoformat(opened) >= since:
                    return True
        return False

    def save(self, state: State) -> None:
        """Write the state aside and put it in place."""
        plain = {"version": STATE_VERSION, "state": frozen.to_plain(state)}
        atomic_write(self._state, json.dumps(plain, separators=(",", ":")).encode(), fsync=False)

    def load(self) -> State:
        """Read the state; raises MalformedInput when there is none that can be read."""
        try:
            value = canonical.parse(_content(self._state), what="session state")
        except OSError as error:
            raise MalformedInput(f"session {self.id}: no state ({error.strerror})") from error
        if not isinstance(value, dict) or value.get("version") != STATE_VERSION:
            raise MalformedInput(f"session {self.id}: state of another version")
        return frozen.from_plain(State, value.get("state"))

    def new_token(self) -> bytes:
        """Make the token with which an agent's declarations to this session are sealed."""
        token = secrets.token_hex(32).encode()
        atomic_write(self._token, token + b"\n", fsync=False)
        return token

    def token(self) -> bytes | None:
        """Give the token; None for a session that has none, or is closed."""
        try:
            return _content(self._token).strip() or None
        except OSError:
            return None

    def forget_token(self) -> None:
        """End the time of declarations."""
        self._token.unlink(missing_ok=True)

    def set_next(self, number: int) -> None:
        """Tell the message hook which sequence number the next commit gets."""
        atomic_write(self._next, b"%d\n" % number, fsync=False)

    def mark_live(self, pid: int, started: str, worktree: Path) -> None:
        """Say that a recorder serves this session now."""
        text = f"{pid}\n{started}\n{worktree}\n"
        atomic_write(self._live, text.encode("utf-8", "surrogateescape"), fsync=False)

    def clear_live(self) -> None:
        """Say that no recorder serves this session any more."""
        self._live.unlink(missing_ok=True)

    def owner(self) -> tuple[int, str] | None:
        """Give (pid, start time) of the recorder that says it serves this session."""
        try:
            lines = _content(self._live).decode("utf-8", "surrogateescape").splitlines()
            return int(lines[0]), lines[1]
        except (OSError, ValueError, IndexError):
            return None

    def is_live(self) -> bool:
        """Say whether the recorder that serves this session is still running."""
        owner = self.owner()
        return owner is not None and alive(*owner)

    def set_pending(self, quoted_paths: Sequence[bytes]) -> None:
        """Keep the paths that are not committed yet; none removes the file."""
        if quoted_paths:
            atomic_write(self._pending, b"\n".join(quoted_paths) + b"\n", fsync=False)
        else:
            self._pending.unlink(missing_ok=True)

    def pending(self) -> list[bytes]:
        """Give the paths that are not committed yet, as git quotes them."""
        try:
            return _content(self._pending).splitlines()
        except OSError:
            return []

    def add_record(self, bundle: bytes) -> None:
        """Append a signed bundle to the session's own records."""
        descriptor = os.open(self.records, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, bundle + b"\n")
        finally:
            os.close(descriptor)

    def bundles(self) -> list[bytes]:
        """Give the session's signed bundles in the order in which they were made."""
        try:
            return [line for line in _content(self.records).splitlines() if line]
        except OSError:
            return []


def _content(path: Path) -> bytes:
    # Whoever can write here could leave a FIFO, which would hold every reader for ever.
    with open(open_regular(path), "rb") as stream:
        return stream.read()
