"""What a crash may leave, one thing at a time: what the next command makes of it, and says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from agentprov.flows import left_over
from agentprov.formats import journal
from agentprov.formats.names import NOTES_REF
from agentprov.record.session import SessionDirectory
from agentprov.store.notes import NotesStore
from agentprov.system.git import Git
from agentprov.system.process_table import start_time
from support.command_line import Answer, agentprov, bundles, changes, generations
from support.repository import Repository

FIRST = "echo x > x; git add x; git commit -qm x"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("old", "old\n")
    made.commit("first")
    return made


def killed(repository: Repository, *, opened: bool) -> SessionDirectory:
    """Kill a recorder whose agent has committed x and written y; `opened`: x is bound already."""
    script = f"{FIRST}; echo y > y; echo ready; sleep 60"
    recorder = subprocess.Popen(
        [sys.executable, "-m", "agentprov", "run", "--", "sh", "-c", script],
        cwd=repository.top,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert recorder.stdout is not None
    assert recorder.stdout.readline() == b"ready\n"
    deadline = time.monotonic() + 20
    while opened and not generations(repository) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    os.killpg(recorder.pid, signal.SIGKILL)
    recorder.wait()
    recorder.stdout.close()
    home = repository.top / ".git/agentprov"
    (place,) = (home / "sessions").iterdir()
    return SessionDirectory(home, place.name)


def reading(directory: SessionDirectory) -> journal.Reading:
    return journal.read(directory.journal.read_bytes())


def drained(repository: Repository) -> Answer:
    answer = agentprov("drain", cwd=repository.top)
    assert answer.status == 0, answer.err
    assert " 0 failures" in answer.out, answer.err
    return answer


def holds(repository: Repository, directory: SessionDirectory) -> None:
    """The session has one start and one end, x is claimed once, y when it is committed."""
    assert not directory.marked_live()
    found = Counter(s["predicate"].get("phase") for s in bundles(repository))
    assert (found["open"], found["close"]) == (1, 1)
    (generation,) = generations(repository)
    assert set(changes(generation)) == {"x"}
    assert agentprov("replay", directory.id, cwd=repository.top).status == 0
    answer = agentprov("verify", "HEAD", "--json", cwd=repository.top).json()
    assert [f["code"] for f in answer["findings"] if f["severity"] == "error"] == []
    repository.commit("the rest")
    drained(repository)
    assert set(changes(generations(repository)[0])) == {"y"}


@pytest.mark.parametrize(
    ("left", "opened"),
    [(None, False), (b"", True), (b'{"version":1,"sta', False), (b"\0" * 300, True)],
)
def test_a_state_that_is_gone_or_garbage_is_made_again(
    repository: Repository, left: bytes | None, opened: bool
) -> None:
    directory = killed(repository, opened=opened)
    place = directory.path / "state.json"
    place.unlink()
    if left is not None:
        place.write_bytes(left)
    answer = drained(repository)
    assert "made its state again from its journal" in answer.err
    doctor = agentprov("doctor", "--json", cwd=repository.top).json()
    (check,) = [one for one in doctor["checks"] if one["name"] == "repairs"]
    assert "made its state again from its journal" in check["detail"]
    assert "closed it as incomplete" in check["detail"]
    holds(repository, directory)


@pytest.mark.parametrize(
    ("tail", "opened"),
    [
        (b'{"at":"20', True),
        (b"\0\0\0\0", False),
        (b'{"at":1}\n{"at":2}\n', True),
        (b"\xff\xfe\n", False),
    ],
)
def test_a_torn_journal_is_read_to_its_last_whole_line_and_keeps_the_rest_aside(
    repository: Repository, opened: bool, tail: bytes
) -> None:
    directory = killed(repository, opened=opened)
    before = directory.journal.read_bytes()
    directory.journal.write_bytes(before + tail)
    answer = drained(repository)
    assert "cut its journal back" in answer.err
    after = directory.journal.read_bytes()
    assert after.startswith(before)
    assert journal.read(after).defect is None
    aside = directory.path / "journal.cut-off"
    assert aside.exists() == (tail.strip(b"\0") != b"")
    if aside.exists():
        assert aside.read_bytes().startswith(tail.split(b"\n")[0])
    holds(repository, directory)


def test_a_torn_record_is_none_and_spoils_no_other(repository: Repository) -> None:
    directory = killed(repository, opened=True)
    whole = directory.records.read_bytes()
    directory.records.write_bytes(whole + whole[: len(whole) // 3].replace(b"\n", b""))
    drained(repository)
    for line in repository.git("notes", "--ref=agentprov", "show", "HEAD").splitlines():
        json.loads(line)
    holds(repository, directory)


def test_a_record_that_was_decided_and_not_signed_is_signed_once(repository: Repository) -> None:
    directory = killed(repository, opened=True)
    lines = directory.records.read_bytes().splitlines(keepends=True)
    # As if the process had died after the journal and before the signature.
    directory.records.write_bytes(b"".join(lines[:-1]))
    repository.git("update-ref", "-d", NOTES_REF)
    answer = drained(repository)
    assert "put right" in answer.err
    holds(repository, directory)


def test_a_record_that_was_signed_and_not_stored_is_stored(repository: Repository) -> None:
    directory = killed(repository, opened=True)
    signed = set(directory.bundles())
    repository.git("update-ref", "-d", NOTES_REF)
    answer = drained(repository)
    assert "stored 2 records" in answer.err
    assert {line.decode() for line in signed} <= set(repository.bundles("HEAD"))
    holds(repository, directory)


def test_a_commit_whose_object_the_disk_lost_is_a_gap_and_the_session_is_closed(
    repository: Repository,
) -> None:
    """Git waits for no disk by default: after a cut of power a reflog may name what is gone."""
    answer = agentprov("run", "--", "sh", "-c", "echo y > y", cwd=repository.top)
    assert answer.status == 0
    (place,) = (repository.top / ".git/agentprov/sessions").iterdir()
    directory = SessionDirectory(place.parent.parent, place.name)
    repository.git("add", "y")
    repository.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "y")
    lost = repository.git("rev-parse", "HEAD")
    repository.git("update-ref", "--no-deref", repository.git("symbolic-ref", "HEAD"), "HEAD~1")
    (repository.top / ".git/objects" / lost[:2] / lost[2:]).unlink()
    for _ in range(2):
        assert "failures" not in drained(repository).err
    gaps = [entry for entry in reading(directory).entries if entry.kind == "gap"]
    assert [entry.data["why"] for entry in gaps] == ["commit-lost"]
    repository.git("add", "y")
    repository.git("commit", "-q", "-m", "again")
    drained(repository)
    assert set(changes(generations(repository)[0])) == {"y"}


def test_a_state_behind_its_journal_binds_no_commit_twice(repository: Repository) -> None:
    """The recorder stored a statement and was killed before it wrote down that it had."""
    directory = killed(repository, opened=True)
    place = directory.path / "state.json"
    state = json.loads(place.read_text())
    state["state"].update(
        open_sha256=None, generations=[], bound=[], sequence=0, anchor=None, published=True
    )
    place.write_text(json.dumps(state))
    drained(repository)
    holds(repository, directory)


@pytest.mark.parametrize("pending", [True, False])
def test_a_close_that_was_cut_off_is_finished_and_signed_once(
    repository: Repository, pending: bool
) -> None:
    answer = agentprov("run", "--", "sh", "-c", f"{FIRST}; echo y > y", cwd=repository.top)
    assert answer.status == 0
    home = repository.top / ".git/agentprov"
    (place,) = (home / "sessions").iterdir()
    directory = SessionDirectory(home, place.name)
    state = json.loads((place / "state.json").read_text())
    state["state"].update(phase="open", end_tree=None)
    (place / "state.json").write_text(json.dumps(state))
    directory.mark_live(4194305, "another-boot-1", repository.top / ".git")
    if not pending:
        directory.set_pending([])
    records = directory.records.read_bytes()
    drained(repository)
    assert directory.records.read_bytes() == records
    assert directory.load().phase == "closed"
    assert directory.pending() == [b"y"]
    holds(repository, directory)


def test_a_mark_of_a_dead_recorder_whose_number_is_anothers_now_is_not_believed(
    repository: Repository,
) -> None:
    directory = killed(repository, opened=False)
    mark = repository.top / ".git/agentprov/live" / directory.id
    lines = mark.read_text().splitlines()
    # This process runs; it is not the one that the mark is of.
    mark.write_text(f"{os.getpid()}\n{lines[1]}\n{lines[2]}\n")
    drained(repository)
    holds(repository, directory)


@pytest.mark.parametrize("content", [b"", b"garbage", b"12\n", b"\0\0\0\0"])
def test_a_half_written_mark_of_a_session_that_never_began_goes(
    repository: Repository, content: bytes
) -> None:
    agentprov("run", "--", "true", cwd=repository.top)
    home = repository.top / ".git/agentprov"
    (home / "live" / "never").write_bytes(content)
    (home / "sessions" / "never").mkdir()
    answer = drained(repository)
    assert "session never:" in answer.err
    assert not (home / "live" / "never").exists()
    assert not (home / "sessions" / "never").exists()


def test_a_session_whose_journal_and_state_are_gone_holds_up_nobody(repository: Repository) -> None:
    directory = killed(repository, opened=True)
    signed = set(directory.bundles())
    (directory.path / "state.json").unlink()
    directory.journal.unlink()
    drained(repository)
    assert not directory.marked_live()
    assert set(directory.bundles()) == signed
    assert len(generations(repository)) == 1


def test_a_record_of_another_session_is_not_taken_for_this_ones(repository: Repository) -> None:
    agentprov(
        "run", "--", "sh", "-c", "echo z > z; git add z; git commit -qm z", cwd=repository.top
    )
    home = repository.top / ".git/agentprov"
    (other,) = (home / "sessions").iterdir()
    foreign = (other / "records.jsonl").read_bytes()
    other.rename(home.parent / "moved-away")
    directory = killed(repository, opened=True)
    with directory.records.open("ab") as stream:
        stream.write(foreign)
    drained(repository)
    state = directory.load()
    assert state.phase == "incomplete"
    assert (len(state.bound), state.sequence) == (1, 1)
    assert not directory.marked_live()
    replayed = agentprov("replay", directory.id, "--json", cwd=repository.top).json()
    assert len(replayed["unaccounted"]) == 3


def test_lost_snapshots_close_the_session_without_a_guess(repository: Repository) -> None:
    directory = killed(repository, opened=False)
    mark = repository.top / ".git/agentprov/live" / directory.id
    lines = mark.read_text().splitlines()
    mark.write_text(f"{lines[0]}\nanother-boot-1\n{lines[2]}\n")
    state = directory.load()
    tree = state.baseline_tree
    # The work tree had something that no commit holds, so this tree is a private object of ours.
    objects = repository.top / ".git/agentprov/objects" / tree[:2]
    repository_objects = repository.top / ".git/objects" / tree[:2] / tree[2:]
    if (objects / tree[2:]).exists():
        (objects / tree[2:]).write_bytes(b"")
    repository_objects.unlink(missing_ok=True)
    answer = drained(repository)
    assert "closed it as incomplete" in answer.err
    assert not directory.marked_live()
    drained(repository)


# --- locks of git


def locked_store(repository: Repository) -> tuple[NotesStore, Path, Path]:
    git = Git.discover(repository.top)
    git.home.mkdir(exist_ok=True)
    return NotesStore(git), git.common_dir / f"{NOTES_REF}.lock", git.home / "notes.lock"


def test_the_lock_of_a_git_that_was_killed_while_it_wrote_for_us_is_removed(
    repository: Repository,
) -> None:
    store, lock, own = locked_store(repository)
    head = repository.git("rev-parse", "HEAD")
    store.add({head: [b"one"]})
    lock.write_bytes(b"")
    own.write_bytes(b"writing\n")
    store.add({head: [b"two"]})
    assert store.get(head) == [b"one", b"two"]
    assert not lock.exists()
    assert own.read_bytes() == b""


def test_a_young_lock_of_somebody_elses_git_stays_and_an_old_one_goes(
    repository: Repository,
) -> None:
    store, lock, _ = locked_store(repository)
    head = repository.git("rev-parse", "HEAD")
    store.add({head: [b"one"]})
    lock.write_bytes(b"")
    with pytest.raises(Exception, match="lock"):
        store.add({head: [b"two"]})
    assert lock.exists()
    os.utime(lock, (time.time() - 3600, time.time() - 3600))
    index = repository.top / ".git/index.lock"
    index.write_bytes(b"")
    os.utime(index, (time.time() - 3600, time.time() - 3600))
    store.add({head: [b"two"]})
    assert store.get(head) == [b"one", b"two"]
    assert index.exists()


def test_a_git_that_outlives_us_keeps_others_off_the_ref(repository: Repository) -> None:
    """Killed with git at work: the next writer waits for that git, and takes no lock away."""
    store, _, own = locked_store(repository)
    head = repository.git("rev-parse", "HEAD")
    program = repository.top.parent / "git"
    done = repository.top.parent / "done"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *update-ref*) sleep 1.5; touch {done} ;; esac\n'
        'exec git "$@" 2>/dev/null\n'
    )
    program.chmod(0o755)
    code = (
        "import sys, dataclasses; from pathlib import Path;"
        "from agentprov.system.git import Git; from agentprov.store.notes import NotesStore;"
        "git = dataclasses.replace(Git.discover(Path.cwd()), program=sys.argv[1]);"
        "NotesStore(git).add({sys.argv[2]: [b'theirs']})"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(program), head], cwd=repository.top)
    deadline = time.monotonic() + 20
    while not (own.exists() and own.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.kill()
    writer.wait()
    assert not done.exists()
    store.add({head: [b"ours"]})
    assert done.exists()
    assert store.get(head) == [b"ours", b"theirs"]


def test_a_ref_whose_object_is_gone_is_not_taken_for_no_records(repository: Repository) -> None:
    store, _, _ = locked_store(repository)
    (repository.top / ".git/refs/notes").mkdir(parents=True)
    (repository.top / ".git" / NOTES_REF).write_text("1" * 40 + "\n")
    with pytest.raises(Exception, match="is broken"):
        store.get(repository.git("rev-parse", "HEAD"))


# --- leftovers


def test_unfinished_files_go_by_age_and_the_living_keep_theirs(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    agentprov("run", "--", "sh", "-c", "echo y > y", cwd=repository.top)
    home = repository.top / ".git/agentprov"
    (session,) = (home / "sessions").iterdir()
    old = time.time() - 2 * 24 * 3600
    index = "index-" + "a" * 16 + "-" + "b" * 12
    parts = [
        home / ".install.json.77.aabbccdd.part",
        session / ".state.json.77.aabbccdd.part",
        home / index,
        home / f"{index}.lock",
        home / "objects" / "ab" / "tmp_obj_Ab12Cd",
        home / "pending" / ".x.1.aabbccdd.part",
    ]
    kept = [home / "live" / ".x.1.aabbccdd.part", home / ("index-" + "c" * 16 + "-" + "d" * 12)]
    for place in [*parts, *kept]:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"half")
    for place in parts:
        os.utime(place, (old, old))
    stray = session / "spool" / "1-2-3.drop"
    stray.write_bytes(b"x")
    os.utime(stray, (old, old))
    link = home / ".link.1.aabbccdd.part"
    link.symlink_to(repository.top / "y")
    assert left_over.sweep(home) == len(parts) + 1
    assert not stray.exists()
    assert [place for place in parts if place.exists()] == []
    assert all(place.exists() for place in kept)
    assert (repository.top / "y").exists()
    os.utime(kept[0], (old, old))
    assert left_over.sweep(home) == 0


def test_the_directory_of_a_killed_run_is_removed_and_no_other(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "tmp").mkdir()
    directory = killed(repository, opened=False)
    assert len(list((tmp_path / "tmp").glob("agentprov-*"))) == 1
    precious = tmp_path / "agentprov-precious"
    precious.mkdir()
    drained(repository)
    assert list((tmp_path / "tmp").glob("agentprov-*")) == []
    from agentprov.system import scratch

    assert not scratch.remove_left(str(precious), directory.id)
    assert precious.exists()


# --- the worker of the hooks


@pytest.mark.skipif(start_time(os.getpid()) is None, reason="no start times here")
@pytest.mark.parametrize(
    ("mark", "starts"),
    [
        (lambda: f"{os.getpid()}\nanother-boot-1\n", True),
        (lambda: f"{os.getpid()}\n{start_time(os.getpid())}\n", False),
        (lambda: "", True),
        (lambda: "garbage\n", True),
    ],
    ids=["recycled", "alive", "empty", "garbage"],
)
def test_a_worker_that_died_is_replaced_though_its_number_is_anothers(
    repository: Repository, mark: Callable[[], str], starts: bool
) -> None:
    assert agentprov("init", cwd=repository.top).status == 0
    agentprov("run", "--", "sh", "-c", "echo y > y", cwd=repository.top)
    worker = repository.top / ".git/agentprov/worker"
    worker.write_text(mark())
    repository.git("add", "y")
    repository.git("commit", "-qm", "y")
    deadline = time.monotonic() + (20 if starts else 2)
    while not generations(repository) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert bool(generations(repository)) == starts
    while starts and worker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are followed on Linux")
def test_an_agent_whose_processes_are_followed_outlives_its_recorder(
    repository: Repository,
) -> None:
    script = "echo ready; for i in 1 2 3 4 5; do sleep 0.2; echo $i >> y; done; echo over > over"
    recorder = subprocess.Popen(
        [
            *(sys.executable, "-m", "agentprov", "run", "--attribute", "processes"),
            *("--", "sh", "-c", script),
        ],
        cwd=repository.top,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert recorder.stdout is not None
    assert recorder.stdout.readline() == b"ready\n"
    recorder.kill()
    recorder.wait()
    deadline = time.monotonic() + 20
    while not (repository.top / "over").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    recorder.stdout.close()
    assert (repository.top / "over").exists()
    assert (repository.top / "y").read_text() == "1\n2\n3\n4\n5\n"
    assert "closed it as incomplete" in drained(repository).err
