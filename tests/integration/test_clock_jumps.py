"""The clock is set by years: in a session, between two, and back; what is signed stays in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agentprov.errors import CannotStart
from agentprov.flows import plan
from agentprov.flows.drain import drain
from agentprov.flows.request import Request
from agentprov.flows.run import run
from agentprov.flows.world import World
from agentprov.formats import journal
from agentprov.system.clock import SystemClock
from support.command_line import agentprov, bundles
from support.repository import Repository

YEARS = timedelta(days=3650)


class SetClock(SystemClock):
    """The machine's clock, which somebody sets by some years once a file is there."""

    def __init__(self, by: timedelta, when: Path | None = None) -> None:
        super().__init__({})
        self._by, self._when = by, when

    def now(self) -> datetime:
        is_set = self._when is None or self._when.exists()
        return super().now() + (self._by if is_set else timedelta())


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("old", "old\n")
    made.commit("first")
    monkeypatch.chdir(made.top)
    return made


def world_at(by: timedelta, when: Path | None = None) -> World:
    here = World.here()
    return World(here.git, here.home, SetClock(by, when))


def recorded(world: World, script: str) -> None:
    request = Request(("sh", "-c", script), world.git.top, dict(os.environ), None, ())
    assert run(world, request, lambda text: None).status == 0


def times_of(repository: Repository) -> list[str]:
    (place,) = (repository.top / ".git/agentprov/sessions").iterdir()
    reading = journal.read((place / "journal.jsonl").read_bytes())
    assert reading.defect is None
    return [entry.at for entry in reading.entries]


def closed(repository: Repository) -> dict[str, object]:
    (found,) = [s for s in bundles(repository) if s["predicate"].get("phase") == "close"]
    return dict(found["predicate"])


def jumps(predicate: dict[str, object]) -> list[str]:
    gaps = predicate["gaps"]
    assert isinstance(gaps, list)
    return [gap["detail"] for gap in gaps if gap["why"] == "clock-jumped"]


def holds_now(repository: Repository) -> None:
    answer = agentprov("verify", "HEAD", "--json", cwd=repository.top).json()
    assert [f["code"] for f in answer["findings"] if f["severity"] == "error"] == []


@pytest.mark.parametrize("by", [YEARS, -YEARS], ids=["forward", "back"])
def test_a_jump_in_a_session_is_a_gap_and_moves_no_time(
    repository: Repository, tmp_path: Path, by: timedelta
) -> None:
    mark = tmp_path / "set"
    script = f"touch {mark}; sleep 0.5; echo x > x; git add x; git commit -qm x; sleep 0.3"
    before = SystemClock({}).now()
    recorded(world_at(by, mark), script)
    after = SystemClock({}).now()
    said = closed(repository)
    word = "forward" if by > timedelta() else "back"
    assert [text.split(" by ")[0] for text in jumps(said)] == [word]
    session = said["session"]
    assert isinstance(session, dict)
    started, finished = (
        datetime.fromisoformat(session[name]) for name in ("startedOn", "finishedOn")
    )
    slack = timedelta(seconds=5)
    assert before - slack <= started <= finished <= after + slack
    times = times_of(repository)
    assert times == sorted(times)
    holds_now(repository)


def test_a_clock_that_is_set_there_and_back_leaves_two_gaps(
    repository: Repository, tmp_path: Path
) -> None:
    mark = tmp_path / "set"
    script = (
        f"touch {mark}; sleep 0.5; rm {mark}; sleep 0.5; echo x > x; git add x; git commit -qm x"
    )
    recorded(world_at(YEARS, mark), script)
    assert [text.split(" by ")[0] for text in jumps(closed(repository))] == ["forward", "back"]
    holds_now(repository)


def killed_session(repository: Repository, script: str) -> None:
    recorder = subprocess.Popen(
        [sys.executable, "-m", "agentprov", "run", "--", "sh", "-c", f"{script}; echo r; sleep 60"],
        cwd=repository.top,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert recorder.stdout is not None
    assert recorder.stdout.readline() == b"r\n"
    os.killpg(recorder.pid, signal.SIGKILL)
    recorder.wait()
    recorder.stdout.close()


@pytest.mark.parametrize("by", [YEARS, -YEARS], ids=["forward", "back"])
@pytest.mark.parametrize("pause", [0.0, 2.0], ids=["nothing-signed", "opened"])
def test_a_session_that_is_closed_under_another_clock_holds_under_the_right_one(
    repository: Repository, by: timedelta, pause: float
) -> None:
    killed_session(repository, f"echo x > x; git add x; git commit -qm x; sleep {pause}")
    assert drain(world_at(by)).failures == []
    said = closed(repository)
    assert bool(jumps(said)) == (by < timedelta())
    times = times_of(repository)
    assert times == sorted(times)
    holds_now(repository)


def test_a_session_of_a_day_to_come_is_dated_anew_if_nothing_is_signed(
    repository: Repository,
) -> None:
    """Its clock was wrong; the next command's is right."""
    killed_session(repository, "echo x > x; git add x; git commit -qm x")
    (place,) = (repository.top / ".git/agentprov/sessions").iterdir()
    year = str(SystemClock({}).now().year)
    later = str(SystemClock({}).now().year + 10)
    state = (place / "state.json").read_text()
    assert '"open_sha256":null' in state
    (place / "state.json").write_text(state.replace(f'"started":"{year}', f'"started":"{later}'))
    (place / "journal.jsonl").unlink()
    assert drain(World.here()).failures == []
    assert jumps(closed(repository))
    holds_now(repository)


def test_a_plan_signed_on_a_day_to_come_starts_no_session_that_could_not_be_verified(
    repository: Repository,
) -> None:
    assert agentprov("init", cwd=repository.top).status == 0
    repository.write("PLAN.md", "# Plan\n\nDo it.\n")
    plan.sign(world_at(YEARS), repository.top / "PLAN.md", environment={})
    answer = agentprov("run", "--plan", "PLAN.md", "--", "touch", "x", cwd=repository.top)
    assert answer.status == 125
    assert "still to come" in answer.err
    assert not (repository.top / "x").exists()
    assert CannotStart.kind == "cannot-start"


def test_small_corrections_are_followed_and_no_jump() -> None:
    from agentprov.system.clock import SteadyClock

    class Slewed(SystemClock):
        off = timedelta()

        def now(self) -> datetime:
            return super().now() + self.off

    wall = Slewed({})
    clock = SteadyClock(wall)
    first = clock.now()
    for _ in range(5):
        wall.off += timedelta(seconds=3)
        time.sleep(0.001)
        assert clock.now() > first
    assert clock.jumps() == []
    assert clock.now() - first >= timedelta(seconds=15)
    wall.off -= timedelta(seconds=8)
    assert clock.now() >= first + timedelta(seconds=15)
    assert clock.jumps() == []
