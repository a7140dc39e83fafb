"""Git tidies up, in every format that it has: records are found and verified all the same."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentprov.formats.names import NOTES_REF
from agentprov.store import seen
from support.command_line import agentprov
from support.repository import Repository
from support.team import Team

MAINTENANCE: tuple[tuple[str, ...], ...] = (
    ("pack-refs", "--all"),
    ("repack", "-a", "-d", "-q"),
    ("reflog", "expire", "--expire=now", "--all"),
    ("prune", "--expire=now"),
    ("gc", "--prune=now", "--quiet"),
    ("gc", "--aggressive", "--prune=now", "--quiet"),
    ("maintenance", "run", "--task=gc", "--quiet"),
    ("maintenance", "run", "--task=loose-objects", "--task=incremental-repack", "--quiet"),
    ("commit-graph", "write", "--reachable"),
)


def has_reftable(place: Path) -> bool:
    """Say whether the git at hand can keep refs in a reftable."""
    done = subprocess.run(
        ["git", "init", "-q", "--ref-format=reftable", str(place)], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.fixture(params=["sha1", "sha256", "reftable"])
def team(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    if request.param == "reftable":
        if not has_reftable(tmp_path / "probe"):
            pytest.skip("this git has no reftable")
        monkeypatch.setenv("GIT_DEFAULT_REF_FORMAT", "reftable")
    kind = "sha256" if request.param == "sha256" else "sha1"
    monkeypatch.setenv("GIT_DEFAULT_HASH", kind)
    base = tmp_path / "team"
    base.mkdir()
    made = Team(base, object_format=kind)
    if request.param == "reftable":
        shown = made.ada.repository.git("rev-parse", "--show-ref-format")
        assert shown == "reftable"
    assert made.ada.repository.git("rev-parse", "--show-object-format") == kind
    return made


def test_records_outlive_all_maintenance_and_travel_in_every_format(team: Team) -> None:
    ada = team.ada
    ada.record("two")
    ada.repository.git("push", "-q", "origin", "HEAD:main")
    assert ada.agentprov("sync").status == 0
    records = list(ada.store.everything())
    for command in MAINTENANCE:
        ada.repository.git(*command)
        assert list(ada.store.everything()) == records, command
        assert ada.repository.git("rev-parse", seen.seen_ref("origin")) == team.tip()
    for revision in ("HEAD", "HEAD~1"):
        assert ada.agentprov("verify", revision).status == 0
    assert ada.agentprov("doctor").status == 0
    third = ada.record("three")
    assert ada.agentprov("verify", "HEAD").status == 0
    ada.repository.git("push", "-q", "origin", "HEAD:main")
    assert ada.agentprov("sync").status == 0
    for command in MAINTENANCE:
        team.forge.git(*command)
    bob = team.clone("bob")
    assert bob.agentprov("sync", "--no-push").status == 0
    assert list(bob.store.everything()) == list(ada.store.everything())
    assert bob.store.get(third)
    assert bob.agentprov("verify", "HEAD").status == 0
    bob.repository.git("gc", "--prune=now", "--quiet")
    bob.record("four")
    assert bob.agentprov("sync").status == 0
    bob.repository.git("fsck", "--strict", "--no-dangling")
    team.forge.git("fsck", "--strict", "--no-dangling")


def test_gits_own_merge_of_notes_is_as_good_as_ours(team: Team) -> None:
    bob = team.clone("bob")
    commits = [person.record(name) for person, name in ((team.ada, "a"), (bob, "b"))]
    ours, theirs = team.ada.repository, bob.repository
    ours.git("fetch", "-q", theirs.top.as_uri(), f"{NOTES_REF}:refs/notes/bob")
    ours.git("notes", "--ref=agentprov", "merge", "-q", "-s", "cat_sort_uniq", "bob")
    assert all(team.ada.store.get(commit) for commit in commits)
    assert team.ada.agentprov("verify", commits[0]).status == 0
    assert team.ada.agentprov("sync").status == 0
    assert bob.agentprov("sync").status == 0
    assert list(bob.store.everything()) == list(team.ada.store.everything())


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("PLAN.md", "# Plan\n")
    made.commit("first")
    assert agentprov("init", "--commit", cwd=made.top).status == 0
    return made


def recorded(repository: Repository, script: Sequence[str]) -> set[str]:
    """Run a script as an agent; gives the gaps that its record has."""
    done = agentprov("run", "--", "sh", "-ec", "\n".join(script), cwd=repository.top)
    assert done.status == 0, done.err
    lines = [line.split(" ", 3) for line in done.err.splitlines() if " gap: " in line]
    return {line[2] for line in lines}


@pytest.mark.parametrize(
    "tidy",
    [
        "git gc --prune=now --quiet",
        "git reflog expire --expire=now --all; git repack -adq; git prune --expire=now",
        "git pack-refs --all; git maintenance run --task=gc --quiet",
    ],
)
def test_a_live_session_outlives_maintenance(repository: Repository, tidy: str) -> None:
    # What is staged and taken back again is pruned from git's own objects in mid-session.
    repository.write("staged-before.txt", "before\n")
    repository.git("add", "staged-before.txt")
    gaps = recorded(
        repository,
        [
            "echo one > one.txt; git add one.txt; sleep 0.5",
            "git rm -q --cached one.txt staged-before.txt", tidy,
            "git add one.txt; git commit -qm one", tidy,
            "echo two >> one.txt; git commit -qam two", tidy,
            "echo three > three.txt; git add -A", tidy,
            "git commit -qm three; git reset -q --hard HEAD~1", tidy,
        ],
    )  # fmt: skip
    # The last commit is gone with its reflog, perhaps while it was being read: that is said.
    assert gaps <= {"recorder-stumbled"}
    for revision in ("HEAD", "HEAD~1"):
        answer = agentprov("verify", revision, "--json", cwd=repository.top)
        assert answer.status == 0, answer.out
        assert {item["code"] for item in answer.json()["findings"]} <= {"session-gaps"}
    repository.git("fsck", "--strict", "--no-dangling")
