"""The MCP server over HTTP: who is let in, and that clients stay apart."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from agentprov.errors import UserError
from agentprov_mcp.http import read_token, token_file
from support.command_line import agentprov
from support.mcp_client import SERVER, Asker
from support.repository import Repository


@dataclass
class Served:
    repository: Repository
    process: subprocess.Popen[str]
    url: str
    token: str
    told: str

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)/", self.url)[0])

    def post(self, headers: dict[str, str], body: bytes | None = None) -> int:
        """Send an initialize with these headers and give the status."""
        hello = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "x", "version": "1"},
            },
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        given = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **headers,
        }
        connection.request("POST", "/mcp", body or json.dumps(hello).encode(), given)
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    repository = Repository(tmp_path / "r")
    repository.commit("first")
    process = subprocess.Popen(
        [*SERVER, "--http"], cwd=repository.top, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    told = process.stderr.readline() + process.stderr.readline()
    url = re.findall(r"http://\S+", told)[0]
    token = (repository.top / ".git/agentprov/mcp-token").read_text().strip()
    found = Served(repository, process, url, token, told)
    until = time.monotonic() + 20
    while True:
        try:
            found.post({})
            break
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)
    yield found
    process.kill()
    process.communicate()


def test_only_the_token_lets_in_and_no_web_page_gets_that_far(served: Served) -> None:
    mine = {"Authorization": f"Bearer {served.token}"}
    here = f"127.0.0.1:{served.port}"
    assert served.post(mine) == 200
    assert served.post({**mine, "Origin": f"http://{here}"}) == 200
    for headers, status in (
        ({}, 401),
        ({"Authorization": f"Bearer {served.token[:-1]}"}, 401),
        ({"Authorization": f"Basic {served.token}"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({**mine, "Origin": "http://attacker.example"}, 403),
        ({**mine, "Origin": "null"}, 403),
        ({**mine, "Origin": f"https://{here}"}, 403),
        ({**mine, "Host": "attacker.example"}, 421),
        ({**mine, "Host": f"attacker.example:{served.port}"}, 421),
        ({**mine, "Host": f"127.0.0.1:{served.port + 1}"}, 421),
        ({**mine, "Host": f"127.0.0.1.attacker.example:{served.port}"}, 421),
        ({"Host": "attacker.example"}, 421),
    ):
        assert served.post(headers) == status, headers
    large = b'{"jsonrpc": "2.0", "x": "' + b"x" * (2 * 1024 * 1024) + b'"}'
    assert served.post(mine, large) == 413


def test_the_token_is_private_kept_and_not_printed(served: Served) -> None:
    place = served.repository.top / ".git/agentprov/mcp-token"
    assert place.stat().st_mode & 0o777 == 0o600
    assert str(place) in served.told and served.token not in served.told
    listening = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
    if listening:
        addresses = re.findall(rf"\d+: ([0-9A-F]+):{served.port:04X} \S+ 0A", listening)
        assert addresses == ["0100007F"]


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    place = token_file(tmp_path)
    token = read_token(place)
    assert len(token) >= 32 and read_token(token_file(tmp_path)) == token
    for prepare in (
        lambda: place.chmod(0o644),
        lambda: (place.chmod(0o600), place.write_text("short\n")),
        lambda: (place.unlink(), place.symlink_to("/etc/hostname")),
    ):
        prepare()
        with pytest.raises(UserError, match="token"):
            read_token(token_file(tmp_path))


def test_clients_have_sessions_of_their_own_and_need_their_tokens(served: Served) -> None:
    async def conversation() -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {served.token}"}
        async with httpx2.AsyncClient(headers=headers) as web:
            transports = [streamable_http_client(served.url, http_client=web) for _ in range(2)]
            async with Client(transports[0]) as first, Client(transports[1]) as second:
                one, two = Asker(first), Asker(second)
                a, b = await one("start_session"), await two("start_session")
                assert a["session"] != b["session"]
                mine = {"session": a["session"], "token": a["token"]}
                await one("declare_model", provider="acme", model="first-model", **mine)
                told = await two.refused("record_decision", text="x")
                assert "name its id and token" in told
                stolen = {"session": a["session"], "token": b["token"]}
                assert "no live session" in await two.refused("record_decision", text="x", **stolen)
                assert await one.refused("end_session", session=a["session"])
                # Anybody who has the token may join, from another connection too.
                await two("record_decision", text="joined", **mine)
                served.repository.write("a.py", "value_of_it = 1\n")
                served.repository.commit("second")
                return dict(await one("end_session", **mine))

    ended = asyncio.run(conversation())
    assert ended["declarations"] == {"model": 1, "decision": 1}
    sessions = agentprov("show", "HEAD", "--json", cwd=served.repository.top).json()["sessions"]
    (mine,) = [item for item in sessions if item["id"] == ended["session"]]
    assert mine["complete"]
    assert [model["served"] for model in mine["models"]] == ["first-model"]


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_server_at_once_and_closes_what_is_open(served: Served, how: str) -> None:
    async def conversation() -> None:
        headers = {"Authorization": f"Bearer {served.token}"}
        async with (
            httpx2.AsyncClient(headers=headers) as web,
            Client(streamable_http_client(served.url, http_client=web)) as client,
        ):
            await Asker(client)("start_session")
            served.repository.write("a.py", "value_of_it = 1\n")
            served.repository.commit("second")
            began = time.monotonic()
            served.process.send_signal(getattr(signal, how))
            while served.process.poll() is None:
                if time.monotonic() - began > 10:
                    return
                await asyncio.sleep(0.05)

    # The client may or may not notice that its server is gone.
    with contextlib.suppress(Exception, BaseExceptionGroup):
        asyncio.run(conversation())
    assert served.process.wait(timeout=10) is not None
    assert served.process.returncode == {"SIGINT": 130, "SIGTERM": 143}[how]
    (session,) = agentprov("show", "HEAD", "--json", cwd=served.repository.top).json()["sessions"]
    assert session["complete"]
