"""Read opencode's database: which models were asked, what they wrote, what they ran.

SQLite, opened for reading only (opencode 1.18.33). ``session``, ``message`` and ``part`` rows
hold JSON; a part of type ``tool`` has the call's input, its state and when it ran. opencode
keeps the requested model only, and nothing of its title requests.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentprov.record.agents.calls import Answers, Call, Calls, Role, Tools
from agentprov.record.agents.reading import absolute, count, json_object, mapping, text, within

TOOLS = Tools(
    writes=frozenset({"write", "edit", "multiedit"}),
    commands=frozenset({"bash"}),
    reads=frozenset({"read"}),
)
REQUESTED_ONLY = "opencode keeps only the requested model"
_MAX_ROWS = 200_000


@dataclass
class Database:
    """What the sessions of one work tree said since `since`.

    `roots` are the sessions that no other session started; `ambiguous` says that there is more
    than one, so that whose is whose cannot be told and nothing was read.
    """

    since: datetime
    roots: list[str] = field(default_factory=list)
    sessions: dict[str, str] = field(default_factory=dict)
    calls: Calls = field(default_factory=lambda: Calls(TOOLS))
    answers: Answers = field(default_factory=Answers)

    @property
    def ambiguous(self) -> bool:
        """Say whether several sessions come into question."""
        return len(self.roots) > 1

    def read(self, path: Path, top: Path) -> None:
        """Take in the database; nothing where there is none, or it is not what we know."""
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)
        except (sqlite3.Error, ValueError):
            return
        with contextlib.closing(connection), contextlib.suppress(sqlite3.Error):
            self._sessions(connection, top)
            if not self.ambiguous:
                self._messages(connection)
                self._parts(connection)

    def _sessions(self, connection: sqlite3.Connection, top: Path) -> None:
        rows = connection.execute(
            "SELECT id, parent_id, directory FROM session WHERE time_updated >= ? LIMIT ?",
            (self._oldest, _MAX_ROWS),
        )
        for name, parent, directory in rows.fetchall():
            folder = absolute(directory, None)
            if text(name) and folder and within(folder, top):
                self.sessions[name] = folder
                if parent is None:
                    self.roots.append(name)

    def _messages(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(
            "SELECT id, session_id, data FROM message WHERE time_created >= ? LIMIT ?",
            (self._oldest, _MAX_ROWS),
        )
        for name, session, data in rows:
            message = json_object(data or "")
            if session not in self.sessions or message.get("role") != "assistant":
                continue
            tokens = mapping(message.get("tokens"))
            cache = mapping(tokens.get("cache"))
            fed = sum(count(value) for value in (tokens.get("input"), *cache.values()))
            if not message.get("error") or tokens.get("output"):
                role: Role = "main" if session in self.roots else "subagent"
                provider = text(message.get("providerID")) or "unknown"
                requested = text(message.get("modelID"))
                self.answers.add(
                    str(name), provider, requested, None, role, (fed, tokens.get("output"))
                )

    def _parts(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(
            "SELECT session_id, data FROM part WHERE time_created >= ? ORDER BY id LIMIT ?",
            (self._oldest, _MAX_ROWS),
        )
        for session, data in rows:
            part = json_object(data or "")
            name, tool = text(part.get("callID")), text(part.get("tool"))
            if session in self.sessions and part.get("type") == "tool" and name and tool:
                self.calls.by_id[name] = self._call(tool, part, self.sessions[session])

    def _call(self, tool: str, part: Mapping[str, Any], folder: str) -> Call:
        state = mapping(part.get("state"))
        when, extra = mapping(state.get("time")), mapping(state.get("metadata"))
        call = Call(tool, mapping(state.get("input")), folder)
        call.started, call.ended = _moment(when.get("start")), _moment(when.get("end"))
        if state.get("status") in ("completed", "error"):
            call.result = "good" if state.get("status") == "completed" else "bad"
        call.diff = text(extra.get("diff"))
        return call

    @property
    def _oldest(self) -> int:
        return int(self.since.timestamp() * 1000)


def _moment(value: object) -> datetime | None:
    milliseconds = count(value)
    if not milliseconds or milliseconds > 253_402_300_799_000:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
