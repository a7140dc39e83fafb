"""What two trees of a real repository differ in, and what one of them holds."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from agentprov.system.git import Git
from agentprov.system.trees import Comparison, blobs_at, diff_pairs, diff_tree
from support.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("old name\n.txt", "one\ntwo\nthree\n")
    made.write("kept", "kept\n")
    made.commit("first")
    (made.top / "old name\n.txt").rename(made.top / 'new "name".txt')
    made.write("kept", "changed\n")
    made.commit("second")
    return made


def test_a_rename_is_one_entry_with_both_paths_and_changes_stay_apart(
    repository: Repository,
) -> None:
    found = diff_tree(Git.discover(repository.top), "HEAD~1", "HEAD")
    assert [(one.status, one.old_path, one.path) for one in found] == [
        ("M", None, b"kept"),
        ("R", b"old name\n.txt", b'new "name".txt'),
    ]
    assert found[1].old_blob == found[1].new_blob
    assert found[0].old_blob != found[0].new_blob


def test_without_renames_it_is_a_deletion_and_an_addition(repository: Repository) -> None:
    found = diff_tree(Git.discover(repository.top), "HEAD~1", "HEAD", renames=False)
    assert {(one.status, one.path) for one in found} == {
        ("M", b"kept"),
        ("D", b"old name\n.txt"),
        ("A", b'new "name".txt'),
    }


def test_pairs_are_answered_in_order_also_where_nothing_differs(repository: Repository) -> None:
    git = Git.discover(repository.top)
    first, second = (git.text("rev-parse", f"{name}^{{tree}}") for name in ("HEAD~1", "HEAD"))
    there, nothing, back = diff_pairs(git, [(first, second), (second, second), (second, first)])
    assert sorted(one.status for one in there) == ["A", "D", "M"]
    assert nothing == []
    assert {one.new_blob for one in back if one.status == "M"} == {
        one.old_blob for one in there if one.status == "M"
    }


def test_blobs_are_found_by_the_exact_path_only(repository: Repository) -> None:
    git = Git.discover(repository.top)
    repository.write("*", "a star\n")
    repository.commit("third")
    found = blobs_at(git, "HEAD", [b"*", b'new "name".txt', b"old name\n.txt"])
    assert set(found) == {b"*", b'new "name".txt'}
    assert found[b"*"] == git.text("rev-parse", "HEAD:*")


def _telling(git: Git, ended: Path) -> Git:
    """Give a git that leaves a file behind when it has said all that it had to say."""
    program = ended.parent / "telling"
    program.write_text(f'#!/bin/sh\n"{git.program}" "$@" && : > "{ended}"\n')
    program.chmod(0o755)
    return replace(git, program=str(program))


def test_git_compares_to_its_end_though_nobody_has_asked_for_the_answer_yet(
    repository: Repository, tmp_path: Path
) -> None:
    for number in range(2_000):
        repository.write(f"many/{number}", f"{number}\n")
    repository.commit("many")
    git = Git.discover(repository.top)
    tree = git.text("rev-parse", "HEAD^{tree}")
    pairs = [(git.empty_tree, tree), (tree, git.empty_tree)] * 2
    ended = tmp_path / "ended"
    with Comparison(_telling(git, ended), pairs) as comparison:
        deadline = time.monotonic() + 30
        while not ended.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert ended.exists()
        found = comparison.changes()
    assert [len(changes) for changes in found] == [2_002] * 4
    assert [changes[0].status for changes in found] == ["A", "D", "A", "D"]


def test_whoever_gives_up_on_a_comparison_leaves_no_git_behind(
    repository: Repository, tmp_path: Path
) -> None:
    git = Git.discover(repository.top)
    tree = git.text("rev-parse", "HEAD^{tree}")
    ended = tmp_path / "ended"
    with (
        pytest.raises(LookupError),
        Comparison(_telling(git, ended), [(git.empty_tree, tree)] * 9),
    ):
        raise LookupError
    assert ended.exists()
