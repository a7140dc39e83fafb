"""A program that we know nothing of: no hooks, no transcript, no claims."""

# The port gives every adapter the same arguments.
# ruff: noqa: ARG002
from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from agentprov.formats.dropbox import Drop
from agentprov.formats.facts import AgentReport
from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext


class AnyCommand:
    """Adapter for every command that no other adapter recognises."""

    name = "command"

    def recognises(self, command: str, package: str | None) -> bool:
        """Say yes to everything."""
        return bool(command) or package is not None

    def prepare(self, context: LaunchContext) -> Launch:
        """Start the command as it was typed."""
        return Launch(context.argv)

    def materials(self, context: LaunchContext) -> Sequence[tuple[str, Path]]:
        """Give none: we do not know what it reads."""
        return ()

    def mcp_servers(self, context: LaunchContext) -> Sequence[ConfiguredMcpServer]:
        """Give none."""
        return ()

    def report(self, context: LaunchContext, drops: Iterable[Drop], pid: int | None) -> AgentReport:
        """Give an empty report: the program has no channel of its own."""
        return AgentReport()
