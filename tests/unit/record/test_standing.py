from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.record.commits import ref_state
from agentprov.record.standing import Standing, StandingAsked
from agentprov.system.git import Git
from support.repository import Repository


@pytest.fixture(params=["sha1", "sha256"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    return Repository(tmp_path / "r", object_format=request.param)


def _standing(repository: Repository) -> Standing:
    return StandingAsked(Git.discover(repository.top)).finish()


def test_it_says_what_single_questions_say(repository: Repository) -> None:
    repository.write("a", "1\n")
    head = repository.commit()
    repository.git("branch", "side")
    repository.git("config", "remote.origin.url", "https://example.com/old.git")
    repository.git("config", "--add", "remote.origin.url", "https://example.com/r.git")
    found = _standing(repository)
    assert found.head == head
    assert found.head_tree == repository.git("rev-parse", "HEAD^{tree}")
    assert found.ref == "refs/heads/main"
    assert found.origin == repository.git("config", "--get", "remote.origin.url")
    assert found.email == "ada@example.com"
    assert found.refs == ref_state(Git.discover(repository.top))


def test_before_the_first_commit_there_is_only_a_branch(repository: Repository) -> None:
    found = _standing(repository)
    assert (found.head, found.head_tree, found.ref) == (None, None, "refs/heads/main")
    assert found.refs.tips == ()
    assert found.origin is None


def test_a_detached_head_is_on_no_branch(repository: Repository) -> None:
    repository.write("a", "1\n")
    head = repository.commit()
    repository.git("checkout", "-q", "--detach")
    found = _standing(repository)
    assert (found.head, found.ref) == (head, None)


def test_a_branch_and_a_file_named_head_do_not_confuse_it(repository: Repository) -> None:
    repository.write("HEAD", "1\n")
    head = repository.commit()
    repository.write("HEAD", "2\n")
    other = repository.commit()
    repository.git("update-ref", "refs/heads/HEAD", head)
    found = _standing(repository)
    assert (found.head, found.ref) == (other, "refs/heads/main")
