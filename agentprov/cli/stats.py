"""`agentprov stats`: how many lines came from where, and how much is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.paging import page

app = typer.Typer(rich_markup_mode=None, add_completion=False)
_MOST = 10


@app.command(
    epilog=examples(
        "agentprov stats",
        "agentprov stats --history --json",
        "agentprov stats --repository ../a --repository ../b",
    )
)
def stats(
    revision: str = typer.Option(
        "HEAD", "--at", metavar="REV", help="Lines that stand at this revision."
    ),
    history: bool = typer.Option(False, "--history", help="All lines ever added, gone or not."),
    repositories: list[Path] = typer.Option(
        [], "--repository", metavar="DIR", help="Other repositories than this one; again for more."
    ),
    index: Path | None = typer.Option(None, "--index", metavar="FILE", help="Another index."),
    rebuild: bool = typer.Option(False, "--rebuild", help="Judge everything anew."),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Count recorded lines by origin, model, agent and session, and say what is not known."""
    from agentprov.cli.query import scope_of
    from agentprov.flows.stats import stats as count

    scope = scope_of(repositories, trust, index, None if history else revision, rebuild=rebuild)
    found = count(scope, output.say)
    if as_json:
        output.document(found)
    else:
        page(line for item in found["repositories"] for line in _text(item))
    return 0


def _text(found: Mapping[str, Any]) -> Iterator[str]:
    from agentprov.cli.blame import short_agent

    at = found["revision"]
    where = "in all history" if at == "history" else f"at {at[:12]}"
    trust = safe(found["trust"])
    yield f"{safe(found['directory'])} {where}, as of {found['asOf']}, trust: {trust}"
    told = ", ".join(f"{number} {name}" for name, number in found["origins"].items() if number)
    yield f"  recorded lines {found['lines']}: {told or 'none'}"
    if found["unverifiedLines"]:
        yield f"  and {found['unverifiedLines']} of records that do not hold"
    share = found["unknown"]["share"]
    if share:
        why = ", ".join(f"{number} {safe(name)}" for name, number in _most(found["unknown"]["why"]))
        yield f"  unknown {share:.1%}: {why}"
    for title in ("models", "agents", "plans", "sessions"):
        counts = {name: number for name, number in found[title].items() if name or title != "plans"}
        for name, number in _most(counts):
            shown = short_agent(name) if title == "agents" else name
            yield f"  {title.removesuffix('s'):8} {number:>8}  {safe(shown) or 'not named'}"
        if len(counts) > _MOST:
            yield f"           and {len(counts) - _MOST} more {title}"
    if found["commitsNotHere"]:
        yield f"  {found['commitsNotHere']} commits that records speak of are not in this clone"
    commits = found["coverage"]
    told = ", ".join(f"{commits[name]} {name}" for name in commits if name != "commits")
    yield f"  commits {commits['commits']}: {told}"


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return list(counts.items())[:_MOST]
