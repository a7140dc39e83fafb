"""Takes in what waits: sessions whose recorder died, and commits made after a session ended.

Runs before every command that reads the record, after commits outside a run (a detached worker
that a hook starts), and before a push. Cheap when nothing waits: two directory listings.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from agentprov.errors import AgentprovError, GitFailed, MalformedInput
from agentprov.flows import left_over, log_append, resume, rewrites
from agentprov.flows.declared import with_declared
from agentprov.flows.journaled import first_state
from agentprov.flows.recording import FAILED, Recording
from agentprov.flows.waiting import waiting
from agentprov.flows.world import World
from agentprov.formats import bundle, statement
from agentprov.formats.facts import Commit, Gap
from agentprov.formats.journal import Reading
from agentprov.record import snapshot
from agentprov.record.journal import JournalWriter
from agentprov.record.session import SessionDirectory, State
from agentprov.record.spool import DISABLED, Spool
from agentprov.system import repairs
from agentprov.system.files import locked
from agentprov.system.git import Git

LOCK_SECONDS = 30.0


@dataclass
class Drained:
    """What was taken in, and what could not be; `linked` are new commits with a rewrite link."""

    bound: list[str] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def drain(world: World, progress: Callable[[str], None] | None = None) -> Drained:
    """Take in everything that waits; one process at a time does it.

    Sessions with a living recorder are left to it. Raises Busy when another process holds the
    lock for longer than `LOCK_SECONDS`; failures of single sessions are listed, not raised.
    """
    result = Drained()
    if not waiting(world.git):
        return result
    with locked(world.git.home / "lock", LOCK_SECONDS):
        for name in _names(world.git.home):
            directory = SessionDirectory(world.git.home, name)
            try:
                _one(world, directory, result, progress)
            except (AgentprovError, OSError) as error:
                result.failures.append(f"{name}: {error}")
        _rewrites(world, result)
        left_over.sweep(world.git.home)
    return result


def link_rewrites(world: World, *, fetched: bool = False) -> None:
    """Link what was rewritten; what goes wrong is left to the next command.

    With `fetched`, also where no HEAD moved here. Does nothing while another process takes in
    what waits, and where nothing was ever recorded.
    """
    if not waiting(world.git) and not (fetched and (world.git.home / "sessions").is_dir()):
        return
    try:
        with locked(world.git.home / "lock", 0.0):
            _rewrites(world, Drained())
    except (AgentprovError, OSError):
        return


def _rewrites(world: World, result: Drained) -> None:
    outside = Spool((world.git.home / "spool",))
    try:
        taken = rewrites.take_in(world, outside.new())
    except (AgentprovError, OSError) as error:
        result.failures.append(f"rewritten commits: {error}")
        return
    result.linked = taken.linked
    if taken.unlogged:
        result.failures.append(f"not in the signing log: {taken.unlogged}")
    # That recording was switched off is for the next session's record to say.
    outside.clear(but=DISABLED)


def _names(home: Path) -> list[str]:
    found: set[str] = set()
    for place in ("live", "pending"):
        try:
            found.update(n for n in os.listdir(home / place) if not n.startswith("."))
        except OSError:
            continue
    return sorted(found)


def _one(
    world: World,
    directory: SessionDirectory,
    result: Drained,
    progress: Callable[[str], None] | None,
) -> None:
    if directory.is_live():
        return
    if not directory.path.is_dir():
        _forget(directory, "nothing of it is here any more", 0)
        return
    journal, reading = JournalWriter.resume(directory.journal, world.clock)
    try:
        if reading.defect:
            _say(directory, f"cut its journal back to {len(reading.entries)} whole entries")
        state = _state_of(directory, reading)
        if state is None:
            why = "it was killed as it began, or its journal and state are lost"
            _forget(directory, why, len(reading.entries))
            return
        home_world = _in_worktree(world, Path(state.worktree))
        recording = Recording(home_world, directory, state, journal)
        _take_up(recording, reading, result, progress)
    finally:
        journal.close()


def _take_up(
    recording: Recording,
    reading: Reading,
    result: Drained,
    progress: Callable[[str], None] | None,
) -> None:
    directory = recording.directory
    outcome = None
    if resume.is_behind(recording, reading):
        try:
            outcome = resume.catch_up(recording, reading)
        except resume.Unusable as why:
            recording.gap("session-not-resumed", str(why))
            _forget(directory, f"it stays without a closing statement: {why}", len(reading.entries))
            return
    if recording.state.phase == "open":
        if progress:
            progress(f"closing session {directory.id}, which its recorder did not close")
        if outcome is None:
            _recover(recording, reading)
        else:
            resume.finish_close(recording, reading, outcome)
        result.recovered.append(directory.id)
    # Whatever a hook said is in the record by now, or never will be; texts go with the session.
    waiting = Spool((directory.spool,))
    waiting.new()
    waiting.clear()
    for commit in _bind_late(recording):
        result.bound.append(commit.oid)
    if directory.marked_live():
        left_over.after_session(directory, recording.state)
        directory.clear_live()


def _state_of(directory: SessionDirectory, reading: Reading) -> State | None:
    """Give a session's state; where its file is gone or damaged, the one that it began with."""
    try:
        return directory.load()
    except MalformedInput:
        state = first_state(reading)
        if state is not None:
            _say(directory, "made its state again from its journal")
        return state


def _forget(directory: SessionDirectory, why: str, entries: int) -> None:
    """Let nothing wait for a session any more.

    What is signed or journaled of it stays where it is; `entries` says how many the journal has.
    """
    directory.set_pending([])
    directory.clear_live()
    if entries <= 1 and all(_is_plan(line) for line in directory.bundles()):
        shutil.rmtree(directory.path, ignore_errors=True)
    _say(directory, why)


def _is_plan(line: bytes) -> bool:
    return statement.parse(bundle.parse(line).payload).kind == "plan"


def _say(directory: SessionDirectory, what: str) -> None:
    repairs.note(directory.home, f"session {directory.id}: {what}")


def _in_worktree(world: World, top: Path) -> World:
    if top == world.git.top:
        return world
    if not top.is_dir():
        # Not of the work tree that we stand in, which is somebody else's.
        git = replace(world.git, top=top, git_dir=world.git.common_dir)
        return World(git, world.home, world.clock)
    try:
        git = Git.discover(top)
    except AgentprovError:
        return world
    if git.common_dir != world.git.common_dir:
        return world
    return World(git, world.home, world.clock)


def _recover(recording: Recording, reading: Reading) -> None:
    """Close a session whose recorder was killed; what it did not see stays a gap."""
    world, directory = recording.world, recording.directory
    last = reading.entries[-1].at if reading.entries else recording.state.session.started
    _check_clock(recording, last)
    last = min(last, world.now())
    gaps = _gaps(recording, reading)
    if not any(gap.why == FAILED for gap in gaps):
        gaps.append(recording.gap("recorder-died", reading.defect, start=last))
    damaged = left_over.unread_drops(directory, reading)
    if damaged:
        gaps.append(recording.gap("drops-cut-off", damaged))
    drops = [item.drop for item in Spool((directory.spool,)).new()]
    report = with_declared(recording, recording.state.report, drops)
    recording.contradict(report.contradictions)
    end_tree = None
    if _has_baseline(recording):
        found = recording.find()
        if found:
            recording.bind(found, report, during=True)
        try:
            end_tree = snapshot.take(world.git, world.now(), directory.id).tree
        except (AgentprovError, OSError) as error:
            gaps.append(recording.gap("last-snapshot-failed", str(error)))
        else:
            recording.journal.append("snapshot", {"tree": end_tree})
    else:
        gaps.append(recording.gap("first-snapshot-lost", "commits since are not bound"))
    from agentprov.record.mcp import pinning

    mcp = pinning.seen(drops)
    recording.close(
        report,
        outcome="incomplete",
        exit_status=None,
        end_tree=end_tree,
        gaps=(*gaps, *mcp.gaps),
        mcp=mcp.servers,
        finished=last,
    )
    # The killed recorder may have signed what it did not come to log.
    why = log_append.append_own(world, directory.bundles())
    if why:
        recording.gap("not-in-the-signing-log", why)
    _say(directory, "its recorder had died; closed it as incomplete")


def _gaps(recording: Recording, reading: Reading) -> list[Gap]:
    """Give the session's gaps, those that its recorder came to journal among them, each once."""
    found = {(gap.why, gap.detail): gap for gap in recording.state.session.gaps}
    for entry in reading.entries:
        if entry.kind == "gap":
            told = entry.data
            gap = Gap(told["why"], told["start"], told["end"], told.get("detail"))
            found.setdefault((gap.why, gap.detail), gap)
    return list(found.values())


def _check_clock(recording: Recording, last: str) -> None:
    """Note a clock that went back since the session; nothing is signed for a day to come."""
    now, session = recording.world.now(), recording.state.session
    if now >= last:
        return
    gap = recording.gap("clock-jumped", f"back to {now}, from {last} or later", start=last)
    session = replace(session, gaps=(*session.gaps, gap))
    if recording.state.open_sha256 is None and session.started > now:
        # It was the clock of the session that was wrong, and nothing is signed by it yet.
        session = replace(session, started=now)
    recording.state = replace(recording.state, session=session)


def _has_baseline(recording: Recording) -> bool:
    """Say whether the session's first snapshot is readable, without objects that are damaged."""
    state, git = recording.state, snapshot.private_git(recording.world.git)
    assert git.objects is not None
    began = datetime.fromisoformat(state.session.started).timestamp()
    if not recording.directory.is_of_this_boot():
        left_over.remove_torn_objects(git.objects, began - 60.0, git.object_format)
    return recording.can_read(state.baseline_tree)


def _bind_late(recording: Recording) -> list[Commit]:
    """Bind late commits; where the snapshots are gone that this rests on, nothing waits any more.

    They are not waited for when they are taken, so a loss of power may take them.
    """
    try:
        return recording.bind_late()
    except GitFailed:
        state = recording.state
        if all(map(recording.can_read, (state.baseline_tree, state.end_tree or ""))):
            raise
        recording.directory.set_pending([])
        _say(recording.directory, "its snapshots are lost; what it left uncommitted stays unbound")
        return []
