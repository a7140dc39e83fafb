from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.record.commits import new_commits, ref_state
from agentprov.system.git import Git
from support.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("a", "1\n")
    made.commit("first")
    return made


def test_commits_are_found_oldest_first(repository: Repository) -> None:
    git = Git.discover(repository.top)
    before = ref_state(git)
    made = [repository.commit(f"c{n}") for n in range(3)]
    assert new_commits(git, before) == made
    assert new_commits(git, before, known=made[:2]) == made[2:]


def test_an_amended_away_commit_is_still_found(repository: Repository) -> None:
    git = Git.discover(repository.top)
    before = ref_state(git)
    first = repository.commit("first try")
    repository.git("commit", "-q", "--amend", "--allow-empty", "-m", "second try")
    assert set(new_commits(git, before)) == {first, repository.git("rev-parse", "HEAD")}


def test_plumbing_and_other_branches_are_found(repository: Repository) -> None:
    git = Git.discover(repository.top)
    before = ref_state(git)
    tree = repository.git("rev-parse", "HEAD^{tree}")
    oid = repository.git("commit-tree", tree, "-p", "HEAD", "-m", "by hand")
    repository.git("update-ref", "refs/heads/side", oid)
    assert new_commits(git, before) == [oid]


def test_without_reflogs_commits_are_found_by_refs(repository: Repository) -> None:
    repository.git("config", "core.logAllRefUpdates", "false")
    for log in (repository.top / ".git/logs").rglob("*"):
        if log.is_file():
            log.unlink()
    git = Git.discover(repository.top)
    before = ref_state(git)
    assert new_commits(git, before) == []
    made = repository.commit("quiet")
    assert new_commits(git, before) == [made]


def test_what_a_fetch_or_checkout_brings_is_not_made_here(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("clone", "-q", ".", str(tmp_path / "other"))
    other = Repository(tmp_path / "other")
    git = Git.discover(other.top)
    before = ref_state(git)
    repository.write("b", "2\n")
    repository.commit("theirs")
    other.git("pull", "-q", "--ff-only")
    other.git("checkout", "-q", "-b", "topic", "HEAD~1")
    assert new_commits(git, before) == []
    mine = other.commit("mine")
    assert new_commits(git, before) == [mine]


def test_commits_in_a_linked_worktree_and_detached_are_found(
    repository: Repository, tmp_path: Path
) -> None:
    git = Git.discover(repository.top)
    repository.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    before = ref_state(git)
    linked = tmp_path / "linked"
    repository.git("-C", str(linked), "commit", "-q", "--allow-empty", "-m", "over there")
    assert new_commits(git, before) == [repository.git("-C", str(linked), "rev-parse", "HEAD")]
