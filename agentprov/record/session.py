"""A session's own directory: what must survive between the recorder and later commands.

``<common git dir>/agentprov/sessions/<id>/`` holds ``journal.jsonl``, ``state.json``, ``spool/``,
``records.jsonl`` (the signed bundles of this session), ``dropped`` (which of them were taken out
of the notes) and ``next`` (the next sequence number, for the message hook). ``live/<id>`` stands
from before the first of them until all is done that a close has to do; ``pending/<id>`` lists the
paths (as git quotes them) whose session content is not committed yet. docs/spec/layout.md; what
is on the disk when: docs/spec/crash-safety.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from agentprov.errors import MalformedInput
from agentprov.formats import bundle, canonical, frozen
from agentprov.formats.facts import AgentReport, Session
from agentprov.formats.journal import MAX_LINE_BYTES
from agentprov.record.accounts import Hand
from agentprov.record.commits import RefState
from agentprov.system.files import (
    append_durably,
    atomic_write,
    open_regular,
    private_directory,
    sync_directory,
    sync_file,
)
from agentprov.system.process_table import alive, start_time

STATE_VERSION = 1
DROPPED = "dropped"
"""The file that lists which of a session's records were taken out of the notes on purpose."""


@dataclass(frozen=True)
class State:
    """What is known of a session so far, enough for another process to go on with it.

    `by_command` are the labels of paths that changed only while a command of the agent ran;
    `followed` says that the contents of changed files were kept from the start without a gap,
    `alone` that no other session was live in the repository until this one closed. `untouched`
    are the labels of uncommitted paths that the agent's processes did not write, `opened` label,
    first and last time of those that they may have, `openings` label, single times and whose hand
    it was; None and none without process attribution. `scratch` is the directory of this run's
    own files outside the repository; `published` is false while notes may lack a record of it.
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
    scratch: str = ""
    published: bool = True

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
        self._dropped = self.path / DROPPED
        self._next = self.path / "next"
        self._token = self.path / "token"
        self._live = home / "live" / session_id
        self._pending = home / "pending" / session_id

    @classmethod
    def create(cls, home: Path, session_id: str) -> SessionDirectory:
        """Make the directories of a new session (0700); raises OSError."""
        directory = cls(home, session_id)
        for place in (home / "sessions", home / "live", home / "pending"):
            private_directory(place)
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

    def save(self, state: State, *, durable: bool = False) -> None:
        """Write the state aside and put it in place.

        Until a session is closed it can be made again from the journal, so nobody waits for the
        disk then.
        """
        plain = {"version": STATE_VERSION, "state": frozen.to_plain(state)}
        content = json.dumps(plain, separators=(",", ":")).encode()
        atomic_write(self._state, content, fsync=durable)

    def settle(self) -> None:
        """Wait until the disk has what says that this session began; raises OSError."""
        sync_file(self.journal)
        sync_file(self._state)
        sync_file(self._live)
        for place in (self.path, self.path.parent, self._live.parent, self.home):
            sync_directory(place)

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
        """Say that all is done for this session: no recorder serves it, nothing waits."""
        self.forget_token()
        self._live.unlink(missing_ok=True)

    def marked_live(self) -> bool:
        """Say whether this session was ever marked as served and not cleared since."""
        return os.path.lexists(self._live)

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
        if owner is None:
            return False
        # Where the system does not tell when a process started, its id has to do.
        return alive(owner[0], owner[1] or None)

    def is_of_this_boot(self) -> bool:
        """Say whether the machine kept running since the recorder began; false where unknown."""
        owner, own = self.owner(), start_time(os.getpid())
        if owner is None or not owner[1] or own is None:
            return False
        return owner[1].rpartition("-")[0] == own.rpartition("-")[0]

    def has_state(self) -> bool:
        """Say whether there is a state file, readable or not."""
        return os.path.lexists(self._state)

    def set_pending(self, quoted_paths: Sequence[bytes]) -> None:
        """Keep the paths that are not committed yet, durably; none removes the file."""
        if quoted_paths:
            atomic_write(self._pending, b"\n".join(quoted_paths) + b"\n")
        else:
            self._pending.unlink(missing_ok=True)

    def pending(self) -> list[bytes]:
        """Give the paths that are not committed yet, as git quotes them."""
        try:
            return _content(self._pending).splitlines()
        except OSError:
            return []

    def add_record(self, line: bytes) -> None:
        """Append a signed bundle to the session's own records, durably; raises OSError."""
        append_durably(self.records, line)

    def bundles(self) -> list[bytes]:
        """Give the session's signed bundles in the order in which they were made.

        A line that a killed process or a full disk left half-written is none.
        """
        try:
            lines = _content(self.records).splitlines()
        except OSError:
            return []
        return [line for line in lines if line and _is_bundle(line)]

    def note_dropped(self, lines: Iterable[bytes]) -> None:
        """Write down which of the session's bundles the notes lose on purpose; raises OSError."""
        known = self._dropped_digests()
        for line in lines:
            digest = sha256(line).hexdigest().encode()
            if digest not in known:
                append_durably(self._dropped, digest)

    def dropped_bundles(self) -> list[bytes]:
        """Give those of the session's bundles that the notes have lost on purpose."""
        known = self._dropped_digests()
        return [line for line in self.bundles() if sha256(line).hexdigest().encode() in known]

    def _dropped_digests(self) -> set[bytes]:
        try:
            return {*_content(self._dropped).splitlines()}
        except OSError:
            return set()


def _is_bundle(line: bytes) -> bool:
    try:
        bundle.parse(line)
    except MalformedInput:
        return False
    return True


def _content(path: Path) -> bytes:
    # Whoever can write here could leave a FIFO, which would hold every reader for ever.
    with open(open_regular(path), "rb") as stream:
        return stream.read()
