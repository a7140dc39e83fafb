"""Git tidies up, in every format that it has: records are found and verified all the same."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agentprov.flows.uninstall import uninstall
from agentprov.formats.names import NOTES_REF
from agentprov.store import seen, unsettled
from agentprov.store.notes import NotesStore
from agentprov.system import repairs
from agentprov.system.git import Git
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


# --- a prune that began before the records were stored


def new_objects(repository: Repository) -> dict[str, list[Path]]:
    """Give the files of what the last addition to the notes wrote, by their kind."""
    listed = repository.git("rev-list", "--objects", NOTES_REF, "--not", f"{NOTES_REF}~1")
    found: dict[str, list[Path]] = {}
    for line in listed.splitlines():
        oid = line.split(" ")[0]
        place = repository.top / ".git/objects" / oid[:2] / oid[2:]
        found.setdefault(repository.git("cat-file", "-t", oid), []).append(place)
    return found


@pytest.fixture
def store(repository: Repository) -> NotesStore:
    made = NotesStore(Git.discover(repository.top))
    for number in (b"1", b"2"):
        made.add({repository.git("hash-object", "-w", "--stdin", input=number): [number]})
    return made


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("taken", [{"commit", "tree", "blob"}, {"commit"}, {"tree"}, {"blob"}])
def test_what_a_prune_took_from_under_the_ref_is_written_again(
    repository: Repository, store: NotesStore, taken: set[str], packed: bool
) -> None:
    before = list(store.everything())
    lost = [place for kind, places in new_objects(repository).items() if kind in taken
            for place in places]  # fmt: skip
    if packed:
        repository.git("pack-refs", "--all", "--prune")
    for place in lost:
        place.unlink()
    assert not store.git.succeeds("fsck", "--connectivity-only")
    repairs.untold()
    assert list(NotesStore(store.git).everything()) == before
    assert all(place.exists() for place in lost)
    assert store.git.succeeds("fsck", "--connectivity-only")
    (said,) = repairs.untold()
    assert "git prune" in said


def test_a_writer_goes_on_after_a_prune_as_if_nothing_had_been(
    repository: Repository, store: NotesStore
) -> None:
    head = repository.git("rev-parse", "HEAD")
    before = dict(store.everything())
    # One writer lives on, as a recorder does; it is met twice.
    for number in (b"3", b"4"):
        for places in new_objects(repository).values():
            for place in places:
                place.unlink()
        store.add({head: [number]})
    assert dict(store.everything()) == before | {head: [b"3", b"4"]}
    assert store.git.succeeds("fsck", "--connectivity-only")


def test_what_is_taken_as_the_ref_moves_is_back_before_the_writer_returns(
    repository: Repository, store: NotesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Git.run

    def pruned(git: Git, *arguments: Any, **how: Any) -> bytes:
        out = plain(git, *arguments, **how)
        if "update-ref" in arguments:
            for places in new_objects(repository).values():
                for place in places:
                    place.unlink()
        return out

    monkeypatch.setattr(Git, "run", pruned)
    head = repository.git("rev-parse", "HEAD")
    store.add({head: [b"3"]})
    monkeypatch.undo()
    assert repository.git("cat-file", "-t", f"{NOTES_REF}^{{tree}}") == "tree"
    assert store.git.succeeds("fsck", "--connectivity-only")


def test_a_recorder_puts_back_what_a_prune_took_after_it_had_looked(
    repository: Repository,
) -> None:
    assert not recorded(
        repository,
        [
            "echo one > one.txt; git add one.txt; git commit -qm one",
            f"until git rev-parse -q --verify {NOTES_REF}; do sleep 0.1; done",
            # Past the look that the writer itself takes, and before the next record is stored. One
            # after another, as in a large repository: the recorder looks in between.
            "sleep 0.5",
            f"for oid in $(git rev-list --objects {NOTES_REF} | cut -c 1-40); do",
            "rm -f .git/objects/$(echo $oid | cut -c 1-2)/$(echo $oid | cut -c 3-)",
            "sleep 0.15; done",
            "for _ in $(seq 40); do git fsck --connectivity-only && exit; sleep 0.2; done; exit 1",
        ],
    )


def test_a_recorder_looks_as_long_as_a_prune_may_be_at_work(
    repository: Repository, store: NotesStore
) -> None:
    store.look_again()
    earlier = new_objects(repository)
    store.add({repository.git("rev-parse", "HEAD"): [b"3"]})
    repairs.untold()
    for lost in (earlier, new_objects(repository), earlier):
        for places in lost.values():
            for place in places:
                place.unlink()
        assert not store.git.succeeds("fsck", "--connectivity-only")
        store.look_again()
        assert store.git.succeeds("fsck", "--connectivity-only")
    assert len(repairs.untold()) == 1


def test_what_another_writer_made_worthless_may_be_pruned(
    repository: Repository, store: NotesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Git.run

    def overtaken(git: Git, *arguments: Any, **how: Any) -> bytes:
        if "update-ref" in arguments:
            monkeypatch.undo()
            tree = repository.git("rev-parse", f"{NOTES_REF}^{{tree}}")
            faster = repository.git("commit-tree", tree, "-p", NOTES_REF, "-m", "faster")
            repository.git("update-ref", NOTES_REF, faster)
        return plain(git, *arguments, **how)

    monkeypatch.setattr(Git, "run", overtaken)
    head = repository.git("rev-parse", "HEAD")
    store.add({head: [b"3"]})
    assert store.retries == 1
    assert "commit" in repository.git("prune", "--expire=now", "--verbose")
    repairs.untold()
    store.look_again()
    assert repairs.untold() == []
    assert store.get(head) == [b"3"]


def test_what_nobody_kept_is_sought_less_and_less_often(
    repository: Repository, store: NotesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    oid = repository.git("rev-parse", f"{NOTES_REF}^{{tree}}")
    for pack in (store.git.home / unsettled.FOLDER).iterdir():
        pack.write_bytes(b"PACK")
    (repository.top / ".git/objects" / oid[:2] / oid[2:]).unlink()
    written: list[float] = []
    now = time.monotonic()
    plain = Git.run

    def counted(git: Git, *arguments: Any, **how: Any) -> bytes:
        if "unpack-objects" in arguments:
            written.append(now)
        return plain(git, *arguments, **how)

    monkeypatch.setattr(Git, "run", counted)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(600):
        store.look_again()
        now += 0.2
    # Two packs each time: twenty times at once, then after 1, 2, 4, 8, 16 and 32 seconds.
    assert len(written) == 2 * 26
    assert written[2 * 20 - 1] - written[0] < 4.0


def test_a_gc_that_packs_what_was_stored_is_no_prune(store: NotesStore) -> None:
    store.git.run("gc", "--quiet")
    repairs.untold()
    store.look_again()
    assert repairs.untold() == []


def test_a_gc_that_runs_is_waited_for_and_a_dead_one_is_not(
    repository: Repository, store: NotesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsettled, "GC_SECONDS", 60.0)
    head = repository.git("rev-parse", "HEAD")
    place = repository.top / ".git/gc.pid"
    place.write_text(f"{os.getpid()} host")
    ended: list[float] = []

    def end() -> None:
        time.sleep(0.5)
        ended.append(time.monotonic())
        place.unlink()

    other = threading.Thread(target=end)
    other.start()
    store.add({head: [b"3"]})
    assert ended
    assert time.monotonic() >= ended[0]
    other.join()
    gone = subprocess.Popen(["true"])
    gone.wait()
    place.write_text(f"{gone.pid} host")
    begun = time.monotonic()
    store.add({head: [b"4"]})
    assert time.monotonic() - begun < 30


def test_what_has_settled_is_forgotten(repository: Repository, store: NotesStore) -> None:
    folder = store.git.home / unsettled.FOLDER
    head = repository.git("rev-parse", "HEAD")
    first, second = sorted(folder.iterdir())
    old = time.time() - unsettled.SETTLED_SECONDS - 1
    os.utime(first, (old, old))
    store.add({head: [b"3"]})
    assert first not in folder.iterdir()
    assert second in folder.iterdir()
    for number in range(200):
        (folder / f"{number:020d}-1.pack").write_bytes(b"PACK")
    store.add({head: [b"4"]})
    left = sorted(folder.iterdir())
    assert len(left) == 100
    assert second in left
    uninstall(store.git)
    assert not folder.exists()
