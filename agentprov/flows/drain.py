"""Takes in what waits: sessions whose recorder died, and commits made after a session ended.

Runs before every command that reads the record, after commits outside a run (a detached worker
that a hook starts), and before a push. Cheap when nothing waits: two directory listings.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agentprov.errors import AgentprovError, MalformedInput
from agentprov.flows import log_append, rewrites
from agentprov.flows.recording import Recording
from agentprov.flows.waiting import waiting
from agentprov.flows.world import World
from agentprov.record import snapshot
from agentprov.record.journal import JournalWriter
from agentprov.record.session import SessionDirectory
from agentprov.record.spool import DISABLED, Spool
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
        outside = Spool((world.git.home / "spool",))
        drops = outside.new()
        try:
            taken = rewrites.take_in(world, drops)
            result.linked = taken.linked
            if taken.unlogged:
                result.failures.append(f"not in the signing log: {taken.unlogged}")
        except (AgentprovError, OSError) as error:
            result.failures.append(f"rewritten commits: {error}")
            return result
        # That recording was switched off is for the next session's record to say.
        outside.clear(but=DISABLED)
    return result


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
    try:
        state = directory.load()
    except MalformedInput:
        # Killed before its first state was written: nothing was started, nothing to keep.
        directory.clear_live()
        directory.set_pending([])
        raise
    home_world = _in_worktree(world, Path(state.worktree))
    journal, reading = JournalWriter.resume(directory.journal, world.clock)
    try:
        recording = Recording(home_world, directory, state, journal)
        if state.phase == "open":
            if progress:
                progress(f"closing session {directory.id}, whose recorder died")
            _recover(recording, reading.defect)
            result.recovered.append(directory.id)
        for commit in recording.bind_late():
            result.bound.append(commit.oid)
    finally:
        journal.close()


def _in_worktree(world: World, top: Path) -> World:
    if top == world.git.top or not top.is_dir():
        return world
    try:
        git = Git.discover(top)
    except AgentprovError:
        return world
    if git.common_dir != world.git.common_dir:
        return world
    return World(git, world.home, world.clock)


def _recover(recording: Recording, defect: str | None) -> None:
    """Close a session whose recorder was killed; what it did not see stays a gap."""
    gaps = list(recording.state.session.gaps)
    started = recording.state.session.started
    gaps.append(recording.gap("recorder-died", defect, start=started))
    report = recording.state.report
    found = recording.find()
    if found:
        recording.bind(found, report, during=True)
    end_tree = None
    try:
        world = recording.world
        end_tree = snapshot.take(world.git, world.now(), recording.directory.id).tree
    except (AgentprovError, OSError) as error:
        gaps.append(recording.gap("last-snapshot-failed", str(error)))
    from agentprov.record.mcp import pinning

    left = Spool((recording.directory.spool,))
    mcp = pinning.seen(item.drop for item in left.new())
    recording.close(
        report,
        outcome="incomplete",
        exit_status=None,
        end_tree=end_tree,
        gaps=(*gaps, *mcp.gaps),
        mcp=mcp.servers,
    )
    left.clear()
    # The killed recorder may have signed what it did not come to log.
    why = log_append.append_own(recording.world, recording.directory.bundles())
    if why:
        recording.gap("not-in-the-signing-log", why)
