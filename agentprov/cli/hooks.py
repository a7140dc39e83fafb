"""`agentprov hooks`: install, remove or show the git hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe

if TYPE_CHECKING:
    from agentprov.flows.install import InstallReport

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Install, remove or show the git hooks.",
)


@app.command(epilog=examples("agentprov hooks install"))
def install(
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Install the hooks and the notes refspec; chains with hooks that are there."""
    from agentprov.flows.install import install as set_up
    from agentprov.flows.world import World

    print_report(set_up(World.here().git), as_json, "agentprov-hooks/1")
    return 0


@app.command(epilog=examples("agentprov hooks uninstall"))
def uninstall(
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Take the set-up back: exact bytes where nothing changed since, else only what is ours."""
    from agentprov.flows.uninstall import uninstall as take_back
    from agentprov.flows.world import World

    print_report(take_back(World.here().git), as_json, "agentprov-hooks/1")
    return 0


@app.command(epilog=examples("agentprov hooks status --json"))
def status(
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Show which hooks git would run here, and which of them are ours."""
    from agentprov.flows.install import status as look
    from agentprov.flows.world import World

    found = look(World.here().git)
    if as_json:
        output.document(
            {
                "schema": "agentprov-hooks-status/1",
                "directory": str(found.directory),
                "recorded": found.recorded,
                "hooks": [
                    {"name": hook.name, "state": hook.condition, "path": str(hook.path)}
                    for hook in found.hooks
                ],
            }
        )
        return 0
    output.line(f"hooks directory: {safe(str(found.directory))}")
    for hook in found.hooks:
        detail = f"  {safe(hook.detail)}" if hook.detail else ""
        output.line(f"  {hook.name:20} {hook.condition}{detail}")
    return 0


def print_report(report: InstallReport, as_json: bool, schema: str) -> None:
    """Print what was done, step by step."""
    if as_json:
        output.document(
            {
                "schema": schema,
                "changed": report.changed,
                "steps": [
                    {"name": step.name, "state": step.state, "detail": step.detail}
                    for step in report.steps
                ],
            }
        )
        return
    for step in report.steps:
        output.line(f"{step.state:8} {step.name}: {safe(step.detail)}")
