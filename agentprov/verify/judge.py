"""The judge: one numbered procedure from bytes and facts to a verdict.

The steps are those of docs/spec/verification.md, in the same order and under the same numbers.
Every step runs on everything that the steps before it could read, and all findings are reported,
whichever of them decides the exit code. Nothing here fetches, opens, executes or waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING

from agentprov.errors import MalformedInput
from agentprov.formats.digest import git_blob, sha256
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.schema import instant
from agentprov.formats.value import value
from agentprov.verify import (
    approvals,
    authority,
    chain,
    coverage,
    local_log,
    not_proven,
    record,
    remotes,
    retirement,
    rewriting,
    subjects,
    times,
)
from agentprov.verify.approvals import Surroundings
from agentprov.verify.finding import Finding, Problem, Verdict, finding
from agentprov.verify.local_log import LogFacts
from agentprov.verify.rebinding import Binding
from agentprov.verify.record import Entry, Record
from agentprov.verify.remotes import RemoteFacts
from agentprov.verify.rewriting import History
from agentprov.verify.subjects import CommitFacts
from agentprov.verify.trust import TrustedKey, TrustRoot

if TYPE_CHECKING:
    from agentprov.formats.review import Change
    from agentprov.ports import EvidenceVerifier, SignatureVerifier


@value
class Case:
    """Everything the judge may look at.

    `commits` are those to judge, and those that named bundles describe, where git has them.
    `required` are the ids of commits that must have provenance. `as_of` is an RFC 3339 time
    ending in Z. `plan_content` gives a plan's bytes where they are at hand, `review_material`
    what a reviewer was to be shown; `around` is what git knows around approvals, `log` what is
    known of the log of this machine, where one is kept, `remotes` of
    those that records come from. `others` are commits that records which
    were brought speak of and that are not judged: what judged ones were made of, as far as git
    has it; `history` is what git knows of their lines. `gone` are recorded commits that no judged
    commit leads back to, `whole` says that this clone could tell.
    """

    target: str
    records: Sequence[Record]
    commits: Sequence[CommitFacts]
    trust: TrustRoot
    as_of: str
    required: frozenset[str] = frozenset()
    plan_content: Callable[[PlanView], bytes | None] = lambda _: None
    review_material: Callable[[ApprovalView], Change | None] = lambda _: None
    around: Surroundings = field(default_factory=Surroundings)
    log: LogFacts | None = None
    others: Sequence[CommitFacts] = ()
    history: History = field(default_factory=History)
    gone: frozenset[str] = frozenset()
    whole: bool = True
    remotes: tuple[RemoteFacts, ...] = ()


@value
class Judgement:
    """A verdict, and the entries it rests on, for whoever wants to show what they say.

    `accepted` are the generation and rewrite entries that hold for the judged commits; what each
    stands on is in its `uses`. `decided` are the approvals and rejections that stand, `bindings`
    what content says of commits without such an entry.
    """

    verdict: Verdict
    accepted: tuple[Entry, ...]
    decided: tuple[Entry, ...]
    case: Case
    bindings: Mapping[str, Binding] = field(default_factory=dict)


def judge(
    case: Case, verifier: SignatureVerifier, evidence: EvidenceVerifier | None = None
) -> Judgement:
    """Judge a case; raises nothing for anything that records can hold.

    Does not decide which commits to judge, which trust root applies, or what policy says.
    """
    findings: list[Finding] = []
    as_of = instant(case.as_of)

    # 1. The trust root must name at least one signer.
    if not case.trust.signers:
        problem = Problem("trust-empty", f"{case.trust.source} names no key")
        findings.append(finding(problem, subject=case.trust.source, commit=None))

    # 2-4. Read each bundle, check its signature with a trusted signer, read the statement.
    entries = record.read(case.records, case.trust, verifier, evidence)

    # 5. The signer may say this, and may claim to know it in this way.
    for entry in entries:
        authority.judge(entry, as_of)

    # 6-7. One statement for one place; plan, sessions and generations fit together.
    chain.judge(entries, as_of)

    # 7b. Who has retired speaks for what was before that.
    if any(signer.retired is not None for signer in case.trust.signers):
        retirement.judge(entries, case.around.is_ancestor)

    # 8. What was signed of commits and plans is what git has.
    known = {facts.oid: facts for facts in (*case.others, *case.commits)}
    _compare_with_git(entries, known, frozenset(facts.oid for facts in case.commits))
    rewriting.judge(entries, known, case.history)
    for entry in entries:
        _compare_plan(entry, case.plan_content)
    approvals.judge(entries, case.around, as_of)
    for entry in entries:
        # Others are many where much was reviewed, and making a review again takes long.
        if entry.named or _decides(entry, case):
            _compare_review(entry, case.review_material)

    # 9. Each commit that needs a record has one that holds; problems become findings.
    still = _still_trusted(case, as_of)
    report = coverage.judge(
        entries,
        case.commits,
        case.required,
        case.trust,
        case.around,
        still,
        case.history,
        case.gone,
        whole=case.whole,
    )
    found = [one.entry for item in report.bindings.values() for one in item.found]

    # The log that this machine keeps of what it signed fits what was accepted.
    findings += local_log.judge(case.log, report.accepted)

    # What the remotes that were asked are known to have done with the records.
    told = remotes.judge(case.remotes, report.findings)

    # 10. Say what all this does not prove.
    unproven = not_proven.collect([*report.accepted, *found], report.decided, case.trust)

    verdict = Verdict(
        target=case.target,
        findings=(*findings, *told),
        commits=tuple(report.commits),
        not_proven=unproven,
        trust_sha256=case.trust.sha256,
        trust_source=case.trust.source,
        as_of=case.as_of,
    )
    return Judgement(verdict, tuple(report.accepted), tuple(report.decided), case, report.bindings)


def _still_trusted(case: Case, as_of: datetime) -> Callable[[TrustedKey, str], bool]:
    """Say whether a key's signature on a commit itself counts; no trusted time comes with one."""

    def still(key: TrustedKey, commit: str) -> bool:
        retired = key.retired
        return not list(times.why_not(key, None, as_of)) and (
            retired is None or case.around.is_ancestor(commit, retired.after) is True
        )

    return still


def _compare_with_git(
    entries: Sequence[Entry], known: Mapping[str, CommitFacts], judged: frozenset[str]
) -> None:
    for entry in entries:
        view = entry.view
        if not isinstance(view, GenerationView):
            continue
        facts = known.get(view.commit)
        if facts is not None:
            for problem in subjects.compare(view, facts):
                # An old commit's contents need not be here; what is here must be what was signed.
                if problem.code != "content-missing" or view.commit in judged:
                    entry.blame(*problem)
        elif entry.named:
            entry.blame("commit-missing", f"{view.commit} is not in this repository")


def _compare_plan(entry: Entry, content_of: Callable[[PlanView], bytes | None]) -> None:
    """Compare a plan's bytes, where they are at hand, and make again what the signer was shown."""
    view = entry.view
    content = content_of(view) if isinstance(view, PlanView) else None
    if content is None or not isinstance(view, PlanView):
        return
    # All digests that stand there must be right, not any.
    same = sha256(content) == view.sha256
    if not same or (view.blob is not None and git_blob(content, len(view.blob)) != view.blob):
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


def _decides(entry: Entry, case: Case) -> bool:
    return isinstance(entry.view, ApprovalView) and any(
        approvals.speaks_of(entry, facts.oid, case.around) for facts in case.commits
    )


def _compare_review(entry: Entry, material_of: Callable[[ApprovalView], Change | None]) -> None:
    """Make again what a reviewer was shown, where all of it is at hand."""
    view = entry.view
    if not isinstance(view, ApprovalView) or entry.statement is None:
        return
    from agentprov.formats import review

    material = material_of(view) if view.renderer == review.RENDERER else None
    if material is None:
        return
    try:
        shown = review.render(material, view.paths)
    except MalformedInput as error:
        entry.blame("presentation-differs", error.message)
        return
    if (shown.whole, len(shown.presented), shown.sha256) != (
        view.paths_in_change,
        view.paths_presented,
        view.rendered_sha256,
    ):
        entry.blame("presentation-differs", f"{view.reviewer} was shown something else")
    entry.rendered = True
