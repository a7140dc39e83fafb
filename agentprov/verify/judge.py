"""The judge: one numbered procedure from bytes and facts to a verdict.

The steps are those of docs/spec/verification.md, in the same order and under the same numbers.
Every step runs on everything that the steps before it could read, and all findings are reported,
whichever of them decides the exit code. Nothing here fetches, opens, executes or waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentprov.errors import MalformedInput
from agentprov.formats.digest import sha256
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.schema import instant
from agentprov.verify import authority, chain, coverage, not_proven, record, subjects
from agentprov.verify.finding import Finding, Problem, Verdict, finding
from agentprov.verify.record import Entry, Record
from agentprov.verify.subjects import CommitFacts
from agentprov.verify.trust import TrustRoot

if TYPE_CHECKING:
    from agentprov.ports import SignatureVerifier


@dataclass(frozen=True)
class Case:
    """Everything the judge may look at.

    `commits` are those to judge, and those that named bundles describe, where git has them.
    `required` are the ids of commits that must have provenance. `as_of` is an RFC 3339 time
    ending in Z. `plan_content` gives a plan's bytes where they are at hand.
    """

    target: str
    records: Sequence[Record]
    commits: Sequence[CommitFacts]
    trust: TrustRoot
    as_of: str
    required: frozenset[str] = frozenset()
    plan_content: Callable[[PlanView], bytes | None] = lambda _: None


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

    # 8. What was signed of commits and plans is what git has.
    _compare_with_git(entries, case.commits)
    for entry in entries:
        _compare_plan(entry, case.plan_content)

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


def _compare_plan(entry: Entry, content_of: Callable[[PlanView], bytes | None]) -> None:
    """Compare a plan's bytes, where they are at hand, and make again what the signer was shown."""
    view = entry.view
    content = content_of(view) if isinstance(view, PlanView) else None
    if content is None or not isinstance(view, PlanView):
        return
    if sha256(content) != view.sha256:
        entry.blame("content-differs", f"the bytes kept for {view.name!r} are not what was signed")
        return
    from agentprov.formats import presentation

    try:
        shown = presentation.shown_sha256(view.renderer, content)
    except MalformedInput as error:
        entry.blame("presentation-differs", error.message)
        return
    if shown is None:
        return
    if shown != view.rendered_sha256:
        entry.blame("presentation-differs", f"the signer of {view.name!r} was shown something else")
    entry.rendered = True
    # Ids of other versions are other ids, and what a later search finds is no lie of the signer's.
    if view.renderer == presentation.RENDERER:
        for found in presentation.present(content).refusals:
            if found.id not in view.accepted:
                message = (
                    f"{view.name!r}, {found.where}: {found.message}; its signer did not accept it"
                )
                entry.remark("hidden-plan-content", message)
