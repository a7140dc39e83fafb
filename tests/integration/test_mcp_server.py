"""The MCP door, asked by a real client over stdio."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from support.command_line import agentprov
from support.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.commit("first")
    script = "echo x > x; git add x; git commit -qm second"
    assert agentprov("run", "--", "sh", "-c", script, cwd=made.top).status == 0
    return made


def ask(repository: Repository, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "agentprov", "mcp"],
        cwd=str(repository.top),
        env=dict(os.environ),
    )

    async def conversation() -> list[Any]:
        async with Client(stdio_client(parameters)) as client:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(conversation())


def test_it_answers_what_the_command_line_answers(repository: Repository) -> None:
    verdict, shown, logged = ask(
        repository, ("verify", {}), ("show_commit", {"revision": "HEAD"}), ("log", {"count": 1})
    )
    assert json.loads(verdict.content[0].text)["verdict"] == "pass"
    cli = agentprov("show", "HEAD", "--json", cwd=repository.top).json()
    assert json.loads(shown.content[0].text) == cli
    assert len(json.loads(logged.content[0].text)["commits"]) == 1


def test_a_wrong_revision_is_a_tool_error_with_the_way_out(repository: Repository) -> None:
    (answer,) = ask(repository, ("verify", {"target": "no-such-branch"}))
    assert answer.is_error
    assert "no-such-branch" in answer.content[0].text
    assert "name a commit" in answer.content[0].text
