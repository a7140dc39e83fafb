"""`agentprov log`: commits with what is recorded of them."""

from __future__ import annotations

from pathlib import Path

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.reading import taking_in

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=examples("agentprov log", "agentprov log main..HEAD -n 100 --json"))
def log(
    revision: str = typer.Argument("HEAD", metavar="[REV|RANGE]", help="Where to look."),
    count: int = typer.Option(20, "-n", "--max-count", min=1, help="At most this many."),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """List commits, newest first, with plan, agent and models of the records that hold."""
    from agentprov.flows.log import log as look
    from agentprov.flows.verify import trust_for
    from agentprov.flows.world import World

    world = World.here()
    taking_in(world)
    found = look(world, revision, trust_for(world, trust), count)
    if as_json:
        output.document(found)
        return 0
    for row in found["commits"]:
        coverage = row["coverage"] or "cut off"
        output.line(f"{row['commit'][:12]}  {coverage:9}  {safe(row['subject'])}")
        for session in row["sessions"]:
            models = ", ".join(session["models"]) or "model unknown"
            plan = f"; plan {safe(session['plan'])}" if session["plan"] else ""
            output.line(f"              {safe(session['agent'] or '?')}; {safe(models)}{plan}")
    if any(row["coverage"] is None for row in found["commits"]):
        output.note(
            "what was cut off was not judged, for this clone is shallow: `git fetch --deepen=1`"
        )
    return 0
