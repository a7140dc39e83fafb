"""Which git program runs, and how the objects are read that it gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agentprov.errors import NotARepository, UserError
from agentprov.system.git import Git, git_program
from agentprov.system.git_objects import parse_commit
from support.repository import Repository


def test_a_relative_folder_on_path_names_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".")
    with pytest.raises(UserError):
        git_program()
    monkeypatch.setenv("PATH", f".:{tmp_path}")
    assert git_program() == str(tmp_path / "git")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1764000000", 1_764_000_000),
        ("-1", -1),
        ("--5", 0),
        ("\u00b2", 0),
        ("\u0661", 0),
        ("9" * 5_000, 0),
        ("", 0),
        ("1e3", 0),
    ],
)
def test_a_commit_with_any_time_is_read(written: str, read: int) -> None:
    header = f"tree {'1' * 40}\ncommitter A <a@example.com> {written} +0000\n\nAdd\n"
    commit = parse_commit("0" * 40, header.encode())
    assert (commit.committed, commit.message) == (read, "Add\n")


def test_a_repository_that_is_gone_is_said_to_be_however_git_is_asked(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    git = Git.discover(repository.top)
    shutil.rmtree(repository.top)
    with pytest.raises(NotARepository, match="no such directory"):
        git.run("status")
    with pytest.raises(NotARepository, match="no such directory"):
        git.ask("status")
    with pytest.raises(NotARepository, match="no such directory"):
        git.ask("diff-tree", "--stdin", input=b"")
