"""`agentprov gc`: says what would go, removes that and no more, and never what something needs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agentprov.record.session import SessionDirectory
from support.command_line import Answer, agentprov
from support.repository import Repository

SCRIPT = (
    "echo {0} >> a.txt; git add a.txt; git commit -qm {0}; echo loose >> a.txt; git checkout -q ."
)
OLD = time.time() - 100 * 86_400


def recorded(place: Path, *words: str) -> Repository:
    made = Repository(place)
    made.write("a.txt", "one\n")
    made.commit("first")
    for word in words:
        session(made, word)
    return made


def session(repository: Repository, word: str) -> None:
    # A person's own file, uncommitted: the session's snapshots hold it, and nothing else does.
    repository.write("scratch.txt", f"{word}\n" * 9)
    answer = agentprov("run", "--", "sh", "-c", SCRIPT.format(word), cwd=repository.top)
    assert answer.status == 0, answer.err


def home(repository: Repository) -> Path:
    return repository.top / ".git/agentprov"


def sessions(repository: Repository) -> list[Path]:
    return sorted((home(repository) / "sessions").iterdir())


def age(place: Path, at: float = OLD) -> None:
    for folder, _, names in os.walk(place):
        for path in [folder, *(os.path.join(folder, name) for name in names)]:
            os.utime(path, (at, at), follow_symlinks=False)


def files(place: Path) -> set[str]:
    # The lock is taken by the command itself.
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()} - {
        "lock",
        "notes.lock",
    }


def gc(repository: Repository, *options: str) -> Answer:
    answer = agentprov("gc", "--json", *options, cwd=repository.top)
    assert answer.status == 0, answer.err
    return answer


def unneeded(answer: Answer) -> dict[str, int]:
    return {item["what"]: item["count"] for item in answer.json()["unneeded"]}


def kept(answer: Answer) -> str:
    return " ".join(item["why"] for item in answer.json()["kept"])


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = recorded(tmp_path / "r", "one", "two")
    age(home(made))
    return made


def test_it_says_what_would_go_and_touches_nothing(repository: Repository) -> None:
    # As every command that reads records, it takes in first what waits.
    assert agentprov("drain", cwd=repository.top).status == 0
    gc(repository)
    before = files(home(repository))
    answer = gc(repository)
    assert unneeded(answer)["sessions"] == 2
    assert unneeded(answer)["private objects"] > 0
    assert answer.json()["pruned"] is False
    assert files(home(repository)) == before
    plain = agentprov("gc", cwd=repository.top)
    assert "would go: sessions: 2" in plain.out
    assert "nothing was removed" in plain.err


def test_pruning_removes_that_and_verify_says_the_same(repository: Repository) -> None:
    before = agentprov("verify", "HEAD~2..HEAD", "--json", cwd=repository.top)
    assert unneeded(gc(repository, "--prune"))["sessions"] == 2
    assert [files(place) for place in sessions(repository)] == [set(), set()]
    assert unneeded(gc(repository)) == {}
    after = agentprov("verify", "HEAD~2..HEAD", "--json", cwd=repository.top)
    assert (before.status, after.status) == (0, 0)
    first, second = before.json(), after.json()
    assert first.pop("asOf") <= second.pop("asOf")
    assert first == second
    # What replay needed is gone, and it says so.
    gone = agentprov("replay", sessions(repository)[0].name, cwd=repository.top)
    assert gone.status == 1
    assert "no journal" in gone.err


def test_what_is_young_stays(repository: Repository) -> None:
    session(repository, "three")
    answer = gc(repository, "--prune")
    assert unneeded(answer)["sessions"] == 2
    assert sum(bool(files(place)) for place in sessions(repository)) == 1
    (young,) = [place for place in sessions(repository) if files(place)]
    directory = SessionDirectory(home(repository), young.name)
    tree = directory.load().baseline_tree
    assert (home(repository) / "objects" / tree[:2] / tree[2:]).is_file()
    assert agentprov("replay", young.name, cwd=repository.top).status == 0
    assert unneeded(gc(repository, "--keep-days", "0"))["sessions"] == 1


def test_uncommitted_output_keeps_its_session_and_what_it_names(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r")
    script = "seq 50 > new.txt"
    assert agentprov("run", "--", "sh", "-c", script, cwd=made.top).status == 0
    age(home(made))
    answer = gc(made, "--prune", "--keep-days", "0")
    assert "sessions" not in unneeded(answer)
    assert "not committed" in kept(answer)
    made.commit("late")
    assert (
        agentprov("verify", "HEAD", "--json", cwd=made.top).json()["commits"][0]["coverage"]
        == "covered"
    )


def test_a_live_session_keeps_itself_and_those_of_its_time(repository: Repository) -> None:
    first, second = (SessionDirectory(home(repository), item.name) for item in sessions(repository))
    from agentprov.system.process_table import start_time

    first.mark_live(os.getpid(), start_time(os.getpid()) or "", repository.top)
    answer = gc(repository, "--prune", "--keep-days", "0")
    assert files(first.path)
    assert "a recorder serves it" in kept(answer)
    # Its files are no older than the other's: both worked at one time.
    assert files(second.path)
    assert "live session" in kept(answer)


def test_records_that_are_nowhere_else_keep_their_session(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", "one")
    age(home(made))
    made.git("init", "-q", "--bare", str(tmp_path / "far"))
    made.git("remote", "add", "origin", str(tmp_path / "far"))
    answer = gc(made, "--prune")
    assert "sessions" not in unneeded(answer)
    assert "remote" in kept(answer)
    assert agentprov("sync", cwd=made.top).status == 0
    assert unneeded(gc(made))["sessions"] == 1
    made.git("update-ref", "-d", "refs/notes/agentprov")
    assert "in the notes" in kept(gc(made))


def test_what_the_signing_log_lacks_keeps_its_session(repository: Repository) -> None:
    (log,) = (home(repository) / "log").iterdir()
    entries = [path for path in log.rglob("*") if path.is_file()]
    assert entries
    place = sessions(repository)[0]
    records = (place / "records.jsonl").read_bytes().splitlines()
    assert len(records) == 3
    # Signed by the recorder, put into notes, and not logged: as if killed in between.
    from agentprov.store.notes import NotesStore
    from agentprov.system.git import Git

    other = recorded(repository.top.parent / "other", "odd")
    (odd,) = sessions(other)
    line = (odd / "records.jsonl").read_bytes().splitlines()[0]
    NotesStore(Git.discover(repository.top)).add({repository.git("rev-parse", "HEAD"): [line]})
    with (place / "records.jsonl").open("ab") as stream:
        stream.write(line + b"\n")
    age(place)
    answer = gc(repository, "--prune")
    assert "signing log" in kept(answer)
    assert files(place)


def damaged(repository: Repository) -> None:
    (checkpoint,) = (home(repository) / "log").glob("*/checkpoint")
    checkpoint.write_text("garbage\n")


def without_checkpoints(repository: Repository) -> None:
    for place in (*(home(repository) / "log").glob("*/checkpoint"), *log_seen()):
        place.unlink()


def without_the_log_key(repository: Repository) -> None:
    for name in ("log.pem", "log.pub"):
        (keys() / name).unlink()
    for place in log_seen():
        place.unlink()


def without_the_recorders_key(repository: Repository) -> None:
    for name in ("recorder.pem", "recorder.pub"):
        (keys() / name).unlink()


def without_a_directory_of_keys(repository: Repository) -> None:
    keys().rename(keys().with_name("away"))
    keys().write_text("")


def keys() -> Path:
    return Path(os.environ["AGENTPROV_HOME"]) / "keys"


def log_seen() -> list[Path]:
    return list((keys().parent / "log-seen").iterdir())


@pytest.mark.parametrize(
    "spoil",
    [
        damaged,
        without_checkpoints,
        without_the_log_key,
        without_the_recorders_key,
        without_a_directory_of_keys,
    ],
)
def test_a_signing_log_that_cannot_be_read_keeps_every_session(
    repository: Repository, spoil: Callable[[Repository], None]
) -> None:
    # What a command does anyway is done with a log that can be read.
    assert unneeded(gc(repository))["sessions"] == 2
    spoil(repository)
    answer = gc(repository, "--prune")
    assert "sessions" not in unneeded(answer)
    assert "signing log" in kept(answer)
    assert all(files(place) for place in sessions(repository))


def test_where_no_signing_log_was_ever_kept_none_is_missed(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(home(repository) / "log")
    monkeypatch.setenv("AGENTPROV_HOME", str(tmp_path / "new"))
    assert unneeded(gc(repository))["sessions"] == 2


def idle(place: Path) -> Repository:
    """Record a session that looks at a person's uncommitted file and commits nothing."""
    made = recorded(place)
    made.write("scratch.txt", "mine\n" * 9)
    assert agentprov("run", "--", "git", "log", cwd=made.top).status == 0
    age(home(made))
    return made


def test_a_session_without_a_commit_goes_with_its_snapshots_and_leaves_its_directory(
    tmp_path: Path,
) -> None:
    made = idle(tmp_path / "r")
    made.git("init", "-q", "--bare", str(tmp_path / "far"))
    made.git("remote", "add", "origin", str(tmp_path / "far"))
    said = unneeded(gc(made, "--prune"))
    assert said["sessions"] == 1
    assert said["private objects"] > 0
    (place,) = sessions(made)
    assert files(place) == set()
    assert not [path for path in (home(made) / "objects").glob("??/*") if path.is_file()]
    assert agentprov("checkpoint", "check", cwd=made.top).status == 0


def test_a_session_without_a_commit_stays_where_no_log_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = idle(tmp_path / "r")
    shutil.rmtree(home(made) / "log")
    monkeypatch.setenv("AGENTPROV_HOME", str(tmp_path / "new"))
    assert "in the signing log" in kept(gc(made, "--prune"))
    assert files(sessions(made)[0])


def test_the_plan_of_a_session_without_a_commit_must_be_in_the_notes(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r")
    made.write("PLAN.md", "# Look\n\nLook at the history.\n")
    assert agentprov("plan", "sign", "PLAN.md", cwd=made.top).status == 0
    words = ("run", "--plan", "PLAN.md", "--", "git", "log")
    assert agentprov(*words, cwd=made.top).status == 0
    age(home(made))
    assert unneeded(gc(made))["sessions"] == 1
    made.git("update-ref", "-d", "refs/notes/agentprov")
    assert "in the notes" in kept(gc(made, "--prune"))


def test_a_session_is_without_a_commit_only_where_state_and_records_say_so(
    tmp_path: Path,
) -> None:
    from agentprov.store.notes import NotesStore
    from agentprov.system.git import Git

    made = recorded(tmp_path / "r", "one")
    (place,) = sessions(made)
    directory = SessionDirectory(home(made), place.name)
    opening, generation, close = directory.bundles()
    state = directory.load()
    made.git("update-ref", "-d", "refs/notes/agentprov")
    NotesStore(Git.discover(made.top)).add({made.git("rev-parse", "HEAD"): [generation]})
    directory.save(replace(state, bound=(), generations=(), anchor=None))
    age(home(made))
    assert "in the notes" in kept(gc(made, "--prune"))
    directory.save(state)
    directory.records.write_bytes(opening + b"\n" + close + b"\n")
    age(home(made))
    assert "in the notes" in kept(gc(made, "--prune"))
    assert files(place)


def test_kept_transcripts_go_only_when_named(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", "one")
    (place,) = sessions(made)
    (place / "transcript.jsonl").write_text("{}\n")
    age(home(made))
    assert "on purpose" in kept(gc(made, "--prune"))
    assert unneeded(gc(made, "--prune", "--transcripts"))["sessions"] == 1
    assert files(place) == set()


def test_leftovers_of_killed_processes_go_and_drops_stay(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = home(repository)
    aside = base / ".state.json.1.aabbccdd.part"
    index = base / "index-gone-0123456789ab"
    spooled = base / "spool" / "half.tmp"
    fresh = base / ".state.json.2.aabbccdd.part"
    for path in (aside, index, spooled):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        os.utime(path, (OLD, OLD))
    fresh.write_text("x")
    # What every command sweeps by itself was swept a moment ago.
    (base / "swept").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    ours = tmp_path / "tmp" / "agentprov-abc"
    (ours / "spool").mkdir(parents=True)
    (ours / "spool.sh").write_text("#")
    somebodys = tmp_path / "tmp" / "agentprov-notes"
    somebodys.mkdir()
    (somebodys / "keep.txt").write_text("mine")
    age(tmp_path / "tmp")
    answer = gc(repository, "--prune", "--keep-days", "0")
    assert unneeded(answer)["temporary files"] == 3
    assert unneeded(answer)["fallback directories"] == 1
    assert not any(path.exists() for path in (aside, index, spooled, ours))
    assert fresh.exists()
    assert (somebodys / "keep.txt").exists()


def test_many_private_objects_become_one_pack_that_is_sorted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentprov.flows import gc as flow
    from agentprov.flows.world import World
    from agentprov.record import private_objects

    monkeypatch.setattr(private_objects, "PACK_FROM", 1)
    made = recorded(tmp_path / "r")
    assert agentprov("run", "--", "sh", "-c", "seq 50 > new.txt", cwd=made.top).status == 0
    session(made, "two")
    age(home(made))
    world = World.here(made.top)
    flow.collect(world, keep_days=1, prune=True)
    packs = list((home(made) / "objects/pack").glob("*.pack"))
    assert len(packs) == 1
    assert not [path for path in (home(made) / "objects").glob("??/*") if path.is_file()]
    # The open end still finds what it was, in the pack.
    made.commit("late")
    judged = agentprov("verify", "HEAD", "--json", cwd=made.top).json()
    assert judged["commits"][0]["coverage"] == "covered"
    age(home(made))
    found = flow.collect(world, keep_days=1, prune=True)
    assert {item.what for item in found.unneeded} == {"sessions", "private objects"}
    assert not list((home(made) / "objects/pack").glob("*.pack"))


def test_a_link_in_a_sessions_place_leads_to_nothing_that_goes(
    repository: Repository, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "deep").mkdir(parents=True)
    (mine / "state.json").write_text("precious")
    (mine / "deep" / "letter.part").write_text("precious")
    (home(repository) / "sessions" / "planted").symlink_to(mine)
    inside = sessions(repository)[0] / "spool" / "planted"
    inside.parent.mkdir(exist_ok=True)
    inside.symlink_to(mine / "deep")
    age(tmp_path / "mine")
    age(home(repository))
    gc(repository, "--prune", "--keep-days", "0")
    assert (mine / "state.json").read_text() == "precious"
    assert (mine / "deep" / "letter.part").read_text() == "precious"


def test_an_agent_cannot_have_it_prune(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", "one")
    age(home(made))
    commands = ("gc --prune", "gc --records --prune", "gc")
    script = "; ".join(
        f"{sys.executable} -m agentprov {words} >>said 2>&1; echo $? >>said" for words in commands
    )
    assert agentprov("run", "--", "sh", "-c", script, cwd=made.top).status == 0
    said = (made.top / "said").read_text()
    assert [line for line in said.splitlines() if line.isdigit()] == ["1", "1", "0"]
    assert said.count("inside a recorded run") == 2
    assert sum(bool(files(place)) for place in sessions(made)) == 2


# Records in the notes.


def anchors(repository: Repository) -> set[str]:
    return set(repository.git("notes", "--ref=agentprov", "list").split()[1::2])


def forget(repository: Repository, commit: str) -> None:
    """Throw a commit away for good: no ref, no reflog."""
    repository.git("reset", "-q", "--hard", commit)
    repository.git("reflog", "expire", "--expire=now", "--all")


def test_records_of_work_that_is_gone_go_and_their_bytes_with_them(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", "one")
    good = made.git("rev-parse", "HEAD")
    session(made, "two")
    lost = made.git("rev-parse", "HEAD")
    assert gc(made, "--records").json()["records"]["count"] == 0
    # What others keep on the same ref is none of our affair.
    made.git("notes", "--ref=agentprov", "add", "-m", "by hand", f"{good}^{{tree}}")
    forget(made, good)
    tip = made.git("rev-parse", "refs/notes/agentprov")
    said = gc(made, "--records").json()["records"]
    assert (said["objects"], said["count"]) == ([lost], 3)
    assert made.git("rev-parse", "refs/notes/agentprov") == tip
    gc(made, "--records", "--prune")
    assert anchors(made) == {good, made.git("rev-parse", f"{good}^{{tree}}")}
    assert lost[2:] not in made.git("ls-tree", "-r", "refs/notes/agentprov")
    assert agentprov("verify", good, cwd=made.top).status == 0
    made.git("reflog", "expire", "--expire=now", "--all")
    made.git("gc", "-q", "--prune=now")
    assert made.git("cat-file", "-t", tip, check=False) == ""


def test_records_of_a_commit_that_a_reflog_remembers_stay(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", "one", "two")
    made.git("reset", "-q", "--hard", "HEAD~1")
    assert gc(made, "--records", "--prune").json()["records"]["count"] == 0


def test_records_of_content_that_lives_on_in_another_commit_stay(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", "one")
    old = made.git("rev-parse", "HEAD")
    made.git("commit", "-q", "--amend", "--no-verify", "-m", "elsewhere, as by a forge")
    assert made.git("rev-parse", "HEAD") != old
    made.git("reflog", "expire", "--expire=now", "--all")
    assert gc(made, "--records", "--prune").json()["records"]["count"] == 0
    assert old in anchors(made)


def test_records_that_a_kept_record_names_stay(tmp_path: Path) -> None:
    """A session's first commit is dropped; its opening and close hang there and bind the second."""
    made = recorded(tmp_path / "r")
    base = made.git("rev-parse", "HEAD")
    script = "echo x > x; git add x; git commit -qm x; echo y > y; git add y; git commit -qm y"
    assert agentprov("run", "--", "sh", "-c", script, cwd=made.top).status == 0
    first = made.git("rev-parse", "HEAD~1")
    made.git("rebase", "-q", "--onto", base, "HEAD~1")
    forget(made, "HEAD")
    assert gc(made, "--records", "--prune").json()["records"]["count"] == 0
    assert first in anchors(made)


def test_records_that_a_later_commit_stands_on_stay(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r")
    script = "echo x > x; git add x; git commit -qm x; seq 40 > late"
    assert agentprov("run", "--", "sh", "-c", script, cwd=made.top).status == 0
    forget(made, "HEAD~1")
    assert (made.top / "late").exists()
    assert gc(made, "--records", "--prune").json()["records"]["count"] == 0
    made.commit("late")
    judged = agentprov("verify", "HEAD", "--json", cwd=made.top).json()
    assert judged["commits"][0]["coverage"] == "covered"


def test_records_of_a_session_that_is_live_stay(tmp_path: Path) -> None:
    from agentprov.system.process_table import start_time

    made = gone_for_good(tmp_path / "r")
    directory = SessionDirectory(home(made), sessions(made)[0].name)
    directory.mark_live(os.getpid(), start_time(os.getpid()) or "", made.top)
    assert gc(made, "--records", "--prune").json()["records"]["count"] == 0
    directory.clear_live()
    assert gc(made, "--records", "--prune").json()["records"]["count"] == 3


def test_what_a_remote_holds_stays_and_is_counted(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", "one")
    good = made.git("rev-parse", "HEAD")
    session(made, "two")
    made.git("init", "-q", "--bare", str(tmp_path / "far"))
    made.git("remote", "add", "origin", str(tmp_path / "far"))
    refused = agentprov("gc", "--records", cwd=made.top)
    assert refused.status == 1
    assert "sync" in refused.err
    assert agentprov("sync", cwd=made.top).status == 0
    session(made, "three")
    forget(made, good)
    said = gc(made, "--records", "--prune").json()["records"]
    assert (said["count"], said["keptOnARemote"]) == (3, 3)
    # What is left goes on from what the remote has: the next push needs no force.
    assert agentprov("sync", "--json", cwd=made.top).json()["remotes"][0]["pushed"] in (
        "pushed",
        "unchanged",
    )
    assert len(anchors(made)) == 2


def with_remote(made: Repository, name: str) -> None:
    made.git("remote", "add", name, str(Repository(made.top.parent / name).top))


def test_one_remote_of_two_that_was_never_looked_at_keeps_all_records(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", "one")
    with_remote(made, "origin")
    assert agentprov("sync", cwd=made.top).status == 0
    session(made, "two")
    with_remote(made, "backup")
    made.git("push", "-q", "backup", "refs/notes/agentprov")
    forget(made, "HEAD~1")
    refused = agentprov("gc", "--records", "--prune", cwd=made.top)
    assert refused.status == 1
    assert "backup" in refused.err
    assert "origin" not in refused.err
    # A plain fetch of the records is a look, too.
    made.git("fetch", "-q", "backup", "refs/notes/*:refs/notes/remotes/backup/*")
    assert gc(made, "--records").json()["records"]["keptOnARemote"] == 3


def test_a_remote_that_was_looked_at_and_holds_no_records_keeps_none(tmp_path: Path) -> None:
    made = gone_for_good(tmp_path / "r")
    with_remote(made, "origin")
    refused = agentprov("gc", "--records", cwd=made.top)
    assert refused.status == 1
    assert "sync --no-push" in refused.err
    assert agentprov("sync", "--no-push", cwd=made.top).status == 0
    assert gc(made, "--records", "--prune").json()["records"]["count"] == 3


def test_a_remote_that_could_not_be_reached_was_not_looked_at(tmp_path: Path) -> None:
    made = gone_for_good(tmp_path / "r")
    made.git("remote", "add", "origin", str(tmp_path / "nowhere"))
    assert agentprov("sync", "--no-push", cwd=made.top).status != 0
    assert agentprov("gc", "--records", cwd=made.top).status == 1
    made.git("remote", "remove", "origin")
    assert gc(made, "--records", "--prune").json()["records"]["count"] == 3


def test_a_shallow_clone_drops_no_records(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", "one", "two")
    clone = Repository(tmp_path / "c")
    clone.git("fetch", "-q", "--depth=1", f"file://{made.top}", "HEAD")
    clone.git("checkout", "-q", "FETCH_HEAD")
    answer = agentprov("gc", "--records", cwd=clone.top)
    assert answer.status == 1
    assert "unshallow" in answer.err
    assert json.loads(agentprov("gc", "--json", cwd=clone.top).out)["records"] is None


def gone_for_good(place: Path) -> Repository:
    """Make a repository with one session, whose only commit nothing leads to any more."""
    made = recorded(place)
    good = made.git("rev-parse", "HEAD")
    session(made, "lost")
    forget(made, good)
    age(home(made))
    return made


def test_pruning_sessions_and_their_records_together_does_what_was_said(tmp_path: Path) -> None:
    made = gone_for_good(tmp_path / "r")
    said = gc(made, "--records")
    done = gc(made, "--records", "--prune")
    assert said.json() == {**done.json(), "pruned": False}
    assert unneeded(said)["sessions"] == 1
    assert files(sessions(made)[0]) == set()


def test_records_that_go_before_a_remote_had_them_keep_no_session(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", "one")
    good = made.git("rev-parse", "HEAD")
    made.git("init", "-q", "--bare", str(tmp_path / "far"))
    made.git("remote", "add", "origin", str(tmp_path / "far"))
    assert agentprov("sync", cwd=made.top).status == 0
    session(made, "lost")
    forget(made, good)
    age(home(made))
    assert unneeded(gc(made))["sessions"] == 1
    said = gc(made, "--records")
    assert unneeded(said)["sessions"] == 2
    assert said.json() == {**gc(made, "--records", "--prune").json(), "pruned": False}
    assert [files(place) for place in sessions(made)] == [set(), set()]


def test_records_that_were_dropped_do_not_keep_their_session_later(tmp_path: Path) -> None:
    made = gone_for_good(tmp_path / "r")
    (place,) = sessions(made)
    answer = gc(made, "--records", "--prune", "--keep-days", "1000")
    assert answer.json()["records"]["count"] == 3
    assert files(place)
    # Neither does it grow younger by it.
    assert unneeded(gc(made))["sessions"] == 1
    # What the notes lose in another way keeps its session still.
    (place / "dropped").unlink()
    assert "in the notes" in kept(gc(made))


def test_dropped_records_that_the_signing_log_lacks_keep_their_session(tmp_path: Path) -> None:
    made = gone_for_good(tmp_path / "r")
    damaged(made)
    gc(made, "--records", "--prune")
    assert "signing log" in kept(gc(made, "--prune"))
    assert files(sessions(made)[0])
