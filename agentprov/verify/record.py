"""Records on their way through the judge: what came in, and what is known of each so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.schema import instant
from agentprov.formats.statement import Statement
from agentprov.formats.value import value
from agentprov.verify import signatures
from agentprov.verify.declared import CLOCK_SLACK, time_of
from agentprov.verify.finding import Problem
from agentprov.verify.reading import Reading, View
from agentprov.verify.signatures import Verified
from agentprov.verify.trust import TrustRoot

if TYPE_CHECKING:
    from agentprov.ports import EvidenceVerifier, SignatureVerifier


@value
class Record:
    """A bundle as it was found.

    `source` is how findings name it. `named` says that the user named it, so that its defects
    count by themselves. `anchor` is the commit on which it hung; it decides nothing but which
    defects are reported beside that commit.
    """

    data: bytes
    source: str
    named: bool = False
    anchor: str | None = None

    @cached_property
    def reading(self) -> Reading:
        """Give what the bytes say, read once for whoever chooses and for the judge."""
        return Reading(self.data)


class Unopened(NamedTuple):
    """A generation that is in the notes, of a session that matters and about no commit that does.

    It was neither verified nor read strictly. All it can show is that it is there: whoever lists
    it does so by the digest of its payload, which fixes what the payload says of these places.
    """

    session: str
    sequence: int
    part: int


@dataclass(eq=False)
class Entry:
    """One statement, however often and wherever it was found.

    `signatures` are all good ones, by digest; `statement` is the one that speaks for the entry.
    `problems` stop it from holding; `remarks` do not. `uses` are the entries that it stands on:
    it holds only if they do. `rendered` says that what a plan's signer was shown was made again,
    `replayed` that all of a rewrite link was, `again` are its paths that were. `only_behind` says
    that it counts for what links make of its commit, and not for that commit itself.
    """

    sources: list[str]
    named: bool
    anchors: set[str]
    payload_sha256: str | None
    statement: Verified[Statement] | None
    view: View | None
    signatures: dict[str, Verified[Statement]]
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    uses: list[Entry] = field(default_factory=list)
    rendered: bool = False
    replayed: bool = False
    again: frozenset[str] = frozenset()
    only_behind: bool = False

    @property
    def label(self) -> str:
        """Give the name under which findings speak of it."""
        return self.sources[0]

    @property
    def commit(self) -> str | None:
        """Give the commit that a generation or a link describes; of all else, None."""
        view = self.view
        return view.commit if isinstance(view, GenerationView | RewriteView) else None

    def everything(self) -> list[Entry]:
        """Give the entry and all that it stands on, each once."""
        found: dict[int, Entry] = {}
        waiting = [self]
        while waiting:
            entry = waiting.pop()
            if id(entry) not in found:
                found[id(entry)] = entry
                waiting.extend(entry.uses)
        return list(found.values())

    def holds(self) -> bool:
        """Say whether neither it nor anything that it stands on has a problem."""
        return self.statement is not None and not any(entry.problems for entry in self.everything())

    def remark(self, code: str, message: str) -> None:
        """Add something to say that stops nothing, once."""
        problem = Problem(code, message)
        if problem not in self.remarks:
            self.remarks.append(problem)

    def blame(self, code: str, message: str, path: str | None = None) -> None:
        """Add a problem, once."""
        problem = Problem(code, message, path)
        if problem not in self.problems:
            self.problems.append(problem)


def generations(entries: Iterable[Entry]) -> list[Entry]:
    """Give the generations among entries and behind them, each once."""
    parts = {id(part): part for entry in entries for part in entry.everything()}
    return [part for part in parts.values() if isinstance(part.view, GenerationView)]


def read(
    records: Sequence[Record],
    trust: TrustRoot,
    verifier: SignatureVerifier,
    evidence: EvidenceVerifier | None = None,
) -> list[Entry]:
    """Check every bundle; the same payload found twice is one entry.

    A copy with a bad signature takes nothing away from a good one.
    """
    readings = {record.data: record.reading for record in reversed(records)}
    results = {
        data: signatures.check(reading, trust, verifier, evidence)
        for data, reading in readings.items()
    }
    good: dict[str, Entry] = {}
    entries: list[Entry] = []
    for record in records:
        result = results[record.data]
        payload = result.bundle.payload_sha256 if result.bundle else None
        verified = result.statement
        known = good.get(payload) if payload and verified else None
        if known is not None and verified is not None:
            _merge(known, record, verified)
            continue
        entry = Entry(
            sources=[record.source],
            named=record.named,
            anchors=_anchors([record.anchor]),
            payload_sha256=payload,
            statement=verified,
            view=readings[record.data].view() if verified else None,
            signatures={verified.signature_sha256: verified} if verified else {},
            problems=list(result.problems),
            remarks=list(result.remarks),
        )
        entries.append(entry)
        if payload and verified:
            good[payload] = entry
    return entries


def _merge(entry: Entry, record: Record, verified: Verified[Statement]) -> None:
    if record.source not in entry.sources:
        entry.sources.append(record.source)
    entry.named = entry.named or record.named
    entry.anchors |= _anchors([record.anchor])
    known = entry.signatures.get(verified.signature_sha256)
    # A copy of the same signature may carry a better proof of its time, or a worse one.
    if known is None or _age(entry.view, verified) < _age(entry.view, known):
        entry.signatures[verified.signature_sha256] = verified
        if entry.statement is known:
            entry.statement = verified


def _age(view: View | None, signed: Verified[Statement]) -> tuple[int, float]:
    """Order copies of one signature: an early proof, none, a late one.

    A proof that is later than the statement's own time says nothing for it, and anybody can have
    one made: beside a copy without, it must take nothing away.
    """
    if not signed.times:
        return 1, 0.0
    at = signed.times[0].at
    declared, exact = time_of(view)
    late = exact and declared is not None and at > instant(declared) + CLOCK_SLACK
    return (2 if late else 0), at.timestamp()


def _anchors(values: Iterable[str | None]) -> set[str]:
    return {value for value in values if value is not None}


__all__ = ["Entry", "Record", "Unopened", "View", "generations", "read"]
