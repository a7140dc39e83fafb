"""What people decided about a change, and whether that still stands for these bytes.

An approval speaks for the commit it names and for those between it and the commit that the change
starts from. It is void for everything else; where a judged commit looks like what an approval was
about, a finding says what has changed since. Whether approvals are needed, how many and whose, is
policy's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from agentprov.formats.names import path_label
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.schema import instant
from agentprov.formats.value import value
from agentprov.verify import times
from agentprov.verify.finding import ApprovalRef, Finding, PlanRef, Problem, finding
from agentprov.verify.people import taken_for, who
from agentprov.verify.record import Entry
from agentprov.verify.subjects import CommitFacts, PathDiff

_NAMED = 5
_COMPARED = 200
Differences = Mapping[bytes, PathDiff]


@value
class Surroundings:
    """What git knows around approvals; each gives None where this clone cannot say.

    `between` gives the commits after the first and up to the second; `differences` the paths in
    which two commits differ (None for the first is the empty tree); `tree_of` the tree of a
    commit; `is_ancestor` says whether the first commit is the second or led to it; `repository`
    gives the URI that every clone of this repository would give. `target_ref` is the full name of
    the branch that the judged commits shall merge into, where that is known.
    """

    between: Callable[[str | None, str], frozenset[str] | None] = lambda _base, _commit: None
    differences: Callable[[str | None, str], Differences | None] = lambda _old, _new: None
    tree_of: Callable[[str], str | None] = lambda _: None
    is_ancestor: Callable[[str, str], bool | None] = lambda _first, _second: None
    repository: Callable[[], str | None] = lambda: None
    target_ref: str | None = None


def judge(entries: Sequence[Entry], around: Surroundings, as_of: datetime) -> None:
    """Add to each approval what is wrong with it by itself; raises nothing.

    Compares its tree with git's, its repository with this one, and its time with `as_of` and with
    the start of the sessions whose records it says were reviewed.
    """
    started = {
        entry.payload_sha256: entry.view.started
        for entry in entries
        if entry.statement is not None and isinstance(entry.view, GenerationView)
    }
    for entry in entries:
        view = entry.view
        if entry.statement is None or not isinstance(view, ApprovalView):
            continue
        here = around.repository()
        tree = around.tree_of(view.commit)
        if tree is None and entry.named:
            entry.blame("commit-missing", f"{view.commit} is not in this repository")
        elif tree is not None and tree != view.tree:
            entry.blame("commit-differs", f"tree {view.tree} was signed, git has {tree}")
        if None not in (here, view.repository) and view.repository != here:
            entry.blame("approval-elsewhere", f"it is about a change of {view.repository}")
        if None not in (around.target_ref, view.target_ref) and around.target_ref not in (
            view.target_ref,
            f"refs/heads/{view.target_ref}",
        ):
            entry.blame("approval-elsewhere", f"it is for {view.target_ref}")
        if view.not_after is not None and instant(view.not_after) < as_of:
            entry.blame("approval-expired", f"the decision was good until {view.not_after}")
        begun = [
            started[digest]
            for name, digest in view.reviewed
            if name == "generation-attestation" and digest in started
        ]
        if any(times.is_before(entry, view.decided_at, time) for time in begun):
            entry.blame(
                "approval-before-work", f"it was decided at {view.decided_at}, before the session"
            )
        for problem in times.contradictions(entry, as_of):
            entry.blame(problem.code, problem.message)


@value
class Decisions:
    """What was decided about one commit, what there is to say about that, and what stands."""

    refs: tuple[ApprovalRef, ...] = ()
    findings: tuple[Finding, ...] = ()
    standing: tuple[Entry, ...] = ()

    @property
    def approved(self) -> bool:
        """Say whether somebody saw all of the change and approved it, and nobody rejected it."""
        valid = [ref for ref in self.refs if ref.valid]
        return any(not ref.partial for ref in valid) and all(
            ref.decision == "approved" for ref in valid
        )


def decisions(
    facts: CommitFacts,
    entries: Iterable[Entry],
    holding: Sequence[Entry],
    plans: Iterable[PlanRef],
    around: Surroundings,
) -> Decisions:
    """Collect the decisions about a commit, newest first; the newest of each person counts.

    `entries` are approvals by trusted signers, `holding` the generations that hold for the
    commit, `plans` those behind it.
    """
    ordered = sorted(entries, key=_decided, reverse=True)
    about = [entry for entry in ordered if speaks_of(entry, facts.oid, around)]
    authors = {taken_for(plan.signer) for plan in plans}
    refs: list[ApprovalRef] = []
    findings: list[Finding] = []
    standing: list[Entry] = []
    heard: set[str] = set()
    for entry in about:
        people = _people(entry)
        stand = {
            key: person for key, person in people.items() if entry.holds() and key not in heard
        }
        # What has expired still replaced what was said before it, and brings none of it back.
        if all(problem.code == "approval-expired" for problem in entry.problems):
            heard.update(people)
        if stand:
            standing.append(entry)
        refs += [_ref(entry, person, key in stand) for key, person in people.items()]
        said = [
            problem
            for person in stand.values()
            for problem in _problems(entry, person, holding, authors)
        ]
        for problem in said if stand else entry.problems:
            findings.append(
                finding(
                    problem,
                    subject=entry.label,
                    commit=facts.oid,
                    severity=None if stand else "warning",
                )
            )
    if not standing:
        findings += _void(facts, ordered, about, around)
    return Decisions(tuple(refs), tuple(findings), tuple(standing))


def _decided(entry: Entry) -> tuple[datetime, bool, str]:
    """Order decisions; of two at the same time the rejection counts as the newer one.

    A trusted time can make a decision older, never newer: anybody can have an old one stamped.
    """
    view, proven = _view(entry), times.of(entry)
    declared = instant(view.decided_at)
    at = min(declared, proven.at) if proven else declared
    return at, view.decision == "REJECTED", entry.payload_sha256 or ""


def _view(entry: Entry) -> ApprovalView:
    assert isinstance(entry.view, ApprovalView)
    return entry.view


def _person(entry: Entry) -> str:
    return entry.statement.signer.person if entry.statement is not None else ""


def _people(entry: Entry) -> Mapping[str, str]:
    """Give all whose decision this is, by who they are: those who signed it.

    Whoever signs another's rejection as well must not become its only voice. An approval is not
    that of a signer who has retired, where it stands by somebody else's signature.
    """
    signers = [signed.signer for signed in entry.signatures.values()]
    active = [signer for signer in signers if signer.retired is None]
    if active and _view(entry).decision == "APPROVED":
        signers = active
    return {who(signer.person): signer.person for signer in signers}


def speaks_of(entry: Entry, oid: str, around: Surroundings) -> bool:
    """Say whether an approval names a commit, or a range that holds it."""
    view = _view(entry)
    if view.commit == oid:
        return True
    between = around.between(view.base, view.commit)
    return between is not None and oid in between


def _ref(entry: Entry, person: str, valid: bool) -> ApprovalRef:
    view = _view(entry)
    return ApprovalRef(
        sha256=entry.payload_sha256 or "",
        signer=person,
        role="reviewer",
        decision=view.decision.lower(),
        decided_at=view.decided_at,
        not_after=view.not_after,
        valid=valid,
        partial=view.partial,
        proven=times.of(entry, person),
    )


def _problems(
    entry: Entry, person: str, holding: Sequence[Entry], authors: Iterable[str]
) -> Iterator[Problem]:
    """Say what a decision that stands does not say."""
    view = _view(entry)
    if view.decision == "REJECTED":
        yield Problem("approval-rejected", f"{person} rejected this change")
    if view.partial:
        yield Problem(
            "approval-partial",
            f"{person} was shown {view.paths_presented} of {view.paths_in_change} changed paths",
        )
    if taken_for(person) in authors:
        yield Problem("approval-by-author", f"{person} signed the plan and decided on its result")
    reviewed = {digest for name, digest in view.reviewed if name == "generation-attestation"}
    unseen = [item for item in holding if item.payload_sha256 not in reviewed]
    if unseen:
        yield Problem(
            "approval-without-record",
            f"{len(unseen)} records of this commit were not part of what {person} was shown",
        )


def _void(
    facts: CommitFacts, entries: Sequence[Entry], about: Sequence[Entry], around: Surroundings
) -> Iterator[Finding]:
    """Say which approvals were of something like this commit, and what has changed since."""
    others = [entry for entry in entries if entry.holds() and entry not in about]
    for entry in others[:_COMPARED]:
        view = _view(entry)
        if view.decision != "APPROVED":
            continue
        message = _what_changed(facts, view, around)
        if message is not None:
            yield finding(
                Problem("approval-void", f"{_person(entry)} approved {view.commit}; {message}"),
                subject=entry.label,
                commit=facts.oid,
            )


def _what_changed(facts: CommitFacts, view: ApprovalView, around: Surroundings) -> str | None:
    """Say what differs between an approved commit and this one; None if they are strangers."""
    parent = facts.parents[0] if facts.parents else None
    if parent in (view.base, view.commit):
        since = around.differences(view.commit, facts.oid)
        if since is None:
            return "that commit is not in this clone, so what changed since cannot be said"
        if not since:
            return "this commit has the same files, but is another commit"
        return "since then " + _list(since)
    approved = around.differences(view.base, view.commit)
    if approved and {path: side.new_blob for path, side in approved.items()} == {
        path: side.new_blob for path, side in facts.diffs.items()
    }:
        return f"the same files stand on another base now, {parent}, not on {view.base}"
    return None


def _list(changes: Differences) -> str:
    words = []
    for path, side in sorted(changes.items())[:_NAMED]:
        if side.old_mode is None:
            what = "was added"
        elif side.new_mode is None:
            what = "was deleted"
        elif side.old_blob == side.new_blob:
            what = "changed its mode"
        else:
            what = "was changed"
        words.append(f"{path_label(path)!r} {what}")
    more = len(changes) - len(words)
    return ", ".join(words) + (f", and {more} more" if more > 0 else "")
