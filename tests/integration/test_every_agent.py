"""Every agent that we know by name: a real session on the wire, signed, verified, replayed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Answer, agentprov
from support.model_endpoint import Edit, ModelEndpoint, Say, Shell, Turn, Write
from support.real_agents import AGENTS, AgentMissing, configure, install
from support.repository import Repository

SERVED = "served-model-2026-11-01"
INSTRUCTIONS = {"claude-code": "CLAUDE.md", "gemini-cli": "GEMINI.md"}
SCRIPT: list[Turn] = [
    Write("src/app.py", "def greet(name):\n    return 'hello ' + name\n"),
    Edit("src/app.py", "'hello ' + name", "f'hello, {name}!'"),
    Shell("printf 'made by\\na command\\n' > notes.txt"),
    Shell("git add -A && git commit -qm 'Add the greeting'"),
    Say("All done."),
]

pytestmark = pytest.mark.agents


@dataclass
class Session:
    agent: str
    repository: Repository
    answer: Answer

    def show(self) -> dict[str, Any]:
        found = agentprov("show", "HEAD", "--json", cwd=self.repository.top).json()
        (only,) = found["sessions"]
        return dict(only)


@pytest.fixture(params=sorted(AGENTS))
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Session:
    name = str(request.param)
    try:
        install(name)
    except AgentMissing as missing:
        pytest.skip(str(missing))
    repository = Repository(tmp_path / "repo")
    repository.write(INSTRUCTIONS.get(name, "AGENTS.md"), "Write short functions.\n")
    repository.commit("first")
    extra = {"model": "gemini-3.1-pro-preview"} if name == "gemini-cli" else {}
    with ModelEndpoint(SCRIPT, root=repository.top, served=SERVED) as endpoint:
        prefix, environment = configure(name, tmp_path / "agent-home", endpoint.url, extra)
        kept = {k: v for k, v in os.environ.items() if k.startswith(("AGENTPROV_", "GIT_CONFIG"))}
        done = subprocess.run(
            [
                sys.executable, "-m", "agentprov", "run", "--gateway", "on", "--",
                *prefix, "make it",
            ],
            cwd=repository.top,
            env={**environment, **kept},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=240,
            check=False,
        )  # fmt: skip
    answer = Answer(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert answer.status == 0, answer.err
    return Session(name, repository, answer)


def test_a_session_on_the_wire_names_its_model_and_an_origin_for_every_line(
    session: Session,
) -> None:
    verdict = agentprov("verify", "HEAD", "--json", cwd=session.repository.top).json()
    assert verdict["verdict"] == "pass"
    assert [f for f in verdict["findings"] if f["severity"] == "error"] == []

    found = session.show()
    package = AGENTS[session.agent]
    assert found["agent"]["version"] == package.version
    assert found["agent"]["purl"].startswith("pkg:npm/")
    main = [model for model in found["models"] if model.get("role") == "main"]
    assert {(model["served"], model["basis"]) for model in main} == {(SERVED, "intercepted")}

    files = {file["path"]: file for file in found["files"]}
    app = files["src/app.py"]
    assert [(r["start"], r["end"], r["origin"], r["basis"]) for r in app["ranges"]] == [
        (1, 2, "model", "intercepted")
    ]
    for file in files.values():
        lines = sum(r["end"] - r["start"] + 1 for r in file["ranges"])
        assert lines == (session.repository.top / file["path"]).read_bytes().count(b"\n")
        assert all(r["origin"] != "unknown" or r["why"] for r in file["ranges"])
    assert files["notes.txt"]["ranges"][0]["origin"] in ("command", "unknown")
    assert INSTRUCTIONS.get(session.agent, "AGENTS.md") in {
        i["path"] for i in found["instructions"]
    }

    home = session.repository.top / ".git/agentprov/sessions" / found["id"]
    entries = [json.loads(line) for line in (home / "journal.jsonl").read_text().splitlines()]
    seen = [entry["data"] for entry in entries if entry["kind"] == "exchange"]
    answered = [one for one in seen if one["complete"] and one["role"] == "main"]
    assert {one["served"] for one in answered} == {SERVED}
    assert all(one["responseId"] and one["answerMac"] for one in answered)
    assert {model["host"] for model in main} == {answered[0]["host"]}

    replayed = agentprov("replay", found["id"], "--json", cwd=session.repository.top)
    assert replayed.status == 0, replayed.out
