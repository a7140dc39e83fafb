"""Whether statements fit together: plan, session-open, generations, session-close.

Edges go by payload digest and only along this list: session-open to plan, generation to
session-open and plan, session-close to session-open and generations, rewrite to generations and
rewrites. Only statements whose
signer may say them take part, so that nobody without a recorder's key can make a contradiction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.formats.schema import instant
from agentprov.verify import authority, descent, times
from agentprov.verify.declared import CLOCK_SLACK
from agentprov.verify.record import Entry, Unopened, View


@dataclass(eq=False, repr=False)
class _Session:
    opens: list[Entry] = field(default_factory=list)
    generations: list[Entry] = field(default_factory=list)
    closes: list[Entry] = field(default_factory=list)


def judge(
    entries: Sequence[Entry], as_of: datetime, unopened: Mapping[str, Unopened] | None = None
) -> None:
    """Add every break in the chain to the entries that it breaks, and link what stands on what.

    `as_of` is the time of judging; what claims to be later than it by more than five minutes is
    wrong. `unopened` are generations that may be listed, and are not among the entries. Raises
    nothing.
    """
    index = _index(entries)
    sessions: dict[str, _Session] = defaultdict(_Session)
    taking_part = [entry for entry in entries if entry.statement and not entry.problems]
    for entry in taking_part:
        _judge_one(entry, as_of)
        if isinstance(entry.view, OpenView):
            sessions[entry.view.id].opens.append(entry)
        elif isinstance(entry.view, GenerationView):
            sessions[entry.view.session].generations.append(entry)
        elif isinstance(entry.view, CloseView):
            sessions[entry.view.id].closes.append(entry)
        elif isinstance(entry.view, RewriteView):
            _judge_rewrite(entry, entry.view, index)
    descent.judge(taking_part)
    for session in sessions.values():
        _judge_places(session)
        for entry in session.opens:
            _judge_open(entry, index, as_of)
        for entry in session.generations:
            _judge_generation(entry, index)
        for entry in session.closes:
            _judge_close(entry, index, unopened or {})
        _judge_ends(session)


def _index(entries: Iterable[Entry]) -> Mapping[str, Entry]:
    """Map payload digests to entries; a verified one wins over a copy that is not."""
    index: dict[str, Entry] = {}
    for entry in entries:
        if entry.payload_sha256 is not None and (
            entry.statement is not None or entry.payload_sha256 not in index
        ):
            index[entry.payload_sha256] = entry
    return index


def _judge_one(entry: Entry, as_of: datetime) -> None:
    view = entry.view
    spoken: tuple[str, ...] = ()
    if isinstance(view, PlanView):
        spoken = (view.declared_at,)
    elif isinstance(view, OpenView):
        spoken = (view.started,)
    elif isinstance(view, CloseView):
        spoken = (view.started, view.finished)
    elif isinstance(view, ApprovalView):
        spoken = (view.decided_at,)
    imported = isinstance(view, OpenView | CloseView) and authority.is_import(view.builder)
    if isinstance(view, OpenView | CloseView) and view.gaps and not imported:
        entry.remark("session-gaps", f"the recorder was blind to something, {view.gaps} times")
    if isinstance(view, OpenView) and imported:
        read_from = ", ".join(sorted(set(view.imported))) or "an unnamed source"
        entry.remark(
            "imported-record", f"imported from {read_from}: nobody who recorded saw the work"
        )
    if isinstance(view, CloseView) and view.contradictions:
        entry.remark(
            "channels-contradict",
            f"wire, hooks and transcript contradict each other, {view.contradictions} times",
        )
    if isinstance(view, GenerationView):
        for path, count in view.agent_lines:
            entry.remark(
                "agent-origin-lines",
                f"{count} lines of {path!r} were put there by the agent; no model said them",
            )
    for time in spoken:
        if instant(time) > as_of + CLOCK_SLACK:
            entry.blame("time-in-future", f"it speaks of {time}, which is still to come")
    for problem in times.contradictions(entry, as_of):
        entry.blame(problem.code, problem.message)


def _judge_places(session: _Session) -> None:
    """Find two statements for one place: session, sequence and part, commit, close."""
    _once(session.opens, lambda _: "", "session-twice", "two opening statements for one session")
    _once(session.closes, lambda _: "", "close-twice", "two closing statements for one session")
    _once(
        session.generations,
        lambda view: f"{view.sequence}/{view.part}",
        "sequence-twice",
        "two statements for one place in the session",
    )
    _once(
        session.generations,
        lambda view: f"{view.commit}/{view.part}",
        "commit-twice",
        "two statements of one session for one commit",
    )
    parts: dict[int, set[int]] = defaultdict(set)
    for entry in session.generations:
        if isinstance(entry.view, GenerationView):
            parts[entry.view.sequence].add(entry.view.part)
    for entry in session.generations:
        view = entry.view
        if isinstance(view, GenerationView):
            missing = set(range(1, min(view.parts, 100_000) + 1)) - parts[view.sequence]
            if missing:
                entry.blame(
                    "part-missing", f"{len(missing)} of its {view.parts} parts are not here"
                )


def _once(
    entries: Sequence[Entry], place: Callable[[GenerationView], str], code: str, message: str
) -> None:
    """Blame all that share a place; entries here have different payloads already."""
    places: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        view = entry.view
        places[place(view) if isinstance(view, GenerationView) else ""].append(entry)
    for sharing in places.values():
        if len(sharing) > 1:
            for entry in sharing:
                entry.blame(code, message)


def _follow(
    entry: Entry,
    index: Mapping[str, Entry],
    sha256: str,
    wanted: type[View] | tuple[type[View], ...],
    missing: str,
) -> Entry | None:
    """Follow an edge; gives the entry it leads to when that may be used."""
    found = index.get(sha256)
    if found is None:
        entry.blame(missing, f"it stands on {sha256}, which is not here")
        return None
    if found is not entry:
        entry.uses.append(found)
    if found.statement is None:
        entry.blame(missing, f"it stands on {sha256}, and no good copy of that is here")
        return None
    if not isinstance(found.view, wanted):
        entry.blame("edge-forbidden", f"it stands on {sha256}, which is of another kind")
        return None
    return found


def _judge_open(entry: Entry, index: Mapping[str, Entry], as_of: datetime) -> None:
    view = entry.view
    if not isinstance(view, OpenView) or view.plan is None:
        return
    payload, signature = view.plan
    found = _follow(entry, index, payload, PlanView, "plan-missing")
    if found is None or not isinstance(found.view, PlanView):
        return
    plan = found.view
    if signature not in found.signatures:
        entry.blame("plan-signature-differs", f"{plan.name!r} carries another signature now")
    if plan.sha256 != view.plan_sha256:
        entry.blame("plan-differs", f"the session read other bytes than {plan.name!r} as signed")
    if times.is_after(plan, found.signatures.get(signature), view.started):
        entry.blame("plan-after-session", f"{plan.name!r} was signed after the session began")
    if plan.repository is not None and plan.repository != view.repository:
        entry.blame("plan-elsewhere", f"{plan.name!r} is a plan for {plan.repository}")
    if plan.not_after is not None:
        if instant(plan.not_after) < instant(view.started):
            entry.blame("plan-expired", f"{plan.name!r} had expired when the session began")
        elif instant(plan.not_after) < as_of:
            found.remark("plan-expired-since", f"{plan.name!r} expired at {plan.not_after}")
    if plan.hidden_segments:
        found.remark(
            "hidden-plan-content",
            f"{plan.name!r} holds {plan.hidden_segments} parts that do not show when rendered",
        )


def _judge_generation(entry: Entry, index: Mapping[str, Entry]) -> None:
    view = entry.view
    if not isinstance(view, GenerationView) or view.open_sha256 is None:
        return
    found = _follow(entry, index, view.open_sha256, OpenView, "session-open-missing")
    if found is None or not isinstance(found.view, OpenView):
        return
    opening = found.view
    _same(
        entry,
        found,
        "the opening statement",
        {
            "session": (view.session, opening.id),
            "start": (view.started, opening.started),
            "builder": (view.builder, opening.builder),
            "repository": (view.repository, opening.repository),
            "agent": ((view.agent, view.agent_sha256), (opening.agent, opening.agent_sha256)),
            "plan": ((view.plan, view.plan_sha256), (opening.plan, opening.plan_sha256)),
        },
    )


def _same(
    entry: Entry, other: Entry, what: str, pairs: Mapping[str, tuple[object, object]]
) -> None:
    differing = [name for name, (ours, theirs) in pairs.items() if ours != theirs]
    signers = {signed.signer.mark for signed in entry.signatures.values()}
    if signers.isdisjoint(signed.signer.mark for signed in other.signatures.values()):
        differing.append("signer")
    if differing:
        entry.blame("session-differs", f"{', '.join(differing)}: not as in {what}")


def _judge_close(
    entry: Entry, index: Mapping[str, Entry], unopened: Mapping[str, Unopened]
) -> None:
    view = entry.view
    if not isinstance(view, CloseView):
        return
    found = index.get(view.open_sha256)
    if found is None or found.statement is None:
        entry.blame("session-open-missing", f"it closes {view.open_sha256}, which is not here")
    elif not isinstance(found.view, OpenView):
        entry.blame("edge-forbidden", f"it closes {view.open_sha256}, which is no session")
    else:
        _same(
            entry,
            found,
            "the opening statement",
            {
                "session": (view.id, found.view.id),
                "start": (view.started, found.view.started),
                "builder": (view.builder, found.view.builder),
            },
        )
        found.uses.append(entry)
    places: list[tuple[int, int]] = []
    for sha256 in view.generations:
        listed = index.get(sha256)
        aside = unopened.get(sha256) if listed is None else None
        if aside is not None and aside.session == view.id:
            places.append((aside.sequence, aside.part))
        elif listed is None or listed.statement is None:
            entry.blame("generation-missing", f"it lists {sha256}, which is not here")
        elif not isinstance(listed.view, GenerationView) or listed.view.session != view.id:
            entry.blame("edge-forbidden", f"it lists {sha256}, which is none of this session's")
        else:
            places.append((listed.view.sequence, listed.view.part))
    if any(later <= earlier for earlier, later in pairwise(places)):
        entry.blame("sequence-broken", "its generations are not in order")
    if len(places) == len(view.generations):
        last = places[-1][0] if places else 0
        if last != view.last_sequence:
            entry.blame(
                "sequence-broken", f"its last generation is {last}, it says {view.last_sequence}"
            )


def _judge_rewrite(entry: Entry, view: RewriteView, index: Mapping[str, Entry]) -> None:
    for commit, sha256 in view.sources:
        kinds = (GenerationView, RewriteView)
        found = _follow(entry, index, sha256, kinds, "rewrite-source-missing")
        if found is None or not isinstance(found.view, kinds):
            continue
        if found.view.commit != commit:
            entry.blame(
                "rewrite-source-differs",
                f"it says that {sha256} is about {commit}; that one is about {found.view.commit}",
            )


def _judge_ends(session: _Session) -> None:
    """Find generations that the close does not know of, and sessions without one."""
    views = [entry.view for entry in session.closes if isinstance(entry.view, CloseView)]
    for entry in session.opens:
        if not views:
            entry.remark("session-incomplete", "the session was opened and never closed")
        elif isinstance(entry.view, OpenView) and authority.is_import(entry.view.builder):
            continue  # Nobody saw its end; `imported-record` says so already.
        elif any(view.outcome == "incomplete" for view in views):
            entry.remark("session-incomplete", "the recorder did not see the session's end")
    if len(views) != 1:
        return
    listed = set(views[0].generations)
    for entry in session.generations:
        view = entry.view
        if not isinstance(view, GenerationView) or entry.payload_sha256 in listed:
            continue
        if view.during or view.sequence <= views[0].last_sequence:
            entry.blame("generation-unlisted", "the session's closing statement does not list it")
