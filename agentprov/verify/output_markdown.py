"""The verdict as Markdown for a comment on a forge.

All text from outside stands in code spans, in which no forge reads markup, HTML, mentions,
references or commands. The whole is cut to what a comment may hold, and says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from agentprov.formats.visible import safe
from agentprov.verify.finding import CommitVerdict, Finding, Verdict

MAX_BYTES = 60_000
"""GitHub takes 65,536 characters; what a bot adds around the report needs room as well."""
MAX_TEXT = 600
_RANK = {"error": 0, "warning": 1, "note": 2}


def verdict_markdown(verdict: Verdict, *, limit: int = MAX_BYTES) -> str:
    """Give the verdict as Markdown of at most `limit` bytes of UTF-8, cut between lines.

    Errors come first, then what else was found, what was not proven, and the commits. `limit`
    must leave room for two lines.
    """
    lines = list(_lines(verdict))
    if _size(lines) <= limit:
        return "\n".join(lines)
    kept: list[str] = []
    size = 0
    for line in lines:
        said = _said(len(lines) - len(kept))
        size += len(line.encode()) + 1
        if size + len(said) + 2 > limit:
            break
        kept.append(line)
    return "\n".join([*kept, "", _said(len(lines) - len(kept))])


def _said(count: int) -> str:
    return f"**Cut here**: {count} more lines do not fit; `--format json` has everything."


def _size(lines: list[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _lines(verdict: Verdict) -> Iterator[str]:
    word = "holds" if verdict.holds else "fails"
    yield f"### agentprov: {word} (exit code {verdict.exit_code})"
    yield ""
    yield f"Judged: {span(verdict.target)} at {span(verdict.as_of)}"
    if verdict.policy_source is not None:
        yield f"\nPolicy: {span(verdict.policy_source)}, {span(f'sha256:{verdict.policy_sha256}')}"
    yield f"\nTrust: {span(verdict.trust_source)}, {span(f'sha256:{verdict.trust_sha256}')}"
    counts = Counter(item.coverage for item in verdict.commits)
    if counts:
        said = ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
        yield f"\nCommits: {len(verdict.commits)} ({said})"
    if verdict.findings:
        yield "\n#### Findings\n"
        for item in sorted(verdict.findings, key=lambda item: _RANK[item.severity]):
            yield _finding(item)
    if verdict.not_proven:
        yield "\n#### Not proven\n"
        for unproven in verdict.not_proven:
            yield f"- {span(unproven.claim)}: {span(unproven.why)}"
    if verdict.commits:
        yield "\n#### Commits\n"
        for commit in verdict.commits:
            yield _commit(commit)


def _finding(item: Finding) -> str:
    where = span(item.subject if item.path is None else item.path)
    return (
        f"- **{item.severity}** {span(item.code)}: {span(item.message)} in {where}; "
        f"{span(item.remedy)}"
    )


def _commit(item: CommitVerdict) -> str:
    way = f" ({item.way})" if item.way else ""
    parts = [f"- {span(item.commit)} {item.coverage}{way}"]
    parts += [f"plan {span(plan.name)} by {span(plan.signer)}" for plan in item.plans]
    parts += [
        f"{span(decided.decision)} by {span(decided.signer)}"
        for decided in item.approvals
        if decided.valid
    ]
    return ", ".join(parts)


def span(text: str) -> str:
    """Give text as a code span of one line that nothing in the text can end."""
    shown = safe(text).strip() or "(nothing)"
    if len(shown) > MAX_TEXT:
        shown = f"{shown[:MAX_TEXT]} (cut)"
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


__all__ = ["MAX_BYTES", "span", "verdict_markdown"]
