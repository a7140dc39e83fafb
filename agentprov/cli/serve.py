"""`agentprov serve timeline`: look through sessions in a browser."""

from __future__ import annotations

from pathlib import Path

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.errors import UserError

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def serve() -> None:
    """Serve pages to this machine's own browser."""


@app.command(
    epilog=examples(
        "agentprov serve timeline",
        "agentprov serve timeline --repository ../a --repository ../b --port 8765",
    )
)
def timeline(
    port: int = typer.Option(0, "--port", metavar="N", help="The port; by default any free one."),
    repositories: list[Path] = typer.Option(
        [], "--repository", metavar="DIR", help="Other repositories than this one; again for more."
    ),
    index: Path | None = typer.Option(None, "--index", metavar="FILE", help="Another index."),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
) -> int:
    """Show sessions, their commits and every commit's report page, read-only, on loopback.

    The address that is printed holds a secret: whoever has it, on this machine, can read along.
    Ctrl-C ends it, with status 130.
    """
    from agentprov import __version__
    from agentprov.cli.query import scope_of
    from agentprov.flows.browsing import Browsing
    from agentprov.serve.timeline import Timeline

    if not 0 <= port <= 65_535:
        raise UserError(f"{port} is no port", hint="1 to 65535, or 0 for any free one")
    browsing = Browsing(scope_of(repositories, trust, index, None, rebuild=False))
    browsing.sessions(output.say)
    try:
        server = Timeline(browsing, __version__, port, output.note)
    except OSError as error:
        raise UserError(f"cannot listen on port {port}: {error.strerror}") from error
    with server:
        output.line(server.url)
        server.serve_forever()
    return 0
