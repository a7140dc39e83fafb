"""`agentprov export`: verified records in the formats of other tools."""

from __future__ import annotations

from pathlib import Path

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.reading import taking_in

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "agentprov export --format git-ai main..HEAD",
        "agentprov export --format agent-trace HEAD --output traces.jsonl",
    )
)
def export(
    words: list[str] = typer.Argument(None, metavar="[REV or RANGE]...", help="Default: HEAD."),
    format_: str = typer.Option(..., "--format", metavar="FORMAT", help="git-ai or agent-trace."),
    ref: str = typer.Option("refs/notes/ai", "--ref", help="Where git-ai's notes go."),
    to: Path | None = typer.Option(
        None, "--output", metavar="FILE", help="Where Agent Trace records go; else stdout."
    ),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Write verified records as git-ai notes or Agent Trace records.

    Only what `verify` accepts goes out, with the digest of the statement that says it. Notes of
    git-ai's that are there stay as they are, and imports are not handed on. The signed bundles
    themselves: `agentprov show REV --bundles DIR`.
    """
    from agentprov.flows.export_records import document, line_of
    from agentprov.flows.export_records import export as write
    from agentprov.flows.verify import trust_for
    from agentprov.flows.world import World

    world = World.here()
    taking_in(world)
    made = write(world, words or ["HEAD"], trust_for(world, trust), format_, ref=ref, output=to)
    if as_json:
        output.document(document(made))
        return 0
    if made.place == "-":
        for record in made.records:
            output.line(line_of(record).decode("ascii"))
    else:
        output.line(
            f"{made.sessions} sessions of {len(made.written)} commits to {safe(made.place)}"
        )
    for subject, complaint in made.complaints:
        output.note(f"{safe(subject)}: {complaint.code}: {safe(complaint.detail)}")
    if made.imports:
        output.note(f"{made.imports} imported sessions were left out")
    if not made.written and not made.complaints:
        output.note("no record that holds says anything of these commits")
    return 0
