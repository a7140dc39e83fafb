"""Whole sessions of real agents with MCP servers: what is signed of servers, tools and calls."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentprov.record.mcp.injection import AROUND
from support import odd_mcp_server
from support.command_line import agentprov, statement
from support.model_endpoint import McpCall, ModelEndpoint, Say, Shell, Turn
from support.real_agents import AgentMissing, configure
from support.repository import Repository

SUPPORT = Path(__file__).resolve().parents[1] / "support"
ODD = SUPPORT / "odd_mcp_server.py"
LABNOTES = SUPPORT / "labnotes_server.py"
SECRET = "planted-argument-5f0c91"
SCRIPT: list[Turn] = [
    McpCall("odd", "add", {"a": 1, "b": 1}),
    McpCall("labnotes", "add", {"a": 2, "b": 3}),
    McpCall("odd", "add", {"a": 2, "b": 1}),
    McpCall("odd", "add", {"a": 3, "b": 1}),
    Shell("echo \"[$NODE_OPTIONS]\" > notes.txt && git add -A && git commit -qm 'Keep notes'"),
    Say("All done."),
]
# Where each looks for servers in the repository; the two left out ask a person there first.
IN_REPOSITORY = {
    "claude-code": ".mcp.json",
    "gemini-cli": ".gemini/settings.json",
    "opencode": "opencode.json",
    "qwen-code": ".mcp.json",
}
SENDS_ITS_ID = ("claude-code", "codex")
LISTS_ONCE = ("codex", "qwen-code")

pytestmark = pytest.mark.agents


@dataclass
class Session:
    agent: str
    repository: Repository
    shown: dict[str, Any]
    tool_calls: list[str]

    def server(self, name: str) -> dict[str, Any]:
        (found,) = [one for one in self.shown["mcpServers"] if one["name"] == name]
        return dict(found)


def play(agent: str, base: Path, manner: str = "changing") -> Session:
    """Run one session; what it calls stands in `SCRIPT`, `manner` is that of the user's server."""
    base.mkdir(exist_ok=True)
    repository = Repository(base / "repo")
    repository.write("README.md", "# A small project\n")
    odd = [sys.executable, str(ODD), manner, SECRET]
    servers = {"odd": odd}
    labnotes = [sys.executable, str(LABNOTES)]
    if agent in IN_REPOSITORY:
        entry: dict[str, Any] = {"command": labnotes[0], "args": labnotes[1:]}
        settings: dict[str, Any] = {"mcpServers": {"labnotes": entry}}
        if agent == "opencode":
            settings = {"mcp": {"labnotes": {"type": "local", "command": labnotes}}}
        repository.write(IN_REPOSITORY[agent], json.dumps(settings))
    else:
        servers["labnotes"] = labnotes
    repository.commit("first")
    with ModelEndpoint(SCRIPT, root=repository.top) as endpoint:
        try:
            prefix, environment = configure(
                agent, base / "agent-home", endpoint.url, {"mcp": servers}
            )
        except AgentMissing as missing:
            pytest.skip(str(missing))
        kept = {k: v for k, v in os.environ.items() if k.startswith(("AGENTPROV_", "GIT_CONFIG"))}
        done = subprocess.run(
            [
                sys.executable, "-m", "agentprov", "run", "--gateway", "on", "--",
                *prefix, "go on",
            ],
            cwd=repository.top,
            env={**environment, **kept},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        asked = [call.id for call in endpoint.tool_calls]
    answer = agentprov("show", "HEAD", "--json", cwd=repository.top)
    (shown,) = answer.json()["sessions"]
    return Session(agent, repository, shown, asked)


@pytest.mark.parametrize("agent", sorted(AROUND))
def test_servers_of_user_and_repository_are_watched_and_signed(agent: str, tmp_path: Path) -> None:
    session = play(agent, tmp_path)
    servers_are_signed_with_program_tools_and_calls(session)
    every_call_names_the_models_own_call_and_says_how_it_was_found(session)
    a_description_that_changes_is_kept_with_both_texts(session)
    arguments_are_kept_nowhere_and_no_file_of_the_repository_changed(session)
    replayed = agentprov("replay", session.shown["id"], "--json", cwd=session.repository.top)
    assert replayed.status == 0, replayed.out


@pytest.mark.parametrize("agent", LISTS_ONCE)
def test_where_an_agent_asks_once_the_next_session_signs_another_list(
    agent: str, tmp_path: Path
) -> None:
    lists = []
    for manner, text in (("steady", odd_mcp_server.BEFORE), ("changed", odd_mcp_server.AFTER)):
        odd = play(agent, tmp_path / manner, manner).server("odd")
        (add,) = [tool for tool in odd["tools"] if tool["name"] == "add"]
        assert add["description"] == {"sha256": hashlib.sha256(text.encode()).hexdigest()}
        lists.append(odd["toolsDigest"])
    assert lists[0] != lists[1]


def servers_are_signed_with_program_tools_and_calls(
    session: Session,
) -> None:
    for name, script in (("odd", ODD), ("labnotes", LABNOTES)):
        server = session.server(name)
        assert server["digest"] == {"sha256": hashlib.sha256(script.read_bytes()).hexdigest()}
        assert server["stage"] == "called"
        assert {tool["name"] for tool in server["tools"]} == {"add", "save_note"}
    assert [call["tool"] for call in session.server("labnotes")["calls"]] == ["add"]
    assert len(session.server("odd")["calls"]) == 3
    assert not [gap for gap in session.shown["gaps"] if gap["why"] == "mcp-not-watched"]


def every_call_names_the_models_own_call_and_says_how_it_was_found(session: Session) -> None:
    calls = [*session.server("odd")["calls"], *session.server("labnotes")["calls"]]
    calls.sort(key=lambda call: call["on"])
    ids = [call["call"] for call in calls]
    assert len(set(ids)) == 4
    sent = session.agent in SENDS_ITS_ID
    assert {call.get("callByName", False) for call in calls} == {not sent}
    if not sent:
        assert ids == session.tool_calls[:4]


def a_description_that_changes_is_kept_with_both_texts(session: Session) -> None:
    changes = session.server("odd")["toolChanges"]
    if session.agent in LISTS_ONCE:
        assert not changes
        return
    (change,) = changes
    after = hashlib.sha256(odd_mcp_server.AFTER.encode()).hexdigest()
    assert change["after"]["description"] == {"sha256": after}
    place = session.repository.top / ".git/agentprov/sessions" / session.shown["id"]
    kept = json.loads((place / "mcp-tool-changes.jsonl").read_text())
    assert odd_mcp_server.BEFORE in kept["before"]
    assert odd_mcp_server.AFTER in kept["after"]


def arguments_are_kept_nowhere_and_no_file_of_the_repository_changed(
    session: Session,
) -> None:
    top = session.repository.top
    assert session.repository.git("status", "--porcelain") == ""
    tracked = session.repository.git("ls-files").split()
    assert set(tracked) - {IN_REPOSITORY.get(session.agent)} == {"README.md", "notes.txt"}
    for path in (top / ".git").rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
    # What is put in front of one agent by this variable is not handed on.
    assert (top / "notes.txt").read_text() == "[]\n"
    for line in session.repository.bundles("HEAD"):
        assert SECRET not in line
        assert SECRET not in str(statement(line))
