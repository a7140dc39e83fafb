"""Every way of having a repository gets its records, or says which it does not have."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agentprov.flows import carry, doctor
from agentprov.flows.world import World
from agentprov.formats.names import NOTES_REF
from agentprov.store import sync
from agentprov.system.git import Git
from support.team import Person, Team, at


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def codes(person: Person, *words: str) -> tuple[int, set[str]]:
    answer = person.agentprov("verify", *(words or ("HEAD",)), "--json")
    assert answer.out, answer.err
    return answer.status, {item["code"] for item in answer.json()["findings"]}


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--depth=2",),
        ("--filter=blob:none",),
        ("--filter=tree:0",),
        ("--filter=blob:none", "--depth=2"),
        ("--single-branch", "--no-tags"),
        ("-o", "upstream"),
    ],
    ids=" ".join,
)
def test_every_kind_of_clone_gets_all_records_and_verifies(
    team: Team, options: tuple[str, ...]
) -> None:
    bob = team.clone("bob", *options)
    answer = bob.agentprov("sync", "--no-push", "--json")
    assert answer.status == 0, answer.err
    (remote,) = answer.json()["remotes"]
    assert (remote["fetched"], remote["tip"]) == ("new", team.tip())
    assert answer.json()["missing"] == []
    assert list(bob.store.everything()) == list(team.ada.store.everything())
    if "--filter=tree:0" in options:
        lacking = bob.agentprov("verify", "HEAD")
        assert lacking.status == 1
        assert "git log --raw RANGE" in lacking.err
        bob.repository.git("log", "--raw", "HEAD")
    assert bob.agentprov("verify", "HEAD", "--trust", _trust(team)).status == 0
    again = bob.agentprov("sync", "--no-push", "--json").json()["remotes"][0]
    assert (again["fetched"], again["problem"]) == ("unchanged", None)


@pytest.mark.parametrize("filter_", ["blob:none", "tree:0"])
def test_a_partial_clone_verifies_without_its_remote_once_it_has_synced(
    team: Team, filter_: str
) -> None:
    bob = team.clone("bob", f"--filter={filter_}")
    # A plain fetch by the refspec leaves the records' bytes at the remote; `sync` brings them.
    assert bob.agentprov("init").status == 0
    bob.repository.git("fetch", "-q")
    assert bob.agentprov("sync", "--no-push").status == 0
    bob.repository.git("log", "--raw", "HEAD")
    team.forge.top.rename(team.base / "away.git")
    assert codes(bob)[0] == 0
    assert bob.agentprov("show", "HEAD").status == 0


def test_what_a_partial_clone_does_not_hold_is_missing_and_not_fetched(team: Team) -> None:
    script = "echo other > one; git commit -qam 'Change one'"
    assert team.ada.agentprov("run", "-q", "--", "sh", "-c", script).status == 0
    team.ada.repository.git("push", "-q", "origin", "HEAD:main")
    assert team.ada.agentprov("sync").status == 0
    bob = team.clone("bob", "--filter=blob:none")
    assert bob.agentprov("sync", "--no-push").status == 0
    assert codes(bob) == (0, set())
    status, found = codes(bob, "HEAD~1")
    bob.repository.git("log", "-p", "HEAD")
    assert codes(bob, "HEAD~1") == (0, set())
    assert status == 10
    assert "content-missing" in found


def test_a_partial_clone_adds_records_and_pushes_them(team: Team) -> None:
    bob = team.clone("bob", "--filter=tree:0")
    assert bob.agentprov("sync", "--no-push").status == 0
    commit = bob.record("two")
    bob.repository.git("push", "-q", "origin", "HEAD:main")
    answer = bob.agentprov("sync", "--json").json()
    assert answer["remotes"][0]["pushed"] == "pushed"
    assert team.ada.agentprov("sync").status == 0
    assert team.ada.store.get(commit)


def test_a_notes_history_that_was_fetched_shallow_is_made_whole_and_branches_are_not(
    team: Team,
) -> None:
    for name in ("two", "three"):
        team.ada.record(name)
    team.ada.repository.git("push", "-q", "origin", "HEAD:main")
    assert team.ada.agentprov("sync").status == 0
    bob = team.clone("bob", "--depth=1")
    tracking = sync.tracking_ref("origin")
    bob.repository.git("fetch", "-q", "--depth=1", "origin", f"+{NOTES_REF}:{tracking}")
    assert bob.repository.git("rev-list", "--count", tracking) == "1"
    assert bob.agentprov("sync", "--no-push").status == 0
    whole = team.forge.git("rev-list", "--count", NOTES_REF)
    assert bob.repository.git("rev-list", "--count", tracking) == whole
    assert bob.repository.git("rev-list", "--count", "HEAD") == "1"
    assert bob.agentprov("sync", "--no-push").status == 0


def test_a_shallow_clone_lists_what_it_cannot_judge_beside_what_it_can(team: Team) -> None:
    team.ada.record("two")
    team.ada.repository.git("push", "-q", "origin", "HEAD:main")
    assert team.ada.agentprov("sync").status == 0
    bob = team.clone("bob", "--depth=2")
    assert bob.agentprov("sync", "--no-push").status == 0
    listed = bob.agentprov("log", "--json").json()["commits"]
    assert [row["coverage"] for row in listed] == ["covered", None]
    assert [len(row["sessions"]) for row in listed] == [1, 0]
    said = bob.agentprov("log")
    assert [line.split("  ")[1] for line in said.out.splitlines() if line[0] != " "] == [
        "covered",
        "cut off",
    ]
    assert "git fetch --deepen=1" in said.err
    # As deep as history: its root counts as an end too.
    bob.repository.git("fetch", "-q", "--deepen=100")
    roots = bob.repository.git("rev-list", "--max-parents=0", "HEAD")
    (bob.repository.top / ".git/shallow").write_text(f"{roots}\n")
    deepened = bob.agentprov("log", "-n", "100", "--json").json()["commits"]
    assert [row["coverage"] for row in deepened][:2] == ["covered", "covered"]
    assert None not in [row["coverage"] for row in deepened]


def test_a_mirror_and_a_clone_of_it_hold_the_records(team: Team) -> None:
    at(team.base).git("clone", "-q", "--mirror", team.forge.top.as_uri(), "mirror.git")
    mirror = at(team.base / "mirror.git")
    assert mirror.git("rev-parse", NOTES_REF) == team.tip()
    refused = Person(mirror, team.base / "keys").agentprov("sync")
    assert refused.status == 1
    assert "bare" in refused.err
    mirror.git("worktree", "add", "-q", "--detach", str(team.base / "linked"), "main")
    linked = Person(at(team.base / "linked"), team.base / "keys")
    assert linked.agentprov("verify", "HEAD", "--trust", _trust(team)).status == 0
    bob = team.clone("bob", source=mirror.top)
    assert bob.agentprov("sync", "--no-push").status == 0
    assert codes(bob)[0] == 0


def _trust(team: Team) -> str:
    place = team.base / "trust.yaml"
    shutil.copy(team.ada.repository.top / ".agentprov/trust.yaml", place)
    return str(place)


def test_a_fork_is_pushed_to_and_upstream_is_only_read(team: Team) -> None:
    at(team.base).git("clone", "-q", "--bare", team.forge.top.as_uri(), "fork.git")
    fork = at(team.base / "fork.git")
    eve = team.clone("eve", source=fork.top)
    eve.repository.git("remote", "add", "upstream", team.forge.top.as_uri())
    before = team.tip()
    commit = eve.record("two")
    answer = eve.agentprov("sync", "--json")
    assert answer.status == 0, answer.err
    done = {one["remote"]: one for one in answer.json()["remotes"]}
    assert done["origin"]["pushed"] == "pushed"
    assert (done["upstream"]["fetched"], done["upstream"]["pushed"]) == ("new", None)
    assert team.tip() == before
    assert eve.store.get(team.first)
    assert fork.git("notes", "--ref=agentprov", "show", commit)


def test_a_pull_request_from_a_fork_is_judged_with_the_records_of_both(team: Team) -> None:
    at(team.base).git("clone", "-q", "--bare", team.forge.top.as_uri(), "fork.git")
    fork = at(team.base / "fork.git")
    eve = team.clone("eve", source=fork.top)
    # A member of the team who works in a fork: the trust file of upstream knows the key.
    shutil.copytree(team.ada.home, eve.home)
    assert eve.agentprov("init").status == 0
    commit = eve.record("two")
    eve.repository.git("push", "-q", "origin", "HEAD:change")
    assert eve.agentprov("sync").status == 0
    team.forge.git("fetch", "-q", fork.top.as_uri(), "change:refs/pull/1/head")

    ci = team.clone("ci", "--depth=50")
    ci.repository.git("fetch", "-q", "origin", "refs/pull/1/head")
    ci.repository.git("checkout", "-q", "--detach", "FETCH_HEAD")
    alone = ci.agentprov("sync", "--no-push", "--json").json()
    assert [one["commit"] for one in alone["missing"]] == [commit]
    assert codes(ci, "origin/main..HEAD")[1] >= {"record-missing"}
    with_fork = ci.agentprov("sync", "--no-push", "origin", fork.top.as_uri(), "--json").json()
    assert with_fork["missing"] == []
    assert [one["remote"][:4] for one in with_fork["remotes"]] == ["orig", "url-"]
    assert codes(ci, "origin/main..HEAD") == (0, set())
    assert codes(ci, "HEAD")[0] == 0


def test_a_remote_that_cannot_be_reached_stops_no_other(team: Team) -> None:
    bob = team.clone("bob")
    bob.repository.git("remote", "add", "away", "/nowhere")
    answer = bob.agentprov("sync", "--no-push", "--json")
    assert answer.status == 1
    done = {one["remote"]: one for one in answer.json()["remotes"]}
    assert done["away"]["fetched"] is None
    assert done["away"]["why"]
    assert done["origin"]["added"] > 0
    assert codes(bob)[0] == 0


def test_init_sets_the_refspec_of_every_remote_and_doctor_names_those_that_came_later(
    team: Team,
) -> None:
    git = Git.discover(team.ada.repository.top)
    team.ada.repository.git("remote", "add", "later", "/nowhere")
    found = {check.name: check for check in doctor.examine(git).checks}["fetch"]
    assert not found.ok
    assert "later" in found.detail
    assert "origin" not in found.detail
    assert team.ada.agentprov("init").status == 0
    assert {check.name: check for check in doctor.examine(git).checks}["fetch"].ok
    specs = team.ada.repository.git("config", "--get-all", "remote.later.fetch")
    assert "refs/notes/remotes/later/agentprov" in specs


def test_commits_whose_records_are_not_here_are_named_with_the_remotes_that_were_asked(
    team: Team,
) -> None:
    commit = team.ada.record("two")
    team.ada.repository.git("push", "-q", "origin", "HEAD:main")
    bob = team.clone("bob")
    answer = bob.agentprov("sync", "--no-push")
    assert answer.status == 0
    assert f"no record here of {commit}" in answer.err
    assert "stale-checkpoint" in answer.err
    verdict = bob.agentprov("verify", "HEAD", "--json").json()
    said = {item["code"]: item["message"] for item in verdict["findings"]}
    assert "origin was last asked" in said["record-missing"]
    assert "origin was last asked" in said["provenance-missing"]
    assert "stale-checkpoint" in said
    assert team.ada.agentprov("sync").status == 0
    healed = bob.agentprov("sync", "--no-push")
    assert "no record here" not in healed.err
    assert "stale-checkpoint" not in healed.err
    assert codes(bob) == (0, set())


def test_a_session_that_is_being_recorded_is_not_missing(team: Team) -> None:
    script = (
        "echo x > x; git add x; git commit -qm x; "
        "git log -1 --format=%B; AGENTPROV_SESSION= python -m agentprov sync --no-push"
    )
    done = team.ada.agentprov("run", "-q", "--", "sh", "-c", script)
    assert done.status == 0, done.err
    assert "no record here" not in done.err


def test_where_no_remote_is_named_the_push_goes_where_gits_default_is(team: Team) -> None:
    git = World.here(team.ada.repository.top).git
    assert carry.push_target(git, ["a", "origin"]) == "origin"
    assert carry.push_target(git, ["a"]) == "a"
    assert carry.push_target(git, ["a", "b"]) is None
    team.ada.repository.git("config", "remote.pushDefault", "b")
    assert carry.push_target(git, ["a", "b", "origin"]) == "b"
