"""`agentprov sync`: fetch, merge and push the records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from agentprov.cli import exit_codes, output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.reading import taking_in

if TYPE_CHECKING:
    from agentprov.flows.carry import Carried, Report

app = typer.Typer(rich_markup_mode=None, add_completion=False)
_LISTED = 10


@app.command(
    epilog=examples(
        "agentprov sync",
        "agentprov sync upstream --no-push",
        "agentprov sync --no-push origin https://forge.example/fork.git",
    )
)
def sync(
    remotes: list[str] = typer.Argument(
        None, metavar="[REMOTE]...", help="Remotes or URLs; by default all remotes."
    ),
    push: bool = typer.Option(True, "--push/--no-push", help="Push our records too."),
    accept: bool = typer.Option(
        False, "--accept", help="What a remote has now counts from here on."
    ),
    expect: str = typer.Option(
        None, "--expect", metavar="COMMIT", help="A tip kept elsewhere, which remotes must have."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Fetch remotes' records, merge them into ours, and push; never forces anything.

    Our records are kept whatever a remote did with its own, and put back where they are gone.
    Without names, all remotes are fetched from, and git's default one is pushed to. Exits 1 when a
    remote could not be reached or refused, 19 when one has lost records that it had.
    """
    from agentprov.flows.carry import sync as carry
    from agentprov.flows.world import World

    world = World.here()
    taking_in(world)
    report = carry(world, remotes or (), push=push, accept=accept, expect=expect)
    if as_json:
        output.document(_document(report))
    for one in report.remotes:
        _tell(one, as_json)
    for item in report.missing[:_LISTED]:
        output.note(f"no record here of {item.commit}, whose trailer names {item.trailer}")
    if len(report.missing) > _LISTED:
        output.note(f"and of {len(report.missing) - _LISTED} more commits (--json lists them)")
    return _status(report)


def _status(report: Report) -> int:
    lost = {"notes-rollback", "notes-missing"}
    if any(
        one.unmet or (one.problem and one.problem.code in lost and not one.repaired)
        for one in report.remotes
    ):
        return 19
    return exit_codes.USER if any(one.refused for one in report.remotes) else exit_codes.HOLDS


def _tell(one: Carried, quiet: bool) -> None:
    name = safe(one.name)
    if one.error is not None:
        output.note(f"{name}: not asked: {safe(one.error)}")
        return
    if not quiet and one.fetched is not None:
        line = f"{name}: fetched: {one.fetched.outcome}; {one.merged.added} records new here"
        if one.pushed:
            line += f"; pushed: {one.pushed.outcome}"
        output.line(line + (f": {safe(one.pushed.why)}" if one.pushed and one.pushed.why else ""))
    if one.problem is not None:
        output.note(f"warning: {one.problem.code}: {safe(one.problem.message)}")
        if one.repaired:
            output.note(f"{name}: what was gone there has been put back from here")


def _document(report: Report) -> dict[str, Any]:
    return {
        "schema": "agentprov-sync/2",
        "remotes": [
            {
                "remote": one.name,
                "fetched": one.fetched.outcome if one.fetched else None,
                "tip": one.fetched.tip if one.fetched else None,
                "added": one.merged.added,
                "pushed": one.pushed.outcome if one.pushed else None,
                "attempts": one.pushed.attempts if one.pushed else 0,
                "why": one.error or (one.pushed.why if one.pushed else None),
                "problem": one.problem.code if one.problem else None,
                "message": one.problem.message if one.problem else None,
                "repaired": one.repaired,
            }
            for one in report.remotes
        ],
        "missing": [{"commit": item.commit, "trailer": item.trailer} for item in report.missing],
    }
