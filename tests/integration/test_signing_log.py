"""The signing log through the command line: what is signed is logged, what is undone shows."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agentprov.flows import log_append
from agentprov.flows.world import World
from support.command_line import agentprov, bundles
from support.repository import Repository

COMMIT = "echo x >> a.txt; git add -A; git commit -qm change"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("a.txt", "one\n")
    made.write("PLAN.md", "# Do it\n\nWell.\n")
    made.commit("first")
    return made


def run(repository: Repository, script: str = COMMIT) -> None:
    assert agentprov("run", "--", "sh", "-c", script, cwd=repository.top).status == 0


def home(repository: Repository) -> Path:
    return repository.top / ".git" / "agentprov"


def codes(repository: Repository, *words: str) -> list[str]:
    answer = agentprov("verify", *words, "--json", cwd=repository.top).json()
    return [item["code"] for item in answer["findings"]]


def lines(repository: Repository) -> list[bytes]:
    found = []
    for place in (home(repository) / "sessions").glob("*/records.jsonl"):
        found += place.read_bytes().splitlines()
    return found


def test_plan_opening_generation_and_closing_are_logged(repository: Repository) -> None:
    signed = agentprov("plan", "sign", "PLAN.md", cwd=repository.top)
    assert signed.status == 0, signed.err
    script = ("run", "--plan", "PLAN.md", "--", "sh", "-c", COMMIT)
    assert agentprov(*script, cwd=repository.top).status == 0
    assert (
        agentprov("checkpoint", "show", "--json", cwd=repository.top).json()["checkpoint"]["size"]
        == len(bundles(repository))
        == 4
    )
    view = log_append.log_of(World.here(repository.top)).view()
    assert view is not None
    assert all(view.includes(log_append.entry_of(line)) for line in lines(repository))
    answer = agentprov("verify", cwd=repository.top)
    assert answer.status == 0, answer.out


def test_a_session_without_a_commit_is_logged_too(repository: Repository) -> None:
    run(repository, "true")
    view = log_append.log_of(World.here(repository.top)).view()
    assert view is not None
    assert view.checkpoint.size == 2


def test_an_old_copy_put_back_is_found_by_verify_and_doctor_until_it_is_accepted(
    repository: Repository, tmp_path: Path
) -> None:
    run(repository)
    shutil.copytree(home(repository) / "log", tmp_path / "old")
    run(repository)
    shutil.rmtree(home(repository) / "log")
    shutil.copytree(tmp_path / "old", home(repository) / "log")
    answer = agentprov("verify", cwd=repository.top)
    assert (answer.status, "log-rollback" in answer.out) == (19, True)
    doctor = agentprov("doctor", "--json", cwd=repository.top).json()
    (check,) = (item for item in doctor["checks"] if item["name"] == "signing log")
    assert not check["ok"]
    assert check["detail"].startswith("log-rollback")
    assert agentprov("checkpoint", "show", cwd=repository.top).status == 19
    # Recording goes on, and says what it could not do.
    run(repository)
    assert "log-rollback" in codes(repository)
    shown = agentprov("show", "--json", cwd=repository.top).json()
    gaps = [gap["why"] for session in shown["sessions"] for gap in session["gaps"]]
    assert "not-in-the-signing-log" in gaps
    inside = {"AGENTPROV_SESSION": "x"}
    assert agentprov("checkpoint", "accept", cwd=repository.top, env=inside).status == 1
    assert agentprov("checkpoint", "accept", cwd=repository.top).status == 0
    # What was signed meanwhile is not in it, and that is said.
    assert codes(repository).count("log-inclusion-missing") >= 1
    assert agentprov("verify", cwd=repository.top).status == 0
    run(repository)
    assert "log-inclusion-missing" not in codes(repository)


def test_a_checkpoint_that_left_the_machine_tells_of_a_log_that_was_rewritten(
    repository: Repository, tmp_path: Path
) -> None:
    run(repository)
    kept = tmp_path / "kept.txt"
    kept.write_text(agentprov("checkpoint", "show", cwd=repository.top).out)
    run(repository)
    assert agentprov("checkpoint", "check", str(kept), cwd=repository.top).status == 0
    # Somebody who may write everything of this user's makes the log again.
    shutil.rmtree(home(repository) / "log")
    shutil.rmtree(Path(os.environ["AGENTPROV_HOME"]) / "log-seen")
    run(repository)
    assert agentprov("checkpoint", "check", cwd=repository.top).status == 0
    answer = agentprov("checkpoint", "check", str(kept), "--json", cwd=repository.top)
    assert answer.status == 19
    assert [item["code"] for item in answer.json()["problems"]] == ["log-rollback"]


def test_a_log_that_is_no_directory_blocks_nothing(repository: Repository) -> None:
    home(repository).mkdir(exist_ok=True)
    (home(repository) / "log").write_text("in the way")
    signed = agentprov("plan", "sign", "PLAN.md", cwd=repository.top)
    assert (signed.status, "not in the signing log" in signed.err) == (0, True)
    run(repository)
    assert bundles(repository)


def test_what_a_killed_recorder_signed_is_logged_later(repository: Repository) -> None:
    script = f"{COMMIT}; sleep 1; kill -KILL $PPID; sleep 0.1"
    agentprov("run", "--", "sh", "-c", script, cwd=repository.top)
    assert agentprov("drain", cwd=repository.top).status == 0
    view = log_append.log_of(World.here(repository.top)).view()
    assert view is not None
    assert len(lines(repository)) >= 3
    assert all(view.includes(log_append.entry_of(line)) for line in lines(repository))


def test_another_clone_has_nothing_to_say_about_the_log(
    repository: Repository, tmp_path: Path
) -> None:
    run(repository)
    clone = tmp_path / "clone"
    repository.git("clone", "-q", str(repository.top), str(clone))
    answer = agentprov("checkpoint", "show", cwd=clone)
    assert (answer.status, "nothing was logged" in answer.err) == (1, True)
    assert agentprov("checkpoint", "check", cwd=clone).status == 0


def test_a_clone_made_anew_where_another_stood_is_warned_of_and_goes_on(
    repository: Repository, tmp_path: Path
) -> None:
    run(repository)
    repository.git("clone", "-q", "--bare", str(repository.top), str(tmp_path / "remote"))
    repository.git("push", "-q", str(tmp_path / "remote"), "refs/notes/agentprov")
    shutil.rmtree(repository.top)
    again = Repository(repository.top)
    again.git("pull", "-q", str(tmp_path / "remote"), "main")
    again.git("fetch", "-q", str(tmp_path / "remote"), "refs/notes/*:refs/notes/*")
    answer = agentprov("verify", "--json", cwd=again.top)
    found = {item["code"]: item["severity"] for item in answer.json()["findings"]}
    assert (answer.status, found.get("log-gone")) == (0, "warning")
    run(again)
    assert not {"log-gone", "log-rollback"} & set(codes(again))
    seen = Path(os.environ["AGENTPROV_HOME"]) / "log-seen"
    (old,) = [path for path in seen.iterdir() if path.suffix]
    checked = agentprov("checkpoint", "check", str(old), cwd=again.top)
    assert (checked.status, "log-rollback" in checked.out) == (19, True)
    # With sessions that are over beside it, a log that is gone was removed.
    shutil.rmtree(home(again) / "log")
    assert agentprov("verify", cwd=again.top).status == 19


def test_the_log_says_nothing_about_who_and_where(repository: Repository) -> None:
    run(repository)
    log = next((home(repository) / "log").iterdir())
    everything = b"".join(path.read_bytes() for path in log.rglob("*") if path.is_file())
    for private in (b"ada@example.com", b"a.txt", os.fsencode(repository.top)):
        assert private not in everything
