"""What two trees of a real repository differ in, and what one of them holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.system.git import Git
from agentprov.system.trees import blobs_at, diff_pairs, diff_tree
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
