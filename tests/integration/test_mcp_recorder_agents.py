"""Real agents that are told to use the agentprov tools, inside `agentprov run` and outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.command_line import agentprov, bundles
from support.model_endpoint import McpCall, ModelEndpoint, Say, Shell, Turn, Write
from support.real_agents import AgentMissing, configure
from support.repository import Repository

MCP_DECLARED = "https://agentprov.github.io/builders/mcp-declared/v0.1"
LOCAL_WRAPPER = "https://agentprov.github.io/builders/local-wrapper/v0.1"
CODE = "def area(width, height):\n    return width * height\n"
MODELS = {"claude-code": "claude-opus-5-5", "codex": "gpt-5.5"}
NAMES = {"claude-code": "Claude Code", "codex": "Codex"}

pytestmark = pytest.mark.agents


def script(agent: str) -> list[Turn]:
    """Give what a model does that follows the server's own instructions."""

    def call(tool: str, **arguments: Any) -> McpCall:
        return McpCall("agentprov", tool, arguments)

    return [
        call("start_session"),
        call("declare_agent", name=NAMES[agent]),
        call("declare_model", provider="scripted", model=MODELS[agent]),
        Write("area.py", CODE) if agent == "claude-code" else Shell(f"printf '{CODE}' > area.py"),
        call("record_artifact", path="area.py", purpose="the area of a rectangle"),
        call("record_decision", text="No checks of negative numbers, as nobody asked for them."),
        call("missing_before_commit"),
        Shell("git add area.py && git commit -qm 'Add area'"),
        call("verify"),
        call("line_provenance", path="area.py", line=2),
        call("end_session"),
        Say("All done."),
    ]


def play(agent: str, base: Path, *, run: bool) -> tuple[Repository, str, dict[str, Any]]:
    """Let the agent work; gives the repository, all that tools answered, and the one session."""
    repository = Repository(base / "repo")
    repository.write("README.md", "# A small project\n")
    repository.commit("first")
    # Codex gives servers next to nothing of its environment, not even where our keys are.
    keys = f"AGENTPROV_HOME={os.environ['AGENTPROV_HOME']}"
    server = ["env", keys, sys.executable, "-m", "agentprov", "mcp"]
    with ModelEndpoint(script(agent), root=repository.top) as endpoint:
        try:
            prefix, environment = configure(
                agent,
                base / "agent-home",
                endpoint.url,
                {"mcp": {"agentprov": server}, "model": MODELS[agent]},
            )
        except AgentMissing as missing:
            pytest.skip(str(missing))
        kept = {k: v for k, v in os.environ.items() if k.startswith(("AGENTPROV_", "GIT_CONFIG"))}
        recorder = [sys.executable, "-m", "agentprov", "run", "--gateway", "on", "--"]
        done = subprocess.run(
            [*(recorder if run else []), *prefix, "use the agentprov tools"],
            cwd=repository.top,
            env={**environment, **kept},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        heard = str(endpoint.requests[-1].body)
    answer = agentprov("show", "HEAD", "--json", cwd=repository.top)
    assert answer.status == 0, answer.err
    (shown,) = answer.json()["sessions"]
    return repository, heard, shown


@pytest.mark.parametrize("agent", sorted(MODELS))
def test_an_agent_that_uses_the_tools_leaves_a_correct_declared_record(
    agent: str, tmp_path: Path
) -> None:
    repository, heard, session = play(agent, tmp_path, run=False)
    assert session["builder"] == MCP_DECLARED
    assert session["agent"]["name"] == NAMES[agent]
    assert session["agent"]["basis"] == "declared"
    (model,) = session["models"]
    assert (model["served"], model["basis"]) == (MODELS[agent], "declared")
    (file,) = session["files"]
    assert file["path"] == "area.py"
    (lines,) = file["ranges"]
    assert (lines["start"], lines["end"], lines["origin"]) == (1, 2, "model")
    assert (lines["basis"], lines["model"], lines["why"]) == (
        "declared",
        MODELS[agent],
        "declared",
    )
    kinds = sorted(item["kind"] for item in session["declarations"])
    assert kinds == ["agent", "artifact", "decision", "model"]
    verdict = agentprov("verify", "HEAD", "--json", cwd=repository.top).json()
    assert verdict["verdict"] == "pass"
    assert not [item for item in verdict["findings"] if item["severity"] == "error"]
    # What the model was told by the tools while it worked.
    assert "declared" in heard and session["id"] in heard


@pytest.mark.parametrize("agent", sorted(MODELS))
def test_inside_a_run_the_declarations_stand_beside_what_was_seen(
    agent: str, tmp_path: Path
) -> None:
    repository, _, session = play(agent, tmp_path, run=True)
    assert session["builder"] == LOCAL_WRAPPER
    assert session["complete"]
    assert session["agent"]["basis"] == "observed"
    assert {model["basis"] for model in session["models"]} == {"intercepted"}
    (file,) = session["files"]
    expected = "intercepted" if agent == "claude-code" else "reported"
    assert {part["basis"] for part in file["ranges"]} == {expected}
    kinds = sorted(item["kind"] for item in session["declarations"])
    assert kinds == ["agent", "artifact", "decision", "model"]
    (close,) = [s for s in bundles(repository) if s["predicate"].get("phase") == "close"]
    assert "contradictions" not in close["predicate"]
    assert not [gap for gap in session["gaps"] if gap["why"].startswith("declar")]
    assert agentprov("replay", session["id"], cwd=repository.top).status == 0
