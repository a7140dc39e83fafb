"""A session's first entry, facts and state: the same for a run and for one that MCP declares."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from agentprov.flows.recording import Recording
from agentprov.flows.repository import named
from agentprov.flows.world import World
from agentprov.formats import frozen, names
from agentprov.formats.facts import Agent, AgentReport, Gap, Session
from agentprov.record.journal import JournalWriter
from agentprov.record.session import SessionDirectory, State
from agentprov.record.snapshot import Snapshot
from agentprov.record.spool import stood_aside
from agentprov.record.standing import Standing
from agentprov.system.clock import rfc3339
from agentprov.system.process_table import start_time

if TYPE_CHECKING:
    from agentprov.flows.plan import CheckedPlan


def directory_for(world: World, id: str) -> SessionDirectory:
    """Make a session's directory and say that this process keeps it.

    First of all, so that whatever is left of a start that was killed is found. Raises OSError.
    """
    directory = SessionDirectory.create(world.git.home, id)
    directory.mark_live(os.getpid(), start_time(os.getpid()) or "", world.git.git_dir)
    return directory


def begin(
    world: World,
    directory: SessionDirectory,
    found: tuple[str, Standing, Snapshot],
    *,
    builder: str,
    agent: Agent,
    command_line: Sequence[str],
    gaps: Sequence[Gap] = (),
    plan: CheckedPlan | None = None,
    labels: tuple[tuple[str, str], ...] = (),
    report: AgentReport | None = None,
    scratch: str = "",
) -> Recording:
    """Write down how a session begins, and give its recorder.

    `found` is since when it lasts, and where the repository and its work tree stood then. Gaps
    that the repository itself tells of (other live sessions, recording switched off before) are
    added to `gaps`. Raises OSError. Signs nothing: that comes with the first commit.
    """
    started, standing, first = found
    journal = JournalWriter(directory.journal, world.clock)
    genesis = journal.append(
        "session-open",
        {
            "baselineTree": first.tree,
            "plan": plan.ref.statement_sha256 if plan else "",
            "session": directory.id,
            "worktree": names.path_label(os.fsencode(world.git.top)),
        },
    )
    gaps = (*first.gaps, *gaps, *_told_here(world, directory, started))
    session = Session(
        id=directory.id,
        started=started,
        builder=builder,
        repository=named(world.git, standing.origin),
        base_commit=standing.head,
        base_tree=standing.head_tree,
        ref=standing.ref,
        platform=_platform(),
        agent=agent,
        command_line=tuple(command_line),
        plan=plan.ref if plan else None,
        labels=labels,
        principal=standing.email,
        journal_genesis=sha256(genesis or b"").hexdigest(),
        gaps=gaps,
    )
    state = State(
        session=session,
        baseline_tree=first.tree,
        phase="open",
        worktree=os.fsdecode(world.git.top),
        report=report or AgentReport(),
        tips=standing.refs.tips,
        reflogs=tuple(sorted(standing.refs.reflogs.items())),
        scratch=scratch,
    )
    if plan is not None:
        directory.add_record(plan.bundle)
    journal.append("state", {"state": frozen.to_plain(state)})
    directory.save(state)
    recording = Recording(world, directory, state, journal)
    for gap in gaps:
        recording.gap(gap.why, gap.detail, gap.start)
    return recording


def _told_here(world: World, directory: SessionDirectory, started: str) -> list[Gap]:
    gaps = []
    others = [
        other.id
        for other in SessionDirectory.said_live(world.git.home)
        if other.id != directory.id and other.is_live()
    ]
    if others:
        gaps.append(Gap("another-session-is-live", started, started, ", ".join(others)))
    for item in stood_aside(world.git.home / "spool"):
        at = rfc3339(datetime.fromtimestamp(item.at_ns / 1e9, UTC))
        gaps.append(Gap("recording-was-disabled", at, at, "AGENTPROV_DISABLE=1"))
    return gaps


def _platform() -> str:
    import platform

    return f"{platform.system().lower()}/{platform.machine().lower()}"
