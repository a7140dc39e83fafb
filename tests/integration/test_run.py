"""`agentprov run` with real git and plain commands: what is claimed of which commit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command_line import agentprov, bundles, changes, generations, statement
from support.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("old.txt", "one\ntwo\nthree\n")
    made.write("gone.txt", "bye\n")
    made.commit("first")
    return made


def run(repository: Repository, script: str, **env: str) -> int:
    answer = agentprov("run", "--", "sh", "-c", script, cwd=repository.top, env=env)
    return answer.status


def test_a_commit_in_the_run_gets_one_statement_with_its_changes(repository: Repository) -> None:
    script = (
        "echo new > new.txt; git rm -q gone.txt; chmod +x old.txt; git add -A; git commit -qm 2"
    )
    assert run(repository, script) == 0
    (generation,) = generations(repository)
    found = changes(generation)
    assert {path: c["op"] for path, c in found.items()} == {
        "new.txt": "add",
        "gone.txt": "delete",
        "old.txt": "mode",
    }
    head = repository.git("rev-parse", "HEAD")
    assert {"gitCommit": head} in [
        {k: v for k, v in s["digest"].items() if k == "gitCommit"} for s in generation["subject"]
    ]


def test_the_exit_status_is_the_agents_own(repository: Repository) -> None:
    assert run(repository, "exit 7") == 7
    assert run(repository, "kill -KILL $$") == 137


def test_what_was_changed_before_the_session_is_not_claimed(repository: Repository) -> None:
    repository.write("mine.txt", "human work\n")
    repository.write("old.txt", "one\nhuman line\ntwo\nthree\n")
    script = "echo agent >> old.txt; git add -A; git commit -qm both"
    assert run(repository, script) == 0
    (generation,) = generations(repository)
    found = changes(generation)
    assert set(found) == {"old.txt"}
    assert [(r["start"], r["why"]) for r in found["old.txt"]["ranges"]] == [
        (2, "before-session"),
        (5, "agent-reports-nothing"),
    ]


def test_a_commit_after_the_session_is_bound_to_it(repository: Repository) -> None:
    assert run(repository, "printf 'a1\\na2\\n' > a.txt; echo b > b.txt") == 0
    repository.write("mine.txt", "human\n")
    with (repository.top / "a.txt").open("a") as stream:
        stream.write("added by the human\n")
    repository.git("add", "a.txt", "mine.txt")
    repository.git("commit", "-qm", "part of it")
    assert agentprov("drain", cwd=repository.top).status == 0
    (generation,) = generations(repository)
    found = changes(generation)
    assert set(found) == {"a.txt"}
    assert [(r["start"], r["end"], r["why"]) for r in found["a.txt"]["ranges"]] == [
        (1, 2, "agent-reports-nothing"),
        (3, 3, "after-session"),
    ]
    repository.git("add", "-A")
    repository.git("commit", "-qm", "the rest")
    agentprov("drain", cwd=repository.top)
    assert set(changes(generations(repository)[0])) == {"b.txt"}
    repository.write("a.txt", "only human\n")
    repository.commit("later")
    agentprov("drain", cwd=repository.top)
    assert generations(repository) == []


def test_an_agents_commit_with_hooks_off_gets_the_same_statement(repository: Repository) -> None:
    script = "echo {} > x; git add -A; git -c core.hooksPath=/dev/null commit -q --no-verify -m x"
    assert run(repository, script.format(1)) == 0
    assert set(changes(generations(repository)[0])) == {"x"}


def test_commits_in_quick_succession_are_numbered_in_order(repository: Repository) -> None:
    script = "for i in 1 2 3 4; do echo $i > f$i; git add -A; git commit -qm c$i; done"
    assert run(repository, script) == 0
    numbers = []
    for revision in ("HEAD~3", "HEAD~2", "HEAD~1", "HEAD"):
        (generation,) = generations(repository, revision)
        metadata = generation["predicate"]["runDetails"]["metadata"]
        numbers.append(metadata["agentprov_commit"]["sequence"])
    assert numbers == [1, 2, 3, 4]


def test_a_pull_in_the_run_does_not_claim_a_colleagues_commits(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("clone", "-q", ".", str(tmp_path / "mine"))
    mine = Repository(tmp_path / "mine")
    repository.write("theirs.txt", "x\n")
    theirs = repository.commit("theirs")
    assert run(mine, "git pull -q --ff-only; echo y > y; git add -A; git commit -qm mine") == 0
    assert generations(mine, theirs) == []
    assert set(changes(generations(mine)[0])) == {"y"}


def test_odd_names_are_recorded_as_they_are(repository: Repository) -> None:
    for name in (b"new\nline", b'qu"ote', b"\xff\xfe", "é".encode()):
        repository.write(b"src/" + name, "x\n")
    names = "printf x > 'tab\t.txt'; mv src dst; git add -A; git commit -qm odd"
    assert run(repository, names) == 0
    found = changes(generations(repository)[0])
    assert set(found) == {
        "dst/new\nline",
        'dst/qu"ote',
        "%bytes:dst/%ff%fe",
        "dst/é",
        "tab\t.txt",
    }


def test_a_symlink_out_of_the_tree_is_its_own_text(repository: Repository) -> None:
    assert run(repository, "ln -s /etc/passwd link; git add -A; git commit -qm link") == 0
    change = changes(generations(repository)[0])["link"]
    assert change["mode"] == "120000"
    assert change["gitBlob"] == repository.git("rev-parse", "HEAD:link")


def test_no_repository_starts_nothing(tmp_path: Path) -> None:
    answer = agentprov("run", "--", "sh", "-c", "touch started", cwd=tmp_path)
    assert answer.status == 125
    assert "not inside a git work tree" in answer.err
    assert not (tmp_path / "started").exists()


def test_best_effort_runs_unrecorded_where_nothing_can_be_recorded(tmp_path: Path) -> None:
    answer = agentprov("run", "--best-effort", "--", "sh", "-c", "exit 4", cwd=tmp_path)
    assert answer.status == 4
    assert "not recording" in answer.err


def _others_can_read_the_key(repository: Repository, home: Path) -> None:
    run(repository, "true")
    (home / "keys/recorder.pem").chmod(0o644)


def _no_place_for_a_key(_: Repository, home: Path) -> None:
    home.write_text("in the way")


def _a_file_in_place_of_a_directory(repository: Repository, _: Path) -> None:
    run(repository, "true")
    (repository.top / ".git/agentprov/live").rmdir()
    (repository.top / ".git/agentprov/live").write_text("in the way")


@pytest.mark.parametrize(
    "hinder", [_others_can_read_the_key, _no_place_for_a_key, _a_file_in_place_of_a_directory]
)
def test_what_could_not_be_recorded_or_signed_is_not_started(
    repository: Repository, hinder: Callable[[Repository, Path], None]
) -> None:
    hinder(repository, Path(os.environ["AGENTPROV_HOME"]))
    answer = agentprov("run", "--", "sh", "-c", "echo ran", cwd=repository.top)
    assert (answer.status, answer.out) == (125, "")
    assert "cannot record here" in answer.err
    answer = agentprov("run", "--best-effort", "--", "sh", "-c", "echo ran", cwd=repository.top)
    assert (answer.status, answer.out) == (0, "ran\n")
    assert "not recording" in answer.err


def test_an_agent_that_does_not_exist_is_127(repository: Repository) -> None:
    answer = agentprov("run", "--", "no-such-agent", cwd=repository.top)
    assert answer.status == 127
    assert "no-such-agent" in answer.err
    assert not list((repository.top / ".git/agentprov").glob("sessions/*"))


def test_before_the_first_commit_and_detached_it_records(tmp_path: Path) -> None:
    fresh = Repository(tmp_path / "fresh")
    assert run(fresh, "echo a > a; git add a; git commit -qm root") == 0
    assert set(changes(generations(fresh)[0])) == {"a"}
    fresh.git("checkout", "-q", "--detach")
    assert run(fresh, "echo b > b; git add b; git commit -qm detached") == 0
    assert set(changes(generations(fresh)[0])) == {"b"}


def test_a_linked_worktree_and_a_subdirectory_record(repository: Repository) -> None:
    linked = repository.top.parent / "linked"
    repository.git("worktree", "add", "-q", "-b", "side", str(linked))
    (linked / "deep").mkdir()
    script = "echo x > x; git add x; git commit -qm x"
    assert agentprov("run", "--", "sh", "-c", script, cwd=linked / "deep").status == 0
    assert set(changes(generations(repository, "side")[0])) == {"deep/x"}


def close_of(repository: Repository, revision: str) -> dict[str, Any]:
    (closed,) = [s for s in bundles(repository, revision) if s["predicate"].get("phase") == "close"]
    return dict(closed["predicate"])


def test_an_agent_that_merges_and_removes_its_own_work_tree_is_recorded_whole(
    repository: Repository,
) -> None:
    tree = repository.top.parent / "tree"
    repository.git("worktree", "add", "-q", str(tree))
    script = (
        "echo w > w; git add w; git commit -qm w;"
        f"cd '{repository.top}'; git merge -q tree; git worktree remove '{tree}'"
    )
    answer = agentprov("run", "--", "sh", "-c", script, cwd=tree)
    assert answer.status == 0
    assert "1 commit" in answer.err
    assert set(changes(generations(repository)[0])) == {"w"}
    closed = close_of(repository, "HEAD")
    assert closed["session"]["outcome"] == "completed"
    assert [gap["why"] for gap in closed["gaps"]] == ["last-snapshot-failed"]


def test_what_a_dead_session_left_is_not_looked_for_in_another_work_tree(
    repository: Repository,
) -> None:
    tree = repository.top.parent / "tree"
    repository.git("worktree", "add", "-q", str(tree))
    script = "echo w > w; git add w; git commit -qm w; echo ready; sleep 60"
    recorder = subprocess.Popen(
        [sys.executable, "-m", "agentprov", "run", "--", "sh", "-c", script],
        cwd=tree,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert recorder.stdout is not None
    assert recorder.stdout.readline() == b"ready\n"
    os.killpg(recorder.pid, signal.SIGKILL)
    recorder.wait()
    recorder.stdout.close()
    repository.git("worktree", "remove", "--force", str(tree))
    repository.write("mine.txt", "mine\n")
    assert "1 sessions recovered" in agentprov("drain", cwd=repository.top).out
    closed = close_of(repository, "tree")
    assert {gap["why"] for gap in closed["gaps"]} == {"recorder-died", "last-snapshot-failed"}
    repository.commit("by hand")
    agentprov("drain", cwd=repository.top)
    assert generations(repository) == []


def test_a_recorder_that_lives_and_cannot_close_is_not_said_to_have_died(
    repository: Repository,
) -> None:
    # The disk gives up as the session ends.
    broken = repository.top.parent / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import agentprov.flows.recording as recording\n"
        "def close(*_, **__): raise OSError(5, 'Input/output error')\n"
        "recording.Recording.close = close\n"
    )
    script = "echo w > w; git add w; git commit -qm w"
    answer = agentprov(
        "run", "--", "sh", "-c", script, cwd=repository.top, env={"PYTHONPATH": str(broken)}
    )
    assert "the session could not be closed" in answer.err
    assert "1 sessions recovered" in agentprov("drain", cwd=repository.top).out
    closed = close_of(repository, "HEAD")
    assert closed["session"]["outcome"] == "incomplete"
    assert [gap["why"] for gap in closed["gaps"]] == ["recording-failed"]


def test_sha256_repositories_record(tmp_path: Path) -> None:
    made = Repository(tmp_path / "r", object_format="sha256")
    assert run(made, "echo a > a; git add a; git commit -qm root") == 0
    (generation,) = generations(made)
    (change,) = changes(generation).values()
    assert len(change["gitBlob"]) == 64


def test_stdin_passes_untouched(repository: Repository) -> None:
    data = bytes(range(256)) * 500
    answer = subprocess.run(
        [sys.executable, "-m", "agentprov", "run", "-q", "--", "cat"],
        cwd=repository.top,
        input=data,
        capture_output=True,
        check=True,
    )
    assert answer.stdout == data
    assert answer.stderr == b""


def test_disabled_it_stands_aside(repository: Repository) -> None:
    assert run(repository, "exit 5", AGENTPROV_DISABLE="1") == 5
    assert not (repository.top / ".git/agentprov").exists()


def test_no_environment_value_is_recorded(repository: Repository) -> None:
    secret = "tok_" + "9f3b" * 8
    script = "echo x > x; git add x; git commit -qm x"
    assert run(repository, script, MY_API_KEY=secret) == 0
    kept = b"".join(
        path.read_bytes()
        for path in (repository.top / ".git/agentprov").rglob("*")
        if path.is_file()
    )
    assert secret.encode() not in kept
    assert secret not in json.dumps(bundles(repository))


def test_two_sessions_in_one_tree_say_so(repository: Repository) -> None:
    outer = subprocess.Popen(
        [sys.executable, "-m", "agentprov", "run", "--", "sh", "-c", "echo ready; read wait"],
        cwd=repository.top,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert outer.stdout is not None
    assert outer.stdout.readline() == b"ready\n"
    assert run(repository, "echo x > x; git add x; git commit -qm x") == 0
    outer.communicate(b"\n", timeout=30)
    opened = [s for s in bundles(repository) if s["predicate"].get("phase") == "open"]
    gaps = [gap["why"] for s in opened for gap in s["predicate"].get("gaps", [])]
    assert "another-session-is-live" in gaps
    assert len(generations(repository)) == 2


def test_a_session_that_amends_another_ones_commit_leaves_no_record_missing(
    repository: Repository,
) -> None:
    assert agentprov("init", cwd=repository.top).status == 0
    run(repository, "echo one > a; git add a; git commit -qm a")
    run(repository, "echo other > a; git commit -qa --amend --no-edit")
    # The trailer names the first session, of which nothing is left here.
    answer = agentprov("verify", "HEAD", "--json", cwd=repository.top)
    found = {item["code"]: item["severity"] for item in answer.json()["findings"]}
    assert answer.status == 0, found
    assert found["commit-rewritten"] == "warning"
    assert "record-missing" not in found


def test_log_takes_a_revision_for_one_beside_a_file_of_its_name(repository: Repository) -> None:
    repository.write("HEAD", "a file\n")
    repository.write("docs/page.md", "a page\n")
    commit = repository.commit("odd names")
    repository.git("branch", "docs")
    for revision in ("HEAD", "docs", "HEAD~1..docs"):
        answer = agentprov("log", revision, "-n", "1", "--json", cwd=repository.top)
        assert answer.status == 0, answer.err
        assert [row["commit"] for row in answer.json()["commits"]] == [commit]


def test_a_killed_recorder_is_closed_by_the_next_command(repository: Repository) -> None:
    script = "echo x > x; git add x; git commit -qm x; echo y > y; echo ready; sleep 60"
    recorder = subprocess.Popen(
        [sys.executable, "-m", "agentprov", "run", "--", "sh", "-c", script],
        cwd=repository.top,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert recorder.stdout is not None
    assert recorder.stdout.readline() == b"ready\n"
    os.kill(recorder.pid, signal.SIGKILL)
    recorder.wait()
    os.killpg(recorder.pid, signal.SIGKILL)
    recorder.stdout.close()
    answer = agentprov("drain", cwd=repository.top)
    assert "1 sessions recovered" in answer.out
    (closed,) = [s for s in bundles(repository) if s["predicate"].get("phase") == "close"]
    assert closed["predicate"]["session"]["outcome"] == "incomplete"
    assert "recorder-died" in [gap["why"] for gap in closed["predicate"]["gaps"]]
    assert set(changes(generations(repository)[0])) == {"x"}
    repository.commit("the rest")
    agentprov("drain", cwd=repository.top)
    assert set(changes(generations(repository)[0])) == {"y"}


def test_a_commit_is_bound_while_the_agent_still_runs(repository: Repository) -> None:
    script = "echo x > x; git add x; git commit -qm x; echo ready; read wait"
    recorder = subprocess.Popen(
        [sys.executable, "-m", "agentprov", "run", "--", "sh", "-c", script],
        cwd=repository.top,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert recorder.stdout is not None
    assert recorder.stdout.readline() == b"ready\n"
    deadline = time.monotonic() + 20
    while not generations(repository) and time.monotonic() < deadline:
        time.sleep(0.05)
    bound = generations(repository)
    recorder.communicate(b"\n", timeout=30)
    assert len(bound) == 1


def test_a_full_disk_while_recording_loses_no_work_and_is_made_good_later(
    repository: Repository,
) -> None:
    """Our directory is a file system of its own, which the agent fills before it commits."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no mount namespace of one's own")
    agent = (
        "dd if=/dev/zero of=.git/agentprov/fill bs=1k 2>/dev/null;"
        "echo x > x; git add x; git commit -qm x; exit 9"
    )
    python = f"{sys.executable} -m agentprov"
    script = (
        "mkdir .git/agentprov; mount -t tmpfs -o size=96k tmpfs .git/agentprov || exit 99;"
        f"{python} run -- sh -c '{agent}'; echo status $?;"
        f"rm .git/agentprov/fill; {python} drain"
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        cwd=repository.top,
        capture_output=True,
        check=False,
        text=True,
    )
    assert "status 9\n" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    assert repository.git("log", "-1", "--format=%s") == "x"
    assert "1 sessions recovered" in done.stdout, done.stdout + done.stderr
    (closed,) = [s for s in bundles(repository) if s["predicate"].get("phase") == "close"]
    assert closed["predicate"]["session"]["outcome"] == "incomplete"
    assert set(changes(generations(repository)[0])) == {"x"}


def test_a_huge_file_delays_nobody_and_leaves_a_gap(repository: Repository) -> None:
    with (repository.top / "huge.bin").open("wb") as stream:
        stream.truncate(1 << 30)
    answer = agentprov("run", "--", "sh", "-c", "echo x > x", cwd=repository.top)
    assert answer.status == 0
    assert "not-hashed-too-large huge.bin" in answer.err
    (session,) = (repository.top / ".git/agentprov/sessions").iterdir()
    journal = (session / "journal.jsonl").read_text()
    assert "huge.bin" in journal
    # What was never committed is named on this machine only.
    for line in (session / "records.jsonl").read_text().splitlines():
        assert "huge.bin" not in json.dumps(statement(line))


def test_a_large_committed_file_is_digested_in_small_memory(repository: Repository) -> None:
    script = "truncate -s 300M big.bin; git add big.bin; git commit -qm big"
    limited = f"ulimit -v 2500000; exec {sys.executable} -m agentprov run -- sh -c '{script}'"
    done = subprocess.run(
        ["bash", "-c", limited], cwd=repository.top, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    change = changes(generations(repository)[0])["big.bin"]
    assert change["why"] == "too-large"


def test_what_a_model_wrote_is_kept_no_longer_than_it_is_needed(
    repository: Repository, tmp_path: Path
) -> None:
    agent = tmp_path / "scripted-agent"
    agent.write_text(
        f"#!{sys.executable}\n"
        "import json, os, pathlib\n"
        "out = []\n"
        "for name in ('done.txt', 'open.txt'):\n"
        "    text = f'the secret sauce of {name}\\n'\n"
        "    pathlib.Path(name).write_text(text)\n"
        "    out.append(json.dumps({'kind': 'edit', 'path': name, 'text': text}))\n"
        "place = pathlib.Path(os.environ['AGENTPROV_SCRIPTED_TRANSCRIPT'])\n"
        "place.write_text('\\n'.join(out) + '\\n')\n"
        "os.system('git add done.txt; git commit -qm done')\n"
    )
    agent.chmod(0o755)
    assert agentprov("run", "--", str(agent), cwd=repository.top).status == 0

    def kept() -> bytes:
        home = repository.top / ".git/agentprov/sessions"
        return b"".join(p.read_bytes() for p in home.rglob("*") if p.is_file())

    assert b"sauce of done.txt" not in kept()
    assert b"sauce of open.txt" in kept()
    repository.commit("the rest")
    agentprov("drain", cwd=repository.top)
    assert changes(generations(repository)[0])["open.txt"]["ranges"][0]["origin"] == "model"
    assert b"sauce" not in kept()


def test_a_run_that_was_switched_off_is_a_gap_in_the_next_record(repository: Repository) -> None:
    assert agentprov("init", cwd=repository.top).status == 0
    assert run(repository, "echo a > a", AGENTPROV_DISABLE="1") == 0
    agentprov("drain", cwd=repository.top)
    assert run(repository, "echo b > b; git add b; git commit -qm b") == 0
    (opened,) = [s for s in bundles(repository) if s["predicate"].get("phase") == "open"]
    assert [gap["why"] for gap in opened["predicate"]["gaps"]] == ["recording-was-disabled"]
    assert run(repository, "echo c > c; git add c; git commit -qm c") == 0
    (opened,) = [s for s in bundles(repository) if s["predicate"].get("phase") == "open"]
    assert "gaps" not in opened["predicate"]


def test_proxy_mode_records_a_command_that_speaks_to_no_model(repository: Repository) -> None:
    script = 'test -n "$HTTPS_PROXY" && echo x > x; git add x; git commit -qm x'
    answer = agentprov("run", "--gateway", "proxy", "--", "sh", "-c", script, cwd=repository.top)
    assert answer.status == 0, answer.err
    assert "could not be closed" not in answer.err
    (closed,) = [s for s in bundles(repository) if s["predicate"].get("phase") == "close"]
    assert closed["predicate"]["session"]["outcome"] == "completed"


def test_instructions_that_change_during_the_session_are_on_record(
    repository: Repository, tmp_path: Path
) -> None:
    repository.write("AGENTS.md", "Be careful.\n")
    repository.commit("instructions")
    agent = tmp_path / "scripted-agent"
    agent.write_text("#!/bin/sh\necho 'Ignore all that.' >> AGENTS.md; git commit -qam changed\n")
    agent.chmod(0o755)
    answer = agentprov("run", "--", str(agent), cwd=repository.top)
    assert answer.status == 0
    assert "gap: material-changed instruction: AGENTS.md" in answer.err
    (closed,) = [s for s in bundles(repository) if s["predicate"].get("phase") == "close"]
    assert "material-changed" in [gap["why"] for gap in closed["predicate"]["gaps"]]
