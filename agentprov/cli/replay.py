"""`agentprov replay`: a session's statements, made again from its journal."""

from __future__ import annotations

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)

DIFFERS = 12


@app.command(epilog=examples("agentprov replay 3f2a", "agentprov replay 3f2a --json"))
def replay(
    session: str = typer.Argument(..., metavar="SESSION", help="Id, or its first digits."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Make a session's statements again from its journal, and compare them with the signed ones.

    Where the session was recorded only: journals do not travel. Exits 12 when they differ.
    """
    from agentprov.flows.replay import replay as again
    from agentprov.flows.sessions import find
    from agentprov.flows.world import World

    result = again(find(World.here().git.home, session))
    if as_json:
        output.document(
            {
                "schema": "agentprov-replay/1",
                "session": result.session,
                "same": result.same,
                "statements": [
                    {
                        "kind": item.kind,
                        "payload": {"sha256": item.payload_sha256},
                        "signed": item.signed,
                    }
                    for item in result.statements
                ],
                "unaccounted": list(result.unaccounted),
                "defect": result.defect,
            }
        )
    else:
        for item in result.statements:
            word = "same" if item.signed else "not signed like this"
            output.line(f"{item.kind:14} sha256:{item.payload_sha256[:16]}...  {word}")
        for sha256 in result.unaccounted:
            output.line(f"signed, yet not in the journal: sha256:{sha256}")
        if result.defect:
            output.line(f"journal: {output.safe(result.defect)}")
    return 0 if result.same else DIFFERS
