"""`mcpServers`: which MCP servers a session may have been configured with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentprov.formats import schema
from agentprov.formats.policy_facts import JudgedCommit
from agentprov.verify.finding import Problem
from agentprov.verify.rules import matcher, shapes
from agentprov.verify.rules.rule import Asked
from agentprov.verify.rules.shapes import Piece

CHECK = schema.members(
    {"allow": schema.array(shapes.piece(name=matcher.pattern), least=0, most=1_000)}
)


@dataclass(frozen=True)
class Servers:
    """An empty list allows none at all."""

    allowed: tuple[Piece, ...]
    needs_record: bool = True

    def misses(self, commit: JudgedCommit, _asked: Asked) -> Iterator[Problem]:
        """Give the servers that are not allowed."""
        servers = dict.fromkeys(server for item in commit.sessions for server in item.servers)
        for server in servers:
            if not any(
                item.allows(server.name, server.purl, server.sha256) for item in self.allowed
            ):
                what = server.purl or "no package"
                digest = f"sha256:{server.sha256}" if server.sha256 else "no digest"
                yield Problem(
                    "policy-mcp-server",
                    f"the MCP server {server.name!r} ({what}, {digest}) is not allowed",
                )


def read(value: Any) -> Servers:
    """Read what `CHECK` accepts."""
    return Servers(shapes.pieces(value["allow"]))
