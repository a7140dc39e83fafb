"""Where the server keeps its sessions: which one a call belongs to, and when each ends.

Over stdio one client has one process, and so one session at a time. Over HTTP several clients share
the process, and each names its session and token in every call. What a client may never ask for
is imported when it does: agents wait for their servers.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from agentprov.errors import AgentprovError, UserError

if TYPE_CHECKING:
    from agentprov.flows.declaring import Joined
    from agentprov.flows.own_session import OwnSession
    from agentprov.flows.world import World

IDLE_SECONDS = 3600.0
MAX_SESSIONS = 16
_TICK_SECONDS = 1.0
_LOG = logging.getLogger("agentprov.mcp")


class Desk:
    """The server's sessions in one repository.

    `shared` says that several clients use it. `publish` lets texts into signed statements. A
    session that nobody used for `idle` seconds is closed.
    """

    def __init__(
        self,
        start: Path | None = None,
        *,
        shared: bool = False,
        publish: bool = False,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self.shared = shared
        self._start = start
        self._publish = publish
        self._idle = idle
        self._world: World | None = None
        self._own: dict[str, OwnSession] = {}
        self._joined: dict[str, Joined] = {}
        self._current: str | None = None
        self._lock = threading.RLock()
        self._keeper: threading.Thread | None = None
        self._ended = threading.Event()

    def world(self) -> World:
        """Give the repository; raises NotARepository."""
        from agentprov.flows.world import World

        if self._world is None or not self._world.git.top.is_dir():
            self._world = World.here(self._start)
        return self._world

    def reading(self) -> World:
        """Give the repository with everything taken in that waited; for tools that read."""
        from agentprov.flows.drain import drain
        from agentprov.flows.waiting import waiting

        world = self.world()
        self.settle()
        # Sessions that others record are left to them, and so is their lock.
        if waiting(world.git):
            drain(world)
        return world

    def begin(self, agent: tuple[str, str | None]) -> Joined:
        """Start a session, or join the run that this process belongs to; raises UserError."""
        from agentprov.flows.own_session import OwnSession

        with self._lock:
            world = self.world()
            if not self.shared:
                known = self._find_current()
                if known is not None:
                    return known
            if sum(not own.closed for own in self._own.values()) >= MAX_SESSIONS:
                raise UserError(f"this server holds {MAX_SESSIONS} sessions already")
            own = OwnSession.open(world, agent, publish=self._publish)
            self._own[own.joined.directory.id] = own
            self._keep_watch()
            return self._use(own.joined)

    def join(self, session: str, token: str) -> Joined:
        """Join a live session by its id and token; raises UserError."""
        from agentprov.flows import declaring

        with self._lock:
            known = self._joined.get(session)
            joined = declaring.join(self.world(), session, token)
            if known is not None and known.token == joined.token:
                joined = known
            return self._use(joined)

    def at(self, session: str | None, token: str | None) -> Joined:
        """Give the session that a call belongs to; raises UserError where there is none."""
        with self._lock:
            if session is not None and (token is not None or self.shared):
                return self._touched(self.join(session, token or ""))
            found = None if self.shared else self._find_current()
            if found is None or session not in (None, found.directory.id):
                raise UserError(
                    "no session is open"
                    + (": name its id and token in every call" if self.shared else ""),
                    hint="call start_session first, before you change any file",
                )
            return self._touched(found)

    def look(self) -> Joined | None:
        """Give the session of the one client, without starting any; None over HTTP."""
        with self._lock:
            return None if self.shared else self._find_current()

    def own(self, joined: Joined) -> OwnSession | None:
        """Give the recorder of a session that this server records itself."""
        found = self._own.get(joined.directory.id)
        return None if found is None or found.closed else found

    def end(self, joined: Joined) -> OwnSession:
        """Close a session that this server records; raises UserError for another's."""
        own = self.own(joined)
        if own is None:
            raise UserError(
                "this session is recorded by somebody else and ends with its run",
                hint="nothing is to be done; what you declared is kept",
            )
        own.close()
        self._forget(joined)
        return own

    def settle(self) -> None:
        """Bind what was committed in the sessions that this server records."""
        for own in list(self._own.values()):
            own.settle()

    def close(self) -> None:
        """End all sessions, for the server's own end; what cannot be closed stays for later."""
        self._ended.set()
        for own in list(self._own.values()):
            try:
                own.close()
            except (AgentprovError, OSError) as error:
                _LOG.warning("a session stays open: %s", error)

    def _find_current(self) -> Joined | None:
        known = self._joined.get(self._current or "")
        if known is not None and known.live:
            return known
        if known is not None:
            self._forget(known)
        from agentprov.flows import declaring

        found = declaring.around(self.world())
        return None if found is None else self._use(found)

    def _use(self, joined: Joined) -> Joined:
        self._joined[joined.directory.id] = joined
        if not self.shared:
            self._current = joined.directory.id
        return joined

    def _forget(self, joined: Joined) -> None:
        self._joined.pop(joined.directory.id, None)
        if self._current == joined.directory.id:
            self._current = None

    def _touched(self, joined: Joined) -> Joined:
        own = self.own(joined)
        if own is not None:
            own.touch()
        return joined

    def _keep_watch(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._watch, daemon=True)
            self._keeper.start()

    def _watch(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            for name, own in list(self._own.items()):
                try:
                    own.settle()
                    if not own.closed and own.idle() > self._idle:
                        own.close()
                    if own.closed:
                        self._own.pop(name, None)
                except Exception as error:  # noqa: BLE001  the watch must outlive one failure
                    _LOG.warning("%s: %s", type(error).__name__, error)
