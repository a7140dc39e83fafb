"""`agentprov import`: take over what other tools and people already wrote about commits."""

from __future__ import annotations

from pathlib import Path

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.reading import taking_in
from agentprov.errors import UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_SHOWN = 20


@app.command(
    epilog=examples(
        "agentprov import --format git-ai --dry-run",
        "agentprov import --format trailers --range v1.0..HEAD",
        "agentprov import --format agent-trace .agent-trace/traces.jsonl",
        "agentprov import --format claude-transcript ~/.claude/projects/-src-app/4f1c.jsonl",
    )
)
def import_(
    paths: list[Path] = typer.Argument(None, metavar="[PATH]...", help="Records or transcripts."),
    format_: str = typer.Option(
        ...,
        "--format",
        metavar="FORMAT",
        help="git-ai, agent-trace, claude-transcript, codex-transcript or trailers.",
    ),
    range_: str | None = typer.Option(
        None, "--range", metavar="A..B", help="Only for commits of this range."
    ),
    ref: str = typer.Option("refs/notes/ai", "--ref", help="git-ai's notes."),
    worktree: list[str] = typer.Option(
        [],
        "--worktree",
        metavar="DIR",
        help="Where the work tree lay when a transcript's session ran; repeatable.",
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Sign and write nothing."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Take over records that exist already, as statements signed by your recorder's key.

    They say that something was declared or reported, never that it was seen, and a gate counts
    them only where the trust file lists their builder id. What was imported before is not added
    again.
    """
    from agentprov.flows.foreign_sources import Wanted
    from agentprov.flows.import_records import document, take
    from agentprov.flows.world import World
    from agentprov.formats.foreign.claims import FORMATS
    from agentprov.formats.names import TRANSCRIPT_IMPORT

    if format_ not in FORMATS:
        raise UsageError(f"--format {format_}: it is one of {', '.join(FORMATS)}")
    world = World.here()
    taking_in(world)
    wanted = Wanted(format_, tuple(paths or ()), range_, ref, tuple(worktree))
    result = take(world, wanted, dry=dry_run, progress=output.note)
    if as_json:
        output.document(document(result))
        return 0
    for item in result.taken[:_SHOWN]:
        word = ("would add" if dry_run else "added") if item.new else "known"
        model = f" ({safe(item.model)})" if item.model else ""
        output.line(
            f"{word:9} {item.commit[:12]}  {safe(item.agent)}{model}  "
            f"{item.files} files, {item.lines} lines"
        )
    if len(result.taken) > _SHOWN:
        output.line(f"... and {len(result.taken) - _SHOWN} more")
    for subject, complaint in list(result.complaints)[:_SHOWN]:
        output.note(f"{safe(subject)}: {complaint.code}: {safe(complaint.detail)}")
    if len(result.complaints) > _SHOWN:
        output.note(f"... and {len(result.complaints) - _SHOWN} more; --json lists all")
    output.line(f"{result.added} of {len(result.taken)} sessions {'new' if dry_run else 'added'}")
    if result.added and not dry_run:
        output.note(f"gates count them where the trust file lists the builder {TRANSCRIPT_IMPORT}")
    return 0
