"""The main job with real agents: plan, recorded run, commit, verdict, and a changed byte.

Claude Code and Codex run headless from their npm packages against a scripted model on loopback.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Answer, agentprov
from support.model_endpoint import Edit, McpCall, ModelEndpoint, Read, Say, Shell, Write
from support.real_agents import PACKAGES, AgentMissing, configure, install
from support.repository import Repository

LABNOTES = Path(__file__).resolve().parents[1] / "support" / "labnotes_server.py"
SERVED = "served-model-2026-11-01"
INSTRUCTIONS = {"claude-code": "CLAUDE.md", "codex": "AGENTS.md"}
REQUESTED = {"claude-code": "claude-opus-5-5", "codex": "gpt-5.5"}
SCRIPT = [
    Read("PLAN.md"),
    Write("src/app.py", "def greet(name):\n    return 'hello ' + name\n"),
    Edit("src/app.py", "'hello ' + name", "f'hello, {name}!'"),
    McpCall("labnotes", "add", {"a": 2, "b": 3}),
    Shell("echo 'made by a command' > notes.txt"),
    Shell("git add -A && git commit -qm 'Add the greeting'"),
    Say("All done."),
]

pytestmark = pytest.mark.agents


@dataclass
class Session:
    agent: str
    gateway: str
    repository: Repository
    answer: Answer
    program: Path


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def agent(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def gateway() -> str:
    return "auto"


@pytest.fixture
def session(agent: str, gateway: str, tmp_path: Path, home: Path) -> Session:
    """One real session under a signed plan, in a repository that was initialised."""
    try:
        program = install(agent)
    except AgentMissing as missing:
        pytest.skip(str(missing))
    repository = Repository(tmp_path / "repo")
    repository.write("README.md", "# A small project\n")
    repository.write(INSTRUCTIONS[agent], "Write short functions.\n")
    repository.write("PLAN.md", "# Greet people\n\nAdd src/app.py with greet(name).\n")
    repository.commit("first")
    assert agentprov("init", "--commit", cwd=repository.top).status == 0
    assert agentprov("plan", "sign", "PLAN.md", cwd=repository.top).status == 0
    agent_home = tmp_path / "agent-home"
    agent_home.mkdir()
    with ModelEndpoint(SCRIPT, root=repository.top, served=SERVED) as endpoint:
        prefix, environment = configure(
            agent,
            agent_home,
            endpoint.url,
            {"mcp": {"labnotes": [sys.executable, str(LABNOTES)]}},
        )
        kept = {k: v for k, v in os.environ.items() if k.startswith(("AGENTPROV_", "GIT_CONFIG"))}
        done = subprocess.run(
            [
                sys.executable, "-m", "agentprov", "run", "--plan", "PLAN.md",
                "--gateway", gateway, "--", *prefix, "do what PLAN.md says",
            ],
            cwd=repository.top,
            env={**environment, **kept},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=180,
            check=False,
        )  # fmt: skip
    answer = Answer(done.returncode, done.stdout.decode(), done.stderr.decode())
    return Session(agent, gateway, repository, answer, program)


def shown(session: Session) -> dict[str, Any]:
    answer = agentprov("show", "HEAD", "--json", cwd=session.repository.top)
    assert answer.status == 0, answer.err
    (only,) = answer.json()["sessions"]
    return dict(only)


def test_the_chain_of_a_real_agents_commit_holds_and_names_everything(session: Session) -> None:
    assert session.answer.status == 0, session.answer.err
    top = session.repository.top
    assert session.repository.git("log", "-1", "--format=%s") == "Add the greeting"

    verdict = agentprov("verify", "HEAD", "--json", cwd=top).json()
    assert verdict["verdict"] == "pass"
    assert {finding["severity"] for finding in verdict["findings"]} <= {"note"}
    (commit,) = verdict["commits"]
    assert commit["coverage"] == "covered"
    assert [plan["name"] for plan in commit["plans"]] == ["PLAN.md"]

    found = shown(session)
    assert found["complete"]
    assert found["plan"]["role"] == "human"
    package = PACKAGES[session.agent]
    purl = f"pkg:npm/{package.name.replace('@', '%40')}@{package.version}"
    assert found["agent"]["purl"] == purl
    assert found["agent"]["version"] == package.version
    assert found["agent"]["basis"] == "observed"
    real = hashlib.sha256(session.program.resolve().read_bytes()).hexdigest()
    assert found["agent"]["digest"] == {"sha256": real}

    paths = {item["path"]: item for item in found["instructions"]}
    instruction = INSTRUCTIONS[session.agent]
    content = (top / instruction).read_bytes()
    assert paths[instruction]["digest"] == {"sha256": hashlib.sha256(content).hexdigest()}

    (server,) = found["mcpServers"]
    assert server["name"] == "labnotes"
    assert server["digest"] == {"sha256": hashlib.sha256(LABNOTES.read_bytes()).hexdigest()}
    assert server["stage"] == "called"
    assert {tool["name"] for tool in server["tools"]} >= {"add", "save_note"}
    assert server["toolsDigest"] is not None
    assert [call["tool"] for call in server["calls"]] == ["add"]


def test_on_the_wire_the_served_model_is_seen_beside_the_requested_one(session: Session) -> None:
    models = shown(session)["models"]
    assert [(m["served"], m["requested"], m["basis"]) for m in models] == [
        (SERVED, REQUESTED[session.agent], "intercepted")
    ]


@pytest.mark.parametrize("gateway", ["off"])
def test_without_the_gateway_the_model_is_named_as_far_as_the_agent_says(
    session: Session,
) -> None:
    models = shown(session)["models"]
    if session.agent == "claude-code":
        # Claude keeps what was served beside what it asked for.
        assert [(m["served"], m["requested"], m["basis"]) for m in models] == [
            (SERVED, REQUESTED[session.agent], "reported")
        ]
    else:
        # Codex keeps only what it asked for; the served model must not be made up from that.
        (only,) = models
        assert only["served"] is None
        assert REQUESTED[session.agent] in only["claim"]
    assert [gap["why"] for gap in shown(session)["gaps"]] == ["not-on-the-wire"]
    lines = shown(session)["files"]
    assert {r["basis"] for file in lines for r in file["ranges"]} <= {"reported", "observed"}


def test_whether_the_plan_was_read_is_on_record(session: Session) -> None:
    assert shown(session)["gaps"] == []


def test_lines_that_the_model_sent_and_lines_of_a_command_are_told_apart(
    session: Session,
) -> None:
    files = {file["path"]: file for file in shown(session)["files"]}
    assert files["src/app.py"]["origins"]["model"] == 2
    assert {r["basis"] for r in files["src/app.py"]["ranges"]} == {"intercepted"}
    # When a file event comes late, on a busy machine, the line stays unknown; never the model's.
    (line,) = files["notes.txt"]["ranges"]
    assert line["origin"] in ("command", "unknown")


def test_a_changed_byte_is_caught(session: Session, tmp_path: Path) -> None:
    """Somebody without the recorder's key rewrites; what its own user rewrites is followed."""
    clone = tmp_path / "clone"
    session.repository.git("clone", "-q", str(session.repository.top), str(clone))
    elsewhere = Repository(clone)
    elsewhere.git("fetch", "-q", "origin", "refs/notes/agentprov:refs/notes/agentprov")
    record = elsewhere.git("rev-parse", "HEAD")
    assert agentprov("verify", "HEAD", cwd=clone).status == 0
    place = clone / "src/app.py"
    place.write_bytes(place.read_bytes().replace(b"hello", b"hallo"))
    elsewhere.git("commit", "-q", "-a", "--amend", "--no-edit", "--no-verify")
    elsewhere.git("notes", "--ref=agentprov", "copy", "--force", record, "HEAD")
    env = {"AGENTPROV_HOME": str(tmp_path / "another-home")}
    answer = agentprov("verify", "HEAD", "--json", cwd=clone, env=env)
    assert answer.status == 12
    codes = {finding["code"] for finding in answer.json()["findings"]}
    assert "changed-since-recorded" in codes


def test_no_key_prompt_or_reply_is_in_any_record(session: Session) -> None:
    home = session.repository.top / ".git"
    kept = b"".join(p.read_bytes() for p in (home / "agentprov").rglob("*") if p.is_file())
    notes = session.repository.git("log", "-p", "--format=", "refs/notes/agentprov").encode()
    for secret in (b"sk-scripted-0000", b"do what PLAN.md says", b"All done."):
        assert secret not in kept
        assert secret not in notes
