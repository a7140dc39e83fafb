"""An MCP server over stdio that answers from the record; it writes nothing.

Thin: the same flows as the command line, the same JSON. Whatever repository the server is
started in is the one that it speaks of. Tools that let an agent *declare* things are not here
yet; they will be bound to a session and never lift a basis.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

import agentprov
from agentprov.errors import AgentprovError
from agentprov.flows.drain import drain
from agentprov.flows.waiting import waiting
from agentprov.flows.world import World

INSTRUCTIONS = (
    "Ask here where code came from: which plan, agent and model stand behind a commit, and "
    "whether its record holds. Answers quote signed records; `notProven` lists what they do not "
    "prove."
)
_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


def build(start: Path | None = None) -> MCPServer[Any]:
    """Build the server for the repository of a directory; the repository is looked up per call."""
    server: MCPServer[Any] = MCPServer(
        "agentprov", instructions=INSTRUCTIONS, version=agentprov.__version__
    )

    @server.tool(annotations=_READS)
    def verify(target: str = "HEAD") -> dict[str, Any]:
        """Verify a commit or range (A..B): verdict, findings, coverage, and what is not proven."""
        from agentprov.flows.verify import verify as judge
        from agentprov.verify.output import verdict_json

        world = _world(start)
        try:
            return verdict_json(judge(world, [target]).verdict)
        except AgentprovError as error:
            raise _refusal(error) from error

    @server.tool(annotations=_READS)
    def show_commit(revision: str = "HEAD") -> dict[str, Any]:
        """Show what is recorded of a commit: plan, agent, models, files and line origins."""
        from agentprov.flows.show import show
        from agentprov.flows.verify import trust_for

        world = _world(start)
        try:
            return show(world, revision, trust_for(world, None))
        except AgentprovError as error:
            raise _refusal(error) from error

    @server.tool(annotations=_READS)
    def log(revision: str = "HEAD", count: int = 20) -> dict[str, Any]:
        """List commits, newest first, with plan, agent and models of the records that hold."""
        from agentprov.flows.log import log as look
        from agentprov.flows.verify import trust_for

        world = _world(start)
        try:
            return look(world, revision, trust_for(world, None), max(1, min(count, 1000)))
        except AgentprovError as error:
            raise _refusal(error) from error

    return server


def _world(start: Path | None) -> World:
    try:
        world = World.here(start)
        if waiting(world.git):
            drain(world)
    except (AgentprovError, OSError) as error:
        raise _refusal(error) from error
    return world


def _refusal(error: Exception) -> ToolError:
    hint = getattr(error, "hint", None)
    return ToolError(f"{error} ({hint})" if hint else str(error))


def main() -> None:
    """Serve on standard input and output until the client leaves."""
    build().run("stdio")


if __name__ == "__main__":
    main()
