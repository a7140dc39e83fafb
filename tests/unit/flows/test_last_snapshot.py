"""A work tree that goes while its session is closed stops nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.errors import AgentprovError, NotARepository
from agentprov.flows import before
from agentprov.flows.before import Before
from agentprov.flows.last_snapshot import LastSnapshot
from agentprov.flows.world import World
from agentprov.record import snapshot
from agentprov.system.clock import SystemClock
from agentprov.system.git import Git
from support.repository import Repository


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = Repository(tmp_path / "r")
    made.write("a", "1\n")
    made.commit("first")
    return World(Git.discover(made.top), tmp_path / "home", SystemClock())


def test_what_cannot_begin_is_told_when_it_is_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for failure in (NotARepository("gone"), FileNotFoundError("gone")):

        def fail(*_: object, why: Exception = failure) -> None:
            raise why

        monkeypatch.setattr(snapshot, "Taking", fail)
        taking = LastSnapshot(world, "s")
        with pytest.raises((AgentprovError, OSError), match="gone"):
            taking.finish()
        taking.close()
        monkeypatch.setattr(before, "Taking", fail)
        beginning = Before(world)
        with pytest.raises((AgentprovError, OSError), match="gone"):
            beginning.finish()
        beginning.close()


def test_a_tree_that_is_there_is_given(world: World) -> None:
    taking = LastSnapshot(world, "s")
    try:
        found = taking.finish()
    finally:
        taking.close()
    assert world.git.text("ls-tree", "--name-only", found.tree) == "a"
