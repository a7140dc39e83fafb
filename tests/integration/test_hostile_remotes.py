"""A remote that takes records back, hides them, or sends what is none: told, and never followed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentprov.formats.names import NOTES_REF
from agentprov.store import seen, sync
from agentprov.store.notes import NotesStore
from agentprov.system.git import Git
from support.documents import TOP
from support.repository import Repository
from support.team import Person, Team, at


class Pair:
    """One clone with records that a bare remote has too; fast, without the command line."""

    def __init__(self, base: Path, object_format: str = "sha1") -> None:
        self.base = base
        seed = Repository(base / "seed", object_format=object_format)
        self.head = seed.commit("first")
        seed.git("clone", "-q", "--bare", str(seed.top), str(base / "hub.git"))
        self.hub = at(base / "hub.git")
        self.store = self.clone("here")
        self.tips = []
        for number in range(3):
            self.store.add({self.head: [b"%d" % number]})
            assert sync.push(self.store, "origin").outcome == "pushed"
            self.tips.append(self.hub.git("rev-parse", NOTES_REF))

    def clone(self, name: str) -> NotesStore:
        at(self.base).git("clone", "-q", str(self.hub.top), name)
        return NotesStore(Git.discover(self.base / name))

    @property
    def here(self) -> Repository:
        return at(self.store.git.top)

    def standing(self) -> list[str | None]:
        with self.store.git.cat_file() as reader:
            return [one.code for one in seen.standing(self.store.git, reader)]

    def plain_fetch(self, *options: str) -> None:
        spec = f"+{NOTES_REF}*:refs/notes/remotes/origin/agentprov*"
        self.here.git("fetch", "-q", *options, "origin", spec)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_a_fast_forward_passes(pair: Pair) -> None:
    other = pair.clone("other")
    sync.sync(other, "origin")
    other.add({pair.head: [b"more"]})
    assert sync.push(other, "origin").outcome == "pushed"
    fetched = sync.fetch(pair.store, "origin")
    assert (fetched.outcome, fetched.removed, fetched.harmed) == ("new", 0, False)
    assert pair.here.git("rev-parse", seen.seen_ref("origin")) == fetched.tip


def test_a_rollback_is_told_each_time_until_it_is_put_right(pair: Pair) -> None:
    pair.hub.git("update-ref", NOTES_REF, pair.tips[0])
    for _ in range(3):
        fetched = sync.fetch(pair.store, "origin")
        assert (fetched.outcome, fetched.removed) == ("rewound", 2)
        sync.merge_remote(pair.store, "origin")
    assert pair.store.get(pair.head) == [b"0", b"1", b"2"]
    assert sync.push(pair.store, "origin", fetched).outcome == "pushed"
    assert pair.hub.git("rev-parse", NOTES_REF) == pair.tips[2]
    assert not sync.fetch(pair.store, "origin").harmed


@pytest.mark.parametrize("prune", [(), ("--prune",)])
def test_a_plain_fetch_cannot_erase_what_was_seen(pair: Pair, prune: tuple[str, ...]) -> None:
    pair.hub.git("update-ref", NOTES_REF, pair.tips[0])
    pair.plain_fetch(*prune)
    assert pair.here.git("rev-parse", sync.tracking_ref("origin")) == pair.tips[0]
    assert sync.fetch(pair.store, "origin").outcome == "rewound"
    pair.hub.git("update-ref", "-d", NOTES_REF)
    pair.plain_fetch("--prune")
    assert sync.fetch(pair.store, "origin").outcome == "vanished"


def test_what_only_plain_fetches_saw_is_remembered_and_merged(pair: Pair) -> None:
    other = pair.clone("other")
    sync.sync(other, "origin")
    other.add({pair.head: [b"brief"]})
    assert sync.push(other, "origin").outcome == "pushed"
    pair.plain_fetch()
    pair.hub.git("update-ref", NOTES_REF, pair.tips[1])
    pair.plain_fetch()
    fetched = sync.fetch(pair.store, "origin")
    assert (fetched.outcome, fetched.removed) == ("rewound", 2)
    sync.merge_remote(pair.store, "origin")
    assert b"brief" in pair.store.get(pair.head)


def test_a_rewritten_history_is_a_rollback_whatever_it_holds(pair: Pair) -> None:
    tree = pair.hub.git("rev-parse", f"{NOTES_REF}^{{tree}}")
    orphan = pair.here.git("commit-tree", "-m", "anew", tree)
    pair.here.git("push", "-q", "--force", "origin", f"{orphan}:{NOTES_REF}")
    fetched = sync.fetch(pair.store, "origin")
    assert (fetched.outcome, fetched.removed) == ("rewound", 0)


def test_a_fast_forward_that_takes_records_out_is_told_and_undone(pair: Pair) -> None:
    other = pair.clone("other")
    sync.sync(other, "origin")
    at(other.git.top).git("notes", "--ref=agentprov", "remove", pair.head)
    at(other.git.top).git("push", "-q", "origin", NOTES_REF)
    fetched = sync.fetch(pair.store, "origin")
    assert (fetched.outcome, fetched.removed) == ("new", 3)
    assert sync.fetch(pair.store, "origin").removed == 3
    sync.merge_remote(pair.store, "origin")
    assert sync.push(pair.store, "origin").outcome == "pushed"
    assert not sync.fetch(pair.store, "origin").harmed
    assert len(pair.hub.git("notes", "--ref=agentprov", "show", pair.head).split()) == 3


def test_a_remote_that_takes_a_push_and_shows_the_old_state_is_told(pair: Pair) -> None:
    pair.store.add({pair.head: [b"more"]})
    assert sync.push(pair.store, "origin").outcome == "pushed"
    pair.hub.git("update-ref", NOTES_REF, pair.tips[2])  # said yes, kept nothing
    assert sync.fetch(pair.store, "origin").outcome == "rewound"


def test_accepting_ends_the_warning_and_removes_nothing_of_ours(pair: Pair) -> None:
    pair.hub.git("update-ref", NOTES_REF, pair.tips[0])
    sync.accept(pair.store, "origin", sync.fetch(pair.store, "origin").tip)
    assert sync.fetch(pair.store, "origin").outcome == "unchanged"
    assert len(pair.store.get(pair.head)) == 3
    pair.hub.git("update-ref", "-d", NOTES_REF)
    assert sync.fetch(pair.store, "origin").outcome == "vanished"
    sync.accept(pair.store, "origin", None)
    assert sync.fetch(pair.store, "origin").outcome == "missing"


@pytest.mark.parametrize("kind", ["blob", "tree", "tag of a blob"])
def test_a_ref_that_is_no_notes_is_said_to_be_none(pair: Pair, kind: str) -> None:
    blob = pair.hub.git("hash-object", "-w", "--stdin", input=b"junk")
    if kind == "tree":
        junk = pair.hub.git("rev-parse", f"{NOTES_REF}^{{tree}}")
    elif kind == "blob":
        junk = blob
    else:
        pair.hub.git("tag", "-a", "-m", "x", "junk", blob)
        junk = pair.hub.git("rev-parse", "junk")
    (pair.hub.top / NOTES_REF).write_text(junk + "\n")
    with pytest.raises(sync.GitFailed):
        sync.fetch(pair.store, "origin")
    assert sync.push(pair.store, "origin").outcome == "refused"
    assert len(pair.store.get(pair.head)) == 3
    pair.hub.git("update-ref", NOTES_REF, pair.tips[0])
    assert sync.fetch(pair.store, "origin").outcome == "rewound"


def test_odd_entries_in_a_remotes_tree_neither_stop_a_merge_nor_become_records(pair: Pair) -> None:
    submodule = f"160000 commit {pair.head}\t{'a' * 40}\n"
    blob = pair.hub.git("hash-object", "-w", "--stdin", input=b"theirs\n")
    link = f"120000 blob {blob}\t{'b' * 40}\n"
    odd = f"100644 blob {blob}\tREADME\n"
    tree = pair.hub.git("mktree", input=(submodule + link + odd).encode())
    commit = pair.hub.git(
        "-c", "user.name=x", "-c", "user.email=x@x", "commit-tree", "-m", "odd",
        "-p", pair.tips[2], tree,
    )  # fmt: skip
    pair.hub.git("update-ref", NOTES_REF, commit)
    assert sync.fetch(pair.store, "origin").removed == 3
    assert sync.merge_remote(pair.store, "origin").added == 1
    assert len(pair.store.get(pair.head)) == 3
    assert pair.store.get("b" * 40) == [b"theirs"]
    assert pair.store.get("a" * 40) == []
    assert sync.push(pair.store, "origin").outcome == "pushed"


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"version":2}', b'{"version":1,"remotes":{"origin":{"x":1}}}',
               b'{"version":1,"remotes":{"origin":{"asked":1}}}', b"[" * 100_000]
)  # fmt: skip
def test_a_damaged_memory_file_is_made_again_from_the_refs(pair: Pair, damage: bytes) -> None:
    seen.note(pair.store.git, "origin", "2026-01-01T00:00:00Z", seen=pair.tips[2])
    seen.path(pair.store.git).write_bytes(damage)
    assert seen.load(pair.store.git) == {}
    pair.hub.git("update-ref", NOTES_REF, pair.tips[0])
    assert sync.fetch(pair.store, "origin").outcome == "rewound"


def test_a_url_is_not_written_down_where_it_may_hold_a_password() -> None:
    label = seen.label("https://user:secret@forge.example/x.git")
    assert re.fullmatch(r"url-[0-9a-f]{16}", label)
    assert seen.label(label) == label


def test_memory_of_remotes_whose_names_are_folders_of_each_other(pair: Pair) -> None:
    for name in ("a", "a/b"):
        pair.here.git("remote", "add", name, str(pair.hub.top))
        assert sync.fetch(pair.store, name).outcome == "new"
        assert sync.fetch(pair.store, name).outcome == "unchanged"


def test_verify_sees_without_asking_what_a_plain_fetch_brought(pair: Pair) -> None:
    tip = pair.tips[2]
    seen.note(
        pair.store.git, "origin", "2026-01-01T00:00:00Z",
        seen=tip, tip=tip, tracking=pair.here.git("rev-parse", sync.tracking_ref("origin")),
    )  # fmt: skip
    assert pair.standing() == [None]
    pair.hub.git("update-ref", NOTES_REF, pair.tips[0])
    pair.plain_fetch()
    assert pair.standing() == ["notes-rollback"]
    pair.hub.git("update-ref", "-d", NOTES_REF)
    pair.plain_fetch("--prune")
    assert pair.standing() == ["notes-missing"]
    pair.hub.git("update-ref", NOTES_REF, tip)
    pair.plain_fetch()
    assert pair.standing() == [None]


# The command line: what people see.


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make one team for all tests of this file that need people; each gets a copy."""
    from support.homes import private_home

    with pytest.MonkeyPatch.context() as patch:
        private_home(tmp_path_factory.mktemp("team-home"), patch)
        base = tmp_path_factory.mktemp("team")
        team = Team(base)
        team.ada.record("two")
        team.ada.repository.git("push", "-q", "origin", "HEAD:main")
        assert team.ada.agentprov("sync").status == 0
        yield base


@pytest.fixture
def team(made: Path, tmp_path: Path) -> Team:
    base = tmp_path / "team"
    shutil.copytree(made, base, symlinks=True)
    copied = Team.__new__(Team)
    copied.base, copied.forge = base, at(base / "forge.git")
    copied.ada = Person(at(base / "ada"), base / "ada-keys")
    copied.ada.repository.git("remote", "set-url", "origin", copied.forge.top.as_uri())
    copied.first = copied.ada.repository.git("rev-parse", "HEAD~1")
    return copied


def problems(person: Person, *words: str) -> tuple[int, str | None, bool]:
    answer = person.agentprov("sync", *words, "--json")
    (one,) = json.loads(answer.out)["remotes"]
    return answer.status, one["problem"], one["repaired"]


def test_rollback_and_deletion_have_words_exit_19_and_are_repaired_by_a_push(team: Team) -> None:
    whole = team.tip()
    for attack, word in (
        (("update-ref", NOTES_REF, f"{NOTES_REF}~1"), "notes-rollback"),
        (("update-ref", "-d", NOTES_REF), "notes-missing"),
    ):
        team.forge.git(*attack)
        assert problems(team.ada, "--no-push") == (19, word, False)
        warned = team.ada.agentprov("verify", "HEAD", "--json").json()
        assert warned["verdict"] == "pass"
        assert [(f["code"], f["severity"]) for f in warned["findings"]] == [(word, "warning")]
        assert problems(team.ada) == (0, word, True)
        assert team.tip() == whole
        assert problems(team.ada) == (0, None, False)
        assert team.ada.agentprov("verify", "HEAD", "--json").json()["findings"] == []


def test_a_gate_reports_what_a_remote_took_back(team: Team) -> None:
    team.forge.git("update-ref", "-d", NOTES_REF)
    assert problems(team.ada, "--no-push")[0] == 19
    answer = team.ada.agentprov(
        "gate", "origin/main~1..HEAD", "--target", "origin/main~2", "--json"
    )
    assert "notes-missing" in {item["code"] for item in answer.json()["findings"]}, answer.err


def test_accept_is_said_on_the_command_line(team: Team) -> None:
    team.forge.git("update-ref", NOTES_REF, f"{NOTES_REF}~1")
    assert problems(team.ada, "--no-push", "--accept") == (0, None, False)
    assert problems(team.ada, "--no-push") == (0, None, False)
    assert team.ada.agentprov("verify", "HEAD").status == 0


def test_a_frozen_remote_is_told_by_its_own_branches_or_by_a_tip_kept_elsewhere(
    team: Team,
) -> None:
    kept = team.tip()
    # A fresh clone, which never saw more: the branches go on, the records do not.
    records = team.forge.git("rev-list", NOTES_REF).split()
    old = next(
        tip for tip in records if not _holds(team, tip, "HEAD") and _holds(team, tip, "HEAD~1")
    )
    team.forge.git("update-ref", NOTES_REF, old)
    bob = team.clone("bob")
    assert problems(bob, "--no-push") == (0, "stale-checkpoint", False)
    assert problems(bob, "--no-push", "--expect", kept) == (19, "stale-checkpoint", False)
    assert problems(bob, "--no-push", "--expect", old)[0] == 0
    team.forge.git("update-ref", NOTES_REF, kept)
    assert problems(bob, "--no-push", "--expect", kept) == (0, None, False)


def _holds(team: Team, tip: str, revision: str) -> bool:
    commit = team.forge.git("rev-parse", f"main{revision.removeprefix('HEAD')}")
    return commit in team.forge.git("ls-tree", "-r", "--name-only", tip).replace("/", "")


def test_a_hole_in_the_middle_is_missing_and_not_called_a_freeze(team: Team) -> None:
    bob = team.clone("bob")
    gone = bob.repository.git("rev-parse", "HEAD~1")
    bob.repository.git("fetch", "-q", "origin", f"{NOTES_REF}:refs/notes/cut")
    bob.repository.git("notes", "--ref=cut", "remove", gone)
    bob.repository.git("push", "-q", "--force", "origin", f"refs/notes/cut:{NOTES_REF}")
    answer = bob.agentprov("sync", "--no-push", "--json").json()
    assert [item["commit"] for item in answer["missing"]] == [gone]
    assert answer["remotes"][0]["problem"] is None


# The hook that the page ships.


@pytest.fixture
def guarded(pair: Pair) -> Pair:
    page = (TOP / "docs/howto/protect-records.md").read_text()
    (script,) = re.findall(r"^```sh\n(#!/bin/sh\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    hook = pair.hub.top / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(script)
    hook.chmod(0o755)
    return pair


def push(pair: Pair, *what: str) -> str:
    return pair.here.git("push", "--porcelain", "origin", *what, check=False)


def test_the_shipped_hook_lets_records_grow(guarded: Pair) -> None:
    other = guarded.clone("other")
    sync.sync(other, "origin")
    other.add({guarded.head: [b"theirs \\ and\ttab"], "ab" * 20: [b"new"]})
    assert sync.push(other, "origin").outcome == "pushed"
    guarded.store.add({guarded.head: [b"ours"]})
    assert sync.push(guarded.store, "origin").outcome == "pushed"
    # git's own append and another fan-out keep every line, so they pass too.
    guarded.here.git("notes", "--ref=agentprov", "append", "-m", "by hand", guarded.head)
    assert "Done" in push(guarded, NOTES_REF)
    assert "Done" in push(guarded, "HEAD:refs/heads/other")
    assert "Done" in push(guarded, ":refs/heads/other")


def test_the_shipped_hook_refuses_every_way_back(guarded: Pair) -> None:
    tip = guarded.hub.git("rev-parse", NOTES_REF)
    assert "hook declined" in push(guarded, f":{NOTES_REF}")
    assert "hook declined" in push(guarded, f"+{guarded.tips[0]}:{NOTES_REF}")
    orphan = guarded.here.git("commit-tree", "-m", "anew", f"{NOTES_REF}^{{tree}}")
    assert "hook declined" in push(guarded, f"+{orphan}:{NOTES_REF}")
    guarded.here.git("update-ref", "refs/notes/cut", NOTES_REF)
    guarded.here.git("notes", "--ref=cut", "remove", guarded.head)
    assert "hook declined" in push(guarded, f"refs/notes/cut:{NOTES_REF}")
    guarded.here.git("update-ref", "refs/notes/cut", NOTES_REF)
    guarded.here.git("notes", "--ref=cut", "add", "-f", "-m", "1\n2\nother", guarded.head)
    assert "hook declined" in push(guarded, f"refs/notes/cut:{NOTES_REF}")
    assert guarded.hub.git("rev-parse", NOTES_REF) == tip


def test_without_the_hook_gits_own_settings_protect_nothing(pair: Pair) -> None:
    pair.hub.git("config", "receive.denyNonFastForwards", "true")
    pair.hub.git("config", "receive.denyDeletes", "true")
    assert "Done" in push(pair, f"+{pair.tips[0]}:{NOTES_REF}")
    assert "Done" in push(pair, f":{NOTES_REF}")
