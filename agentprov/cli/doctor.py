"""`agentprov doctor`: the state of this repository, and what to mend."""

from __future__ import annotations

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=examples("agentprov doctor", "agentprov doctor --json"))
def doctor(
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Explain the state of this repository and what to mend; changes nothing.

    Exits 1 when something is to be mended.
    """
    from agentprov.flows.doctor import examine
    from agentprov.flows.keys import chosen, files
    from agentprov.flows.signing_log import trouble
    from agentprov.flows.world import World

    world = World.here()
    report = examine(
        world.git,
        keys=files(world.home),
        chosen=chosen(world.home),
        log=lambda: trouble(world),
    )
    if as_json:
        output.document(
            {
                "schema": "agentprov-doctor/1",
                "ok": report.ok,
                "checks": [
                    {
                        "name": check.name,
                        "ok": check.ok,
                        "detail": check.detail,
                        "remedy": check.remedy,
                    }
                    for check in report.checks
                ],
            }
        )
    else:
        for check in report.checks:
            word = output.paint("ok  ", "32") if check.ok else output.paint("mend", "31;1")
            output.line(f"{word} {check.name}: {safe(check.detail)}")
            if check.remedy:
                output.line(f"       {safe(check.remedy)}")
    return 0 if report.ok else 1
