"""`agentprov transcript`: what a session kept of its channels."""

from __future__ import annotations

import json

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=examples("agentprov transcript 3f2a", "agentprov transcript 3f2a --json"))
def transcript(
    session: str = typer.Argument(..., metavar="SESSION", help="Id, or its first digits."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Show the transcript that a session kept with `run --keep transcript`.

    Redacted when it was kept; decrypted with your own key where it is encrypted.
    """
    from agentprov.flows.transcript import read
    from agentprov.flows.world import World

    world = World.here()
    lines = read(world.home, world.git.home, session).decode("utf-8", "replace").splitlines()
    if as_json:
        output.document(
            {"schema": "agentprov-transcript/1", "events": [json.loads(line) for line in lines]}
        )
    else:
        for line in lines:
            output.line(safe(line))
    return 0
