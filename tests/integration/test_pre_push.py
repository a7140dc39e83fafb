"""The gate before a push: where it is set up it refuses what may not merge, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command_line import agentprov
from support.repository import Repository

STRICT = "version: 1\nmode: enforce\nrequire:\n  coverage: [covered]\n"
SCRIPT = "echo hi >greet.txt; git add greet.txt; git commit -qm greet"


class Clone:
    """A clone of a forge whose main branch holds a policy, with our hooks in it."""

    def __init__(self, folder: Path, policy: str | None = STRICT) -> None:
        self.forge = folder / "forge.git"
        Repository(folder / "scratch").git("init", "-q", "--bare", "-b", "main", str(self.forge))
        self.repository = Repository(folder / "clone")
        self.git = self.repository.git
        self.git("checkout", "-q", "-b", "main")
        self.git("remote", "add", "origin", str(self.forge))
        self.repository.write("a.txt", "a\n")
        self.repository.commit("first")
        assert agentprov("init", cwd=self.repository.top).status == 0
        place = self.repository.top / ".agentprov" / "policy.yaml"
        place.unlink()
        if policy is not None:
            place.write_text(policy)
        self.repository.commit("adopt")
        self.git("push", "-q", "origin", "main")
        self.git("remote", "set-head", "origin", "main")
        self.git("config", "agentprov.prePush", "gate")
        self.git("checkout", "-q", "-b", "feature")

    def record(self) -> None:
        assert agentprov("run", "--", "sh", "-c", SCRIPT, cwd=self.repository.top).status == 0

    def by_hand(self, name: str = "hand.txt") -> None:
        self.repository.write(name, f"{os.urandom(4).hex()}\n")
        self.repository.commit(f"by hand: {name}")

    def push(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str]:
        """Push; give git's status and what was said."""
        done = subprocess.run(
            ["git", "push", "-q", *(arguments or ("origin", "feature"))],
            cwd=cwd or self.repository.top, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stderr

    def there(self, ref: str = "refs/heads/feature") -> str:
        return Repository(self.forge.parent / "scratch").git(
            "--git-dir", str(self.forge), "rev-parse", "--verify", "-q", ref, check=False
        )


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def refused(answer: tuple[int, str]) -> bool:
    status, said = answer
    assert (status != 0) == ("the push is refused" in said), said
    return status != 0


def test_what_may_not_merge_is_refused_with_its_findings_and_ways_out(clone: Clone) -> None:
    clone.by_hand()
    status, said = clone.push()
    assert status == 1
    assert clone.there() == ""
    assert "refs/heads/feature may not merge" in said
    assert "policy-coverage:" in said
    assert "Have it recorded" in said
    assert "--no-verify" in said
    assert clone.push("--no-verify", "origin", "feature")[0] == 0
    assert clone.there() == clone.git("rev-parse", "feature")


def test_what_may_merge_is_pushed_and_a_force_push_is_judged_by_what_it_brings(
    clone: Clone,
) -> None:
    clone.record()
    assert not refused(clone.push())
    assert clone.there() == clone.git("rev-parse", "feature")
    recorded = clone.git("rev-parse", "feature")
    clone.git("commit", "-q", "--amend", "-m", "another message", "--allow-empty")
    clone.git("reset", "-q", "--hard", "main")
    clone.by_hand()
    assert refused(clone.push("--force", "origin", "feature"))
    assert clone.there() == recorded
    # Back to where the default branch is: nothing is added.
    clone.git("reset", "-q", "--hard", "main")
    assert not refused(clone.push("--force", "origin", "feature"))


def test_deleting_a_branch_and_pushing_records_are_never_in_the_way(clone: Clone) -> None:
    clone.record()
    assert not refused(clone.push())
    clone.by_hand()
    assert not refused(clone.push("origin", ":feature"))
    assert clone.there() == ""
    assert not refused(clone.push("origin", "refs/notes/agentprov"))
    assert clone.there("refs/notes/agentprov")


def test_every_ref_of_one_push_is_judged(clone: Clone) -> None:
    clone.record()
    clone.git("checkout", "-q", "-b", "other", "main")
    clone.by_hand()
    status, said = clone.push("origin", "feature", "other")
    assert status != 0
    assert "refs/heads/other may not merge" in said
    assert "refs/heads/feature may not" not in said
    assert clone.there() == clone.there("refs/heads/other") == ""


def test_the_default_branch_itself_is_judged(clone: Clone) -> None:
    clone.git("checkout", "-q", "main")
    clone.by_hand()
    assert refused(clone.push("origin", "main"))


def test_a_branch_under_another_name_and_a_detached_commit_are_judged(clone: Clone) -> None:
    clone.by_hand()
    assert refused(clone.push("origin", "HEAD:refs/heads/renamed"))
    clone.git("checkout", "-q", "--detach")
    assert refused(clone.push("origin", "HEAD:refs/heads/renamed"))


def test_tags_are_judged_by_the_commit_behind_them(clone: Clone) -> None:
    clone.git("tag", "good", "main")
    clone.git("tag", "-a", "-m", "x", "annotated", "main")
    clone.git("tag", "blob", clone.git("rev-parse", "main:a.txt"))
    assert not refused(clone.push("origin", "good", "annotated", "blob"))
    clone.by_hand()
    clone.git("tag", "-a", "-m", "x", "bad")
    assert refused(clone.push("origin", "bad"))
    assert not refused(clone.push("origin", ":refs/tags/good"))


def test_in_another_work_tree_the_same_holds(clone: Clone, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    clone.git("worktree", "add", "-q", "-b", "there", str(tree), "main")
    (tree / "x.txt").write_text("x")
    for words in (["add", "x.txt"], ["commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=tree, check=True)
    assert refused(clone.push("origin", "there", cwd=tree))
    sub = tree / "sub"
    sub.mkdir()
    assert refused(clone.push("origin", "there", cwd=sub))


def test_a_remote_whose_default_branch_nobody_knows_is_refused_with_the_way_out(
    clone: Clone,
) -> None:
    clone.git("remote", "set-head", "origin", "--delete")
    clone.record()
    status, said = clone.push()
    assert status != 0
    assert "git remote set-head origin --auto" in said
    clone.git("remote", "set-head", "origin", "--auto")
    assert not refused(clone.push())


def test_pushing_to_an_address_is_judged_by_the_origin(clone: Clone) -> None:
    clone.by_hand()
    assert refused(clone.push(str(clone.forge), "feature"))


def test_a_first_push_to_an_empty_remote_has_no_rules_yet(clone: Clone, tmp_path: Path) -> None:
    Repository(tmp_path / "scratch").git("init", "-q", "--bare", str(tmp_path / "new.git"))
    clone.git("remote", "remove", "origin")
    clone.git("remote", "add", "new", str(tmp_path / "new.git"))
    clone.by_hand()
    assert not refused(clone.push("new", "feature"))


@pytest.mark.parametrize("policy", [None, STRICT.replace("enforce", "observe")])
def test_without_an_enforcing_policy_nothing_is_refused(tmp_path: Path, policy: str | None) -> None:
    clone = Clone(tmp_path, policy)
    clone.by_hand()
    assert not refused(clone.push())


def test_a_broken_policy_fails_closed(tmp_path: Path) -> None:
    clone = Clone(tmp_path, STRICT.replace("coverage", "coverag"))
    clone.by_hand()
    assert refused(clone.push())


SWITCHES: dict[str, Callable[[Clone], object]] = {
    "unset": lambda clone: clone.git("config", "--unset", "agentprov.prePush"),
    "off": lambda clone: clone.git("config", "agentprov.prePush", "off"),
    "elsewhere": lambda clone: clone.git("config", "--rename-section", "agentprov", "other"),
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_where_it_is_not_set_up_nothing_is_judged(clone: Clone, switch: str) -> None:
    SWITCHES[switch](clone)
    clone.by_hand()
    assert clone.push() == (0, "")


def test_a_misspelled_switch_is_not_taken_for_off(clone: Clone) -> None:
    clone.git("config", "agentprov.prePush", "gaet")
    clone.by_hand()
    status, said = clone.push()
    assert status != 0
    assert "'gaet'" in said


def test_a_gate_that_cannot_run_lets_nothing_through_but_recording_never_stops_a_push(
    clone: Clone,
) -> None:
    program = clone.repository.top / ".git" / "agentprov" / "hook.sh"
    text = program.read_text()
    program.write_text(text.replace(f"'{sys.executable}'", "'/nowhere/python'"))
    assert program.read_text() != text
    clone.by_hand()
    assert refused(clone.push())
    clone.git("config", "agentprov.prePush", "off")
    assert clone.push()[0] == 0


def test_the_users_own_hook_still_runs_first_and_sees_the_same_input(clone: Clone) -> None:
    seen = clone.repository.top.parent / "seen"
    chained = clone.repository.top / ".git/hooks/pre-push.agentprov-chained"
    chained.write_text(f'#!/bin/sh\ncat >"{seen}"\n')
    chained.chmod(0o755)
    clone.by_hand()
    assert refused(clone.push())
    assert "refs/heads/feature" in seen.read_text()
    chained.write_text("#!/bin/sh\nexit 3\n")
    status, said = clone.push()
    assert status != 0
    assert "may not merge" not in said


@pytest.mark.parametrize("way", ["line", "framework"])
def test_hook_managers_can_refuse_as_well(clone: Clone, way: str) -> None:
    clone.by_hand()
    head = clone.git("rev-parse", "HEAD")
    hook = clone.repository.top / ".git" / "agentprov" / "hook.sh"
    line = f"refs/heads/feature {head} refs/heads/feature {'0' * 40}\n"
    env = dict(os.environ)
    command = ["sh", str(hook), "pre-push", "origin", str(clone.forge)]
    if way == "framework":
        from importlib import resources

        place = resources.files("agentprov_hooks").joinpath("git", "from-manager.sh")
        command = ["sh", str(place), "pre-push"]
        env |= {
            "PRE_COMMIT_TO_REF": head,
            "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/feature",
            "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/feature",
            "PRE_COMMIT_REMOTE_NAME": "origin",
        }
        line = ""

    def status() -> int:
        return subprocess.run(
            command, cwd=clone.repository.top, env=env, input=line.encode(),
            capture_output=True, check=False,
        ).returncode  # fmt: skip

    assert status() == 13
    clone.git("config", "agentprov.prePush", "off")
    assert status() == 0


def test_a_push_costs_no_process_more_where_it_is_not_set_up(clone: Clone, tmp_path: Path) -> None:
    clone.git("config", "--unset", "agentprov.prePush")
    clone.by_hand()

    def processes(*before: str) -> int:
        trace = tmp_path / f"trace-{len(list(tmp_path.iterdir()))}"
        env = {**os.environ, "GIT_TRACE2_EVENT": str(trace)}
        subprocess.run(
            ["git", *before, "push", "-q", "--force", "origin", "feature"],
            cwd=clone.repository.top, env=env, check=True, capture_output=True,
        )  # fmt: skip
        return trace.read_text().count('"event":"version"')

    bare = processes("-c", "core.hooksPath=/nowhere")
    clone.git("commit", "-q", "--amend", "-m", "again")
    assert processes() == bare
