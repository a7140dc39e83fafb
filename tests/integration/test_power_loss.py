"""The power goes at any moment of a session: whatever the disk kept, the next command copes.

With AGENTPROV_TEST_EVERY_PREFIX set, every moment is tried in every way; else every eleventh.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from agentprov.flows.drain import drain
from agentprov.flows.replay import replay
from agentprov.flows.request import Request
from agentprov.flows.run import run
from agentprov.flows.world import World
from agentprov.formats import bundle, journal, statement
from agentprov.record.session import SessionDirectory
from support.power_loss import LOSSES, Disk, Loss
from support.repository import Repository

EVERY = 1 if os.environ.get("AGENTPROV_TEST_EVERY_PREFIX") else 11
AGENT = (
    "echo a > a; git add -A; git commit -qm a; sleep 0.5;"
    "echo b > b; git add -A; git commit -qm b; sleep 0.5; echo c > c"
)


class Session:
    """One recorded session, with what git had at each wait for the disk."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.repository = Repository(place / "r")
        self.repository.write("old", "old\n")
        self.repository.commit("first")
        self.place, self.top = place, self.repository.top
        self.home = self.top / ".git/agentprov"
        self.home.mkdir(mode=0o700)
        self.gits: list[tuple[int, Path]] = []
        self.disk = Disk(self.home, self._copy_git)
        self._copy_git()
        monkeypatch.chdir(self.top)
        self.world = World.here()
        request = Request(("sh", "-c", AGENT), self.top, dict(os.environ), None, ())
        with self.disk.noted(monkeypatch):
            outcome = run(self.world, request, lambda text: None)
        assert len(outcome.commits) == 2
        self._copy_git()
        self.whole = place / "whole"
        shutil.copytree(self.top, self.whole, symlinks=True)

    def _copy_git(self) -> None:
        to = self.place / f"git-{len(self.gits)}"
        self.gits.append((len(self.disk.operations), to))
        shutil.copytree(self.top / ".git", to, ignore=self._but_ours)

    def _but_ours(self, folder: str, names: list[str]) -> list[str]:
        # The ref that the records hang on goes by the same name as our directory.
        return ["agentprov"] if folder == str(self.top / ".git") else []

    def lose_power(self, count: int, loss: Loss) -> None:
        """Put the repository back to what a disk may hold of that moment, after a reboot."""
        shutil.rmtree(self.top)
        shutil.copytree(self.whole, self.top, ignore=shutil.ignore_patterns(".git"))
        git = [one for at, one in self.gits if at <= count][-1]
        shutil.copytree(git, self.top / ".git")
        self.disk.image(count, loss, self.home)
        # The private objects that git wrote for the first snapshot; git's own are waited for.
        if loss != "strict":
            shutil.copytree(
                self.whole / ".git/agentprov/objects", self.home / "objects", dirs_exist_ok=True
            )
        for mark in (self.home / "live").glob("[!.]*"):
            lines = mark.read_text().splitlines()
            if len(lines) == 3:
                mark.write_text(f"{lines[0]}\nanother-boot-1\n{lines[2]}\n")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    with pytest.MonkeyPatch.context() as patch:
        from support.homes import private_home

        private_home(tmp_path_factory.mktemp("power-home"), patch)
        return Session(tmp_path_factory.mktemp("power"), patch)


def kinds(lines: list[bytes]) -> list[statement.Statement]:
    return [statement.parse(bundle.parse(line).payload) for line in lines]


def stored(world: World) -> set[bytes]:
    return {line for _, lines in world.notes.everything() for line in lines}


def number_of(said: statement.Statement) -> tuple[int, str]:
    commit = said.predicate["runDetails"]["metadata"]["agentprov_commit"]
    return commit["sequence"], commit["gitCommit"]


@pytest.mark.parametrize("loss", LOSSES)
def test_whatever_the_disk_kept_the_next_command_goes_on_from_it(
    session: Session, loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = len(session.disk.operations)
    assert (session.gits[-1][1] / "refs/notes/agentprov").exists()
    assert total > 60
    assert sum(one.words.startswith("fsync") for one in session.disk.operations) > 15
    monkeypatch.chdir(session.top)
    for count in range(LOSSES.index(loss), total + 1, EVERY):
        session.lose_power(count, loss)
        monkeypatch.chdir(session.top)
        world = World.here()
        before = stored(world)
        said = session.disk.operations[count - 1].words if count else "nothing"
        about = f"{loss} after {count} of {total}: {said}"
        first = drain(world)
        assert first.failures == [], about
        assert before <= stored(world), about
        assert drain(world).failures == [], about
        assert list((world.git.home / "live").glob("[!.]*")) == [], about
        judge(world, about)


def judge(world: World, about: str) -> None:
    generations: Counter[object] = Counter()
    for said in kinds(sorted(stored(world))):
        if said.kind == "generation":
            generations.update(number_of(said))
    assert all(count == 1 for count in generations.values()), about
    for place in (world.git.home / "sessions").glob("*"):
        directory = SessionDirectory(world.git.home, place.name)
        if directory.journal.exists():
            reading = journal.read(directory.journal.read_bytes())
            assert reading.defect is None, about
        found = Counter(said.kind for said in kinds(directory.bundles()))
        assert found["session-open"] == found["session-close"] <= 1, about
        if found["generation"]:
            assert set(directory.bundles()) <= stored(world), about
        if found["session-open"]:
            assert replay(directory).same, about


def test_a_closed_session_is_whole_without_anything_that_was_not_waited_for(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.lose_power(len(session.disk.operations), "strict")
    monkeypatch.chdir(session.top)
    world = World.here()
    (place,) = (world.git.home / "sessions").iterdir()
    directory = SessionDirectory(world.git.home, place.name)
    assert directory.load().phase == "closed"
    assert Counter(said.kind for said in kinds(directory.bundles())) == {
        "session-open": 1,
        "generation": 2,
        "session-close": 1,
    }
    assert directory.pending() == [b"c"]
    assert set(directory.bundles()) <= stored(world)
