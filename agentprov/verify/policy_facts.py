"""Lays out for a policy engine what holds: verdict, accepted records and git facts as plain values.

Takes nothing from a record that does not hold. What records leave open stays open here: None, or
in no list, and never filled in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from agentprov.formats.names import label_path, path_label
from agentprov.formats.policy_facts import (
    AgentSeen,
    ApprovalSeen,
    JudgedCommit,
    LinesSeen,
    ModelSeen,
    PlanSeen,
    PolicyFacts,
    ServerSeen,
    SessionSeen,
)
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.formats.statement import Statement
from agentprov.verify import claims, plan_limits, times
from agentprov.verify.approvals import Surroundings
from agentprov.verify.claims import ClaimedPath
from agentprov.verify.finding import ApprovalRef, CommitVerdict
from agentprov.verify.judge import Judgement
from agentprov.verify.people import taken_for
from agentprov.verify.record import Entry
from agentprov.verify.rewritten import History
from agentprov.verify.signatures import Verified
from agentprov.verify.subjects import EMPTY_BLOBS, CommitFacts, PathDiff

_MODEL = "pkg:generic/"


def collect(
    judgement: Judgement, around: Surroundings, milestones: Iterable[str], *, by_path: bool
) -> PolicyFacts:
    """Give the facts of a judgement; `around` is asked for what an engine wants, and no more."""
    case = judgement.case
    generations: dict[str, list[Entry]] = defaultdict(list)
    for entry in judgement.accepted:
        if isinstance(entry.view, GenerationView):
            generations[entry.view.commit].append(entry)
    decided = {
        entry.payload_sha256: entry.view
        for entry in judgement.decided
        if isinstance(entry.view, ApprovalView)
    }
    before = {oid: around.between(None, oid) or frozenset() for oid in sorted(milestones)}
    known = {facts.oid: facts for facts in case.commits}
    return PolicyFacts(
        as_of=case.as_of,
        target_ref=around.target_ref,
        commits=tuple(
            _commit(
                verdict,
                known.get(verdict.commit),
                generations[verdict.commit],
                claims.behind(judgement, verdict.commit),
                case.history,
                decided,
                tuple(oid for oid, led in before.items() if verdict.commit in led),
                around if by_path else None,
                around.target_ref,
            )
            for verdict in judgement.verdict.commits
        ),
    )


def _commit(
    verdict: CommitVerdict,
    facts: CommitFacts | None,
    entries: Sequence[Entry],
    behind: Mapping[str, ClaimedPath],
    history: History,
    decided: Mapping[str | None, ApprovalView],
    led_to: tuple[str, ...],
    around: Surroundings | None,
    target_ref: str | None,
) -> JudgedCommit:
    return JudgedCommit(
        commit=verdict.commit,
        coverage=verdict.coverage,
        paths=None if facts is None or around is None else _paths(facts, around),
        untold=() if facts is None else tuple(_untold(facts, entries, behind, history)),
        led_to=led_to,
        sessions=(
            *(_session(entry, entry.statement, target_ref) for entry in entries if entry.statement),
            *_carried(behind, target_ref),
        ),
        approvals=tuple(_approval(ref, decided) for ref in verdict.approvals if ref.valid),
        via=verdict.via,
        replayed=all(item.replayed for item in verdict.rewrites) if verdict.rewrites else None,
        matched=verdict.matched,
    )


def _carried(behind: Mapping[str, ClaimedPath], target_ref: str | None) -> Iterator[SessionSeen]:
    """Give the sessions behind a commit that was made of theirs, with what it has of them now."""
    sources = {id(one): one for path in behind.values() for one in path.sources}
    for entry in sources.values():
        if entry.statement is None:
            continue
        paths = [path for path in behind.values() if any(one is entry for one in path.sources)]
        counts: dict[tuple[str, str, str], int] = defaultdict(int)
        for path in paths:
            for item in path.ranges:
                if item.sources[0] is entry:
                    counts[path.path, item.origin, item.basis] += item.end - item.start + 1
        names = {path.path for path in paths} | {path.old_path for path in paths}
        yield replace(
            _session(entry, entry.statement, target_ref),
            lines=tuple(LinesSeen(*key, count) for key, count in sorted(counts.items())),
            paths=tuple(sorted(name for name in names if name is not None)),
        )


def _paths(facts: CommitFacts, around: Surroundings) -> tuple[str, ...] | None:
    """Give all that differs from any parent: a merge can undo what one of them brought."""
    paths = set(facts.diffs)
    for parent in facts.parents[1:]:
        found = around.differences(parent, facts.oid)
        if found is None:
            return None
        paths.update(found)
    return tuple(sorted(map(path_label, paths)))


def _untold(
    facts: CommitFacts,
    entries: Sequence[Entry],
    behind: Mapping[str, ClaimedPath],
    history: History,
) -> Iterator[str]:
    """Give the files of which nothing says where all their added lines came from."""
    told: set[bytes] = set()
    added = history.added(facts.oid) if behind else None
    if added is not None:
        for item in behind.values():
            claimed = sum(one.end - one.start + 1 for one in item.ranges)
            if claimed == sum(end - start + 1 for start, end in added.get(item.path, ())):
                told.add(label_path(item.path))
    for entry in entries:
        if entry.statement is None:
            continue
        for change in _changes(entry.statement.value):
            lines = bool(change.get("ranges"))
            no_lines = change["op"] in ("modify", "rename") and change.get("fromSession", True)
            empty = change.get("gitBlob") in EMPTY_BLOBS
            if "why" not in change and (lines or no_lines or empty):
                told.add(label_path(change["path"]))
    for path, diff in sorted(facts.diffs.items()):
        if path not in told and _adds(diff):
            yield path_label(path)


def _adds(diff: PathDiff) -> bool:
    return diff.new_blob is not None and diff.new_blob != diff.old_blob


def _session(entry: Entry, signed: Verified[Statement], target_ref: str | None) -> SessionSeen:
    view = entry.view
    assert isinstance(view, GenerationView)
    parts = entry.everything()
    predicate = signed.value.predicate
    opened = _first(parts, OpenView)
    closes = [part.view for part in parts if isinstance(part.view, CloseView)]
    ends = [
        part.statement.value.predicate
        for part in parts
        if part.statement is not None and isinstance(part.view, OpenView | CloseView)
    ]
    definition = predicate["buildDefinition"]
    unknown = predicate["runDetails"]["metadata"].get("agentprov_unknown", ())
    gaps = [*predicate["runDetails"]["metadata"].get("agentprov_gaps", ())]
    for end in ends:
        gaps += end.get("gaps", ())
    mine = [change for change in _changes(signed.value) if change.get("fromSession", True)]
    return SessionSeen(
        session=view.session,
        sha256=signed.value.sha256,
        started=view.started,
        builder=view.builder,
        agent=_agent(opened.get("agent", {"name": view.agent, "basis": "declared"})),
        models=tuple(
            _model(item)
            for item in definition["resolvedDependencies"]
            if item["name"].startswith("model/")
        ),
        unnamed_models=tuple(
            item["why"]
            for item in unknown
            if item["claim"] == "model" or item["claim"].startswith("model ")
        ),
        servers=tuple(_servers(definition, opened.get("mcpServers", ()))),
        lines=tuple(_lines(signed.value)),
        paths=tuple(
            sorted(
                {change["path"] for change in mine}
                | {change["oldPath"] for change in mine if "oldPath" in change}
            )
        ),
        closed=bool(closes),
        complete=bool(closes) and all(close.outcome == "completed" for close in closes),
        gaps=tuple(sorted({gap["why"] for gap in gaps})),
        plans=tuple(_plans(parts, tuple(plan_limits.exceeded(entry, target_ref)))),
    )


def _first(parts: Iterable[Entry], kind: type[OpenView]) -> Mapping[str, Any]:
    for part in parts:
        if isinstance(part.view, kind) and part.statement is not None:
            return part.statement.value.predicate
    return {}


def _changes(statement: Statement) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = statement.predicate["runDetails"]["metadata"][
        "agentprov_changes"
    ]
    return found


def _lines(statement: Statement) -> Iterator[LinesSeen]:
    """Count lines of every change that is listed, also of those that are not the session's."""
    for change in _changes(statement):
        counts: dict[tuple[str, str], int] = defaultdict(int)
        for item in change.get("ranges", ()):
            counts[item["origin"], item["basis"]] += item["end"] - item["start"] + 1
        for (origin, basis), count in sorted(counts.items()):
            yield LinesSeen(change["path"], origin, basis, count)


def _agent(agent: Mapping[str, Any]) -> AgentSeen:
    return AgentSeen(
        name=agent["name"],
        basis=agent["basis"],
        purl=agent.get("uri"),
        sha256=agent.get("digest", {}).get("sha256"),
    )


def _model(item: Mapping[str, Any]) -> ModelSeen:
    """Read a served model's dependency; a uri of another form names no model."""
    notes = item.get("annotations", {})
    provider, _, served = item["uri"].removeprefix(_MODEL).partition("/")
    provider, served = unquote(provider), unquote(served)
    plain = item["uri"].startswith(_MODEL) and provider and served and "/" not in provider
    return ModelSeen(
        name=f"{provider}/{served}" if plain else "",
        basis=notes.get("basis", "declared"),
        host=notes.get("host"),
    )


def _servers(
    definition: Mapping[str, Any], opened: Iterable[Mapping[str, Any]]
) -> Iterator[ServerSeen]:
    """Give the servers of the opening statement, and any that only the generation names."""
    listed = list(opened)
    for item in listed:
        sha256 = item.get("digest", {}).get("sha256")
        yield ServerSeen(item["name"], item.get("uri"), sha256)
    known = {item["name"] for item in listed}
    for name in definition["externalParameters"].get("mcpServers", ()):
        if name not in known:
            yield ServerSeen(name)


def _plans(parts: Sequence[Entry], exceeded: tuple[tuple[str, str], ...]) -> Iterator[PlanSeen]:
    """Give the plan behind a generation, by the signature that its session saw."""
    edges = [part.view.plan for part in parts if isinstance(part.view, OpenView) and part.view.plan]
    for payload, signature in edges:
        for part in parts:
            signed = part.signatures.get(signature)
            if part.payload_sha256 == payload and isinstance(part.view, PlanView) and signed:
                yield PlanSeen(
                    name=part.view.name,
                    signer=signed.signer.person,
                    counted_as=taken_for(signed.signer.person),
                    roles=tuple(
                        sorted(role for role in signed.signer.roles if signed.signer.may(role))
                    ),
                    declared_at=part.view.declared_at,
                    trusted_time=times.first(signed) is not None,
                    exceeded=exceeded,
                )


def _approval(ref: ApprovalRef, decided: Mapping[str | None, ApprovalView]) -> ApprovalSeen:
    view = decided.get(ref.sha256)
    reviewed = view.reviewed if view is not None else ()
    return ApprovalSeen(
        signer=ref.signer,
        counted_as=taken_for(ref.signer),
        decision=ref.decision,
        decided_at=ref.decided_at,
        partial=ref.partial,
        trusted_time=ref.proven is not None,
        records=tuple(digest for name, digest in reviewed if name == "generation-attestation"),
    )
