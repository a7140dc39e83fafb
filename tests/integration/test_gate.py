"""Ranges, targets and files with which somebody tries to be judged by rules of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentprov.errors import ConfigurationInvalid, UserError
from agentprov.flows import trust
from agentprov.flows import verify as verifying
from agentprov.flows.gate import _ref, gate
from agentprov.flows.world import World
from agentprov.verify.finding import Verdict
from support.repository import Repository

STRICT = "version: 1\nmode: enforce\nrequire:\n  approvals: {people: 1}\n"
LAX = "version: 1\nmode: observe\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A main branch with strict rules, and a branch of two commits that weakens them."""
    made = Repository(tmp_path / "repository")
    made.git("checkout", "-q", "-b", "main")
    made.write(".agentprov/policy.yaml", STRICT)
    made.write(".agentprov/trust.yaml", trust.trust_text(tmp_path / "home", "ada@example.com"))
    made.commit("rules")
    made.git("checkout", "-q", "-b", "feature")
    made.write("evil.py", "evil\n")
    made.commit("evil")
    made.write(".agentprov/policy.yaml", LAX)
    made.commit("weaken")
    return made


def judged(repository: Repository, *arguments: str, **named: object) -> Verdict:
    world = World.here(repository.top)
    return gate(world, *arguments, **named)  # type: ignore[arg-type]


def commits(verdict: Verdict) -> list[str]:
    return [item.commit for item in verdict.commits]


def test_the_rules_are_the_targets(repository: Repository) -> None:
    verdict = judged(repository, "main..feature", target="main")
    assert verdict.exit_code == 13
    assert len(commits(verdict)) == 2


@pytest.mark.parametrize("target", ["feature", "merged", "feature~1"])
def test_a_range_that_the_target_holds_does_not_choose_its_rules(
    repository: Repository, target: str
) -> None:
    repository.git("checkout", "-q", "-b", "merged", "main")
    repository.git("merge", "-q", "--no-ff", "-m", "merge", "feature")
    with pytest.raises(ConfigurationInvalid, match="of the range already"):
        judged(repository, "main..feature", target=target)
    assert judged(repository, "main..feature", target="merged^1").exit_code == 13


def test_rules_in_files_outside_hold_for_any_target(repository: Repository, tmp_path: Path) -> None:
    policy, keys = tmp_path / "p.yaml", tmp_path / "t.yaml"
    policy.write_text(STRICT)
    keys.write_bytes((repository.top / ".agentprov" / "trust.yaml").read_bytes())
    files = {"policy_file": policy, "trust_file": keys}
    assert judged(repository, "main..feature", target="feature", **files).exit_code == 13
    assert judged(repository, "main..feature", **files).exit_code == 13


@pytest.mark.parametrize("name", ["policy.yaml", "..policy.yaml", "..d/policy.yaml", "link.yaml"])
def test_a_file_of_the_work_tree_is_no_rule_whatever_its_name(
    repository: Repository, tmp_path: Path, name: str
) -> None:
    place = repository.top / name
    place.parent.mkdir(exist_ok=True)
    place.write_text(LAX)
    if name == "link.yaml":
        place = tmp_path / name
        place.symlink_to(repository.top / name)
    with pytest.raises(ConfigurationInvalid, match="is in the work tree"):
        judged(repository, "main..feature", target="main", policy_file=place)


def test_a_target_with_an_odd_name_is_read_and_never_an_option(repository: Repository) -> None:
    main = repository.git("rev-parse", "main")
    for name in ("refs/heads/-x", "refs/heads/m\u00e4in;$(id)"):
        repository.git("update-ref", name, main)
        assert judged(repository, "main..feature", target=name).exit_code == 13
    with pytest.raises(ConfigurationInvalid, match="is not here"):
        judged(repository, "main..feature", target="-x")
    with pytest.raises(ConfigurationInvalid, match="is not here"):
        judged(repository)


def test_the_branch_that_approvals_are_compared_with_is_the_one_that_its_own_repository_knows(
    repository: Repository,
) -> None:
    git = World.here(repository.top).git
    main = repository.git("rev-parse", "main")
    repository.git("update-ref", "refs/remotes/origin/release/1", main)
    repository.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/release/1")
    assert _ref(git, "main") == "refs/heads/main"
    for name in ("origin/release/1", "refs/remotes/origin/release/1", "refs/remotes/origin/HEAD"):
        assert _ref(git, name) == "refs/heads/release/1"
    repository.git("config", "remote.up/stream.url", "https://git.example.com/x.git")
    repository.git("update-ref", "refs/remotes/up/stream/main", main)
    assert _ref(git, "up/stream/main") == "refs/heads/main"
    for name in (main, "main~0", "nothing"):
        assert _ref(git, name) is None


@pytest.mark.parametrize("span", ["--all..HEAD", "-n0..HEAD", "nothing..HEAD"])
def test_a_range_is_never_an_option(repository: Repository, span: str) -> None:
    with pytest.raises(UserError, match="is no range"):
        judged(repository, span, target="main")


def test_a_file_named_like_the_range_hides_nothing(repository: Repository) -> None:
    for name in ("main..feature", repository.git("rev-parse", "main")):
        repository.write(name, "x")
    assert len(commits(judged(repository, "main..feature", target="main"))) == 2


def test_what_comes_in_by_the_second_parent_of_a_merge_is_judged(repository: Repository) -> None:
    evil = repository.git("rev-parse", "feature~1")
    repository.git("checkout", "-q", "-b", "clean", "main")
    repository.git("merge", "-q", "--no-ff", "-s", "ours", "-m", "nothing to see", "feature")
    verdict = judged(repository, "main..clean", target="main")
    assert evil in commits(verdict)
    assert len(commits(verdict)) == 3


@pytest.mark.parametrize("lie", ["graft", "replace", "shallow"])
def test_a_commit_that_git_is_told_to_hide_is_judged_all_the_same(
    repository: Repository, lie: str
) -> None:
    tip, evil = repository.git("rev-parse", "feature"), repository.git("rev-parse", "feature~1")
    main = repository.git("rev-parse", "main")
    folder = repository.top / ".git"
    if lie == "graft":
        (folder / "info").mkdir(exist_ok=True)
        (folder / "info" / "grafts").write_text(f"{tip} {main}\n")
    elif lie == "replace":
        repository.git("replace", "--graft", tip, main)
    else:
        (folder / "shallow").write_text(f"{tip}\n")
    assert evil not in repository.git("rev-list", "main..feature").split()
    assert evil in commits(judged(repository, "main..feature", target="main"))


def test_a_shallow_clone_that_lacks_a_part_of_the_range_is_told_so(
    repository: Repository, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    origin = f"file://{repository.top}"
    repository.git("clone", "-q", "--depth=1", "--no-single-branch", origin, str(clone))
    with pytest.raises(UserError, match="no range here") as raised:
        verifying.resolve(World.here(clone).git, ["origin/main..origin/feature"])
    assert "--unshallow" in (raised.value.hint or "")


@pytest.mark.parametrize("kind", ["symlink", "folder", "empty", "not fetched"])
def test_a_trust_file_that_cannot_be_read_is_not_one_that_is_missing(
    repository: Repository, tmp_path: Path, kind: str
) -> None:
    repository.git("checkout", "-q", "main")
    place = repository.top / trust.TRUST_PATH
    blob = repository.git("rev-parse", f"main:{trust.TRUST_PATH}")
    if kind == "not fetched":
        os.unlink(repository.top / ".git" / "objects" / blob[:2] / blob[2:])
    else:
        place.unlink()
        if kind == "symlink":
            place.symlink_to(tmp_path / "elsewhere")
        elif kind == "folder":
            repository.write(f"{trust.TRUST_PATH}/keys", "x")
        else:
            place.write_bytes(b"")
        repository.commit("odd")
    world = World.here(repository.top)
    repository.git("update-ref", "refs/remotes/origin/HEAD", "main")
    with pytest.raises(ConfigurationInvalid):
        verifying.trust_for(world, None)
    with pytest.raises(ConfigurationInvalid):
        gate(world, "main..feature", target="main")


@pytest.mark.parametrize(
    "before",
    [b"\xef\xbb\xbf", b"", b"# a comment\r\n"],
    ids=["byte order mark", "plain", "comment"],
)
def test_rules_with_other_line_ends_are_the_same_rules(
    repository: Repository, tmp_path: Path, before: bytes
) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_bytes(before + STRICT.replace("\n", "\r\n").encode())
    verdict = judged(repository, "main..feature", target="main", policy_file=policy)
    assert verdict.exit_code == 13
