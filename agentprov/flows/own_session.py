"""A session of its own for an agent that nobody runs: opened by the MCP server, builder declared.

Files and commits are found as in any session, by snapshots and reflogs; who did the work is the
agent's own word. The server is the agent's child, so nothing in such a session is known better
than `reported` (docs/spec/mcp-recorder.md).
"""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import replace
from pathlib import Path

from agentprov.errors import AgentprovError, MalformedInput, UserError
from agentprov.flows.before import Before
from agentprov.flows.declared import with_declared
from agentprov.flows.declaring import Joined
from agentprov.flows.opening import begin, directory_for
from agentprov.flows.recording import Recording
from agentprov.flows.world import World
from agentprov.formats import names
from agentprov.formats.facts import Agent, AgentReport, Gap, PlanRef, Session
from agentprov.formats.redaction import Redactor, secret_values
from agentprov.formats.schema import instant
from agentprov.record import commits, snapshot
from agentprov.record.session import SessionDirectory
from agentprov.record.spool import Spool

UNLOOKED = "declared over MCP; nobody looked at the program"


class OwnSession:
    """One open session and its recorder; `settle` binds commits, `close` ends it.

    May be used from several threads. A process that dies with it open leaves it to the next
    command, which closes it as incomplete.
    """

    def __init__(self, recording: Recording, joined: Joined, *, publish: bool) -> None:
        self.joined = joined
        self._recording = recording
        self._publish = Redactor(secret_values(os.environ)) if publish else None
        self._spool = Spool((recording.directory.spool,))
        self._gaps: list[Gap] = list(recording.state.session.gaps)
        self._lock = threading.RLock()
        self._seen: tuple[tuple[int, int], ...] = ()
        self._closed = False
        self._used = recording.world.clock.monotonic()

    @classmethod
    def open(cls, world: World, agent: tuple[str, str | None], *, publish: bool) -> OwnSession:
        """Open a session now; `agent` is name and version as the client gives them.

        Raises UserError where recording is switched off or a run is being recorded here already,
        GitFailed, OSError.
        """
        if os.environ.get("AGENTPROV_DISABLE") == "1":
            raise UserError("recording is switched off here (AGENTPROV_DISABLE=1)")
        _refuse_beside_a_run(world)
        before = Before(world)
        try:
            standing, first = before.finish()
        finally:
            before.close()
        directory = directory_for(world, str(uuid.uuid4()))
        token = directory.new_token()
        name, version = agent
        recording = begin(
            world,
            directory,
            (before.started, standing, first),
            builder=names.MCP_DECLARED,
            agent=Agent(name, name, name, None, "declared", version=version, why=UNLOOKED),
            command_line=("?",),
            report=AgentReport(channels=("declared",)),
        )
        return cls(recording, Joined(world, directory, token), publish=publish)

    @property
    def session(self) -> Session:
        """Give the session's facts as they stand."""
        return self._recording.state.session

    @property
    def bound(self) -> tuple[str, ...]:
        """Give the commits that have a statement of this session."""
        return self._recording.state.bound

    @property
    def closed(self) -> bool:
        """Say whether it was ended."""
        return self._closed

    def touch(self) -> None:
        """Say that somebody still uses the session."""
        self._used = self._recording.world.clock.monotonic()

    def idle(self) -> float:
        """Give the seconds since somebody used it."""
        return self._recording.world.clock.monotonic() - self._used

    def set_plan(self, plan: PlanRef, bundle: bytes, declared_at: str) -> None:
        """Put the session under a signed plan; raises UserError where it is too late for that."""
        with self._lock:
            state = self._recording.state
            if state.session.plan == plan:
                return
            if state.open_sha256 is not None:
                why = "the session has bound a commit already"
            elif instant(declared_at) > instant(state.session.started):
                why = "the plan was signed after the session began"
            else:
                self._recording.directory.add_record(bundle)
                session = replace(state.session, plan=plan)
                self._recording.state = replace(state, session=session)
                self._recording.directory.save(self._recording.state)
                return
        raise UserError(why, hint="end_session, then start_session with this plan")

    def settle(self) -> list[str]:
        """Take in what was declared and bind new commits; gives their ids.

        Cheap while nothing was committed. Raises GitFailed, Busy, KeyUnusable.
        """
        with self._lock:
            if self._closed:
                return []
            self._take_drops()
            seen = commits.reflog_marks(self._recording.world.git)
            if seen == self._seen:
                return []
            found = self._recording.find()
            bound = self._recording.bind(found, self._report(), during=True) if found else []
            self._seen = seen
            return [commit.oid for commit in bound]

    def close(self) -> None:
        """End the session: bind what is left, compare the work tree, sign the close.

        Raises as `settle`; then the session stays open on disk, and the next command closes it.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            recording = self._recording
            try:
                self._take_drops()
                report = self._report()
                recording.contradict(report.contradictions)
                found = recording.find()
                if found:
                    recording.bind(found, report, during=True)
                end_tree = self._last_snapshot()
                self._gaps += [recording.gap("drop-unreadable", x) for x in self._spool.defects]
                recording.close(
                    report,
                    outcome="completed",
                    exit_status=None,
                    end_tree=end_tree,
                    gaps=self._gaps,
                )
                self._spool.clear()
                recording.directory.clear_live()
            finally:
                recording.journal.close()

    def _take_drops(self) -> None:
        for item in self._spool.new():
            self._recording.note_drop(item.drop)

    def _report(self) -> AgentReport:
        drops = [item.drop for item in self._spool.all]
        blank = AgentReport(channels=("declared",))
        return with_declared(self._recording, blank, drops, self._publish)

    def _last_snapshot(self) -> str | None:
        recording = self._recording
        try:
            world = recording.world
            last = snapshot.take(world.git, world.now(), recording.directory.id)
        except (AgentprovError, OSError) as error:
            self._gaps.append(recording.gap("last-snapshot-failed", str(error)))
            return None
        self._gaps += [recording.gap(gap.why, gap.detail) for gap in last.gaps]
        recording.journal.append("snapshot", {"tree": last.tree})
        return last.tree


def _refuse_beside_a_run(world: World) -> None:
    for directory in SessionDirectory.said_live(world.git.home):
        if not directory.is_live():
            continue
        try:
            state = directory.load()
        except MalformedInput:
            continue
        here = Path(state.worktree) == world.git.top
        if here and state.session.builder != names.MCP_DECLARED:
            raise UserError(
                "a run is being recorded in this work tree",
                hint="join it: start_session with the id and token that stand in "
                "AGENTPROV_SESSION and AGENTPROV_SESSION_TOKEN inside of it",
            )
