"""Ways around the hooks, and work trees that do not hold what git commits: real git, real runs."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Answer, agentprov, changes, generations
from support.repository import Repository

_OTHER_CLIENT = (
    "import git; r = git.Repo('.'); r.index.add(['new.txt']); r.index.commit('x', skip_hooks=True)"
)
BYPASSES = {
    "--no-verify": "git add -A; git commit -q --no-verify -m x",
    "another hooks path": "git add -A; git -c core.hooksPath=/dev/null commit -qm x",
    "hooks path in the environment": (
        "git add -A; export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath; "
        "GIT_CONFIG_VALUE_0=/nowhere git commit -qm x"
    ),
    "hooks deleted": "rm -rf .git/hooks .git/agentprov/hook*; git add -A; git commit -qm x",
    "plumbing": (
        "git add -A; git update-ref HEAD $(git commit-tree -p HEAD -m x $(git write-tree))"
    ),
    "another client": f'{sys.executable} -c "{_OTHER_CLIENT}"',
    "fast-import": (
        "printf 'commit refs/heads/%s\\ncommitter a <a@b> 1700000000 +0000\\ndata 1\\nx\\n"
        'from %s\\nM 644 inline new.txt\\ndata 4\\nnew\\n\\n\' "$(git symbolic-ref --short HEAD)" '
        '"$(git rev-parse HEAD)" | git fast-import --quiet --force; git reset -q'
    ),
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("old.txt", "one\n")
    made.write("big/data.txt", "old\n")
    made.commit("first")
    agentprov("init", cwd=made.top)
    return made


def run(repository: Repository, script: str) -> None:
    answer = agentprov("run", "--", "sh", "-c", script, cwd=repository.top)
    assert answer.status == 0, answer.err


def verified(repository: Repository, *targets: str) -> Answer:
    return agentprov("verify", *targets, "--json", cwd=repository.top)


def coverage(answer: Answer) -> list[str]:
    return [commit["coverage"] for commit in answer.json()["commits"]]


def codes(answer: Answer) -> set[str]:
    return {finding["code"] for finding in answer.json()["findings"]}


def changed(repository: Repository) -> dict[str, Any]:
    (generation,) = generations(repository)
    return changes(generation)


@pytest.mark.parametrize("way", BYPASSES)
def test_a_commit_past_the_hooks_is_recorded_in_a_run(repository: Repository, way: str) -> None:
    run(repository, f"echo new > new.txt; {BYPASSES[way]}")
    assert repository.git("log", "-1", "--format=%s") == "x"
    assert set(changed(repository)) == {"new.txt"}
    answer = verified(repository)
    assert (answer.status, coverage(answer)) == (0, ["covered"])


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("rm .git/hooks/post-commit", ["post-commit"]),
        ("chmod -x .git/hooks/pre-push", ["pre-push"]),
        ("echo true > .git/hooks/post-rewrite", ["post-rewrite"]),
        ("rm .git/agentprov/hook.sh", ["hook.sh"]),
        (
            "git config core.hooksPath /nowhere",
            ["post-commit", "post-rewrite", "pre-push", "prepare-commit-msg"],
        ),
        ("git -c core.hooksPath=/nowhere status", []),
        ("! agentprov hooks uninstall", []),
    ],
)
def test_hooks_that_are_taken_away_in_a_run_are_a_gap(
    repository: Repository, way: str, said: list[str]
) -> None:
    way = way.replace("agentprov", f"{sys.executable} -m agentprov") if "uninstall" in way else way
    run(repository, f"{way} || exit 1; echo new > new.txt; git add -A; git commit -qm x")
    shown = agentprov("show", "--json", cwd=repository.top).json()
    gaps = [gap for session in shown["sessions"] for gap in session["gaps"]]
    lost = [gap["detail"] for gap in gaps if gap["why"] == "git-hooks-changed"]
    assert lost == ([", ".join(said)] if said else [])
    assert len(gaps) == len(lost)


def test_hooks_that_were_never_there_are_no_gap(tmp_path: Path) -> None:
    made = Repository(tmp_path / "without")
    made.write("old.txt", "old\n")
    made.commit("first")
    run(made, "echo new > new.txt; git add -A; git commit -qm x; rm -rf .git/hooks")
    shown = agentprov("show", "--json", cwd=made.top).json()
    assert [session["gaps"] for session in shown["sessions"]] == [[]]


@pytest.mark.parametrize("way", ["--no-verify", "another hooks path", "plumbing", "another client"])
def test_a_commit_past_the_hooks_outside_a_run_is_uncovered(
    repository: Repository, way: str
) -> None:
    repository.write("new.txt", "new\n")
    base = repository.git("rev-parse", "HEAD")
    repository_sh(repository, BYPASSES[way])
    answer = verified(repository, f"{base}..HEAD")
    assert (answer.status, coverage(answer)) == (0, ["uncovered"])
    assert "provenance-missing" in codes(answer)
    assert verified(repository, "HEAD").status == 10


def repository_sh(repository: Repository, script: str) -> None:
    repository.git("-c", f"alias.do=!set -e; {script}", "do")


def test_deleted_notes_show_where_the_trailer_is(repository: Repository) -> None:
    base = repository.git("rev-parse", "HEAD")
    run(repository, "echo new > new.txt; git add -A; git commit -qm x")
    repository.git("update-ref", "-d", "refs/notes/agentprov")
    answer = verified(repository, f"{base}..HEAD")
    assert coverage(answer) == ["uncovered"]
    assert {"provenance-missing", "record-missing"} <= codes(answer)
    assert answer.status == 10


def test_every_commit_of_a_range_is_judged_merges_and_octopuses_too(
    repository: Repository,
) -> None:
    base = repository.git("rev-parse", "HEAD")
    for name in ("a", "b", "c"):
        repository.git("checkout", "-q", "-b", name, base)
        run(repository, f"echo {name} > {name}.txt; git add -A; git commit -qm {name}")
    repository.git("checkout", "-q", "-b", "all", base)
    repository.git("merge", "-q", "-m", "octopus", "a", "b", "c")
    repository.git("checkout", "-q", "-b", "more", "a")
    repository.write("by-hand.txt", "x\n")
    repository.commit("by hand")
    repository.git("merge", "-q", "-m", "merge", "all")
    found = {
        commit["commit"]: commit["coverage"]
        for commit in verified(repository, f"{base}..more").json()["commits"]
    }
    told = repository.git("log", "--format=%H %s", f"{base}..more").splitlines()
    subjects = {line.partition(" ")[2]: found[line.partition(" ")[0]] for line in told}
    assert len(told) == len(found) == 6
    assert subjects == {
        "a": "covered",
        "b": "covered",
        "c": "covered",
        "octopus": "uncovered",
        "by hand": "uncovered",
        "merge": "uncovered",
    }


def test_a_sparse_work_tree_claims_no_file_that_it_does_not_hold(repository: Repository) -> None:
    repository.git("sparse-checkout", "set", "--cone", "src")
    assert not (repository.top / "big").exists()
    run(repository, "mkdir -p src; echo x > src/a.txt; git add -A; git commit -qm x")
    assert set(changed(repository)) == {"src/a.txt"}
    assert repository.git("ls-tree", "--name-only", "HEAD", "big/") == "big/data.txt"
    assert verified(repository).status == 0


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_what_git_is_told_not_to_look_at_is_claimed_once_it_is_committed(
    repository: Repository, flag: str
) -> None:
    repository.git("update-index", flag, "old.txt")
    run(repository, "echo two >> old.txt; echo x > new.txt; git add -A; git commit -qm x")
    assert set(changed(repository)) == {"new.txt"}
    assert verified(repository).status == 0
    unflag = flag.replace("--", "--no-", 1)
    run(
        repository,
        f"git update-index {unflag} old.txt; echo three >> old.txt; git commit -qam y",
    )
    assert changed(repository)["old.txt"]["op"] == "modify"
    # What lies in the work tree by now plays no part in judging.
    repository.git("update-index", flag, "old.txt")
    repository.write("old.txt", "something else\n")
    assert verified(repository).status == 0


def test_a_filter_decides_what_git_holds_and_verifying_does_not_run_it(
    repository: Repository, tmp_path: Path
) -> None:
    """As with LFS: what is committed is a pointer; the work tree has the content."""
    ran = tmp_path / "ran"
    clean = tmp_path / "clean"
    clean.write_text(f"#!/bin/sh\necho x >> '{ran}'\nprintf 'pointer %s\\n' \"$(cksum)\"\n")
    clean.chmod(0o700)
    repository.git("config", "filter.lfs.clean", str(clean))
    repository.git("config", "filter.lfs.smudge", "cat")
    repository.write(".gitattributes", "*.bin filter=lfs -text\n")
    repository.commit("attributes")
    run(repository, "printf 'large content' > a.bin; git add -A; git commit -qm x")
    held = repository.git("cat-file", "blob", "HEAD:a.bin") + "\n"
    assert held.startswith("pointer ")
    (generation,) = generations(repository)
    (subject,) = [s for s in generation["subject"] if s["name"] == "a.bin"]
    assert subject["digest"]["sha256"] == sha256(held.encode()).hexdigest()
    before = ran.read_text()
    assert verified(repository).status == 0
    clone = tmp_path / "clone"
    repository.git("clone", "-q", ".", str(clone))
    copy = Repository(clone)
    copy.git("fetch", "-q", "origin", "refs/notes/agentprov:refs/notes/agentprov")
    assert verified(copy).status == 0
    assert ran.read_text() == before
