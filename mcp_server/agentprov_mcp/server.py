"""The record as an MCP server: agents declare what they do, and anybody asks.

Thin: the same flows as the command line, the same JSON. Whatever repository the server is
started in is the one that it speaks of. Nothing here signs with a person's key, executes
anything, or reads outside the repository. docs/spec/mcp-recorder.md.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer

import agentprov
from agentprov_mcp import prompts, reading, recording
from agentprov_mcp.desk import IDLE_SECONDS, Desk


def build(start: Path | None = None, desk: Desk | None = None) -> MCPServer[Any]:
    """Build the server for the repository of a directory, which is looked up when it is needed."""
    server: MCPServer[Any] = MCPServer(
        "agentprov",
        title="agentprov",
        instructions=prompts.INSTRUCTIONS,
        version=agentprov.__version__,
        log_level="WARNING",
    )
    desk = desk or Desk(start)
    reading.register(server, desk)
    recording.register(server, desk)
    prompts.register(server)
    return server


def main(*, publish: bool = False, idle: float = IDLE_SECONDS) -> None:
    """Serve on standard input and output until the client leaves; then close what is open.

    A signal ends it the same way, with the status of a program that it ended.
    """
    desk = Desk(publish=publish, idle=idle)

    def end(number: int, _frame: FrameType | None) -> None:
        # The thread that reads standard input cannot be woken, so the loop is not waited for.
        signal.signal(number, signal.SIG_IGN)
        desk.close()
        sys.stderr.flush()
        os._exit(128 + number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
    try:
        anyio.run(build(desk=desk).run_stdio_async)
    finally:
        desk.close()


if __name__ == "__main__":
    main()
