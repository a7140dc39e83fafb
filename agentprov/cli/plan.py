"""`agentprov plan`: the human's intent, signed before work starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from agentprov.cli import output, passphrase
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.errors import UserError

if TYPE_CHECKING:
    from agentprov.flows.plan_records import PlanRecord
    from agentprov.formats.hidden import Finding
    from agentprov.formats.presentation import Presentation

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Sign, lint, show or list plans.",
)

HIDDEN = 13


@app.command(
    epilog=examples(
        "agentprov plan sign PLAN.md",
        "agentprov plan sign PLAN.md --allow 'src/**' --not-after 2027-01-31T00:00:00Z",
        "agentprov plan sign PLAN.md --model 'anthropic/claude-*' --no-mcp-servers",
    )
)
def sign(
    plan: Path = typer.Argument(..., metavar="PLAN", help="The file to sign."),
    accept: list[str] = typer.Option(
        [], "--accept-finding", metavar="ID", help="Accept one hidden passage; signed as accepted."
    ),
    intent: str | None = typer.Option(None, "--intent", help="One published line of intent."),
    allow: list[str] = typer.Option(
        [], "--allow", metavar="GLOB", help="A path the work may touch; repeatable."
    ),
    not_after: str | None = typer.Option(
        None, "--not-after", metavar="TIME", help="RFC 3339 time after which no run may start."
    ),
    target_ref: str | None = typer.Option(None, "--ref", help="The ref the plan is for."),
    agent: list[str] = typer.Option(
        [], "--agent", metavar="PURL", help="A package of an agent that may work; repeatable."
    ),
    model: list[str] = typer.Option(
        [], "--model", metavar="NAME", help="A model that may answer, provider/id; repeatable."
    ),
    server: list[str] = typer.Option(
        [], "--mcp-server", metavar="NAME", help="An MCP server that may be used; repeatable."
    ),
    no_servers: bool = typer.Option(False, "--no-mcp-servers", help="No MCP server may be used."),
    anywhere: bool = typer.Option(
        False, "--anywhere", help="Do not bind the plan to this repository."
    ),
    key: str | None = typer.Option(
        None,
        "--key",
        metavar="URI",
        help="ssh:, file: or sigstore: (docs/howto/keys.md, keyless.md).",
    ),
    tsa: str | None = typer.Option(
        None,
        "--tsa",
        metavar="URL",
        help="Have the signature stamped by this RFC 3161 authority, or sign nothing; "
        "`none` asks nobody. Only a digest leaves this machine.",
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Show a plan with everything hidden made visible, and sign it with the human's key.

    Hidden text refuses the signature unless each passage is accepted by its id.
    """
    from agentprov.flows import plan as flow
    from agentprov.flows.world import World

    if no_servers and server:
        raise UserError("either some MCP servers are allowed or none")
    scope = flow.Scope(
        allowed_paths=tuple(allow),
        not_after=not_after,
        target_ref=target_ref,
        anywhere=anywhere,
        agents=tuple(agent),
        models=tuple(model),
        mcp_servers=tuple(server) if server or no_servers else None,
    )
    try:
        signed = flow.sign(
            World.here(),
            plan,
            accept=accept,
            intent=intent,
            scope=scope,
            key=key,
            show=_show_on_stderr,
            ask=passphrase.ask,
            say=output.say,
            tsa=tsa,
        )
    except flow.HiddenContent as error:
        for finding in error.findings:
            _print_finding(finding)
        output.failure(error.message, error.hint)
        return HIDDEN
    if signed.not_stamped:
        output.note(f"signed without a timestamp: {safe(signed.not_stamped)}")
    if signed.not_logged:
        output.note(f"signed, but not in the signing log: {safe(signed.not_logged)}")
    if as_json:
        output.document(
            {
                "schema": "agentprov-plan-sign/1",
                "name": signed.ref.name,
                "digest": {"sha256": signed.ref.sha256},
                "statement": {"sha256": signed.ref.statement_sha256},
                "signature": {"sha256": signed.ref.signature_sha256},
                "signer": signed.signer,
                "blob": signed.blob,
            }
        )
    else:
        output.line(f"signed {safe(signed.ref.name)}  sha256:{signed.ref.sha256}")
        output.line(f"  with {safe(signed.signer)}")
        output.line(f"  next: agentprov run --plan {safe(str(plan))} -- claude")
    return 0


def _show_on_stderr(presentation: Presentation) -> Literal["terminal", "pager", "none"]:
    """Put what is signed before the signer's eyes; only a terminal counts as shown."""
    sys.stderr.write(presentation.text + presentation.remarks)
    return "terminal" if sys.stderr.isatty() else "none"


def _print_finding(finding: Finding) -> None:
    output.note(f"{finding.severity}: {finding.kind} at {finding.where}: {safe(finding.message)}")
    output.note(f"    hidden text: {safe(finding.text)}")
    output.note(f"    id: {safe(finding.id)}")


@app.command(
    epilog=examples(
        "agentprov plan lint PLAN.md CLAUDE.md", "agentprov plan lint --code src/app.py"
    )
)
def lint(
    paths: list[Path] = typer.Argument(..., metavar="PATH...", help="The files to look at."),
    code: bool = typer.Option(False, "--code", help="They are code, in which markup is no markup."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Look for hidden text in plans, instruction files or code.

    Exits 13 when a signature would be refused.
    """
    from agentprov.flows import plan as flow
    from agentprov.flows.known_names import known_names_here

    known = known_names_here()
    found = [
        (path, flow.lint(path, syntax="plain" if code else "markdown", known=known))
        for path in paths
    ]
    refused = any(presentation.refusals for _, presentation in found)
    if as_json:
        output.document(
            {
                "schema": "agentprov-plan-lint/2",
                "ok": not refused,
                "files": [_linted(path, presentation) for path, presentation in found],
            }
        )
        return HIDDEN if refused else 0
    for path, presentation in found:
        for finding in presentation.findings:
            output.line(
                f"{safe(str(path))}:{finding.line}:{finding.column}: {finding.severity}: "
                f"{finding.kind}: {safe(finding.message)}"
            )
            output.line(f"    hidden text: {safe(finding.text)}")
            output.line(f"    id: {safe(finding.id)}")
        if not presentation.findings:
            output.line(f"{safe(str(path))}: nothing hidden")
    return HIDDEN if refused else 0


def _linted(path: Path, presentation: Presentation) -> dict[str, Any]:
    return {
        "path": str(path),
        "ok": not presentation.refusals,
        "presentation": {
            "renderer": presentation.renderer,
            "digest": {"sha256": presentation.sha256},
        },
        "findings": [_finding(finding) for finding in presentation.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "kind": finding.kind,
        "severity": finding.severity,
        "line": finding.line,
        "column": finding.column,
        "endLine": finding.end_line,
        "endColumn": finding.end_column,
        "text": finding.text,
        "message": finding.message,
    }


@app.command(epilog=examples("agentprov plan show PLAN.md", "agentprov plan show 3fb2a1"))
def show(
    name: str = typer.Argument(..., metavar="NAME|DIGEST", help="Which signed plan."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Show a signed plan: its record, and its bytes as its signer was shown them."""
    from agentprov.flows import plan as flow
    from agentprov.flows.world import World

    found = flow.show(World.here(), name)
    if as_json:
        output.document(
            {
                "schema": "agentprov-plan-show/1",
                "plan": _record(found.record),
                "samePresentation": found.same_presentation,
                "presentation": found.presentation.text if found.presentation else None,
            }
        )
        return 0
    _print_record(found.record)
    if found.presentation is not None:
        output.line()
        output.line((found.presentation.text + found.presentation.remarks).rstrip("\n"))
    else:
        output.line("  its bytes are not in this repository")
    if found.same_presentation is False:
        output.note("this version shows the plan differently from what its signer was shown")
    return 0


@app.command("list", epilog=examples("agentprov plan list --json"))
def list_(
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """List signed plans, newest first, and why a signature does not count where it does not."""
    from agentprov.flows import plan as flow
    from agentprov.flows.world import World

    found = flow.list_plans(World.here())
    if as_json:
        output.document(
            {"schema": "agentprov-plan-list/1", "plans": [_record(record) for record in found]}
        )
        return 0
    for record in found:
        _print_record(record)
    if not found:
        output.note("no signed plans here; sign one with `agentprov plan sign PLAN.md`")
    return 0


def _record(record: PlanRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "digest": {"sha256": record.sha256},
        "statement": {"sha256": record.statement_sha256},
        "author": record.author,
        "signer": record.signer,
        "signedAt": record.declared_at.removesuffix("Z") + "+00:00",
        "notAfter": record.not_after,
        "repository": record.repository,
        "limits": list(record.limits),
        "shownOn": record.shown_on,
        "hiddenSegments": record.hidden_segments,
        "accepted": list(record.accepted),
        "intent": record.intent,
        "trusted": not record.problem,
        "problem": record.problem or None,
    }


def _print_record(record: PlanRecord) -> None:
    output.line(f"{safe(record.name)}  sha256:{record.sha256[:16]}...  {record.declared_at}")
    if record.problem:
        output.line(f"  does not count here: {safe(record.problem)}")
    else:
        output.line(f"  signed by {safe(record.signer or '?')}")
    if record.not_after:
        output.line(f"  until {record.not_after}")
    if record.accepted:
        output.line(f"  hidden passages accepted: {safe(', '.join(record.accepted))}")
