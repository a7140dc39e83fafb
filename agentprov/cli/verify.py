"""`agentprov verify`: what holds, what does not, and what was not proven."""

from __future__ import annotations

from pathlib import Path

import typer

from agentprov.cli import rendering
from agentprov.cli.examples import examples
from agentprov.cli.explaining import explain_finding
from agentprov.cli.reading import taking_in
from agentprov.cli.rendering import FORMAT_HELP, Format

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "agentprov verify",
        "agentprov verify main..HEAD --json",
        "agentprov verify main..HEAD --format markdown",
        "agentprov verify record.sigstore.json --trust trust.yaml",
    )
)
def verify(
    targets: list[str] = typer.Argument(
        None, metavar="[REV|RANGE|BUNDLE]...", help="What to verify; HEAD if nothing is named."
    ),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    form: Format | None = typer.Option(None, "--format", help=FORMAT_HELP),
    as_json: bool = typer.Option(False, "--json", help="Short for --format json."),
    explain: str | None = typer.Option(
        None, "--explain", metavar="CODE", help="Explain a finding's code, and verify nothing."
    ),
) -> int:
    """Verify commits, ranges or bundles, offline.

    Signatures, bytes as git has them, and the chain from plan to commit. A commit that is named
    must have a record that holds; in a range every commit is reported.
    """
    if explain is not None:
        return explain_finding(explain)
    from agentprov.flows.verify import verify as judge
    from agentprov.flows.world import World

    form = rendering.chosen(form, as_json)
    world = World.here()
    taking_in(world)
    verdict = judge(world, targets or [], trust).verdict
    rendering.put(verdict, form)
    return verdict.exit_code
