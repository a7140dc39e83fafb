"""`git commit` without us, with our hooks, and with our hooks and a session's work."""

from __future__ import annotations

import itertools
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from ground import Ground, git_events
from measure import Case, Failed, Sample, Table, at_most_added, at_most_times, process, run_cases

from agentprov.record.session import SessionDirectory
from agentprov.system.process_table import start_time

_WITHOUT = ("git", "-c", "core.hooksPath=/dev/null")
_count = itertools.count()


class _Commits:
    """Commits in one repository, one small change each."""

    def __init__(self, ground: Ground, top: Path) -> None:
        self.ground = ground
        self.top = top
        self.home = top / ".git" / "agentprov"

    def plain(self, git: Sequence[str] = ("git",), env: Mapping[str, str] | None = None) -> Sample:
        """Commit a change that no session made."""
        self._stage("by-hand.txt", f"{next(_count)}\n")
        return self._commit(git, env)

    def of_session(self) -> Sample:
        """Commit what a recorded session left, until git returns."""
        self.leave_work()
        sample = self._commit(("git",), None)
        self.settle()
        return sample

    def to_the_note(self) -> Sample:
        """Commit what a recorded session left, until the signed note is there."""
        self.leave_work()
        ref = self.top / ".git/refs/notes/agentprov"
        before = ref.read_bytes() if ref.exists() else b""
        begun = time.perf_counter()
        cpu = self._commit(("git",), None).cpu
        while not ref.exists() or ref.read_bytes() == before:
            if time.perf_counter() - begun > 60:
                raise Failed("no note was written within a minute of the commit")
            time.sleep(0.001)
        wall = (time.perf_counter() - begun) * 1000
        self.settle()
        return Sample(wall, cpu)

    def leave_work(self) -> None:
        """Let a recorded command change a file, and stage it."""
        script = f"echo {next(_count)} >>by-session.txt"
        self.ground.agentprov("run", "-q", "--", "sh", "-c", script, cwd=self.top)
        self.ground.run("git", "add", "by-session.txt", cwd=self.top)

    def settle(self) -> None:
        """Wait for the worker that a commit has started."""
        deadline = time.monotonic() + 60
        while (self.home / "worker").exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _stage(self, name: str, content: str) -> None:
        (self.top / name).write_text(content)
        self.ground.run("git", "add", name, cwd=self.top)

    def _commit(self, git: Sequence[str], env: Mapping[str, str] | None) -> Sample:
        return process(
            (*git, "commit", "-q", "-m", "Change a file"),
            cwd=self.top,
            env={**self.ground.env, **(env or {})},
        )

    def live_session(self) -> dict[str, str]:
        """Pretend that this process records a session here; gives its child's variables."""
        directory = SessionDirectory.create(self.home, str(uuid.uuid4()))
        directory.mark_live(os.getpid(), start_time(os.getpid()) or "", self.top / ".git")
        return {"AGENTPROV_SESSION": directory.id, "AGENTPROV_SPOOL": str(directory.spool)}

    def spawned(self, env: Mapping[str, str] | None = None) -> tuple[int, int]:
        """Commit what is staged; give git processes of the hooks, and of the worker beside."""
        trace = self.ground.place / f"trace-{next(_count)}"
        self._commit(("git",), {**(env or {}), "GIT_TRACE2_EVENT": str(trace)})
        self.settle()
        events = git_events(trace)
        commit = next(sid for sid, argv in events if "commit" in argv[1:2])
        of_commit = [argv for sid, argv in events if sid.startswith(commit + "/")]
        own = [argv for argv in of_commit if argv[1:2] not in (["maintenance"], ["gc"])]
        return len(own), sum(1 for sid, _ in events if not sid.startswith(commit))


def commit(ground: Ground, table: Table) -> None:
    """Time until `git commit` returns in a 200-file repository, and git processes."""
    figure = "commit, 200 files"
    first = ground.repository("bare", 200)
    bare = _Commits(ground, first)
    hooked = _Commits(ground, ground.copy(first, "hooked"))
    live = _Commits(ground, ground.copy(first, "live"))
    pending = _Commits(ground, ground.copy(first, "pending"))
    for place in (hooked, live, pending):
        ground.agentprov("init", cwd=place.top)
    inside = live.live_session()
    cases: dict[str, Case] = {
        "bare": bare.plain,
        "hooks, no session": hooked.plain,
        "hooks, in a live session": lambda: live.plain(env=inside),
        "hooks, a finished session's work": pending.of_session,
        "the same, until the signed note": pending.to_the_note,
    }
    session = at_most_added(80, 150)
    run_cases(
        table, figure, cases, ground.rounds(40, 8),
        {
            "hooks, no session": at_most_added(5),
            "hooks, in a live session": session,
            "hooks, a finished session's work": session,
        },
    )  # fmt: skip
    _count_processes(table, figure, hooked, live, pending, inside)


def _count_processes(
    table: Table,
    figure: str,
    hooked: _Commits,
    live: _Commits,
    pending: _Commits,
    inside: Mapping[str, str],
) -> None:
    for name, place, env in (("no session", hooked, {}), ("in a live session", live, inside)):
        place._stage("by-hand.txt", f"{next(_count)}\n")
        hooks, _ = place.spawned(env)
        table.fact(figure, f"git processes of the hooks, {name}", hooks, "<= 3", hooks <= 3)
    pending.leave_work()
    hooks, worker = pending.spawned()
    table.fact(
        figure, "git processes of the hooks, a finished session's work", hooks, "<= 3", hooks <= 3
    )
    table.fact(figure, "git processes of the worker that signs beside it", worker)


def commit_large(ground: Ground, table: Table) -> None:
    """The same in a tree of 100,000 files."""
    top = ground.repository("large", 100_000)
    place = _Commits(ground, top)
    ground.agentprov("init", cwd=top)
    target = at_most_times(1.10)
    run_cases(
        table, "commit, 100,000 files",
        {
            "bare": lambda: place.plain(_WITHOUT),
            "hooks, no session": place.plain,
            "hooks, a finished session's work": place.of_session,
        },
        ground.rounds(15, 5),
        {
            "hooks, no session": target,
            "hooks, a finished session's work": target,
        },
    )  # fmt: skip
