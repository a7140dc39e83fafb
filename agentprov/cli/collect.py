"""`agentprov gc`: say what of our own data nothing needs, and take it away when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.reading import taking_in

if TYPE_CHECKING:
    from agentprov.flows.gc import Survey
    from agentprov.flows.gc_records import Records

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_DAYS = 30


@app.command(
    epilog=examples("agentprov gc", "agentprov gc --prune --keep-days 7", "agentprov gc --records")
)
def gc(
    prune: bool = typer.Option(False, "--prune", help="Do it; without, only say what would go."),
    keep_days: int = typer.Option(
        _DAYS, "--keep-days", min=0, metavar="N", help="Keep all that was written in N days."
    ),
    transcripts: bool = typer.Option(
        False, "--transcripts", help="Let sessions go whose transcripts were kept on purpose."
    ),
    records: bool = typer.Option(
        False, "--records", help="Also records in the notes that no reachable commit needs."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Say what local data nothing needs any more; --prune takes it away.

    Nothing that a live session, uncommitted output, a record that is not published or the signing
    log needs is ever touched. Published records stay unless --records is given.
    """
    from agentprov.flows import gc as local
    from agentprov.flows.world import World

    world = World.here()
    taking_in(world)
    dropped = None
    if records:
        from agentprov.flows import gc_records

        # First, so that what cannot be told stops the command before anything is gone.
        dropped = gc_records.collect(world, prune=prune)
    found = local.collect(
        world,
        keep_days=keep_days,
        transcripts=transcripts,
        prune=prune,
        dropped=dropped.lines if dropped is not None else frozenset(),
    )
    if as_json:
        output.document(_document(found, dropped, prune, keep_days))
    else:
        _print(found, dropped, prune)
    return 0


def _document(
    found: Survey, dropped: Records | None, pruned: bool, keep_days: int
) -> dict[str, Any]:
    return {
        "schema": "agentprov-gc/1",
        "pruned": pruned,
        "keepDays": keep_days,
        "unneeded": [
            {
                "what": item.what,
                "count": item.count,
                "bytes": item.bytes,
                "why": item.why,
                "ids": list(item.places),
            }
            for item in found.unneeded
        ],
        "kept": [{"what": item.what, "count": item.count, "why": item.why} for item in found.kept],
        "records": None
        if dropped is None
        else {
            "objects": list(dropped.anchors),
            "count": dropped.records,
            "bytes": dropped.bytes,
            "keptOnARemote": dropped.on_a_remote,
        },
    }


def _print(found: Survey, dropped: Records | None, pruned: bool) -> None:
    verb = "removed" if pruned else "would go"
    for item in found.unneeded:
        output.line(f"{verb}: {item.what}: {item.count}, {item.bytes:,} bytes")
        output.line(f"    {item.why}")
        for place in item.places:
            output.line(f"    {safe(place)}")
    for one in found.kept:
        output.line(f"kept: {one.what}: {one.count}: {safe(one.why)}")
    if dropped is not None:
        output.line(
            f"{verb}: records in the notes: {dropped.records}, {dropped.bytes:,} bytes unpacked"
        )
        output.line("    no commit, content or record that is reachable names them")
        for anchor in dropped.anchors:
            output.line(f"    {anchor}")
        if dropped.on_a_remote:
            output.line(
                f"kept: records in the notes: {dropped.on_a_remote}: nothing here needs them, but "
                "a remote holds them and would give them back"
            )
    if not found.unneeded and (dropped is None or not dropped.records):
        output.line("nothing to remove")
    elif not pruned:
        output.note("nothing was removed; `agentprov gc --prune` does it")
