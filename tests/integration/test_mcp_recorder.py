"""What an agent declares over MCP, from its call to the signed statements and the verdict."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.command_line import agentprov, bundles, changes, generations
from support.mcp_client import Asker, Wire, converse
from support.repository import Repository

MCP_DECLARED = "https://agentprov.github.io/builders/mcp-declared/v0.1"
CODE = "def area(width, height):\n    return width * height\n"
SECRET = "ghp_" + "a1B2" * 10


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("old.py", "def kept(value):\n    return value + 1\n")
    made.commit("first")
    return made


def session_of(repository: Repository, revision: str = "HEAD") -> dict[str, Any]:
    answer = agentprov("show", revision, "--json", cwd=repository.top)
    (shown,) = answer.json()["sessions"]
    return dict(shown)


def close_of(repository: Repository) -> dict[str, Any]:
    (found,) = [s for s in bundles(repository) if s["predicate"].get("phase") == "close"]
    return dict(found["predicate"])


def ranges(session: dict[str, Any], path: str) -> list[tuple[Any, ...]]:
    (file,) = [item for item in session["files"] if item["path"] == path]
    return [(r["start"], r["end"], r["origin"], r["basis"], r["model"]) for r in file["ranges"]]


def test_a_declared_session_is_signed_with_what_was_said_and_what_was_seen(
    repository: Repository,
) -> None:
    async def talk(ask: Asker) -> dict[str, Any]:
        await ask("start_session")
        await ask("declare_agent", name="demo-agent", version="1.2")
        await ask("declare_model", provider="acme", model="acme-large-1")
        repository.write("area.py", CODE)
        repository.write("old.py", "def kept(value):\n    return value + 1\n\nextra_line = 7\n")
        await ask("record_artifact", path="area.py", purpose="the area")
        said = await ask("record_decision", text="no checks of signs, nobody asked")
        repository.commit("second")
        verdict = await ask("verify")
        assert verdict["verdict"] == "pass"
        await ask("end_session")
        return dict(said)

    said = converse(repository.top, talk)
    session = session_of(repository)
    assert session["complete"]
    assert session["builder"] == MCP_DECLARED
    assert (session["agent"]["name"], session["agent"]["version"]) == ("demo-agent", "1.2")
    assert session["agent"]["basis"] == "declared"
    # Only the file that was declared is a model's; of the other nothing but its bytes is known.
    assert ranges(session, "area.py") == [(1, 2, "model", "declared", "acme-large-1")]
    assert ranges(session, "old.py") == [(3, 4, "unknown", "reported", None)]
    decision = [item for item in close_of(repository)["declarations"] if item["kind"] == "decision"]
    assert [item["digest"] for item in decision] == [said["digest"]]
    assert all("text" not in item for item in close_of(repository)["declarations"])
    # The text that was meant stays here, under that digest.
    place = repository.top / ".git/agentprov/sessions" / session["id"] / "declarations.jsonl"
    kept = place.read_bytes().splitlines()
    assert said["digest"]["sha256"] in {hashlib.sha256(line).hexdigest() for line in kept}
    assert b"nobody asked" in place.read_bytes()
    assert place.stat().st_mode & 0o077 == 0
    assert agentprov("replay", session["id"], cwd=repository.top).status == 0


def test_no_claim_of_a_declared_session_is_better_than_reported(repository: Repository) -> None:
    async def talk(ask: Asker) -> None:
        await ask("start_session")
        await ask("declare_model", provider="acme", model="m")
        repository.write("a.py", CODE + "# more of it here\n")
        await ask("record_artifact", path="a.py", purpose="x", start=1, end=2)
        repository.commit("second")

    converse(repository.top, talk)
    text = json.dumps(bundles(repository))
    assert '"basis": "declared"' in text and '"basis": "reported"' in text
    for better in ("observed", "intercepted", "isolated"):
        assert f'"basis": "{better}"' not in text


def test_texts_are_redacted_and_leave_this_machine_only_when_asked(
    repository: Repository,
) -> None:
    async def talk(ask: Asker) -> None:
        await ask("start_session")
        said = await ask("record_decision", text=f"we log in with {SECRET}\x1b[2J \u202e now")
        assert said["redactions"] == 1
        hidden = f"we log in with ghp_\u200b{SECRET[4:]}"
        assert "hides a secret" in await ask.refused("record_decision", text=hidden)
        repository.write("a.py", CODE)
        repository.commit("second")

    converse(repository.top, talk, "--publish-texts")
    (item,) = close_of(repository)["declarations"]
    assert item["text"] == "we log in with [redacted:github-token]<U+001B>[2J <U+202E> now"
    for path in (repository.top / ".git").rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_killed_server_leaves_a_session_that_the_next_command_closes(
    repository: Repository,
) -> None:
    with Wire(repository.top) as wire:
        wire.shake_hands("2025-06-18")
        wire.call("start_session")
        wire.call("declare_agent", name="killed-agent")
        wire.call("declare_model", provider="acme", model="acme-large-1")
        repository.write("area.py", CODE)
        wire.call("record_artifact", path="area.py", purpose="the area")
        repository.commit("second")
        os.kill(wire.process.pid, signal.SIGKILL)
        wire.process.wait()
    verdict = agentprov("verify", "HEAD", "--json", cwd=repository.top).json()
    assert verdict["verdict"] == "pass"
    session = session_of(repository)
    assert not session["complete"]
    assert session["agent"]["name"] == "killed-agent"
    assert ranges(session, "area.py") == [(1, 2, "model", "declared", "acme-large-1")]
    assert len(session["declarations"]) == 3
    assert "recorder-died" in {gap["why"] for gap in session["gaps"]}


@pytest.mark.parametrize("how", ["eof", "SIGTERM", "SIGINT"])
def test_a_server_that_ends_closes_its_session(repository: Repository, how: str) -> None:
    with Wire(repository.top) as wire:
        wire.shake_hands("2025-06-18")
        wire.call("start_session")
        repository.write("area.py", CODE)
        repository.commit("second")
        if how == "eof":
            assert wire.process.stdin is not None
            wire.process.stdin.close()
        else:
            wire.process.send_signal(getattr(signal, how))
        status = wire.process.wait(timeout=20)
    assert status == {"eof": 0, "SIGTERM": 143, "SIGINT": 130}[how]
    assert session_of(repository)["complete"]


def test_declared_lines_are_bound_when_a_person_commits_them_later(
    repository: Repository,
) -> None:
    async def talk(ask: Asker) -> None:
        await ask("start_session")
        await ask("declare_model", provider="acme", model="acme-large-1")
        repository.write("area.py", CODE)
        await ask("record_artifact", path="area.py", purpose="the area")
        await ask("end_session")

    converse(repository.top, talk)
    repository.write("area.py", "# by hand, above it all\n" + CODE)
    repository.commit("later")
    session = session_of(repository)
    assert ranges(session, "area.py") == [
        (1, 1, "unknown", "reported", None),
        (2, 3, "model", "declared", "acme-large-1"),
    ]


def test_an_idle_session_is_closed_and_another_can_be_started(repository: Repository) -> None:
    code = (
        "from agentprov_mcp.server import main\n"
        "import agentprov_mcp.desk as desk; desk._TICK_SECONDS = 0.1\n"
        "main(idle=0.3)\n"
    )
    with Wire(repository.top, command=(sys.executable, "-c", code)) as wire:
        wire.shake_hands("2025-06-18")
        first = wire.call("start_session")["session"]
        place = repository.top / ".git/agentprov/live" / first
        until = time.monotonic() + 20
        while place.exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        answer = wire.ask("tools/call", {"name": "record_decision", "arguments": {"text": "x"}})
        assert "no session is open" in answer["result"]["content"][0]["text"]
        assert wire.call("start_session")["session"] != first


def sign(repository: Repository, *options: str) -> str:
    plan = repository.write("PLAN.md", "# Write the area\n")
    answer = agentprov("plan", "sign", "PLAN.md", *options, cwd=repository.top)
    assert answer.status == 0, answer.err
    return hashlib.sha256(plan.read_bytes()).hexdigest()


def test_a_signed_plan_stands_behind_the_session_by_its_digest(repository: Repository) -> None:
    digest = sign(repository, "--allow", "src/**")
    repository.commit("the plan")

    async def talk(ask: Asker) -> dict[str, Any]:
        started = await ask("start_session", plan=digest)
        assert started["plan"]["digest"]["sha256"] == digest
        repository.write("src/a.py", CODE)
        repository.write("b.py", CODE)
        lacks = await ask("missing_before_commit")
        (repository.top / "b.py").unlink()
        repository.commit("second")
        return dict(lacks)

    lacks = converse(repository.top, talk)
    assert {row["path"]: row["inPlan"] for row in lacks["paths"]} == {
        "b.py": False,
        "src/a.py": True,
    }
    assert [item["what"] for item in lacks["missing"]].count("plan-path") == 1
    session = session_of(repository)
    assert session["plan"]["digest"] == {"sha256": digest}
    assert agentprov("verify", "HEAD", cwd=repository.top).status == 0


def test_what_no_person_signed_or_signed_too_late_is_no_plan(repository: Repository) -> None:
    async def talk(ask: Asker) -> None:
        assert "no signed plan" in await ask.refused("start_session", plan="0" * 64)
        assert not list((repository.top / ".git").glob("agentprov/sessions/*"))
        await ask("start_session")
        plan = repository.write("PLAN.md", "# Write the area\n")
        digest = hashlib.sha256(plan.read_bytes()).hexdigest()
        assert "no signed plan" in await ask.refused("register_plan", digest=digest)
        assert sign(repository) == digest
        told = await ask.refused("register_plan", digest=digest)
        assert "signed after the session began" in told
        assert "no signed plan" in await ask.refused("register_plan", digest=digest[:12])

    converse(repository.top, talk)


@pytest.mark.parametrize(
    "path", ["../out.py", "/etc/passwd", ".git/config", "sub/.GIT/x", "link/x.py", "a\0b", "."]
)
def test_nothing_outside_the_work_tree_can_be_recorded(
    repository: Repository, path: str, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.py").write_text("secret = 1\n")
    (repository.top / "link").symlink_to(tmp_path / "elsewhere")

    async def talk(ask: Asker) -> str:
        await ask("start_session")
        return await ask.refused("record_artifact", path=path, purpose="x")

    told = converse(repository.top, talk)
    assert "must lead to a file inside" in told or "a regular file" in told or "no path" in told


def test_links_and_pipes_are_not_read(repository: Repository) -> None:
    (repository.top / "gate").symlink_to("old.py")
    os.mkfifo(repository.top / "pipe")

    async def talk(ask: Asker) -> None:
        await ask("start_session")
        for path in ("gate", "pipe"):
            assert "cannot be read" in await ask.refused("record_artifact", path=path, purpose="x")

    converse(repository.top, talk)


def test_too_much_is_refused_before_it_is_kept(repository: Repository) -> None:
    repository.write("large.txt", "x" * 300_000)

    async def talk(ask: Asker) -> None:
        await ask("start_session")
        for arguments in (
            {"text": "x" * 4_001},
            {"text": " "},
            {"text": "x", "path": "../y"},
        ):
            await ask.refused("record_decision", **arguments)
        assert "bytes at once" in await ask.refused(
            "record_artifact", path="large.txt", purpose="x"
        )
        for name in ("", "x" * 201, "two\nlines", "\u202eevil", "-x"):
            await ask.refused("declare_agent", name=name)
        assert "has 2 lines" in await ask.refused(
            "record_artifact", path="old.py", purpose="x", start=2, end=9
        )

    converse(repository.top, talk)
    assert not list((repository.top / ".git/agentprov/sessions").glob("*/declarations.jsonl"))


def test_a_declared_file_that_never_changed_is_a_contradiction(repository: Repository) -> None:
    async def talk(ask: Asker) -> None:
        await ask("start_session")
        await ask("record_artifact", path="old.py", purpose="all mine, honestly")
        repository.write("new.py", CODE)
        repository.commit("second")

    converse(repository.top, talk)
    assert close_of(repository)["contradictions"] == 1
    verdict = agentprov("verify", "HEAD", "--json", cwd=repository.top).json()
    assert "channels-contradict" in {item["code"] for item in verdict["findings"]}
    assert ranges(session_of(repository), "new.py") == [(1, 2, "unknown", "reported", None)]


INSIDE = """
import asyncio, json, os, sys
from support.mcp_client import Asker, converse
from pathlib import Path

async def talk(ask):
    started = await ask("start_session")
    await ask("declare_agent", name="another-agent")
    await ask("declare_model", provider="acme", model="acme-large-1")
    Path("area.py").write_text({code!r})
    await ask("record_artifact", path="area.py", purpose="the area")
    await ask.refused("end_session")
    os.system("git add -A; git commit -qm second")
    print(json.dumps(started))

for name in {cut!r}:
    del os.environ[name]
converse(Path.cwd(), talk)
"""


@pytest.mark.parametrize("cut", [False, True], ids=["with-variables", "variables-cut"])
def test_inside_a_run_the_recorder_takes_declarations_and_nothing_is_lifted(
    repository: Repository, cut: bool
) -> None:
    names = ("AGENTPROV_SESSION", "AGENTPROV_SPOOL", "AGENTPROV_SESSION_TOKEN")
    script = repository.top.parent / "inside.py"
    script.write_text(INSIDE.format(code=CODE, cut=names if cut else ()))
    support = str(Path(__file__).resolve().parents[1])
    answer = agentprov(
        "run", "--", sys.executable, str(script), cwd=repository.top, env={"PYTHONPATH": support}
    )
    assert answer.status == 0, answer.err
    started = json.loads(answer.out)
    session = session_of(repository)
    assert started["session"] == session["id"]
    assert (started["recordedBy"], started["token"]) == ("agentprov run", None)
    assert session["agent"]["basis"] == "observed"
    assert session["agent"]["name"] != "another-agent"
    declared, unknown = session["models"]
    assert (declared["served"], declared["basis"]) == ("acme-large-1", "declared")
    # A policy that asks for a model is not met by the agent's own word.
    assert unknown["served"] is None and "own declaration" in unknown["why"]
    assert ranges(session, "area.py") == [(1, 2, "model", "declared", "acme-large-1")]
    assert close_of(repository)["contradictions"] == 1
    assert len(session["declarations"]) == 3
    (generation,) = generations(repository)
    (artifact,) = generation["predicate"]["runDetails"]["metadata"]["agentprov_declared"]
    assert artifact["path"] == "area.py" and artifact["basis"] == "declared"
    assert "area.py" in changes(generation)
    assert agentprov("replay", session["id"], cwd=repository.top).status == 0


def test_a_drop_that_is_not_sealed_with_the_sessions_token_is_a_gap(
    repository: Repository,
) -> None:
    payload = "0" * 64 + "\\n{}"
    script = (
        f"printf 'agentprov-drop/1 declared model\\n{payload}\\n' > $AGENTPROV_SPOOL/x.drop;"
        "echo y > y; git add -A; git commit -qm second"
    )
    assert agentprov("run", "--", "sh", "-c", script, cwd=repository.top).status == 0
    session = session_of(repository)
    assert "declaration-forged" in {gap["why"] for gap in session["gaps"]}
    assert not session["declarations"]


def test_declarations_of_one_session_are_no_good_in_another(repository: Repository) -> None:
    taken: list[bytes] = []

    async def first(ask: Asker) -> None:
        told = await ask("start_session")
        await ask("declare_model", provider="acme", model="acme-large-1")
        spool = repository.top / ".git/agentprov/sessions" / told["session"] / "spool"
        taken.extend(path.read_bytes() for path in spool.glob("*.drop"))

    async def second(ask: Asker) -> None:
        told = await ask("start_session")
        spool = repository.top / ".git/agentprov/sessions" / told["session"] / "spool"
        (spool / "replayed.drop").write_bytes(taken[0])
        repository.write("a.py", CODE)
        repository.commit("second")

    converse(repository.top, first)
    converse(repository.top, second)
    session = session_of(repository)
    assert "declaration-forged" in {gap["why"] for gap in session["gaps"]}
    assert [model["served"] for model in session["models"]] == [None]


def test_beside_a_run_a_server_opens_no_session_but_joins_with_the_runs_token(
    repository: Repository,
) -> None:
    script = (
        'printf "%s %s" "$AGENTPROV_SESSION" "$AGENTPROV_SESSION_TOKEN" > ../told.part;'
        "mv ../told.part ../told; until [ -e ../go ]; do sleep 0.05; done;"
        "echo 'value = 1 + 2' > a.py; git add -A; git commit -qm second"
    )
    import threading

    run = threading.Thread(
        target=agentprov, args=("run", "--", "sh", "-c", script), kwargs={"cwd": repository.top}
    )
    run.start()
    told = repository.top.parent / "told"
    until = time.monotonic() + 30
    while not told.exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    session, token = told.read_text().split()

    async def talk(ask: Asker) -> None:
        assert "a run is being recorded" in await ask.refused("start_session")
        bad = token[:-1] + ("0" if token[-1] != "0" else "1")
        assert "no live session" in await ask.refused("start_session", session=session, token=bad)
        joined = await ask("start_session", session=session, token=token)
        assert joined["session"] == session
        await ask("record_decision", text="joined from outside")

    try:
        converse(repository.top, talk)
    finally:
        (repository.top.parent / "go").touch()
        run.join(timeout=60)
    shown = session_of(repository)
    assert shown["id"] == session
    assert [item["kind"] for item in shown["declarations"]] == ["decision"]
    assert "another-session-is-live" not in {gap["why"] for gap in shown["gaps"]}


def test_a_trust_file_that_does_not_name_the_builder_accepts_no_declared_record(
    repository: Repository, tmp_path: Path
) -> None:
    assert agentprov("init", cwd=repository.top).status == 0
    repository.commit("adopt")

    async def talk(ask: Asker) -> None:
        await ask("start_session")
        repository.write("a.py", CODE)
        repository.commit("second")

    converse(repository.top, talk)
    trust = tmp_path / "trust.yaml"
    trust.write_bytes((repository.top / ".agentprov/trust.yaml").read_bytes())
    answer = agentprov("verify", "HEAD", "--trust", str(trust), "--json", cwd=repository.top)
    assert answer.status != 0
    assert "signer-builder" in {item["code"] for item in answer.json()["findings"]}
    assert agentprov("verify", "HEAD", cwd=repository.top).status == 0


def test_odd_files_and_repositories_are_recorded_as_far_as_they_can_be(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r", object_format="sha256")
    odd = "%bytes:b%e4.txt"

    async def talk(ask: Asker) -> None:
        await ask("start_session")
        await ask("declare_model", provider="a c/me", model="m/1+x")
        repository.write("crlf.txt", b"one line of text\r\nanother line here\r\n")
        repository.write(b"b\xe4.txt", b"caf\xe9 au lait is good\nno newline at the end")
        repository.write("empty", b"")
        listed = {row["path"] for row in (await ask("missing_before_commit"))["paths"]}
        assert listed == {"crlf.txt", odd, "empty"}
        for path in listed:
            await ask("record_artifact", path=path, purpose="something odd")
        repository.commit("the first commit of all")
        # What is kept between commands must still be readable.
        assert (await ask("end_session"))["declarations"] == {"model": 1, "artifact": 3}

    converse(repository.top, talk)
    session = session_of(repository)
    assert ranges(session, "crlf.txt") == [(1, 2, "model", "declared", "m/1+x")]
    # A name that is no text is not kept, so no line of it is claimed.
    assert ranges(session, odd) == [(1, 2, "unknown", "reported", None)]
    assert agentprov("verify", "HEAD", cwd=repository.top).status == 0


def test_a_linked_work_tree_has_sessions_like_any_other(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("worktree", "add", "-q", str(tmp_path / "w"))
    linked = Repository(tmp_path / "w")

    async def talk(ask: Asker) -> None:
        await ask("start_session")
        linked.write("area.py", CODE)
        await ask("record_artifact", path="area.py", purpose="the area")
        await ask.refused("record_artifact", path=".git", purpose="x")
        linked.commit("in the other tree")
        linked.git("commit", "-q", "--amend", "-m", "said better")

    converse(linked.top, talk)
    assert ranges(session_of(linked), "area.py") == [(1, 2, "model", "declared", None)]
    assert agentprov("verify", "HEAD", cwd=linked.top).status == 0
