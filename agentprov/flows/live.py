"""The recorder while an agent runs, and the closing of its session."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agentprov.errors import AgentprovError
from agentprov.flows import hook_site, steering
from agentprov.flows.declared import with_declared
from agentprov.flows.disk import Disk
from agentprov.flows.drain import link_rewrites
from agentprov.flows.last_snapshot import LastSnapshot
from agentprov.flows.recording import FAILED, Recording
from agentprov.flows.request import Outcome, Request
from agentprov.flows.vantages import Processes, Wire
from agentprov.formats.dropbox import Drop, encode
from agentprov.formats.facts import AgentReport, Commit, Gap, Material, McpServer, PlanRef
from agentprov.formats.redaction import secret_values
from agentprov.ports import AgentAdapter, Clock, Launch, LaunchContext
from agentprov.record import commits
from agentprov.record.agents.registry import UNKNOWN
from agentprov.record.executable import Digests, Identity
from agentprov.record.materials import NOT_ALL, NOT_FOLLOWED, digest_materials, resolve_mcp
from agentprov.record.spool import Dropped, Spool
from agentprov.record.watcher import Summary
from agentprov.system.clock import SteadyClock
from agentprov.system.files import atomic_write, private_directory
from agentprov.system.process import Running
from agentprov.system.process_table import alive, carrying
from agentprov.system.signals import unsignalled

if TYPE_CHECKING:
    from agentprov.record.mcp import pinning

TICK_SECONDS = 0.2
_RELAYS_SECONDS = 1.0
_WIRE_SECONDS = 2.0
_WEIGHTS_SECONDS = 1.0


class Opened(Protocol):
    """What the recorder needs of the set-up that opened the session."""

    request: Request
    identity: Identity
    digests: Digests
    wall: Clock
    wire: Wire | None
    processes: Processes | None

    def discard(self) -> None:
        """Take everything back: the agent could not be started."""
        ...


class Live:
    """The recorder while the agent runs, and the closing of the session after it."""

    def __init__(
        self,
        setup: Opened,
        recording: Recording,
        adapter: AgentAdapter,
        context: LaunchContext,
        launch: Launch,
        fallback: Path,
        gaps: list[Gap],
        hooks: hook_site.Standing,
    ) -> None:
        self.setup = setup
        self.identity = setup.identity
        self.wire = setup.wire
        assert setup.processes is not None
        self.processes = setup.processes
        self.recording = recording
        self.adapter = adapter
        self.context = context
        self.launch = launch
        self.gaps = gaps
        self._hooks = hooks
        self.spool = Spool((recording.directory.spool, fallback))
        self.world = recording.world
        self.commits: list[Commit] = []
        self._reflogs = self._reflogs_before = commits.reflog_marks(self.world.git)
        self._prompted_at: float | None = None
        self._disk = Disk(
            self.world, recording.directory, setup.wall, attributed=self.processes.followed
        )
        self._clock_jumped = False
        self._pid: int | None = None
        self._beside = threading.Thread(target=self._look_beside, daemon=True)
        self._materials: tuple[Material, ...] = ()
        self._servers: Sequence[McpServer] = ()
        self._servers_failure: str | None = None

    def serve(self, warn: Callable[[str], None]) -> Outcome:
        """Start the agent, record it to its end, and close the session."""
        environment = {**self.context.environment, **self.launch.environment}
        # Before the agent can change them; the programs of MCP servers are hashed beside it.
        self._materials = self._digested_materials()
        for material in self._materials:
            if material.why in (NOT_ALL, NOT_FOLLOWED):
                self._gap("materials-not-digested", f"{material.role}: {material.label}")
        try:
            child = self.processes.spawn(self.launch.argv, environment, self.context.cwd)
        except AgentprovError:
            self.recording.journal.close()
            self.setup.discard()
            raise
        self._pid = child.pid
        if self.adapter is not UNKNOWN:
            self._disk.start(with_the_agent=True)
        self.identity.observe(child.pid)
        self.identity.start_hashing()
        with unsignalled():
            self._beside.start()
        if self.wire is not None:
            self.wire.begin()
        status = child.wait(self._tick, TICK_SECONDS)
        self._note_tick_failure(child, warn)
        report = self._finish(status, warn)
        shutil.rmtree(self.context.scratch, ignore_errors=True)
        return Outcome(
            status=status,
            session=self.recording.directory.id,
            commits=self.commits,
            gaps=self.gaps,
            uncommitted=len(self.recording.directory.pending()),
            agent=self.recording.state.session.agent,
            report=report,
        )

    def _digested_materials(self) -> tuple[Material, ...]:
        """Digest instruction files, settings and hooks; what cannot be read becomes a gap."""
        try:
            pairs = self.adapter.materials(self.context)
            return digest_materials(pairs, self.context.top, self.context.home)
        except (AgentprovError, OSError, ValueError) as error:
            self._gap("configuration-not-read", str(error))
            return ()

    def _look_beside(self) -> None:
        """Digest what serves the agent's tools while it is already at work."""
        # Nobody waits for the disk; what is lost with the machine's power before, is lost.
        with contextlib.suppress(OSError):
            self.recording.directory.settle()
        try:
            self._servers = resolve_mcp(
                self.adapter.mcp_servers(self.context),
                self.context.cwd,
                self.context.environment,
                digests=self.setup.digests,
            )
        except (AgentprovError, OSError, ValueError) as error:
            self._servers_failure = str(error)

    def _tick(self) -> None:
        self._note_jumps()
        if self._pid is not None:
            self.identity.observe(self._pid)
        # A command of no known agent may be over by now, and needs no watching then.
        self._disk.start(with_the_agent=False)
        self._note_gaps(self.wire.check() if self.wire else ())
        self.processes.check()
        self.world.notes.look_again()
        fresh = self._take_drops()
        reflogs = commits.reflog_marks(self.world.git)
        if reflogs != self._reflogs or any(item.drop.channel == "git" for item in fresh):
            self._reflogs = reflogs
            self._prompted_at = self._prompted_at or self.world.clock.monotonic()
        if self._prompted_at is not None and self._ready() and self._settled():
            self._prompted_at = None
            self._open()
            found = self.recording.find()
            if found:
                self._note_touched(self._disk.so_far())
                report = self._report()
                self._note_hands(self.recording.changed_in(found), report)
                self.commits += self.recording.bind(found, report, during=True)

    def _ready(self) -> bool:
        """Say whether the large files are hashed that a statement names."""
        hashed = self.identity.hashed and not self._beside.is_alive()
        return hashed and (self.wire is None or self.wire.weighed)

    def _settled(self) -> bool:
        """Say whether what led to a commit has had time to arrive from the wire.

        The gateway reads beside the traffic, so an answer may reach us after the write that it
        asked for. Bound too early, a commit would be stated at a lower basis than is known.
        """
        if self.wire is None or not self.wire.relayed:
            return True
        assert self._prompted_at is not None
        return self.world.clock.monotonic() - self._prompted_at >= _WIRE_SECONDS

    def _note_jumps(self) -> None:
        """Leave a gap where the clock was set; times go on evenly, and prove less from here on."""
        clock = self.world.clock
        for jump in clock.jumps() if isinstance(clock, SteadyClock) else ():
            self._clock_jumped = self.recording.clock_jumped = True
            where = "forward" if jump.seconds > 0 else "back"
            self._gap("clock-jumped", f"{where} by {abs(jump.seconds):.0f} s")

    def _take_drops(self) -> list[Dropped]:
        fresh = self.spool.new()
        for item in fresh:
            self.recording.note_drop(item.drop)
            if item.drop.event == "post-rewrite":
                self._pass_on(item)
            told = self.wire.told(item.drop) if self.wire else None
            if told is not None:
                self.recording.journal.append("exchange", told)
        return fresh

    def _pass_on(self, item: Dropped) -> None:
        """Leave what git says of rewritten commits for whoever links them; not all are ours."""
        outside = self.world.git.home / "spool"
        try:
            private_directory(outside)
            atomic_write(outside / item.path.name, encode(item.drop), fsync=False)
        except OSError as error:
            self._gap("rewrite-not-passed-on", str(error))

    def _note_touched(self, seen: Summary) -> None:
        self.recording.touched = {
            path: (times.first, times.last) for path, times in seen.paths.items()
        }
        # Who saw what first cannot be told by times of before and after a jump.
        followed = self._disk.followed(seen) and not self._clock_jumped
        self.recording.state = replace(self.recording.state, followed=followed)

    @property
    def _expected(self) -> tuple[str, ...]:
        return self.wire.address if self.wire else ()

    def _note_hands(self, changed: frozenset[bytes], report: AgentReport) -> None:
        """Say which of these paths the agent's processes did not write, if that is followed."""
        top = os.fsencode(self.world.git.top)
        answer = self.processes.judge(top, changed, self._expected, report.asked)
        told = answer is not None and answer.why_not is None
        self.recording.untouched_by_agent = answer.paths if answer and told else None
        self.recording.opened_by_agent = answer.opened if answer and told else None
        self.recording.openings = answer.openings if answer and told else None

    def _open(self) -> None:
        """Say what runs and what steers it, and sign that as the session's opening."""
        state = self.recording.state
        if state.open_sha256 is not None:
            return
        agent = self.identity.finish()
        self._beside.join()
        if self._servers_failure is not None:
            self._gap("configuration-not-read", self._servers_failure)
        servers = self._servers
        if servers:
            from agentprov.record.mcp import pinning

            seen = pinning.seen(item.drop for item in self.spool.all)
            servers = pinning.merge(servers, seen)
        session = replace(
            state.session,
            agent=agent,
            materials=self._materials,
            mcp_servers=tuple(servers),
            gaps=tuple(self.gaps),
        )
        self.recording.state = replace(state, session=session)
        self.recording.journal.append(
            "agent-identified",
            {"name": agent.name, "sha256": agent.sha256 or "", "purl": agent.purl or ""},
        )
        self.recording.open()

    def _report(self) -> AgentReport:
        drops: list[Drop] = [item.drop for item in self.spool.all]
        report = self.adapter.report(self.context, drops, self._pid)
        report = self.wire.seen(report, drops) if self.wire else report
        report = replace(report, wire_complete=False) if self._clock_jumped else report
        return with_declared(self.recording, report, drops)

    def _finish(self, status: int, warn: Callable[[str], None]) -> AgentReport:
        report = AgentReport()
        # The agent is gone: git looks at what it left while we sum up.
        taking = LastSnapshot(self.world, self.recording.directory.id)
        try:
            self._note_jumps()
            self._note_gaps(self.wire.stop() if self.wire else ())
            self._note_gaps(self.processes.stop(self.world.now(), self._expected))
            seen = self._disk.stop()
            self._note_touched(seen)
            self._note_gaps(seen.gaps)
            self._take_drops()
            self._note_gaps(self.wire.finish_weighing(_WEIGHTS_SECONDS) if self.wire else ())
            mcp = self._seen_of_servers()
            report = self._report()
            self._open()
            self._note_gaps((*report.gaps, *mcp.gaps))
            for sentence in report.contradictions:
                self.recording.journal.append("contradiction", {"text": sentence})
            for why, detail in self.spool.troubles():
                self._gap(why, detail)
            self._note_changed_materials()
            self._note_changed_hooks()
            self._plan_was_read(report)
            self._note_survivors()
            found = self.recording.find()
            if found:
                self._note_hands(self.recording.changed_in(found), report)
                self.commits += self.recording.bind(found, report, during=True)
            self._keep_transcript()
            end_tree = self._last_snapshot(taking, warn)
            if end_tree is not None:
                self._note_hands(self.recording.changed_in([end_tree]), report)
            self.recording.close(
                report,
                outcome="completed",
                exit_status=status,
                end_tree=end_tree,
                gaps=self.gaps,
                mcp=mcp.servers,
            )
            # Texts go with the session; only then nothing is left to be done for it.
            self.spool.clear()
            self.recording.directory.clear_live()
        except Exception as error:  # noqa: BLE001  the agent's own status must come through
            # The next command finds the session open without a recorder and closes it.
            self._gap(FAILED, f"{type(error).__name__}: {error}")
            warn(f"the session could not be closed: {error}; `agentprov doctor` says more")
        finally:
            taking.close()
            self.recording.journal.close()
        if commits.reflog_marks(self.world.git) != self._reflogs_before:
            link_rewrites(self.world)
        return report

    def _seen_of_servers(self) -> pinning.Seen:
        """Sum up what the relays around MCP servers saw; they are given a moment to finish."""
        from agentprov.record.mcp import pinning

        deadline = self.world.clock.monotonic() + _RELAYS_SECONDS
        drops = [item.drop for item in self.spool.all]
        while any(alive(pid, None) for pid in pinning.running(drops)):
            if self.world.clock.monotonic() > deadline:
                break
            threading.Event().wait(0.02)
            self._take_drops()
            drops = [item.drop for item in self.spool.all]
        self._take_drops()
        drops = [item.drop for item in self.spool.all]
        try:
            secrets = secret_values(self.context.environment)
            pinning.keep_texts(drops, self.recording.directory.path, secrets)
        except OSError as error:
            self._gap("mcp-changes-not-kept", str(error))
        found = pinning.seen(drops)
        if self.wire is None or not any(server.calls for server in found.servers):
            return found
        from agentprov.record.mcp.binding import bind

        return replace(found, servers=bind(found.servers, self.wire.exchanges(drops)))

    def _keep_transcript(self) -> None:
        request = self.setup.request
        if not request.keep_transcript:
            return
        from agentprov.flows.transcript import keep

        try:
            kept = keep(
                self.recording.directory,
                self.spool.all,
                request.environment,
                self.world.home,
                encrypt=request.encrypt,
            )
        except (AgentprovError, OSError) as error:
            self._gap("transcript-not-kept", str(error))
            return
        self.recording.journal.append(
            "transcript", {"redactions": dict(kept.redactions), "sha256": kept.sha256}
        )

    def _last_snapshot(self, taking: LastSnapshot, warn: Callable[[str], None]) -> str | None:
        try:
            after = taking.finish()
        except (AgentprovError, OSError) as error:
            self._gap("last-snapshot-failed", str(error))
            warn(f"the work tree could not be compared after the run: {error}")
            return None
        self._note_gaps(after.gaps)
        self.recording.journal.append("snapshot", {"tree": after.tree})
        return after.tree

    def _note_changed_materials(self) -> None:
        """Say which instructions, settings and hooks differ from the session's beginning."""
        if self.world.git.is_gone:
            return
        for name in steering.changed(self._materials, self._digested_materials()):
            self._gap("material-changed", name)

    def _note_changed_hooks(self) -> None:
        """Say which of our git hooks are gone or changed: commits since may lack a trailer."""
        if self.world.git.is_gone:
            return
        lost = hook_site.changed(self.world.git, self._hooks)
        if lost:
            self._gap("git-hooks-changed", ", ".join(lost))

    def _note_survivors(self) -> None:
        """Say which processes of the session still run: what they write later is not its own."""
        left = carrying("AGENTPROV_SESSION", self.recording.directory.id)
        if left:
            names_of = sorted({process.name for process in left})
            self._gap("processes-outlived-the-agent", f"{len(left)}: {', '.join(names_of)}")

    def _plan_was_read(self, report: AgentReport) -> None:
        """Record whether the agent read the signed bytes, and whether the plan file moved."""
        given = self.context.environment.get("AGENTPROV_PLAN")
        plan: PlanRef | None = self.recording.state.session.plan
        if given is not None and plan is not None:
            for why in steering.of_plan(plan, Path(given), self.context.top, report.read_paths):
                self._gap(why)

    def _note_tick_failure(self, child: Running, warn: Callable[[str], None]) -> None:
        if child.tick_failure is not None:
            self._gap("recorder-stumbled", str(child.tick_failure))
            warn(f"recording stumbled: {child.tick_failure}")

    def _note_gaps(self, gaps: Iterable[Gap]) -> None:
        """Journal gaps that others found, each once."""
        known = {(gap.why, gap.detail) for gap in self.gaps}
        for gap in gaps:
            if (gap.why, gap.detail) not in known:
                self._gap(gap.why, gap.detail)

    def _gap(self, why: str, detail: str | None = None) -> None:
        self.gaps.append(self.recording.gap(why, detail))
