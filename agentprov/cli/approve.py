"""`agentprov approve`: the human's consent to exactly these bytes."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agentprov.cli import output, passphrase
from agentprov.cli.examples import examples
from agentprov.cli.output import safe

if TYPE_CHECKING:
    from agentprov.flows.approve import Decided, Prepared
    from agentprov.flows.plan import ShownOn

app = typer.Typer(rich_markup_mode=None, add_completion=False)

HIDDEN = 13
_COLOURS = {"error": "31", "warning": "33", "note": "2"}


class DecisionOption(StrEnum):
    """What was decided."""

    approved = "approved"
    rejected = "rejected"


@app.command(
    epilog=examples(
        "agentprov approve",
        "agentprov approve main..HEAD --not-after 2027-01-31T00:00:00Z",
        "agentprov approve HEAD --decision rejected --notes 'no tests'",
    )
)
def approve(
    target: str = typer.Argument("HEAD", metavar="[REV|RANGE]", help="The change to decide on."),
    decision: DecisionOption = typer.Option(
        DecisionOption.approved, "--decision", help="What you decide."
    ),
    notes: str | None = typer.Option(None, "--notes", help="Published with the decision."),
    not_after: str | None = typer.Option(
        None, "--not-after", metavar="TIME", help="RFC 3339 time after which it is void."
    ),
    target_ref: str | None = typer.Option(None, "--ref", help="The ref that it is for."),
    path: list[str] = typer.Option(
        [], "--path", metavar="PATH", help="Look at this path only; recorded as partial."
    ),
    accept: list[str] = typer.Option(
        [], "--accept-finding", metavar="ID", help="Accept one hidden passage; signed as accepted."
    ),
    key: str | None = typer.Option(None, "--key", metavar="URI", help="A key URI."),
    tsa: str | None = typer.Option(
        None,
        "--tsa",
        metavar="URL",
        help="Have the signature stamped by this RFC 3161 authority, or sign nothing; "
        "`none` asks nobody. Only a digest leaves this machine.",
    ),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    yes: bool = typer.Option(False, "--yes", help="Do not ask; the change is still shown."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Show a change with its plan, records and line origins, and sign a decision about it.

    The signature holds for these bytes on this base; any later byte, file or base voids it.
    """
    from agentprov.cli.reading import taking_in
    from agentprov.flows import approve as flow
    from agentprov.flows.world import World

    world = World.here()
    taking_in(world)
    prepared = flow.prepare(world, target, paths=path, trust_file=trust)
    shown_on = _show(prepared)
    _say(prepared)
    if not yes:
        _ask(decision.value, prepared)
    try:
        decided = flow.decide(
            world,
            prepared,
            decision.value,
            shown_on=shown_on,
            accept=accept,
            notes=notes,
            not_after=not_after,
            target_ref=target_ref,
            key=key,
            ask=passphrase.ask,
            say=output.say,
            tsa=tsa,
        )
    except flow.HiddenInChange as error:
        for finding in error.findings:
            output.note(f"{finding.severity}: {safe(finding.message)}")
            output.note(f"    hidden text: {safe(finding.text)}")
            output.note(f"    id: {safe(finding.id)}")
        output.failure(error.message, error.hint)
        return HIDDEN
    if decided.not_stamped:
        output.note(f"signed without a timestamp: {safe(decided.not_stamped)}")
    if decided.not_logged:
        output.note(f"signed, but not in the signing log: {safe(decided.not_logged)}")
    _report(prepared, decided, as_json)
    return 0


def _show(prepared: Prepared) -> ShownOn:
    """Put the change before the reviewer's eyes; only a terminal counts as shown."""
    text = prepared.review.text
    # A pager writes to stdout: where that is a file, nobody would see anything.
    everywhere = sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()
    if everywhere and text.count("\n") > _rows():
        import click

        click.echo_via_pager(text)
        return "pager"
    sys.stderr.write(text)
    return "terminal" if sys.stderr.isatty() else "none"


def _rows() -> int:
    import shutil

    return shutil.get_terminal_size().lines - 2


def _say(prepared: Prepared) -> None:
    """Say what the verifier thinks, which depends on trust and time and is not signed as text."""
    for commit in prepared.verdict.commits:
        output.note(f"{commit.commit[:12]}  {commit.coverage}")
    for finding in prepared.verdict.findings:
        word = output.paint(finding.severity, _COLOURS[finding.severity])
        output.note(f"{word}: {finding.code}: {safe(finding.message)}")
    for hidden in prepared.hidden:
        word = output.paint(hidden.severity, _COLOURS[hidden.severity])
        output.note(f"{word}: {safe(hidden.kind)}: {safe(hidden.message)}")
    review = prepared.review
    if len(review.presented) < review.whole:
        output.note(f"partial: {len(review.presented)} of {review.whole} changed paths are shown")
    for label, why in review.unseen:
        output.note(f"  not shown: {safe(label)}, {why}")


def _ask(decision: str, prepared: Prepared) -> None:
    from agentprov.errors import UserError

    if not sys.stdin.isatty():
        raise UserError(
            "there is nobody here to ask", hint="decide at a terminal, or say --yes if you have"
        )
    word = "Approve" if decision == "approved" else "Reject"
    if not typer.confirm(f"{word} {prepared.commit} with your key?", err=True):
        raise UserError("nothing was signed")


def _report(prepared: Prepared, decided: Decided, as_json: bool) -> None:
    if decided.doubt:
        output.note(f"warning: {decided.doubt}")
    if as_json:
        output.document(
            {
                "schema": "agentprov-approve/1",
                "decision": decided.decision,
                "commit": decided.commit,
                "base": prepared.base,
                "commits": list(prepared.commits),
                "reviewer": decided.reviewer,
                "signer": decided.signer,
                "statement": {"sha256": decided.statement.sha256},
                "presentation": {
                    "renderer": prepared.review.renderer,
                    "digest": {"sha256": prepared.review.sha256},
                },
                "partial": len(prepared.review.presented) < prepared.review.whole,
                "doubt": decided.doubt or None,
            }
        )
        return
    output.line(f"{decided.decision} {decided.commit}")
    output.line(f"  as {safe(decided.reviewer)}, with {safe(decided.signer)}")
    output.line("  next: agentprov sync")
