from __future__ import annotations

from pathlib import Path

from agentprov.flows import unrecorded
from agentprov.flows.world import World
from support.repository import Repository


def test_a_commit_without_its_record_is_found_at_another_work_trees_head(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    repository.write("a", "1\n")
    repository.commit("First")
    repository.git("worktree", "add", "-q", "--detach", str(tmp_path / "beside"))
    beside = Repository(tmp_path / "beside")
    beside.write("a", "2\n")
    oid = beside.commit("Second\n\nagentprov-session: 3f2c/1")
    assert [one.commit for one in unrecorded.find(World.here(repository.top))] == [oid]
