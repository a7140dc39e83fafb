from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.formats.carrying import added_digest
from agentprov.formats.facts import Change, Commit, Edit
from agentprov.record import snapshot
from agentprov.record.describe import Evidence, describe
from agentprov.system.git import Git
from support.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("a.txt", "one\ntwo\nthree\n")
    made.commit("first")
    return made


def baseline(repository: Repository) -> str:
    git = Git.discover(repository.top)
    git.home.mkdir(exist_ok=True)
    return snapshot.take(git, "2026-01-01T00:00:00Z", "t").tree


def described(repository: Repository, evidence: Evidence, revision: str = "HEAD") -> Commit:
    git = snapshot.private_git(Git.discover(repository.top))
    oid = repository.git("rev-parse", revision)
    with git.cat_file() as reader:
        return describe(git, reader, oid, evidence, sequence=1, ref=None, during=True)


def by_path(commit: Commit) -> dict[bytes, Change]:
    return {change.path: change for change in commit.changes}


def test_a_rename_with_an_edit_is_one_change(repository: Repository) -> None:
    tree = baseline(repository)
    repository.git("mv", "a.txt", "b.txt")
    repository.write("b.txt", "one\ntwo\nthree\nfour\n")
    repository.commit()
    (change,) = described(repository, Evidence(tree)).changes
    assert (change.op, change.path, change.old_path) == ("rename", b"b.txt", b"a.txt")
    assert [(r.start, r.end) for r in change.ranges] == [(4, 4)]


def test_a_merge_owns_only_what_it_changed_itself(repository: Repository) -> None:
    repository.git("checkout", "-q", "-b", "side")
    repository.write("side.txt", "s\n")
    repository.commit("side")
    repository.git("checkout", "-q", "main")
    repository.write("main.txt", "m\n")
    repository.commit("main")
    tree = baseline(repository)
    repository.git("merge", "-q", "--no-ff", "--no-commit", "side")
    repository.write("evil.txt", "in the merge itself\n")
    repository.commit("merge")
    assert set(by_path(described(repository, Evidence(tree)))) == {b"evil.txt"}


def test_lines_before_the_session_are_told_from_its_own(repository: Repository) -> None:
    repository.write("a.txt", "zero\none\ntwo\nthree\n")
    tree = baseline(repository)
    repository.write("a.txt", "zero\none\ntwo\nthree\nfour is here\n")
    repository.commit()
    edit = Edit("a.txt", "four is here\n", "Edit", "m", "reported")
    (change,) = described(repository, Evidence(tree, {b"a.txt": [edit]})).changes
    assert [(r.start, r.origin, r.why) for r in change.ranges] == [
        (1, "unknown", "before-session"),
        (5, "model", None),
    ]


def test_content_comes_from_git_objects_not_from_the_work_tree(repository: Repository) -> None:
    tree = baseline(repository)
    repository.write("a.txt", "committed\n")
    repository.commit()
    repository.write("a.txt", "changed since\n")
    (change,) = described(repository, Evidence(tree)).changes
    assert change.blob == repository.git("rev-parse", "HEAD:a.txt")
    assert change.size == len("committed\n")


def test_replace_refs_do_not_lie_to_it(repository: Repository) -> None:
    tree = baseline(repository)
    repository.write("a.txt", "true\n")
    true = repository.commit()
    repository.write("a.txt", "false\n")
    false = repository.commit()
    repository.git("replace", true, false)
    (change,) = described(repository, Evidence(tree), true).changes
    assert change.size == len("true\n")


def test_added_lines_that_look_like_hunk_headers_are_counted_once(repository: Repository) -> None:
    tree = baseline(repository)
    repository.write("new.txt", "@@ -1 +1,9 @@\n+++ b/other\n-- \ndiff --git a/x b/x\n")
    repository.commit()
    (change,) = described(repository, Evidence(tree)).changes
    assert [(r.start, r.end) for r in change.ranges] == [(1, 4)]


def test_binary_files_have_no_lines(repository: Repository) -> None:
    tree = baseline(repository)
    repository.write("b.bin", b"\0\1\2\n")
    repository.commit()
    (change,) = described(repository, Evidence(tree)).changes
    assert (change.ranges, change.why) == ((), "binary")


def test_lines_put_into_a_file_have_a_digest_and_a_new_file_has_its_blob(
    repository: Repository,
) -> None:
    tree = baseline(repository)
    repository.write("a.txt", "one\ntwo\nthree\nfour\n")
    repository.write("new.txt", "four\n")
    repository.commit()
    changes = by_path(described(repository, Evidence(tree)))
    assert changes[b"a.txt"].added == added_digest(b"four\n", [(1, 1)])
    assert changes[b"new.txt"].added is None


def test_a_submodule_is_its_commit_id(repository: Repository, tmp_path: Path) -> None:
    inner = Repository(tmp_path / "inner")
    inner.commit("inner")
    tree = baseline(repository)
    repository.git("submodule", "add", "-q", str(inner.top), "sub")
    repository.commit()
    change = by_path(described(repository, Evidence(tree)))[b"sub"]
    assert (change.mode, change.why, change.sha256) == ("160000", "submodule", None)


def test_an_agent_cannot_hide_its_lines_behind_an_attribute(repository: Repository) -> None:
    tree = baseline(repository)
    repository.write(".gitattributes", "a.txt -diff\n")
    repository.write("a.txt", "one\ntwo\nslipped in\n")
    repository.commit()
    change = by_path(described(repository, Evidence(tree)))[b"a.txt"]
    assert [(one.start, one.end) for one in change.ranges] == [(3, 3)]
    assert change.why is None and change.added is not None
