"""Conversations with `agentprov mcp`, by the library's own client and by bare JSON-RPC."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from agentprov_mcp.desk import Desk
from agentprov_mcp.server import build

SERVER = (sys.executable, "-m", "agentprov", "mcp")


class Asker:
    """Calls tools and gives what they answer as JSON."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, tool: str, **arguments: Any) -> Any:
        answer = await self.client.call_tool(tool, arguments)
        assert not answer.is_error, answer.content
        assert answer.structured_content == json.loads(answer.content[0].text)
        return answer.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        answer = await self.client.call_tool(tool, arguments)
        assert answer.is_error, answer.content
        return str(answer.content[0].text)


def converse(
    top: Path, talk: Callable[[Asker], Awaitable[Any]], *options: str, publish: bool = False
) -> Any:
    """Talk to a server for a repository, and end it as a client does.

    In this process, or with `options` in one of its own that is started with them.
    """
    desk = Desk(top, publish=publish)
    server: Any = build(desk=desk)
    if options:
        parameters = StdioServerParameters(
            command=SERVER[0], args=[*SERVER[1:], *options], cwd=str(top), env={**os.environ}
        )
        server = stdio_client(parameters)

    async def conversation() -> Any:
        async with Client(server) as client:
            return await talk(Asker(client))

    try:
        return asyncio.run(conversation())
    finally:
        desk.close()


class Wire:
    """A server over pipes, spoken to in lines of JSON."""

    def __init__(self, top: Path, *options: str, command: Sequence[str] = SERVER) -> None:
        self.process = subprocess.Popen(
            [*command, *options], cwd=top, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        self._number = 0

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        self._number += 1
        self._write({"id": self._number, "method": method, "params": params or {}})
        return self._number

    def tell(self, method: str, params: dict[str, Any] | None = None) -> None:
        self._write({"method": method, "params": params or {}})

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read() if self.process.stderr else ""
        return dict(json.loads(line))

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        number = self.send(method, params)
        while (message := self.read()).get("id") != number:
            pass
        return message

    def shake_hands(self, version: str) -> dict[str, Any]:
        answer = self.ask(
            "initialize",
            {
                "protocolVersion": version,
                "capabilities": {},
                "clientInfo": {"name": "bare-client", "version": "7.1"},
            },
        )
        self.tell("notifications/initialized")
        return dict(answer["result"])

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = self.ask("tools/call", {"name": tool, "arguments": arguments})["result"]
        assert not answer.get("isError"), answer
        return dict(answer["structuredContent"])

    def _write(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()
