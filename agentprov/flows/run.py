"""Runs an agent and records it: refuses before the start, fails open after it (DESIGN 3 and 9)."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from agentprov.attest.descriptors import command_line
from agentprov.errors import AgentprovError, CannotStart
from agentprov.flows.before import Before
from agentprov.flows.recording import Recording
from agentprov.flows.repository import named
from agentprov.flows.world import World
from agentprov.formats import names
from agentprov.formats.dropbox import Drop
from agentprov.formats.facts import (
    Agent,
    AgentReport,
    Commit,
    Gap,
    Material,
    McpServer,
    PlanRef,
    Session,
)
from agentprov.ports import AgentAdapter, Launch, LaunchContext
from agentprov.record import commits, snapshot
from agentprov.record.agents.registry import adapter_for
from agentprov.record.executable import Digests, Identity, identify
from agentprov.record.journal import JournalWriter
from agentprov.record.materials import digest_materials, resolve_mcp
from agentprov.record.session import SessionDirectory, State
from agentprov.record.spool import Dropped, Spool, stood_aside
from agentprov.record.watcher import Summary, Watcher
from agentprov.system import places
from agentprov.system.clock import rfc3339
from agentprov.system.process import Running, spawn
from agentprov.system.process_table import carrying, start_time
from agentprov.system.signals import unsignalled

if TYPE_CHECKING:
    from agentprov.flows.plan import CheckedPlan

TICK_SECONDS = 0.2


@dataclass(frozen=True)
class Request:
    """What the user asked `run` to do."""

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    plan: Path | None = None
    labels: tuple[tuple[str, str], ...] = ()
    keep_transcript: bool = False
    encrypt: bool = False


@dataclass
class Outcome:
    """What came of a run: the agent's own status, and what is on record."""

    status: int
    session: str
    commits: list[Commit] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    uncommitted: int = 0
    agent: Agent | None = None
    report: AgentReport = field(default_factory=AgentReport)


def run(
    world: World, request: Request, warn: Callable[[str], None], before: Before | None = None
) -> Outcome:
    """Record one run of an agent and give its exit status with what was recorded.

    `before` is given by callers that had git started already.
    Everything that can refuse does so before the agent starts: raises CannotStart (exit 125),
    or its ExecFailed (126, 127) for a program that is not there. Once the agent runs nothing
    here stops it: failures become gaps and one warning each.
    """
    before = before or Before(world)
    try:
        return _start(world, request, before).serve(warn)
    finally:
        before.close()


def _start(world: World, request: Request, before: Before) -> _Live:
    digests = Digests()
    program = identify(
        request.argv[0], request.environment, request.cwd, request.argv[1:], digests=digests
    )
    session = _Setup(world, request, program, digests)
    try:
        return session.start(before)
    except BaseException as error:
        session.discard()
        if isinstance(error, CannotStart) or not isinstance(error, AgentprovError | OSError):
            raise
        if isinstance(error, OSError):
            raise CannotStart(
                f"cannot record here: {error.strerror}: {error.filename}",
                hint="make room or permissions, or add --best-effort to run unrecorded",
            ) from error
        raise CannotStart(f"cannot record here: {error.message}", hint=error.hint) from error


class _Setup:
    """All that happens before the agent's first instruction."""

    def __init__(
        self, world: World, request: Request, identity: Identity, digests: Digests
    ) -> None:
        self.world = world
        self.request = request
        self.identity = identity
        self.digests = digests
        self.id = str(uuid.uuid4())
        self.directory = SessionDirectory(world.git.home, self.id)
        self.scratch: Path | None = None

    def start(self, asked: Before) -> _Live:
        world, request = self.world, self.request
        plan = self._plan()
        started = asked.started
        standing, before = asked.finish()
        self.directory = SessionDirectory.create(world.git.home, self.id)
        self.scratch = Path(tempfile.mkdtemp(prefix="agentprov-"))
        fallback = self.scratch / "spool"
        fallback.mkdir(mode=0o700)
        spool_script = self.scratch / "spool.sh"
        spool_script.write_bytes(files("agentprov_hooks").joinpath("spool.sh").read_bytes())
        environment = {
            **request.environment,
            "AGENTPROV_SESSION": self.id,
            "AGENTPROV_SPOOL": str(self.directory.spool),
            "AGENTPROV_SPOOL_FALLBACK": str(fallback),
        }
        if plan is not None:
            environment["AGENTPROV_PLAN"] = str(self._private_plan(plan.content))
        context = LaunchContext(
            argv=request.argv,
            cwd=request.cwd,
            top=world.git.top,
            home=places.user_home(request.environment),
            environment=environment,
            scratch=self.scratch,
            spool_script=spool_script,
            started=started,
        )
        package = self.identity.package
        adapter = adapter_for(request.argv[0], package.name if package else None)
        launch = adapter.prepare(context)
        journal = JournalWriter(self.directory.journal, world.clock)
        genesis = journal.append(
            "session-open",
            {
                "baselineTree": before.tree,
                "plan": plan.ref.statement_sha256 if plan else "",
                "session": self.id,
                "worktree": names.path_label(os.fsencode(world.git.top)),
            },
        )
        gaps = [*before.gaps, *(Gap(why, started, started) for why in launch.gaps)]
        others = [
            other.id
            for other in SessionDirectory.said_live(world.git.home)
            if other.id != self.id and other.is_live()
        ]
        if others:
            gaps.append(Gap("another-session-is-live", started, started, ", ".join(others)))
        for item in stood_aside(world.git.home / "spool"):
            at = rfc3339(datetime.fromtimestamp(item.at_ns / 1e9, UTC))
            gaps.append(Gap("recording-was-disabled", at, at, "AGENTPROV_DISABLE=1"))
        if os.environ.get("AGENTPROV_SESSION"):
            gaps.append(Gap("nested-run", started, started, os.environ["AGENTPROV_SESSION"][:64]))
        facts = Session(
            id=self.id,
            started=started,
            builder=names.LOCAL_WRAPPER,
            repository=named(world.git, standing.origin),
            base_commit=standing.head,
            base_tree=standing.head_tree,
            ref=standing.ref,
            platform=_platform(),
            agent=_not_yet(self.identity),
            command_line=tuple(command_line(request.argv)),
            plan=plan.ref if plan else None,
            labels=request.labels,
            principal=standing.email,
            journal_genesis=sha256(genesis or b"").hexdigest(),
            gaps=tuple(gaps),
        )
        state = State(
            session=facts,
            baseline_tree=before.tree,
            phase="open",
            worktree=os.fsdecode(world.git.top),
            tips=standing.refs.tips,
            reflogs=tuple(sorted(standing.refs.reflogs.items())),
        )
        if plan is not None:
            self.directory.add_record(plan.bundle)
        self.directory.save(state)
        self.directory.mark_live(os.getpid(), start_time(os.getpid()) or "", world.git.git_dir)
        recording = Recording(world, self.directory, state, journal)
        for gap in gaps:
            recording.gap(gap.why, gap.detail, gap.start)
        return _Live(self, recording, adapter, context, launch, fallback, list(gaps))

    def _plan(self) -> CheckedPlan | None:
        if self.request.plan is None:
            return None
        from agentprov.flows.plan import check

        return check(self.world, self.request.plan)

    def _private_plan(self, content: bytes) -> Path:
        """Hand the signed bytes to the agent as a file nobody else writes (DESIGN section 9)."""
        assert self.scratch is not None
        assert self.request.plan is not None
        place = self.scratch / self.request.plan.name
        place.write_bytes(content)
        place.chmod(0o400)
        return place

    def discard(self) -> None:
        """Remove what a refused start left behind."""
        self.identity.close()
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
        self.directory.clear_live()
        shutil.rmtree(self.directory.path, ignore_errors=True)


class _Live:
    """The recorder while the agent runs, and the closing of the session after it."""

    def __init__(
        self,
        setup: _Setup,
        recording: Recording,
        adapter: AgentAdapter,
        context: LaunchContext,
        launch: Launch,
        fallback: Path,
        gaps: list[Gap],
    ) -> None:
        self.setup = setup
        self.identity = setup.identity
        self.recording = recording
        self.adapter = adapter
        self.context = context
        self.launch = launch
        self.gaps = gaps
        self.spool = Spool((recording.directory.spool, fallback))
        self.world = recording.world
        self.commits: list[Commit] = []
        self._reflogs = self._reflog_state()
        self._prompted = False
        self._watcher: Watcher | None = None
        self._pid: int | None = None
        self._beside = threading.Thread(target=self._look_beside, daemon=True)
        self._steering: tuple[Sequence[Material], Sequence[McpServer]] = ((), ())
        self._steering_failure: str | None = None

    def serve(self, warn: Callable[[str], None]) -> Outcome:
        environment = {**self.context.environment, **self.launch.environment}
        try:
            child = spawn(self.launch.argv, environment, self.context.cwd)
        except AgentprovError:
            self.recording.journal.close()
            self.setup.discard()
            raise
        self._pid = child.pid
        self.identity.observe(child.pid)
        self.identity.start_hashing()
        with unsignalled():
            self._beside.start()
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

    def _look_beside(self) -> None:
        """Digest what steers the agent while it is already at work."""
        try:
            pairs = self.adapter.materials(self.context)
            materials = digest_materials(pairs, self.context.top, self.context.home)
            servers = resolve_mcp(
                self.adapter.mcp_servers(self.context),
                self.context.cwd,
                self.context.environment,
                digests=self.setup.digests,
            )
            self._steering = (materials, servers)
        except (AgentprovError, OSError, ValueError) as error:
            self._steering_failure = str(error)

    def _tick(self) -> None:
        if self._pid is not None:
            self.identity.observe(self._pid)
        if self._watcher is None:
            # Not before the first tick: a command that is over by then needs no watching, and
            # an agent's own start is not slowed.
            self._watcher = Watcher(
                self.world.git.top, self.world.clock, ignore=(self.world.git.home,)
            )
            self._watcher.start()
        fresh = self._take_drops()
        reflogs = self._reflog_state()
        prompted = any(item.drop.channel == "git" for item in fresh)
        ready = self.identity.hashed and not self._beside.is_alive()
        self._prompted = self._prompted or prompted or reflogs != self._reflogs
        if self._prompted and ready:
            self._prompted = False
            self._reflogs = reflogs
            self._open()
            found = self.recording.find()
            if found:
                self._note_touched(self._watcher.so_far())
                self.commits += self.recording.bind(found, self._report(), during=True)

    def _take_drops(self) -> list[Dropped]:
        fresh = self.spool.new()
        for item in fresh:
            self.recording.journal.append(
                "drop",
                {
                    "channel": item.drop.channel,
                    "event": item.drop.event,
                    "sha256": sha256(item.drop.payload).hexdigest(),
                    "size": len(item.drop.payload),
                },
            )
        return fresh

    def _note_touched(self, seen: Summary) -> None:
        self.recording.touched = {
            path: (times.first, times.last) for path, times in seen.paths.items()
        }

    def _open(self) -> None:
        """Say what runs and what steers it, and sign that as the session's opening."""
        state = self.recording.state
        if state.open_sha256 is not None:
            return
        agent = self.identity.finish()
        self._beside.join()
        if self._steering_failure is not None:
            self._gap("configuration-not-read", self._steering_failure)
        materials, servers = self._steering
        session = replace(
            state.session,
            agent=agent,
            materials=tuple(materials),
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
        return self.adapter.report(self.context, drops, self._pid)

    def _finish(self, status: int, warn: Callable[[str], None]) -> AgentReport:
        report = AgentReport()
        # The agent is gone: git looks at what it left while we sum up.
        taking = self._begin_last_snapshot()
        try:
            if self._watcher is not None:
                seen = self._watcher.stop()
                self._note_touched(seen)
                for gap in seen.gaps:
                    self._gap(gap.why, gap.detail)
            self._take_drops()
            report = self._report()
            self._open()
            for gap in report.gaps:
                self._gap(gap.why, gap.detail)
            self._note_bad_drops()
            self._plan_was_read(report)
            self._note_survivors()
            found = self.recording.find()
            if found:
                self.commits += self.recording.bind(found, report, during=True)
            self._keep_transcript()
            end_tree = self._last_snapshot(taking, warn)
            self.recording.close(
                report,
                outcome="completed",
                exit_status=status,
                end_tree=end_tree,
                gaps=self.gaps,
            )
            self.spool.clear()
        except Exception as error:  # noqa: BLE001  the agent's own status must come through
            # The next command finds the session open without a recorder and closes it.
            self._gap("recording-failed", f"{type(error).__name__}: {error}")
            warn(f"the session could not be closed: {error}; `agentprov doctor` says more")
        finally:
            if isinstance(taking, snapshot.Taking):
                taking.close()
            self.recording.journal.close()
        return report

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

    def _begin_last_snapshot(self) -> snapshot.Taking | OSError:
        try:
            return snapshot.Taking(self.world.git, self.world.now(), self.recording.directory.id)
        except OSError as error:
            return error

    def _last_snapshot(
        self, taking: snapshot.Taking | OSError, warn: Callable[[str], None]
    ) -> str | None:
        try:
            if isinstance(taking, OSError):
                raise taking
            after = taking.finish()
        except (AgentprovError, OSError) as error:
            self._gap("last-snapshot-failed", str(error))
            warn(f"the work tree could not be compared after the run: {error}")
            return None
        known = {(gap.why, gap.detail) for gap in self.gaps}
        for gap in after.gaps:
            if (gap.why, gap.detail) not in known:
                self._gap(gap.why, gap.detail)
        self.recording.journal.append("snapshot", {"tree": after.tree})
        return after.tree

    def _note_bad_drops(self) -> None:
        cut_off = self.spool.unfinished()
        if cut_off:
            self._gap("drops-cut-off", f"{cut_off} payloads of hooks are not whole")
        for defect in self.spool.defects:
            self._gap("drop-unreadable", defect)

    def _note_survivors(self) -> None:
        """Say which processes of the session still run: what they write later is not its own."""
        left = carrying("AGENTPROV_SESSION", self.recording.directory.id)
        if left:
            names_of = sorted({process.name for process in left})
            self._gap("processes-outlived-the-agent", f"{len(left)}: {', '.join(names_of)}")

    def _plan_was_read(self, report: AgentReport) -> None:
        """Record whether the agent read the signed bytes, and whether the plan file moved."""
        request = self.context.environment.get("AGENTPROV_PLAN")
        plan: PlanRef | None = self.recording.state.session.plan
        if request is None or plan is None:
            return
        given = Path(request)
        with contextlib.suppress(OSError):
            if sha256(given.read_bytes()).hexdigest() != plan.sha256:
                self._gap("plan-copy-changed")
        original = self.context.top / plan.name
        seen = {os.path.realpath(path) for path in report.read_paths}
        if os.path.realpath(given) in seen:
            return
        if os.path.realpath(original) in seen:
            with contextlib.suppress(OSError):
                if sha256(original.read_bytes()).hexdigest() == plan.sha256:
                    return
            self._gap("plan-changed-during-session")
            return
        self._gap("plan-not-seen-read")

    def _note_tick_failure(self, child: Running, warn: Callable[[str], None]) -> None:
        if child.tick_failure is not None:
            self._gap("recorder-stumbled", str(child.tick_failure))
            warn(f"recording stumbled: {child.tick_failure}")

    def _gap(self, why: str, detail: str | None = None) -> None:
        self.gaps.append(self.recording.gap(why, detail))

    def _reflog_state(self) -> tuple[tuple[int, int], ...]:
        found = []
        for path in commits.reflog_files(self.recording.world.git):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_size, status.st_mtime_ns))
        return tuple(found)


def _not_yet(identity: Identity) -> Agent:
    """Name the agent as far as it is known before anything was hashed."""
    return Agent(
        name=identity.name,
        command=identity.command,
        place=identity.place,
        sha256=None,
        basis="observed",
        chain=identity.chain,
        why="the recorder ended before it was hashed",
    )


def _platform() -> str:
    import platform

    return f"{platform.system().lower()}/{platform.machine().lower()}"
