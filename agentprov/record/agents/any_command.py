"""A program that we know nothing of: no hooks, no transcript, no claims."""

# The port gives every adapter the same arguments.
# ruff: noqa: ARG002
from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from agentprov.formats.dropbox import Drop
from agentprov.formats.exchange import ToolCall
from agentprov.formats.facts import AgentReport, Edit
from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext, Upstream


class AnyCommand:
    """Adapter for every command that no other adapter recognises."""

    name = "command"

    def recognises(self, command: str, package: str | None) -> bool:
        """Say yes to everything."""
        return bool(command) or package is not None

    def prepare(self, context: LaunchContext) -> Launch:
        """Start the command as it was typed."""
        return Launch(context.argv)

    def upstream(self, context: LaunchContext) -> Upstream:
        """Say that it is left alone: where it sends requests is not known."""
        return Upstream(None, why_not="unknown program")

    def redirect(self, context: LaunchContext, launch: Launch, base_url: str) -> Launch:
        """Change nothing: there is no upstream."""
        return launch

    def edits_of(self, call: ToolCall, cwd: str) -> Sequence[Edit]:
        """Give none: its tools are not known."""
        return ()

    def materials(self, context: LaunchContext) -> Sequence[tuple[str, Path]]:
        """Give none: we do not know what it reads."""
        return ()

    def mcp_servers(self, context: LaunchContext) -> Sequence[ConfiguredMcpServer]:
        """Give none."""
        return ()

    def report(self, context: LaunchContext, drops: Iterable[Drop], pid: int | None) -> AgentReport:
        """Give an empty report: the program has no channel of its own."""
        return AgentReport()
