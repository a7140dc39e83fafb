"""Whether each commit has the record that was asked for, and what stands in the way.

This is where problems become findings. A commit that needs a record and has one that holds
passes, whatever else hangs on it: evidence can only be added by whoever can sign it, and junk
that somebody hangs beside it takes nothing away. Where no record holds, the defects of those
that were meant for the commit are the reasons, and count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agentprov.formats.names import label_path
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import ChangeView, GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.session import OpenView
from agentprov.verify import approvals, plan_limits, times
from agentprov.verify.approvals import Decisions, Surroundings
from agentprov.verify.catalogue import Severity
from agentprov.verify.finding import (
    CommitVerdict,
    Coverage,
    Finding,
    GenerationRef,
    PlanRef,
    Problem,
    finding,
)
from agentprov.verify.record import Entry
from agentprov.verify.subjects import CommitFacts
from agentprov.verify.trust import TrustedKey, TrustRoot


@dataclass
class Report:
    """Commit verdicts, findings, and what holds for the judged commits.

    `accepted` are generations, `decided` the approvals and rejections that stand.
    """

    commits: list[CommitVerdict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    accepted: list[Entry] = field(default_factory=list)
    decided: list[Entry] = field(default_factory=list)
    _told: set[tuple[int, str, str]] = field(default_factory=set)

    def tell(self, entry: Entry, commit: str | None, *, counts: bool) -> None:
        """Report an entry's problems and remarks, each once; errors where they count."""
        for problem in entry.problems:
            self._add(entry, problem, commit, "error" if counts else "warning")
        for remark in entry.remarks:
            self._add(entry, remark, commit, None)

    def _add(
        self, entry: Entry, problem: Problem, commit: str | None, severity: Severity | None
    ) -> None:
        key = (id(entry), problem.code, problem.message)
        if key not in self._told:
            self._told.add(key)
            self.findings.append(
                finding(problem, subject=entry.label, commit=commit, severity=severity)
            )


def judge(
    entries: Sequence[Entry],
    commits: Sequence[CommitFacts],
    required: frozenset[str],
    trust: TrustRoot,
    around: Surroundings,
    still: Callable[[TrustedKey, str], bool] = lambda _key, _commit: True,
) -> Report:
    """Judge every commit, then the records that were named, then what else was found there.

    `still` says whether a key's signature on a commit itself counts.
    """
    meant, elsewhere = _meant_for(entries)
    deciding = [
        entry for entry in entries if entry.statement and isinstance(entry.view, ApprovalView)
    ]
    report = Report()
    for entry in entries:
        if entry.named:
            for part in entry.everything():
                report.tell(part, _commit_of(part), counts=True)
    quiet: list[tuple[Entry, str]] = []
    for facts in commits:
        candidates = meant.get(facts.oid, [])
        holding = [entry for entry in candidates if _speaks_for(entry, facts.oid)]
        report.accepted.extend(holding)
        verdict = _verdict(facts.oid, _coverage(holding, facts, trust, still), holding)
        decided = (
            approvals.decisions(facts, deciding, holding, verdict.plans, around)
            if deciding
            else Decisions()
        )
        verdict = verdict._replace(approvals=decided.refs)
        if verdict.coverage == "uncovered" and decided.approved:
            verdict = verdict._replace(coverage="human")
        coverage = verdict.coverage
        report.decided.extend(decided.standing)
        missing = _missing(coverage, facts, facts.oid in required)
        missing += _trailers(holding, elsewhere, facts)
        counts = any(item.severity == "error" for item in missing)
        for candidate in candidates:
            if counts:
                report.findings.extend(_misplaced(candidate, facts))
            for entry in candidate.everything():
                if counts:
                    report.tell(entry, facts.oid, counts=True)
                else:
                    quiet.append((entry, facts.oid))
        report.findings.extend(missing)
        report.findings.extend(_beyond_plans(holding, facts.oid, required, around.target_ref))
        report.findings.extend(decided.findings)
        report.commits.append(verdict)
    for entry, oid in quiet:
        report.tell(entry, oid, counts=False)
    return report


def _meant_for(
    entries: Sequence[Entry],
) -> tuple[Mapping[str, list[Entry]], Mapping[tuple[str, int], list[Entry]]]:
    """Group entries by the commit they describe or hang on, and generations by their place."""
    meant: dict[str, list[Entry]] = defaultdict(list)
    places: dict[tuple[str, int], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.statement and isinstance(entry.view, ApprovalView):
            continue
        oids = set(entry.anchors)
        if isinstance(entry.view, GenerationView):
            oids.add(entry.view.commit)
            places[entry.view.session, entry.view.sequence].append(entry)
        for oid in oids:
            meant[oid].append(entry)
    return meant, places


def _speaks_for(entry: Entry, oid: str) -> bool:
    view = entry.view
    return isinstance(view, GenerationView) and view.commit == oid and entry.holds()


def _commit_of(entry: Entry) -> str | None:
    return entry.view.commit if isinstance(entry.view, GenerationView) else None


def _misplaced(entry: Entry, facts: CommitFacts) -> list[Finding]:
    """Find what a record that hangs on this commit says of another: a copy, moved or replayed.

    The entry itself keeps its standing: it may hold for the commit that it describes, and
    whoever hangs a copy elsewhere must not be able to take that away.
    """
    view = entry.view
    if not isinstance(view, GenerationView) or view.commit == facts.oid:
        return []
    if facts.oid not in entry.anchors:
        return []
    problems = [
        Problem(
            "record-of-another-commit", f"it hangs on {facts.oid}, yet it describes {view.commit}"
        )
    ]
    differing = [change.path for change in view.changes if change.blob and _differs(change, facts)]
    problems += [
        Problem(
            "changed-since-recorded", f"{path!r} does not have the content that was signed", path
        )
        for path in differing
    ]
    return [finding(item, subject=entry.label, commit=facts.oid) for item in problems]


def _differs(change: ChangeView, facts: CommitFacts) -> bool:
    real = facts.diffs.get(label_path(change.path))
    return real is not None and real.new_blob is not None and real.new_blob != change.blob


def _coverage(
    holding: Sequence[Entry],
    facts: CommitFacts,
    trust: TrustRoot,
    still: Callable[[TrustedKey, str], bool],
) -> Coverage:
    if holding:
        return "covered"
    signer = next((key for key in trust.keys if key.spki == facts.signed_by), None)
    human = signer is not None and signer.may("human") and still(signer, facts.oid)
    return "human" if human else "uncovered"


def _missing(coverage: Coverage, facts: CommitFacts, required: bool) -> list[Finding]:
    if coverage != "uncovered":
        return []
    return [
        finding(
            Problem("provenance-missing", "no record that holds says where this commit came from"),
            subject=facts.oid,
            commit=facts.oid,
            severity="error" if required else "warning",
        )
    ]


def _beyond_plans(
    holding: Sequence[Entry], oid: str, required: frozenset[str], target_ref: str | None
) -> list[Finding]:
    """Find work that its plan's signer did not allow; the record of it is still a true one."""
    return [
        finding(
            Problem("plan-exceeded", sentence),
            subject=entry.label,
            commit=oid,
            severity="error" if oid in required else "warning",
        )
        for entry in holding
        for _, sentence in plan_limits.exceeded(entry, target_ref)
    ]


def _trailers(
    holding: Sequence[Entry],
    places: Mapping[tuple[str, int], Sequence[Entry]],
    facts: CommitFacts,
) -> list[Finding]:
    """Find trailers whose record is not here: the trace that a deleted record leaves."""
    problems: list[Problem] = []
    sessions = {entry.view.session for entry in holding if isinstance(entry.view, GenerationView)}
    for trailer in facts.trailers:
        session, _, number = trailer.rpartition("/")
        if not session or not (number.isascii() and number.isdigit()) or len(number) > 8:
            problems.append(Problem("trailer-malformed", f"{trailer!r} is not SESSION/NUMBER"))
        elif session not in sessions:
            others = [
                entry.view.commit
                for entry in places.get((session, int(number)), ())
                if isinstance(entry.view, GenerationView)
                and entry.view.commit != facts.oid
                and entry.holds()
            ]
            problems.append(
                Problem("commit-rewritten", f"the record of {trailer} describes {others[0]}")
                if others
                else Problem("record-missing", f"its trailer names {trailer}; no such record holds")
            )
    return [finding(problem, subject=facts.oid, commit=facts.oid) for problem in problems]


def _verdict(oid: str, coverage: Coverage, holding: Sequence[Entry]) -> CommitVerdict:
    generations: list[GenerationRef] = []
    plans: dict[str, PlanRef] = {}
    for entry in holding:
        view = entry.view
        if isinstance(view, GenerationView) and entry.statement is not None:
            behind = dict(_plans(entry))
            generations.append(
                GenerationRef(
                    sha256=entry.statement.value.sha256,
                    session=view.session,
                    sequence=view.sequence,
                    part=view.part,
                    signer=entry.statement.signer.person,
                    builder=view.builder,
                    planned=bool(behind),
                )
            )
            plans.update(behind)
    return CommitVerdict(oid, coverage, tuple(generations), tuple(plans.values()))


def _plans(generation: Entry) -> Iterator[tuple[str, PlanRef]]:
    """Give the plan behind a generation, with the signer whose signature its session saw."""
    used = generation.everything()
    seen = {
        entry.view.plan for entry in used if isinstance(entry.view, OpenView) and entry.view.plan
    }
    for entry in used:
        view = entry.view
        for statement_sha256, signature in seen:
            signed = entry.signatures.get(signature)
            if isinstance(view, PlanView) and signed is not None:
                yield (
                    statement_sha256,
                    PlanRef(
                        name=view.name,
                        sha256=view.sha256,
                        statement_sha256=statement_sha256,
                        signer=signed.signer.person,
                        declared_at=view.declared_at,
                        proven=times.first(signed),
                    ),
                )
