"""`agentprov sync`: fetch, merge and push the records."""

from __future__ import annotations

import typer

from agentprov.cli import exit_codes, output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.reading import taking_in

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_ALARMS = {
    "rewound": "the remote's records are not those of last time and newer; some may be gone there",
    "vanished": "the remote had records last time and has none now",
}


@app.command(epilog=examples("agentprov sync", "agentprov sync upstream --no-push"))
def sync(
    remote: str = typer.Argument("origin", help="The remote."),
    push: bool = typer.Option(True, "--push/--no-push", help="Push our records too."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Fetch a remote's records, merge them into ours, and push; never forces anything.

    Our records are kept whatever the remote did with its own.
    """
    from agentprov.flows.drain import link_rewrites
    from agentprov.flows.world import World
    from agentprov.store import sync as carrying

    world = World.here()
    taking_in(world)
    fetched = carrying.fetch(world.notes, remote)
    merged = carrying.merge_remote(world.notes, remote)
    link_rewrites(world, fetched=True)
    pushed = carrying.push(world.notes, remote) if push else None
    if as_json:
        output.document(
            {
                "schema": "agentprov-sync/1",
                "remote": remote,
                "fetched": fetched.outcome,
                "added": merged.added,
                "pushed": pushed.outcome if pushed else None,
                "why": pushed.why if pushed else None,
            }
        )
    else:
        output.line(f"fetched: {fetched.outcome}; {merged.added} records new here")
        if pushed:
            output.line(
                f"pushed: {pushed.outcome}" + (f": {safe(pushed.why)}" if pushed.why else "")
            )
    if fetched.outcome in _ALARMS:
        output.note(f"warning: {_ALARMS[fetched.outcome]}")
    refused = pushed is not None and pushed.outcome == "refused"
    return exit_codes.USER if refused else exit_codes.HOLDS
