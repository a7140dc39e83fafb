"""How a verdict is put out: for people, or as one document of a format that others read."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from agentprov.cli import output

if TYPE_CHECKING:
    from agentprov.formats.evidence import TrustedTime
    from agentprov.verify.finding import Verdict

_COLOURS = {"error": "31", "warning": "33", "note": "2"}


class Format(StrEnum):
    """The formats of a verdict (docs/spec/report-formats.md)."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    MARKDOWN = "markdown"


FORMAT_HELP = "Put the verdict out in this format; the exit code is the same in all."


def chosen(named: Format | None, as_json: bool) -> Format:
    """Give the format that the options name; raises UsageError where they contradict."""
    if as_json and named not in (None, Format.JSON):
        from agentprov.errors import UsageError

        raise UsageError(
            f"--json and --format {named.value} name two formats", hint="leave one of them out"
        )
    return Format.JSON if as_json else named or Format.TEXT


def put(verdict: Verdict, form: Format, *, rules_path: str | None = None) -> None:
    """Print a verdict in a format; `rules_path` is the repository's file with the rules applied."""
    if form is Format.JSON:
        from agentprov.verify.output import verdict_json

        output.document(verdict_json(verdict))
    elif form is Format.SARIF:
        from agentprov.verify.output_sarif import verdict_sarif

        output.document(verdict_sarif(verdict, rules_path=rules_path))
    elif form is Format.JUNIT:
        from agentprov.verify.output_junit import verdict_junit

        output.line(verdict_junit(verdict))
    elif form is Format.MARKDOWN:
        from agentprov.verify.output_markdown import verdict_markdown

        output.line(verdict_markdown(verdict))
    else:
        print_verdict(verdict)


def _stamped(proven: TrustedTime | None) -> str:
    return f" (stamped {proven.at:%Y-%m-%dT%H:%M:%SZ} by {proven.authority})" if proven else ""


def print_verdict(verdict: Verdict) -> None:
    """Print a verdict for people."""
    from agentprov.verify.authority import is_import

    for commit in verdict.commits:
        signer = ", ".join(sorted({g.signer for g in commit.behind}))
        plans = ", ".join(plan.name + _stamped(plan.proven) for plan in commit.plans)
        parts = [commit.commit[:12], commit.coverage]
        if commit.way:
            parts.append(commit.way)
        if signer and commit.coverage != "uncovered":
            imported = all(is_import(g.builder) for g in commit.behind)
            parts.append(f"{'imported' if imported else 'recorded'} by {output.safe(signer)}")
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
