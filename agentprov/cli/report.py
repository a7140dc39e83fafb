"""`agentprov report`: one page that a browser checks for itself."""

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
        "agentprov report",
        "agentprov report main..HEAD -o review.html",
        "agentprov report HEAD --no-content -o record.html",
    )
)
def report(
    targets: list[str] = typer.Argument(
        None, metavar="[REV|RANGE]...", help="What to report on; HEAD if nothing is named."
    ),
    place: Path = typer.Option(
        Path("provenance.html"), "--output", "-o", metavar="FILE", help="Where to write the page."
    ),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    no_content: bool = typer.Option(
        False, "--no-content", help="Leave the files' lines out; their digests stay."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Write one self-contained HTML page: verdict, graph, timeline, files with line origins.

    The page makes no request, and checks the signatures of the records in it in the reader's
    browser. It holds the changed files' content, unless told otherwise. Exits 0 whenever it was
    written: `verify` judges.
    """
    from agentprov import __version__
    from agentprov.flows import report as flow
    from agentprov.flows.world import World
    from agentprov.serve.page import render

    world = World.here()
    taking_in(world)
    data = flow.collect(world, targets or [], trust, with_content=not no_content)
    flow.write(render(data, version=__version__), place)
    told = {
        "schema": "agentprov-report-written/1",
        "file": str(place),
        "verdict": data["verdict"]["verdict"],
        "commits": len(data["commits"]),
        "bundles": len(data["bundles"]),
        "files": len(data["files"]),
    }
    if as_json:
        output.document(told)
    else:
        output.line(
            f"wrote {safe(str(place))}: {told['commits']} commits, {told['bundles']} records"
        )
    return 0
