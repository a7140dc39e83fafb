"""`agentprov drain`: what hooks start; takes in what waits."""

from __future__ import annotations

import typer

from agentprov.cli import output
from agentprov.errors import AgentprovError

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def drain(
    quiet: bool = typer.Option(False, "--quiet", help="Say nothing, and always exit 0."),
) -> None:
    """Bind commits made outside a run and close sessions whose recorder died.

    Hooks start this in the background; every command that reads the record does it first.
    """
    from agentprov.flows.drain import drain as take_in
    from agentprov.flows.world import World

    try:
        result = take_in(World.here(), None if quiet else output.note)
    except (AgentprovError, OSError):
        if quiet:
            return
        raise
    if quiet:
        return
    output.line(
        f"{len(result.bound)} commits bound, {len(result.recovered)} sessions recovered, "
        f"{len(result.failures)} failures"
    )
    for failure in result.failures:
        output.note(output.safe(failure))
