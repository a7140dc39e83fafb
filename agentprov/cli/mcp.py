"""`agentprov mcp`: the record as an MCP server."""

from __future__ import annotations

from importlib import import_module

import typer

from agentprov.cli.examples import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=examples("agentprov mcp", "claude mcp add agentprov -- agentprov mcp"))
def mcp() -> None:
    """Serve this repository's record to MCP clients over standard input and output."""
    # By name: both stand on the roof, and neither imports the other.
    import_module("agentprov_mcp.server").main()
