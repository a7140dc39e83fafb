"""Commits are read at once, and git compares their trees while records are looked for."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from agentprov.flows import verify as verifying
from agentprov.flows.choosing import Chosen
from agentprov.flows.commit_facts import CommitsRead, ContentDigests
from agentprov.flows.world import World
from agentprov.system.clock import SystemClock
from agentprov.system.git import Git
from support.repository import Repository
from support.story import trust_of


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    for number in range(3):
        made.write(f"f{number}", f"{number}\n")
        made.commit(f"c{number}\n\nAgentprov-Session: s/{number % 2}")
    return made


def test_what_the_commits_say_is_known_before_git_has_compared(repository: Repository) -> None:
    git = Git.discover(repository.top)
    ids = git.text("rev-list", "--reverse", "HEAD").split()
    with (
        git.cat_file() as reader,
        CommitsRead(git, reader, [*ids, ids[0], "0" * 40], ContentDigests(reader)) as read,
    ):
        assert read.parents == set(ids[:2])
        assert read.trailers == {"s/0", "s/1"}
        facts = read.facts()
        assert read.facts() is facts
    assert [one.oid for one in facts] == ids
    assert [sorted(one.diffs) for one in facts] == [[b"f0"], [b"f1"], [b"f2"]]


def test_git_compares_while_records_are_chosen(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "trace"
    choose = verifying.choose
    asked: list[bool] = []

    def choosing(*arguments: object, **words: object) -> Chosen:
        deadline = time.monotonic() + 20
        while not (compared := _ended(trace, "diff-tree")) and time.monotonic() < deadline:
            time.sleep(0.02)
        asked.append(compared)
        return choose(*arguments, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(verifying, "choose", choosing)
    world = World(Git.discover(repository.top), tmp_path / "home", SystemClock())
    targets = verifying.resolve(world.git, ["HEAD~2..HEAD"])
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))
    judgement = verifying.judge_targets(world, targets, trust_of())
    assert asked == [True]
    assert [one.coverage for one in judgement.verdict.commits] == ["uncovered", "uncovered"]


def _ended(trace: Path, verb: str) -> bool:
    """Say whether a git command of this name has ended, by git's own account."""
    if not trace.exists():
        return False
    events = [json.loads(line) for line in trace.read_text().splitlines() if line.endswith("}")]
    named = {e["sid"] for e in events if e["event"] == "start" and verb in e["argv"]}
    return any(e["event"] == "exit" and e["sid"] in named for e in events)
