"""`agentprov trace`: the story of one line, from plan to approval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.paging import page
from agentprov.cli.reading import taking_in

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "agentprov trace src/app.py:12",
        "agentprov trace src/app.py:12 v1.0 --json",
    )
)
def trace(
    line: str = typer.Argument(..., metavar="FILE:LINE", help="The line."),
    revision: str | None = typer.Argument(
        None, metavar="[REV]", help="Where to look at it; the work tree if nothing is named."
    ),
    whitespace: bool = typer.Option(False, "-w", help="White space does not count."),
    moves: bool = typer.Option(False, "-M", help="Follow lines moved in the file."),
    copies: int = typer.Option(0, "-C", count=True, help="Follow lines from other files."),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Tell how a line came to be: plan, session, model, edit, commit, rewrites, approvals.

    Each step says how it is known. Only records that hold are told; why a step is missing stands
    in the edit and in the findings.
    """
    from agentprov.flows import trace as flow
    from agentprov.flows.blame import Choice
    from agentprov.flows.verify import trust_for
    from agentprov.flows.world import World

    path, number = flow.split(line)
    world = World.here()
    taking_in(world)
    choice = Choice(
        path=path,
        revision=revision,
        whitespace=whitespace,
        moves=moves,
        copies=copies,
        cwd=Path.cwd(),
    )
    found = flow.trace(world, choice, number, lambda: trust_for(world, trust))
    if as_json:
        output.document(found)
    else:
        page(_text(found))
    return 0


def _text(found: Mapping[str, Any]) -> Iterator[str]:
    content = safe(found["content"].expandtabs(8))
    yield f"{safe(found['path'])}:{found['line']}  {output.paint(content, '1')}"
    for step in found["steps"]:
        basis = f"  [{step['basis']}]" if step["basis"] else ""
        head = [f"  {step['kind']:9}", safe(step["by"] or "unknown")]
        head += [f"at {safe(step['at'])}"] if step["at"] else []
        yield "  ".join(head) + basis
        yield f"             {safe(step['text'])}"
        for kind, value in (step["digest"] or {}).items():
            yield output.paint(f"             {kind}:{safe(value)}", "2")
    if not found["steps"]:
        yield f"  {found['origin']}: {found['why']}"
    for item in found.get("findings", ()):
        yield f"{item['severity']}: {item['code']}: {safe(item['message'])}"
