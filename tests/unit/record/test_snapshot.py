from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentprov.record import snapshot
from agentprov.system.git import Git
from support.privileges import bound_by_modes, open_folder
from support.repository import Repository

AT = "2026-01-01T00:00:00Z"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("kept.txt", "one\n")
    made.write("gone.txt", "bye\n")
    made.write(".gitignore", "*.log\n")
    made.commit()
    return made


def _take(repository: Repository) -> snapshot.Snapshot:
    git = Git.discover(repository.top)
    git.home.mkdir(exist_ok=True)
    return snapshot.take(git, AT, "t")


def _tree(repository: Repository, tree: str) -> dict[str, str]:
    git = snapshot.private_git(Git.discover(repository.top))
    listing = os.fsdecode(git.run("ls-tree", "-r", "-z", tree)).split("\0")
    return {row.split("\t")[1]: row.split(" ")[0] for row in listing if row}


def test_the_tree_is_what_git_would_commit(repository: Repository) -> None:
    repository.write("new/deep.txt", "new\n")
    (repository.top / "gone.txt").unlink()
    repository.write("kept.txt", "two\n")
    os.chmod(repository.top / "kept.txt", 0o755)
    os.symlink("kept.txt", repository.top / "link")
    taken = _take(repository)
    expected = {".gitignore": "100644", "kept.txt": "100755", "link": "120000"}
    assert _tree(repository, taken.tree) == {**expected, "new/deep.txt": "100644"}
    repository.git("add", "-A")
    assert repository.git("write-tree") == taken.tree


def test_the_users_index_and_objects_are_untouched(repository: Repository) -> None:
    repository.write("new.txt", "fresh\n")
    before = (repository.top / ".git/index").read_bytes()
    objects = repository.git("count-objects")
    _take(repository)
    assert (repository.top / ".git/index").read_bytes() == before
    assert repository.git("count-objects") == objects
    assert "new.txt" in repository.git("status", "--porcelain")


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_an_edit_hidden_by_an_index_flag_is_seen(repository: Repository, flag: str) -> None:
    clean = _take(repository).tree
    repository.git("update-index", flag, "kept.txt")
    repository.write("kept.txt", "hidden edit\n")
    assert repository.git("status", "--porcelain") == ""
    assert _take(repository).tree != clean


def test_an_ignored_file_that_is_tracked_is_seen(repository: Repository) -> None:
    repository.write("kept.log", "1\n")
    repository.git("add", "-f", "kept.log")
    repository.git("commit", "-qm", "log")
    clean = _take(repository).tree
    repository.write("kept.log", "2\n")
    assert _take(repository).tree != clean


def test_special_and_nested_and_large_things_become_gaps(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "MAX_HASHED_BYTES", 10)
    repository.write("large.bin", "x" * 11)
    Repository(repository.top / "inner").commit("inside")
    taken = _take(repository)
    assert {(gap.why, gap.detail) for gap in taken.gaps} == {
        ("not-hashed-too-large", "large.bin"),
        ("nested-repository", "inner/"),
    }
    assert "large.bin" not in _tree(repository, taken.tree)


def test_a_fifo_does_not_hang_it(repository: Repository) -> None:
    (repository.top / "kept.txt").unlink()
    os.mkfifo(repository.top / "kept.txt")
    taken = _take(repository)
    assert [gap.why for gap in taken.gaps] == ["special-file"]


def test_names_with_newlines_quotes_and_odd_bytes_are_taken(repository: Repository) -> None:
    for name in (b"new\nline", b'"quoted"', b"\xff\xfe", b" lead", b"-dash"):
        repository.write(name, "x\n")
    taken = _take(repository)
    repository.git("add", "-A")
    assert repository.git("write-tree") == taken.tree
    assert taken.gaps == ()


def test_a_repository_without_commits_has_a_snapshot(tmp_path: Path) -> None:
    empty = Repository(tmp_path / "empty")
    git = Git.discover(empty.top)
    git.home.mkdir()
    assert snapshot.take(git, AT, "t").tree == git.empty_tree


def test_sha256_repositories_work(tmp_path: Path) -> None:
    made = Repository(tmp_path / "r", object_format="sha256")
    made.write("a", "b")
    git = Git.discover(made.top)
    git.home.mkdir()
    assert len(snapshot.take(git, AT, "t").tree) == 64


def test_an_unreadable_file_is_a_gap_and_the_rest_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    with open_folder() as folder, bound_by_modes():
        made = Repository(folder / "r")
        for name in ("a", "b", "c", "d"):
            made.write(name, name)
        (made.top / "c").chmod(0)
        taken = _take(made)
        assert set(_tree(made, taken.tree)) == {"a", "b", "d"}
        (gap,) = taken.gaps
        assert gap.why == "unreadable"
        assert gap.detail is not None
        assert gap.detail.startswith("c: ")
