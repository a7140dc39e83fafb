"""How many git processes a commit costs: few, and the same in every repository."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from support.command_line import agentprov
from support.repository import Repository

AT_MOST = 3


def _repository(place: Path, *, files: int, commits: int) -> Repository:
    made = Repository(place)
    for number in range(files):
        made.write(f"d{number % 7}/f{number}.txt", f"{number}\n")
    for number in range(commits):
        made.write("history.txt", f"{number}\n")
        made.commit(f"c{number}")
    assert agentprov("init", cwd=made.top).status == 0
    made.commit("set up")
    return made


def _settled(repository: Repository) -> bool:
    """Wait for the worker that a hook started."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not (repository.top / ".git/agentprov/worker").exists():
            return True
        time.sleep(0.02)
    return False


def _commit(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, message: str = "next"
) -> tuple[int, int]:
    """Commit what is staged; gives git processes of its hooks, and of the worker beside them.

    A process that a hook starts carries the session id of git's own commit in front of its own;
    the worker's processes do not, because our calls drop git's variables.
    """
    trace = repository.top.parent / f"trace-{time.monotonic_ns()}"
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))
    repository.git("commit", "-q", "-m", message)
    monkeypatch.delenv("GIT_TRACE2_EVENT")
    assert _settled(repository)
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    started = {e["sid"]: e["argv"] for e in events if e["event"] == "start"}
    top = next(sid for sid, argv in started.items() if "commit" in argv)
    # Git tidies up by itself, with hooks or without.
    hooks = [argv for sid, argv in started.items() if sid.startswith(top + "/")]
    hooks = [argv for argv in hooks if not {"maintenance", "gc"} & set(argv)]
    return len(hooks), sum(1 for sid in started if not sid.startswith(top))


def _by_hand(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    repository.write("by-hand.txt", f"{time.monotonic_ns()}\n")
    repository.git("add", "by-hand.txt")
    return _commit(repository, monkeypatch)


def _after_a_session(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, paths: int = 1
) -> tuple[int, int]:
    script = f"for n in $(seq {paths}); do echo {time.monotonic_ns()} >out-$n.txt; done"
    assert agentprov("run", "-q", "--", "sh", "-c", script, cwd=repository.top).status == 0
    repository.git("add", "-A")
    counted = _commit(repository, monkeypatch)
    assert repository.git("notes", "--ref=agentprov", "show", "HEAD")
    return counted


SHAPES = [(3, 1), (60, 1), (3, 25)]


@pytest.fixture(params=SHAPES, ids=["small", "more files", "more commits"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    files, commits = request.param
    return _repository(tmp_path / "r", files=files, commits=commits)


def test_a_commit_that_no_session_touched_starts_no_git(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _by_hand(repository, monkeypatch) == (0, 0)


def test_a_commit_of_a_finished_sessions_work_starts_at_most_three(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = _after_a_session(repository, monkeypatch)
    more_paths, _ = _after_a_session(repository, monkeypatch, paths=12)
    assert first == more_paths == 1
    assert first <= AT_MOST


def test_the_worker_starts_as_many_whatever_the_repository_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = set()
    for number, (files, commits) in enumerate(SHAPES):
        repository = _repository(tmp_path / f"r{number}", files=files, commits=commits)
        counts.add(_after_a_session(repository, monkeypatch)[1])
        counts.add(_after_a_session(repository, monkeypatch, paths=12)[1])
    # The first record of a repository finds no notes to read, later ones do.
    assert len(counts) == 1, counts
    assert counts.pop() <= 25


def test_a_commit_inside_a_session_starts_no_git_of_the_hooks(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = repository.top.parent / "inside"
    script = f"echo 1 >in.txt; git add in.txt; GIT_TRACE2_EVENT={trace} git commit -qm in"
    assert agentprov("run", "-q", "--", "sh", "-c", script, cwd=repository.top).status == 0
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    started = [e["argv"] for e in events if e["event"] == "start"]
    own = [argv for argv in started if not {"maintenance", "gc"} & set(argv)]
    assert len(own) == 1, own
    assert "Agentprov-Session: " in repository.git("log", "-1", "--format=%B")


def test_starting_and_ending_a_run_costs_the_same_in_every_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = set()
    for number, (files, commits) in enumerate(SHAPES):
        repository = _repository(tmp_path / f"r{number}", files=files, commits=commits)
        trace = tmp_path / f"trace-{number}"
        environment = {"GIT_TRACE2_EVENT": str(trace)}
        status = agentprov("run", "-q", "--", "true", cwd=repository.top, env=environment).status
        assert status == 0
        events = [json.loads(line) for line in trace.read_text().splitlines()]
        counts.add(sum(1 for e in events if e["event"] == "start"))
    assert len(counts) == 1, counts
    assert counts.pop() <= 16


def test_verifying_asks_git_the_same_few_times_however_much_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = _repository(tmp_path / "r", files=3, commits=1)
    script = "for n in 1 2 3 4; do echo $n >f$n; git add f$n; git commit -qm $n; done"
    done = agentprov("run", "--quiet", "--", "sh", "-c", script, cwd=repository.top)
    assert done.status == 0
    assert _settled(repository)
    assert agentprov("verify", "HEAD~4..HEAD", cwd=repository.top).status == 0
    counts = {}
    for words in ("HEAD", "HEAD~2..HEAD", "HEAD~4..HEAD"):
        trace = tmp_path / f"trace-{len(counts)}"
        monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))
        assert agentprov("verify", words, cwd=repository.top).status == 0
        monkeypatch.delenv("GIT_TRACE2_EVENT")
        events = [json.loads(line) for line in trace.read_text().splitlines()]
        counts[words] = sum(1 for event in events if event["event"] == "start")
    # Where we are, who the user is, all objects, all differences; a range is walked too.
    assert counts == {"HEAD": 4, "HEAD~2..HEAD": 5, "HEAD~4..HEAD": 5}
