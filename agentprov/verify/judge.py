"""The judge: one numbered procedure from bytes and facts to a verdict.

The steps are those of docs/spec/verification.md, in the same order and under the same numbers.
Every step runs on everything that the steps before it could read, and all findings are reported,
whichever of them decides the exit code. Nothing here fetches, opens, executes or waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.schema import instant
from agentprov.ports import SignatureVerifier
from agentprov.verify import authority, chain, coverage, not_proven, record, subjects
from agentprov.verify.finding import Finding, Problem, Verdict, finding
from agentprov.verify.record import Entry, Record
from agentprov.verify.subjects import CommitFacts
from agentprov.verify.trust import TrustRoot


@dataclass(frozen=True)
class Case:
    """Everything the judge may look at.

    `commits` are those to judge, and those that named bundles describe, where git has them.
    `required` are the ids of commits that must have provenance. `as_of` is an RFC 3339 time
    ending in Z.
    """

    target: str
    records: Sequence[Record]
    commits: Sequence[CommitFacts]
    trust: TrustRoot
    as_of: str
    required: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the entries it rests on, for whoever wants to show what they say.

    `accepted` are the generation entries that hold for the judged commits; what each stands on
    is in its `uses`.
    """

    verdict: Verdict
    accepted: tuple[Entry, ...]


def judge(case: Case, verifier: SignatureVerifier) -> Judgement:
    """Judge a case; raises nothing for anything that records can hold.

    Does not decide which commits to judge, which trust root applies, or what policy says.
    """
    findings: list[Finding] = []

    # 1. The trust root must name at least one key.
    if not case.trust.keys:
        problem = Problem("trust-empty", f"{case.trust.source} names no key")
        findings.append(finding(problem, subject=case.trust.source, commit=None))

    # 2-4. Read each bundle, check its signature with a trusted key, read the statement.
    entries = record.read(case.records, case.trust, verifier)

    # 5. The signer may say this, and may claim to know it in this way.
    for entry in entries:
        authority.judge(entry)

    # 6-7. One statement for one place; plan, sessions and generations fit together.
    chain.judge(entries, instant(case.as_of))

    # 8. What was signed of a commit is what git has.
    _compare_with_git(entries, case.commits)

    # 9. Each commit that needs a record has one that holds; problems become findings.
    report = coverage.judge(entries, case.commits, case.required, case.trust)

    # 10. Say what all this does not prove.
    unproven = not_proven.collect(report.accepted, case.trust)

    verdict = Verdict(
        target=case.target,
        findings=(*findings, *report.findings),
        commits=tuple(report.commits),
        not_proven=unproven,
        trust_sha256=case.trust.sha256,
        trust_source=case.trust.source,
        as_of=case.as_of,
    )
    return Judgement(verdict, tuple(report.accepted))


def _compare_with_git(entries: Sequence[Entry], commits: Sequence[CommitFacts]) -> None:
    known = {facts.oid: facts for facts in commits}
    for entry in entries:
        view = entry.view
        if not isinstance(view, GenerationView):
            continue
        facts = known.get(view.commit)
        if facts is not None:
            for problem in subjects.compare(view, facts):
                entry.blame(problem.code, problem.message)
        elif entry.named:
            entry.blame("commit-missing", f"{view.commit} is not in this repository")
