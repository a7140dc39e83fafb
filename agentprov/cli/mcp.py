"""`agentprov mcp`: the record as an MCP server, to declare into and to ask."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "agentprov mcp", "claude mcp add agentprov -- agentprov mcp", "agentprov mcp --http"
    )
)
def mcp(
    http: bool = typer.Option(
        False, "--http", help="Serve streamable HTTP on loopback instead of standard input."
    ),
    port: int = typer.Option(0, "--port", min=0, max=65535, help="Port for --http; 0 is any."),
    publish_texts: bool = typer.Option(
        False,
        "--publish-texts",
        help="Let the texts of decisions and purposes into signed statements, not only digests.",
    ),
    idle_minutes: int = typer.Option(
        60, "--idle-minutes", min=1, max=10_080, help="Close a session that nobody used so long."
    ),
) -> None:
    """Serve this repository's record to MCP clients: agents declare, anybody asks.

    Over HTTP a token is needed; it lies in a private file, whose path is shown.
    """
    idle = idle_minutes * 60.0
    # By name: both stand on the roof, and neither imports the other.
    if http:
        served = import_module("agentprov_mcp.http")
        served.main(_told, port=port, publish=publish_texts, idle=idle)
    else:
        import_module("agentprov_mcp.server").main(publish=publish_texts, idle=idle)


def _told(url: str, token: Path) -> None:
    output.say(f"serving MCP at {url}")
    output.say(f"the bearer token is in {token}")
