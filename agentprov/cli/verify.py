"""`agentprov verify`: what holds, what does not, and what was not proven."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.reading import taking_in

if TYPE_CHECKING:
    from agentprov.formats.evidence import TrustedTime
    from agentprov.verify.finding import Verdict

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_COLOURS = {"error": "31", "warning": "33", "note": "2"}


@app.command(
    epilog=examples(
        "agentprov verify",
        "agentprov verify main..HEAD --json",
        "agentprov verify record.sigstore.json --trust trust.yaml",
    )
)
def verify(
    targets: list[str] = typer.Argument(
        None, metavar="[REV|RANGE|BUNDLE]...", help="What to verify; HEAD if nothing is named."
    ),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
    explain: str | None = typer.Option(
        None, "--explain", metavar="CODE", help="Explain a finding's code, and verify nothing."
    ),
) -> int:
    """Verify commits, ranges or bundles, offline.

    Signatures, bytes as git has them, and the chain from plan to commit. A commit that is named
    must have a record that holds; in a range every commit is reported.
    """
    if explain is not None:
        return _explain(explain)
    from agentprov.flows.verify import verify as judge
    from agentprov.flows.world import World

    world = World.here()
    taking_in(world)
    verdict = judge(world, targets or [], trust).verdict
    if as_json:
        from agentprov.verify.output import verdict_json

        output.document(verdict_json(verdict))
    else:
        print_verdict(verdict)
    return verdict.exit_code


def _explain(code: str) -> int:
    from agentprov.errors import UserError
    from agentprov.verify.catalogue import CATALOGUE

    kind = CATALOGUE.get(code)
    if kind is None:
        raise UserError(
            f"no finding has the code {code!r}", hint="codes: " + ", ".join(sorted(CATALOGUE))
        )
    output.line(f"{code}: {kind.severity} by itself, exit code {kind.exit_code}")
    output.line(f"  What to do: {kind.remedy}")
    output.line(f"  More: docs/spec/findings.md#{code}")
    return 0


def _stamped(proven: TrustedTime | None) -> str:
    return f" (stamped {proven.at:%Y-%m-%dT%H:%M:%SZ} by {proven.authority})" if proven else ""


def print_verdict(verdict: Verdict) -> None:
    """Print a verdict for people."""
    for commit in verdict.commits:
        signer = ", ".join(sorted({g.signer for g in commit.generations}))
        plans = ", ".join(plan.name + _stamped(plan.proven) for plan in commit.plans)
        parts = [commit.commit[:12], commit.coverage]
        if signer:
            parts.append(f"recorded by {output.safe(signer)}")
        if plans:
            parts.append(f"plan {output.safe(plans)}")
        for decided in commit.approvals:
            if decided.valid:
                part = " in part" if decided.partial else ""
                who = output.safe(decided.signer + _stamped(decided.proven))
                parts.append(f"{decided.decision}{part} by {who}")
        output.line("  ".join(parts))
    for finding in verdict.findings:
        word = output.paint(finding.severity, _COLOURS[finding.severity])
        output.line(f"{word}: {finding.code}: {output.safe(finding.message)}")
        output.line(f"    in {output.safe(finding.subject)}; {output.safe(finding.remedy)}")
    holds = output.paint("holds", "32;1") if verdict.holds else output.paint("fails", "31;1")
    output.line(f"Verdict: {output.safe(verdict.target)} {holds} (exit code {verdict.exit_code})")
    if verdict.policy_source is not None:
        output.line(f"Policy: {output.safe(verdict.policy_source)}")
    output.line(f"Trust: {output.safe(verdict.trust_source)}")
    output.line("Not proven:")
    for item in verdict.not_proven:
        output.line(f"  - {output.safe(item.claim)}: {output.safe(item.why)}")
