"""`agentprov checkpoint`: the head of the log of what was signed here, and whether it fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe

if TYPE_CHECKING:
    from agentprov.formats.checkpoint import Checkpoint

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Show or check the head of this machine's signing log.",
)

BROKEN = 19


@app.command(epilog=examples("agentprov checkpoint show", "agentprov checkpoint show --json"))
def show(
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Print the newest checkpoint, a signed note, to be kept where this machine cannot reach it.

    The key to check it with is printed on stderr.
    """
    from agentprov.flows import signing_log as flow
    from agentprov.flows.world import World
    from agentprov.store.signing_log import LogBroken

    try:
        head = flow.head(World.here())
    except LogBroken as error:
        output.failure(error.message, error.hint)
        return BROKEN
    if as_json:
        output.document(
            {
                "schema": "agentprov-checkpoint/1",
                "checkpoint": _plain(head.checkpoint),
                "note": head.note.decode(),
                "verifierKey": head.verifier_key,
            }
        )
    else:
        output.line(head.note.decode().rstrip("\n"))
        output.note(f"check it with the key {head.verifier_key}")
    return 0


@app.command(
    epilog=examples("agentprov checkpoint check", "agentprov checkpoint check kept-elsewhere.txt")
)
def check(
    kept: list[Path] = typer.Argument(
        None, metavar="[FILE]...", help="Checkpoints that were kept elsewhere."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Read the whole log, and compare it with checkpoints that were kept; exits 19 if it broke."""
    from agentprov.flows import signing_log as flow
    from agentprov.flows.world import World

    newest, problems = flow.check(World.here(), kept or [])
    if as_json:
        output.document(
            {
                "schema": "agentprov-checkpoint-check/1",
                "ok": not problems,
                "checkpoint": _plain(newest) if newest else None,
                "problems": [{"code": item.code, "message": item.message} for item in problems],
            }
        )
        return BROKEN if problems else 0
    for problem in problems:
        output.line(f"{output.paint('error', '31')}: {problem.code}: {safe(problem.message)}")
    if not problems:
        output.line(
            f"the log of {newest.size} entries is what was seen of it"
            if newest
            else "nothing was logged here yet"
        )
    return BROKEN if problems else 0


@app.command(epilog=examples("agentprov checkpoint accept"))
def accept() -> int:
    """Take the log as it is now, after it was put back or removed, for the one that is meant.

    It goes on under a new name, so that older checkpoints still tell of the break.
    """
    from agentprov.flows import signing_log as flow
    from agentprov.flows.world import World

    found = flow.accept(World.here())
    if found is None:
        output.line("what was seen of the former log is forgotten; the next signature begins one")
    else:
        output.line(f"the log of {found.size} entries goes on as {safe(found.origin)}")
    return 0


def _plain(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": {"sha256": checkpoint.root.hex()},
    }
