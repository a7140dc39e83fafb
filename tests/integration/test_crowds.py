"""Many at once, with real processes: no record lost, no ref broken, nobody blocked."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentprov.formats.names import NOTES_REF
from agentprov.store import notes as notes_module
from agentprov.store import sync
from agentprov.store.notes import NotesStore
from agentprov.system.git import Git
from support.command_line import agentprov, generations
from support.repository import Repository
from support.team import at

# pytest-xdist runs threads beside the test; the children only run git and exit.
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
WRITERS = 50
PUSHERS = 10


def start(top: Path, script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "agentprov", "run", "-q", "--", "sh", "-c", script],
        cwd=top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for one in running:
        _, err = one.communicate(timeout=120)
        assert one.returncode == 0, err.decode()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("README", "# Here\n")
    made.commit("first")
    assert agentprov("init", "--commit", cwd=made.top).status == 0
    return made


# Two `git commit` at once in one tree refuse each other by git's own lock: agents try again. Git
# may also have made the commit, and fail to write the index after it.
COMMIT = (
    "until git commit -qm 'Add {0}' -- {0} 2>/dev/null || git cat-file -e HEAD:{0} 2>/dev/null; "
    "do sleep 0.0{1}; done"
)
ADD = "until git add {0} 2>/dev/null; do sleep 0.0{1}; done; "


def test_many_agents_in_one_tree_and_in_others_lose_no_record(
    repository: Repository, tmp_path: Path
) -> None:
    trees = [repository.top]
    for number in range(3):
        trees.append(tmp_path / f"tree{number}")
        repository.git("worktree", "add", "-q", "-b", f"b{number}", str(trees[-1]))
    names = [(trees[number % 4], f"f{number}") for number in range(10)]
    finish(
        [
            start(tree, f"echo {name} > {name}; " + (ADD + COMMIT).format(name, number + 1))
            for number, (tree, name) in enumerate(names)
        ]
    )
    assert agentprov("drain", cwd=repository.top).status == 0
    for tree, name in names:
        commit = at(tree).git("log", "-1", "--format=%H", "--", name)
        answer = agentprov("verify", commit, "--json", cwd=tree)
        assert answer.status == 0, answer.out
        assert answer.json()["commits"][0]["coverage"] == "covered"
        assert generations(repository, commit)
    repository.git("fsck", "--strict", "--no-dangling")


def at_once(jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
    context = multiprocessing.get_context("fork")
    gate, answers = context.Barrier(len(jobs)), context.SimpleQueue()
    running = [context.Process(target=_one, args=(gate, answers, *job)) for job in jobs]
    for process in running:
        process.start()
    found = [answers.get() for _ in running]
    for process in running:
        process.join(60)
    assert [one for one in found if isinstance(one, str)] == []
    return found


def _one(gate: Any, answers: Any, job: Any, *arguments: Any) -> None:
    gate.wait()
    try:
        answers.put(job(*arguments))
    except Exception as error:  # noqa: BLE001 - the parent fails with it
        answers.put(repr(error))


def _write(top: Path, anchor: str, number: int) -> int:
    store = NotesStore(Git.discover(top))
    store.add({anchor: [b"%d" % number]})
    return store.retries


def p95(values: Sequence[int]) -> int:
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


@forks
def test_fifty_writers_from_many_work_trees_lose_nothing_and_hardly_ever_start_again(
    tmp_path: Path,
) -> None:
    repository = Repository(tmp_path / "r")
    head = repository.commit("first")
    trees = [repository.top]
    for number in range(4):
        trees.append(tmp_path / f"tree{number}")
        repository.git("worktree", "add", "-q", "--detach", str(trees[-1]))
    retries = at_once([(_write, trees[n % 5], head, n) for n in range(WRITERS)])
    assert p95(retries) <= 2
    kept = NotesStore(Git.discover(repository.top)).get(head)
    assert sorted(kept, key=int) == [b"%d" % n for n in range(WRITERS)]


def _push(top: Path, turns: Path | None) -> int:
    pushed = sync.sync(NotesStore(Git.discover(top)), "origin", turns)[2]
    if pushed.outcome not in ("pushed", "unchanged"):
        raise AssertionError(pushed.why)
    return max(0, pushed.attempts - 1)


@forks
@pytest.mark.parametrize("shared", [True, False], ids=["taking turns", "nothing in common"])
def test_clones_that_push_at_once_lose_nothing(tmp_path: Path, shared: bool) -> None:
    seed = Repository(tmp_path / "seed")
    head = seed.commit("first")
    hub = tmp_path / "hub.git"
    seed.git("clone", "-q", "--bare", str(seed.top), str(hub))
    tops = []
    for number in range(PUSHERS):
        tops.append(tmp_path / f"clone{number}")
        seed.git("clone", "-q", str(hub), str(tops[-1]))
        NotesStore(Git.discover(tops[-1])).add({head: [b"%d" % number]})
    retries = at_once([(_push, top, tmp_path / "turns" if shared else None) for top in tops])
    assert max(retries) == 0 if shared else max(retries) < sync.PUSH_ATTEMPTS
    lines = at(hub).git("notes", "--ref=agentprov", "show", head).split()
    assert sorted(lines, key=int) == [str(number) for number in range(PUSHERS)]
    at(hub).git("fsck", "--strict", "--no-dangling")


def test_pushes_of_two_clones_by_one_person_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentprov.system.files import locked

    seed = Repository(tmp_path / "seed")
    head = seed.commit("first")
    seed.git("clone", "-q", "--bare", str(seed.top), str(tmp_path / "hub.git"))
    seed.git("remote", "add", "origin", str(tmp_path / "hub.git"))
    store = NotesStore(Git.discover(seed.top))
    store.add({head: [b"1"]})
    turns = tmp_path / "turns"
    assert sync.push(store, "origin", turns=turns).outcome == "pushed"
    (lock,) = turns.iterdir()
    store.add({head: [b"2"]})
    # Whoever holds it for ever stops nobody.
    monkeypatch.setattr(sync, "TURN_SECONDS", 0.05)
    with locked(lock):
        assert sync.push(store, "origin", turns=turns).outcome == "pushed"


def test_a_writer_that_dies_with_gits_lock_in_its_hand_blocks_only_until_it_is_removed(
    tmp_path: Path,
) -> None:
    repository = Repository(tmp_path / "r")
    head = repository.commit("first")
    store = NotesStore(Git.discover(repository.top))
    store.add({head: [b"1"]})
    stale = store.git.common_dir / f"{NOTES_REF}.lock"
    stale.write_bytes(b"")
    with pytest.raises(notes_module.GitFailed, match="lock"):
        store.add({head: [b"2"]})
    os.unlink(stale)
    store.add({head: [b"2"]})
    assert store.get(head) == [b"1", b"2"]


# Merging is set union: whatever order things happen in, every clone ends with the same set.

CLONES = 3
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, CLONES - 1), st.integers(0, 3)),
        st.tuples(st.just("sync"), st.integers(0, CLONES - 1)),
        st.tuples(st.just("append"), st.integers(0, CLONES - 1), st.integers(0, 3)),
        st.tuples(st.just("git-merge"), st.integers(0, CLONES - 1), st.integers(0, CLONES - 1)),
        st.tuples(st.just("remove"), st.integers(0, CLONES - 1), st.integers(0, 3)),
    ),
    min_size=3,
    max_size=10,
)


class World:
    """Three clones around a bare repository; notes hang on four objects."""

    def __init__(self, base: Path) -> None:
        seed = Repository(base / "seed")
        seed.commit("first")
        self.anchors = [
            seed.git("hash-object", "-w", "--stdin", input=b"%d" % number) for number in range(4)
        ]
        self.hub = base / "hub.git"
        seed.git("clone", "-q", "--bare", str(seed.top), str(self.hub))
        self.clones: list[Repository] = []
        for number in range(CLONES):
            seed.git("clone", "-q", str(self.hub), str(base / f"c{number}"))
            self.clones.append(at(base / f"c{number}"))
            for content in range(4):
                self.clones[-1].git("hash-object", "-w", "--stdin", input=b"%d" % content)
        self.stores = [NotesStore(Git.discover(clone.top)) for clone in self.clones]
        self.published: set[tuple[str, bytes]] = set()

    def records(self, number: int) -> set[tuple[str, bytes]]:
        return {(a, line) for a, lines in self.stores[number].everything() for line in lines}

    def step(self, serial: int, step: tuple[Any, ...]) -> None:
        kind, number, *more = step
        store, clone = self.stores[number], self.clones[number]
        line = b'{"step":%d}' % serial
        before = self.records(number)
        if kind == "add":
            store.add({self.anchors[more[0]]: [line]})
            before.add((self.anchors[more[0]], line))
        elif kind == "append":
            text = line.decode()
            clone.git("notes", "--ref=agentprov", "append", "-m", text, self.anchors[more[0]])
            before.add((self.anchors[more[0]], line))
        elif kind == "git-merge" and self.records(more[0]):
            other = str(self.clones[more[0]].top)
            clone.git("fetch", "-q", other, f"+{NOTES_REF}:refs/notes/other")
            clone.git("notes", "--ref=agentprov", "merge", "-q", "-s", "cat_sort_uniq", "other")
            before |= self.records(more[0])
        elif kind == "remove":
            clone.git(
                "notes", "--ref=agentprov", "remove", "--ignore-missing", self.anchors[more[0]],
                check=False,
            )  # fmt: skip
            return
        elif kind == "sync":
            _, _, pushed = sync.sync(store, "origin")
            assert pushed.outcome != "refused", pushed.why
            self.published |= self.records(number)
        # Adding and carrying lose nothing; git's own merge obeys a removal, as it should.
        if not (kind == "git-merge" and self.removed):
            assert before <= self.records(number), step

    removed = False


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_whatever_the_order_all_clones_end_with_everything_that_was_published(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    world.removed = any(step[0] == "remove" for step in steps)
    for serial, step in enumerate(steps):
        world.step(serial, step)
    for _ in range(2):
        for number in range(CLONES):
            world.step(0, ("sync", number))
    ends = [world.records(number) for number in range(CLONES)]
    assert ends[0] == ends[1] == ends[2]
    assert world.published <= ends[0]
    # The same set is the same tree, whoever merged it.
    trees = {clone.git("rev-parse", f"{NOTES_REF}^{{tree}}") for clone in world.clones if ends[0]}
    assert len(trees) <= 1
