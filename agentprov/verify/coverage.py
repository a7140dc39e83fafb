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

from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.predicates.session import OpenView
from agentprov.verify import approvals, authority, shortfalls, times
from agentprov.verify.approvals import Decisions, Surroundings
from agentprov.verify.catalogue import Severity
from agentprov.verify.finding import (
    CommitVerdict,
    ContentRef,
    Coverage,
    Finding,
    GenerationRef,
    PlanRef,
    Problem,
    RewriteRef,
    finding,
)
from agentprov.verify.record import Entry, generations
from agentprov.verify.rewritten import Binding, Found, History
from agentprov.verify.subjects import CommitFacts
from agentprov.verify.trust import TrustedKey, TrustRoot


@dataclass(eq=False, repr=False)
class Report:
    """Commit verdicts, findings, and what holds for the judged commits.

    `accepted` are generations and rewrite links, `decided` the approvals and rejections that
    stand; `bindings` what content says of commits without a record.
    """

    commits: list[CommitVerdict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    accepted: list[Entry] = field(default_factory=list)
    decided: list[Entry] = field(default_factory=list)
    bindings: dict[str, Binding] = field(default_factory=dict)
    _told: set[tuple[object, str, str]] = field(default_factory=set)

    def tell(self, entry: Entry, commit: str | None, *, counts: bool) -> None:
        """Report an entry's problems and remarks, each once; errors where they count."""
        for problem in entry.problems:
            self._add(entry, problem, commit, "error" if counts else "warning")
        for remark in entry.remarks:
            self._add(entry, remark, commit, None)

    def _add(
        self, entry: Entry, problem: Problem, commit: str | None, severity: Severity | None
    ) -> None:
        # An import is three statements and more; one word for all of a commit's is enough.
        about = commit if problem.code == "import-not-counted" else id(entry)
        key = (about, problem.code, problem.message)
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
    history: History | None = None,
    gone: frozenset[str] = frozenset(),
    *,
    whole: bool = True,
) -> Report:
    """Judge every commit, then the records that were named, then what else was found there.

    `still` says whether a key's signature on a commit itself counts. The content of `gone`
    commits is looked for in those without a record; `whole` as for `rebinding.bind`.
    """
    bind = _binder(entries, gone, history or History(), whole=whole) if gone else None
    meant, elsewhere = _meant_for(entries)
    deciding = [
        entry for entry in entries if entry.statement and isinstance(entry.view, ApprovalView)
    ]
    report = Report()
    for entry in entries:
        if entry.named:
            for part in entry.everything():
                report.tell(part, part.commit, counts=True)
    quiet: list[tuple[Entry, str]] = []
    for facts in commits:
        candidates = meant.get(facts.oid, [])
        holding = _recorded_first([entry for entry in candidates if _speaks_for(entry, facts.oid)])
        binding = Binding()
        liked = bool(holding) and all(map(_is_likeness, holding))
        if liked:
            binding = _behind_likeness(holding, facts, history or History())
        elif bind is not None and all(map(_is_import, holding)):
            binding = bind(facts)
            if any(not _is_import(one.entry) for one in binding.found):
                holding = _set_aside(holding)
            if not holding:
                report.bindings[facts.oid] = binding
            else:
                binding = Binding()
        said = [] if liked else holding
        report.accepted.extend(holding)
        behind = [*holding, *{id(one.entry): one.entry for one in binding.found}.values()]
        standing = behind if binding.exact else said
        verdict = _verdict(facts.oid, _coverage(said, facts, trust, still), said, holding)
        verdict = _with_content(verdict, binding)
        decided = (
            approvals.decisions(facts, deciding, generations(behind), verdict.plans, around)
            if deciding
            else Decisions()
        )
        verdict = verdict._replace(approvals=decided.refs)
        if verdict.coverage == "uncovered" and decided.approved:
            verdict = verdict._replace(coverage="human")
        coverage = verdict.coverage
        report.decided.extend(decided.standing)
        missing = shortfalls.missing(coverage, facts, facts.oid in required)
        missing += shortfalls.trailers(behind, elsewhere, facts, around.is_ancestor)
        report.findings += shortfalls.about_content(facts, binding, liked=liked)
        counts = any(item.severity == "error" for item in missing)
        for candidate in candidates:
            if counts:
                report.findings.extend(shortfalls.misplaced(candidate, facts))
            for entry in candidate.everything():
                if counts:
                    report.tell(entry, facts.oid, counts=True)
                else:
                    quiet.append((entry, facts.oid))
        report.findings.extend(missing)
        report.findings.extend(
            shortfalls.beyond_plans(generations(standing), facts.oid, required, around.target_ref)
        )
        report.findings.extend(decided.findings)
        report.commits.append(verdict)
    for entry, oid in quiet:
        report.tell(entry, oid, counts=False)
    return report


def _binder(
    entries: Sequence[Entry], gone: frozenset[str], history: History, *, whole: bool
) -> Callable[[CommitFacts], Binding] | None:
    """Give what looks for the content of lost commits, where any is recorded."""
    from agentprov.verify import rebinding

    lost = rebinding.branches([entry for entry in entries if not entry.only_behind], gone)
    return (lambda facts: rebinding.bind(facts, lost, history, whole=whole)) if lost else None


def _is_likeness(entry: Entry) -> bool:
    """Say whether a link was made from like content: its signer saw no rewrite, only two commits.

    Whoever can push a commit can have it linked so by the recorders of others.
    """
    return isinstance(entry.view, RewriteView) and entry.view.method == "content"


def _behind_likeness(links: Sequence[Entry], facts: CommitFacts, history: History) -> Binding:
    """Look at a commit for what stands behind its links by content: they cover as much as that."""
    from agentprov.verify import rebinding

    behind = generations(links)
    named = rebinding.branches(behind, frozenset(entry.commit or "" for entry in behind))
    return rebinding.bind(facts, named, history, whole=True)


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
        if isinstance(entry.view, RewriteView):
            # It may hang on the commits that were rewritten, too, and says nothing for them.
            oids = {entry.view.commit, *oids.difference(entry.view.olds)}
        for oid in oids:
            meant[oid].append(entry)
    return meant, places


def _speaks_for(entry: Entry, oid: str) -> bool:
    view = entry.view
    described = isinstance(view, GenerationView | RewriteView) and view.commit == oid
    return described and not entry.only_behind and entry.holds()


def _recorded_first(holding: list[Entry]) -> list[Entry]:
    """Leave imports aside where somebody recorded the work: they must not water that down."""
    recorded = [entry for entry in holding if not _is_import(entry)]
    if recorded:
        _set_aside([entry for entry in holding if _is_import(entry)])
    return recorded or holding


def _set_aside(imports: Sequence[Entry]) -> list[Entry]:
    """Say of imports that they were not used; gives what is left."""
    for entry in imports:
        entry.remark("import-set-aside", "an import stands beside a recorded session")
    return []


def _is_import(entry: Entry) -> bool:
    """Say whether nothing but imports stands behind a statement about a commit."""
    behind = [part.view for part in entry.everything() if isinstance(part.view, GenerationView)]
    return bool(behind) and all(authority.is_import(view.builder) for view in behind)


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


def _verdict(
    oid: str, coverage: Coverage, said: Sequence[Entry], holding: Sequence[Entry]
) -> CommitVerdict:
    own = [entry for entry in said if isinstance(entry.view, GenerationView)]
    links = [entry for entry in holding if isinstance(entry.view, RewriteView)]
    return CommitVerdict(
        oid,
        coverage,
        tuple(map(_ref, own)),
        tuple(dict(plan for entry in said for plan in plans_behind(entry)).values()),
        via="record" if own else "rewrite" if said else None,
        rewrites=tuple(map(_rewrite, links)),
    )


def _with_content(verdict: CommitVerdict, binding: Binding) -> CommitVerdict:
    """Add what content says; it covers a commit only if all of it is exactly that."""
    if not (binding.found or binding.ambiguous):
        return verdict
    covers = binding.exact and verdict.coverage == "uncovered"
    bound = {id(one.entry): one.entry for one in binding.found}.values()
    return verdict._replace(
        coverage="covered" if covers else verdict.coverage,
        via="content" if covers else verdict.via,
        plans=tuple(dict(plan for entry in bound for plan in plans_behind(entry)).values())
        if covers
        else verdict.plans,
        content=_content_refs(binding.found),
        candidates=_content_refs(binding.ambiguous),
        matched=binding.matched,
    )


def _content_refs(found: Sequence[Found]) -> tuple[ContentRef, ...]:
    grouped: dict[tuple[int, str], list[Found]] = {}
    for one in found:
        grouped.setdefault((id(one.entry), one.key), []).append(one)
    return tuple(
        ContentRef(
            _ref(items[0].entry),
            items[0].entry.commit or "",
            items[0].key,
            tuple(item.path for item in items),
        )
        for items in grouped.values()
    )


def _ref(entry: Entry) -> GenerationRef:
    view = entry.view
    assert isinstance(view, GenerationView)
    assert entry.statement is not None
    return GenerationRef(
        sha256=entry.statement.value.sha256,
        session=view.session,
        sequence=view.sequence,
        part=view.part,
        signer=entry.statement.signer.person,
        builder=view.builder,
        planned=any(True for _ in plans_behind(entry)),
        commit=view.commit,
    )


def _rewrite(entry: Entry) -> RewriteRef:
    view = entry.view
    assert isinstance(view, RewriteView)
    assert entry.statement is not None
    return RewriteRef(
        sha256=entry.statement.value.sha256,
        method=view.method,
        signer=entry.statement.signer.person,
        builder=view.builder,
        commits=view.olds,
        replayed=entry.replayed,
        claimed=view.claimed,
        carried=view.carried,
        generations=tuple(map(_ref, generations([entry]))),
    )


def plans_behind(generation: Entry) -> Iterator[tuple[str, PlanRef]]:
    """Give the plan behind a generation, with the signer whose signature its session saw.

    The first of each pair is the digest of the plan statement. Whether the generation counts for
    a commit is not looked at.
    """
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
