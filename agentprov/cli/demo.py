"""`agentprov demo`: the whole story, no key, no account, no model, no network."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=examples("agentprov demo --keep"))
def demo(
    keep: bool = typer.Option(False, "--keep", help="Keep the repository, and say where it is."),
) -> None:
    """Show the whole story in a temporary repository.

    A plan is signed, a scripted agent is recorded, its commit is verified, and one changed byte
    is caught. Needs no key, no account, no model and no network; your files are not touched.
    """
    from agentprov.flows.demo import play

    place = Path(tempfile.mkdtemp(prefix="agentprov-demo-"))
    try:
        play(place, output.line)
        if keep:
            output.line(f"The repository is {place / 'hello'}; its keys are in {place / 'home'}.")
    finally:
        if not keep:
            shutil.rmtree(place, ignore_errors=True)
