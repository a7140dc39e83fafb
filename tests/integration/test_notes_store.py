from __future__ import annotations

import multiprocessing
import os
from hashlib import sha256
from pathlib import Path

import pytest

from agentprov.errors import Busy, GitFailed, MalformedInput
from agentprov.formats.names import NOTES_REF
from agentprov.store import notes as notes_module
from agentprov.store import notes_tree, sync
from agentprov.store.notes import NotesStore
from agentprov.system.git import Git
from support.repository import Repository

# pytest-xdist runs threads beside the test; the children only run git and exit.
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(params=["sha1", "sha256"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r", object_format=request.param)
    made.commit("first")
    return made


def store_of(repository: Repository) -> NotesStore:
    return NotesStore(Git.discover(repository.top))


def many(repository: Repository, count: int) -> list[str]:
    blobs = "\n".join(str(repository.write(f"b/{n}", f"{n}")) for n in range(count))
    return repository.git("hash-object", "-w", "--stdin-paths", input=blobs.encode()).split("\n")


def test_what_is_added_is_read_back_and_git_shows_it(repository: Repository) -> None:
    store = store_of(repository)
    head = repository.git("rev-parse", "HEAD")
    assert store.get(head) == []
    assert list(store.everything()) == []
    store.add({head: [b'{"b":1}', b'{"a":1}']})
    store.add({head: [b'{"a":1}', b'{"c":1}']})
    assert store.get(head) == [b'{"a":1}', b'{"b":1}', b'{"c":1}']
    assert list(store.everything()) == [(head, store.get(head))]
    assert repository.git("notes", "--ref=agentprov", "show", head) == ('{"a":1}\n{"b":1}\n{"c":1}')
    repository.git("fsck", "--strict")


def test_adding_what_is_there_changes_nothing(repository: Repository) -> None:
    store = store_of(repository)
    head = repository.git("rev-parse", "HEAD")
    store.add({head: [b"1"]})
    before = repository.git("rev-parse", NOTES_REF)
    store.add({head: [b"1"], repository.git("rev-parse", "HEAD^{tree}"): []})
    assert repository.git("rev-parse", NOTES_REF) == before


def test_an_addition_of_any_size_takes_three_git_processes(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = store_of(repository)
    anchors = many(repository, 300)
    store.add({anchor: [b"0"] for anchor in anchors[:150]})
    trace = tmp_path / "trace"
    trace.mkdir()
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))
    store.add({anchor: [b"1", b"2"] for anchor in anchors})
    assert len(list(trace.iterdir())) == 3
    monkeypatch.delenv("GIT_TRACE2_EVENT")
    assert store.get(anchors[0]) == [b"0", b"1", b"2"]
    assert store.get(anchors[299]) == [b"1", b"2"]


def test_everything_is_read_with_one_git_process(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = store_of(repository)
    anchors = many(repository, 300)
    store.add({anchor: [anchor.encode()] for anchor in anchors})
    trace = tmp_path / "trace"
    trace.mkdir()
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))
    assert list(store.everything()) == [(a, [a.encode()]) for a in sorted(anchors)]
    assert len(list(trace.iterdir())) == 1
    monkeypatch.delenv("GIT_TRACE2_EVENT")
    assert store.get_many(anchors[:2]) == {a: [a.encode()] for a in anchors[:2]}


def test_one_reader_serves_many_questions(repository: Repository) -> None:
    store = store_of(repository)
    anchors = many(repository, 300)
    store.add({anchor: [anchor.encode()] for anchor in anchors[:299]})
    with store.git.cat_file() as reader:
        found = store.get_many(anchors, reader)
        assert found == {a: [a.encode()] for a in anchors[:299]} | {anchors[299]: []}
        assert [anchor for anchor, _ in store.everything(reader)] == sorted(anchors[:299])
        missing = "0" * len(anchors[0])
        names = [anchors[0], missing, *anchors[1:250], missing]
        kinds = [item and item[0] for item in reader.get_many(names)]
        assert kinds == ["blob" if name != missing else None for name in names]
        digests = reader.digest_many(names)
        assert [item and item.sha256 for item in digests] == [
            None if name == missing else sha256(reader.get(name)[1]).hexdigest() for name in names
        ]


def test_notes_as_they_stand_are_read_once_and_do_not_move(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(repository)
    anchors = many(repository, 300)
    store.add({anchor: [anchor.encode()] for anchor in anchors[:299]})
    asked: list[str] = []
    with store.git.cat_file() as reader:
        tree = store.as_it_stands(reader)
        store.add({anchors[299]: [b"later"]})
        plain = reader.get_many
        monkeypatch.setattr(
            reader, "get_many", lambda oids, **how: (asked.extend(oids), plain(oids, **how))[1]
        )
        near = tree.stored_of([anchors[7], anchors[299]])
        assert near == {anchors[7]: {anchors[7].encode()}, anchors[299]: set()}
        assert dict(tree.stored()) == {a: {a.encode()} for a in anchors[:299]}
        assert dict(tree.stored()) == {a: {a.encode()} for a in anchors[:299]}
    assert len(asked) == len(set(asked))


def test_asking_ahead_survives_what_a_partial_clone_did_not_fetch(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.write("kept.txt", "1\n")
    commit = repository.commit("second")
    blob = repository.git("rev-parse", "HEAD:kept.txt")
    clone = tmp_path / "clone"
    origin = repository.top.as_uri()
    repository.git("clone", "-q", "--no-checkout", "--filter=blob:none", origin, str(clone))
    with Git.discover(clone).cat_file() as reader:
        names = [blob, commit, blob, blob, commit]
        kinds = [None, "commit", None, None, "commit"]
        assert [found and found[0] for found in reader.get_many(names)] == kinds
        assert [found and found.kind for found in reader.digest_many(names)] == kinds
        assert reader.resolve("HEAD") == commit


def test_notes_that_git_wrote_stay_and_git_can_write_after_us(repository: Repository) -> None:
    store = store_of(repository)
    head = repository.git("rev-parse", "HEAD")
    tree = repository.git("rev-parse", "HEAD^{tree}")
    repository.git("notes", "--ref=agentprov", "add", "-m", "by hand", head)
    store.add({head: [b"ours"], tree: [b"ours"]})
    assert store.get(head) == [b"by hand", b"ours"]
    repository.git("notes", "--ref=agentprov", "append", "-m", "by hand again", head)
    store.add({head: [b"more"]})
    assert store.get(head) == [b"by hand", b"by hand again", b"more", b"ours"]
    assert repository.git("notes", "--ref=agentprov", "show", head).count("\n") == 3
    assert len(repository.git("notes", "--ref=agentprov", "list").split("\n")) == 2


def test_deeper_directories_and_foreign_files_are_respected(repository: Repository) -> None:
    store = store_of(repository)
    anchors = many(repository, 40)
    deep = anchors[0]
    blob = repository.git("hash-object", "-w", "--stdin", input=b"old\n")
    index = {**os.environ, "GIT_INDEX_FILE": str(repository.top / "notes-index")}
    os.environ["GIT_INDEX_FILE"] = index["GIT_INDEX_FILE"]
    try:
        for path in (f"{deep[:2]}/{deep[2:4]}/{deep[4:]}", deep, "README"):
            repository.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        tree = repository.git("write-tree")
    finally:
        del os.environ["GIT_INDEX_FILE"]
    commit = repository.git("commit-tree", "-m", "by another program", tree)
    repository.git("update-ref", NOTES_REF, commit)
    store.add({anchor: [b"new"] for anchor in anchors})
    assert store.get(deep) == [b"new", b"old"]
    assert repository.git("notes", "--ref=agentprov", "show", deep) == "new\nold"
    paths = repository.git("ls-tree", "-r", "--name-only", NOTES_REF).split("\n")
    assert "README" in paths
    assert len(paths) == 41
    assert len(list(store.everything())) == 40


def test_git_merges_two_histories_of_ours_as_a_set(repository: Repository) -> None:
    store = store_of(repository)
    head = repository.git("rev-parse", "HEAD")
    store.add({head: [b"both"]})
    repository.git("update-ref", "refs/notes/other", NOTES_REF)
    store.add({head: [b"here"]})
    NotesStore(store.git, ref="refs/notes/other").add({head: [b"there"]})
    repository.git("notes", "--ref=agentprov", "merge", "-q", "-s", "cat_sort_uniq", "other")
    assert store.get(head) == [b"both", b"here", b"there"]


def _writer(top: str, anchor: str, number: int, gate: object) -> None:
    store = NotesStore(Git.discover(Path(top)))
    gate.wait()  # type: ignore[attr-defined]
    for turn in range(2):
        store.add({anchor: [f"{number}-{turn}".encode()]})


def _no_lock(path: Path, timeout: float = 0.0) -> object:
    import contextlib

    return contextlib.nullcontext(os.open(os.devnull, os.O_RDWR))


@forks
@pytest.mark.parametrize("locking", [True, False])
def test_fifty_writers_at_once_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locking: bool
) -> None:
    repository = Repository(tmp_path / "r")
    head = repository.commit("first")
    writers = 50 if locking else 6
    if not locking:
        # What is left when the lock does not work (network file systems, foreign writers).
        monkeypatch.setattr(notes_module.files, "locked", _no_lock)
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(writers)
    jobs = [
        context.Process(target=_writer, args=(str(repository.top), head, number, gate))
        for number in range(writers)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
    assert [job.exitcode for job in jobs] == [0] * writers
    expected = sorted(f"{n}-{turn}".encode() for n in range(writers) for turn in range(2))
    assert store_of(repository).get(head) == expected


def test_a_held_lock_is_busy_and_nothing_is_lost(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentprov.system.files import locked

    store = store_of(repository)
    head = repository.git("rev-parse", "HEAD")
    store.add({head: [b"1"]})
    monkeypatch.setattr(notes_module, "LOCK_SECONDS", 0.05)
    with locked(store.git.home / "notes.lock"), pytest.raises(Busy):
        store.add({head: [b"2"]})
    assert store.get(head) == [b"1"]


def test_a_ref_that_git_cannot_lock_fails_with_gits_words(repository: Repository) -> None:
    store = store_of(repository)
    head = repository.git("rev-parse", "HEAD")
    store.add({head: [b"1"]})
    (store.git.common_dir / "refs/notes/agentprov.lock").write_bytes(b"")
    with pytest.raises(GitFailed, match="git update-ref"):
        store.add({head: [b"2"]})
    assert store.get(head) == [b"1"]


@pytest.mark.parametrize("anchor", ["", "HEAD", "0" * 39, "g" * 40, "A" * 40, "0" * 41])
def test_what_is_no_object_id_is_refused(repository: Repository, anchor: str) -> None:
    store = store_of(repository)
    with pytest.raises(MalformedInput):
        store.get(anchor)
    with pytest.raises(MalformedInput):
        store.add({anchor: [b"1"]})
    assert repository.git("for-each-ref", NOTES_REF) == ""


def test_linked_work_trees_share_the_records(repository: Repository, tmp_path: Path) -> None:
    head = repository.git("rev-parse", "HEAD")
    repository.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    NotesStore(Git.discover(tmp_path / "linked")).add({head: [b"1"]})
    assert store_of(repository).get(head) == [b"1"]


class Team:
    """Two clones and what they share."""

    def __init__(self, base: Path) -> None:
        self.base = base
        one = Repository(base / "seed")
        self.head = one.commit("first")
        one.git("clone", "-q", "--bare", str(one.top), str(base / "hub.git"))
        self.ada, self.bob = self._clone("ada"), self._clone("bob")
        self.hub = Repository.__new__(Repository)
        self.hub.top = base / "hub.git"

    def _clone(self, name: str) -> NotesStore:
        place = Repository(self.base / name)
        place.git("remote", "add", "origin", str(self.base / "hub.git"))
        place.git("fetch", "-q", "origin")
        return store_of(place)


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def test_records_travel_both_ways_and_none_is_lost(team: Team) -> None:
    team.ada.add({team.head: [b"ada"]})
    team.bob.add({team.head: [b"bob"]})
    assert sync.push(team.ada, "origin").outcome == "pushed"
    pushed = sync.push(team.bob, "origin")
    assert (pushed.outcome, pushed.attempts) == ("pushed", 1)
    assert team.bob.get(team.head) == [b"ada", b"bob"]
    fetched, merged, again = sync.sync(team.ada, "origin")
    assert (fetched.outcome, merged.added, merged.moved) == ("new", 1, True)
    assert again.outcome == "unchanged"
    assert team.ada.get(team.head) == [b"ada", b"bob"]
    assert sync.fetch(team.ada, "origin").outcome == "unchanged"
    assert sync.merge_remote(team.ada, "origin") == sync.Merged(0, False)


def test_a_remote_without_records_is_no_error(team: Team) -> None:
    assert sync.fetch(team.ada, "origin") == sync.Fetched("missing", None)
    assert sync.merge_remote(team.ada, "origin") == sync.Merged(0, False)
    assert sync.push(team.ada, "origin").outcome == "nothing"


def test_a_fresh_clone_takes_what_is_there_as_it_is(team: Team) -> None:
    team.ada.add({team.head: [b"1"]})
    sync.push(team.ada, "origin")
    sync.fetch(team.bob, "origin")
    assert sync.merge_remote(team.bob, "origin") == sync.Merged(1, True)
    assert team.bob.git.resolve(NOTES_REF) == team.ada.git.resolve(NOTES_REF)


def test_a_remote_that_lost_records_takes_none_from_us(team: Team) -> None:
    team.ada.add({team.head: [b"1"]})
    first = team.ada.git.resolve(NOTES_REF)
    team.ada.add({team.head: [b"2"]})
    sync.push(team.ada, "origin")
    team.hub.git("update-ref", NOTES_REF, str(first))
    assert sync.fetch(team.ada, "origin").outcome == "rewound"
    assert sync.merge_remote(team.ada, "origin") == sync.Merged(0, False)
    assert team.ada.get(team.head) == [b"1", b"2"]
    team.hub.git("update-ref", "-d", NOTES_REF)
    assert sync.fetch(team.ada, "origin").outcome == "vanished"


def test_a_newer_history_without_our_records_does_not_remove_them(team: Team) -> None:
    team.ada.add({team.head: [b"1"]})
    sync.push(team.ada, "origin")
    sync.fetch(team.bob, "origin")
    sync.merge_remote(team.bob, "origin")
    bob = Repository.__new__(Repository)
    bob.top = team.bob.git.top
    bob.git("notes", "--ref=agentprov", "remove", team.head)
    assert team.bob.get(team.head) == []
    assert sync.push(team.bob, "origin").outcome == "pushed"
    sync.fetch(team.ada, "origin")
    sync.merge_remote(team.ada, "origin")
    assert team.ada.get(team.head) == [b"1"]
    assert sync.push(team.ada, "origin").outcome == "pushed"


def test_a_refused_push_says_why_and_raises_nothing(team: Team) -> None:
    team.ada.add({team.head: [b"1"]})
    hook = team.base / "hub.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho no notes here >&2\nexit 1\n")
    hook.chmod(0o755)
    pushed = sync.push(team.ada, "origin")
    assert pushed.outcome == "refused"
    assert "hook declined" in (pushed.why or "")


def test_an_unknown_remote_is_a_refused_push_and_a_failed_fetch(team: Team) -> None:
    team.ada.add({team.head: [b"1"]})
    assert sync.push(team.ada, "nowhere").outcome == "refused"
    with pytest.raises(GitFailed):
        sync.fetch(team.ada, "nowhere")


def test_a_url_can_stand_for_a_remote(team: Team) -> None:
    team.ada.add({team.head: [b"1"]})
    url = str(team.base / "hub.git")
    assert sync.push(team.ada, url).outcome == "pushed"
    assert sync.fetch(team.bob, url).outcome == "new"
    assert sync.merge_remote(team.bob, url).added == 1
    assert sync.tracking_ref("origin") == "refs/notes/remotes/origin/agentprov"
    assert sync.tracking_ref("../x") != sync.tracking_ref("../y")


def test_a_pre_push_hook_of_the_user_is_not_run(team: Team) -> None:
    hook = team.ada.git.common_dir / "hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    team.ada.add({team.head: [b"1"]})
    assert sync.push(team.ada, "origin").outcome == "pushed"


def _pusher(top: str, head: str, number: int, gate: object) -> None:
    store = NotesStore(Git.discover(Path(top)))
    store.add({head: [f"record {number}".encode()]})
    gate.wait()  # type: ignore[attr-defined]
    for _ in range(5):
        if sync.push(store, "origin").outcome in ("pushed", "unchanged"):
            return
    raise SystemExit(1)


@forks
def test_clones_that_push_at_once_all_get_their_records_in(team: Team) -> None:
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(5)
    tops = [team._clone(f"clone{number}").git.top for number in range(5)]
    jobs = [
        context.Process(target=_pusher, args=(str(top), team.head, number, gate))
        for number, top in enumerate(tops)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
    assert [job.exitcode for job in jobs] == [0] * 5
    sync.fetch(team.ada, "origin")
    sync.merge_remote(team.ada, "origin")
    assert team.ada.get(team.head) == [f"record {number}".encode() for number in range(5)]


def put_tree(repository: Repository, entries: str) -> str:
    """Make a notes ref of a tree that git itself would not write; gives the tree."""
    tree = repository.git("mktree", "--missing", input=entries.encode())
    commit = repository.git("commit-tree", "-m", "by a stranger", tree)
    repository.git("update-ref", NOTES_REF, commit)
    return tree


def test_a_tree_that_stands_for_millions_of_notes_is_refused_at_once(
    team: Team, tmp_path: Path
) -> None:
    stranger = Repository(tmp_path / "stranger")
    blob = stranger.git("hash-object", "-w", "--stdin", input=b"junk\n")
    tree = put_tree(stranger, f"100644 blob {blob}\t{'a' * 32}\n")
    for _ in range(4):
        tree = put_tree(
            stranger, "".join(f"040000 tree {tree}\t{name:02x}\n" for name in range(256))
        )
    with pytest.raises(GitFailed, match="several places"):
        list(store_of(stranger).everything())
    stranger.git("push", "-q", str(team.hub.top), NOTES_REF)
    team.ada.add({team.head: [b"ada"]})
    with pytest.raises(GitFailed, match="several places"):
        sync.sync(team.ada, "origin")
    assert team.ada.get(team.head) == [b"ada"]


def test_a_submodule_by_a_notes_name_hides_no_note(repository: Repository) -> None:
    store = store_of(repository)
    head = repository.git("rev-parse", "HEAD")
    store.add({head: [b"record"]})
    within = repository.git("rev-parse", f"{NOTES_REF}:{head[:2]}")
    put_tree(
        repository,
        f"160000 commit {'1' * len(head)}\t{head}\n040000 tree {within}\t{head[:2]}\n",
    )
    assert store.get(head) == [b"record"]
    with store.git.cat_file() as reader:
        assert store.get_many([head], reader) == {head: [b"record"]}
    assert list(store.everything()) == [(head, [b"record"])]


def test_a_note_that_unpacks_to_gigabytes_is_no_record_and_is_taken_from_nobody(
    team: Team, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(notes_tree, "MAX_NOTE_BYTES", 1_000)
    stranger = Repository(tmp_path / "stranger")
    blob = stranger.git("hash-object", "-w", "--stdin", input=b"{" + b" " * 1_000)
    put_tree(stranger, f"100644 blob {blob}\t{team.head}\n100644 blob {blob}\t{'1' * 40}\n")
    store = store_of(stranger)
    (line,) = store.get_many([team.head])[team.head]
    assert len(line) < 100 and not line.startswith(b"{")
    assert [found for _, found in store.everything()] == [[line], [line]]
    with pytest.raises(GitFailed, match="too large"):
        store.add({team.head: [b"would take its place"]})
    stranger.git("push", "-q", str(team.hub.top), NOTES_REF)
    with pytest.raises(GitFailed, match="too large"):
        sync.sync(team.ada, "origin")
    assert team.ada.get(team.head) == []
    monkeypatch.setattr(notes_tree, "MAX_NOTE_BYTES", 2_000)
    monkeypatch.setattr(notes_tree, "MAX_BYTES", 1_000)
    with pytest.raises(GitFailed, match="more than 1000 bytes"):
        list(store.everything())
