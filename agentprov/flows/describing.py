"""What a stored line says it is about, read no further than the choice of records needs.

All of it is unverified.
"""

from __future__ import annotations

from agentprov.errors import MalformedInput
from agentprov.flows.glancing import glance
from agentprov.formats import packed
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.formats.value import value
from agentprov.store.lines import unpacked
from agentprov.verify.reading import Reading
from agentprov.verify.record import Record


@value
class Described:
    """What an unverified record says it is about; `olds` is what a link says it was made of.

    `points_at` are the statements that it stands on, `lists` those that it says are there, and
    `reviewed` those that an approver was shown, all by payload digest.
    """

    payload_sha256: str | None = None
    commit: str | None = None
    session: str | None = None
    sequence: int | None = None
    approves: bool = False
    points_at: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    reviewed: tuple[str, ...] = ()
    olds: tuple[str, ...] = ()


def described(record: Record) -> Described:
    """Say what a record is about; of one that cannot be read, nothing."""
    try:
        return _describe(record.reading)
    except MalformedInput:
        return Described()


def _describe(reading: Reading) -> Described:
    view = reading.view()
    payload_sha256 = reading.bundle().payload_sha256
    if isinstance(view, GenerationView):
        edges = (view.open_sha256, view.plan[0] if view.plan else None)
        points_at = tuple(edge for edge in edges if edge is not None)
        return Described(
            payload_sha256, view.commit, view.session, view.sequence, points_at=points_at
        )
    if isinstance(view, OpenView):
        plan = (view.plan[0],) if view.plan else ()
        return Described(payload_sha256, None, view.id, points_at=plan)
    if isinstance(view, CloseView):
        points_at, lists = (view.open_sha256,), view.generations
        return Described(payload_sha256, None, view.id, points_at=points_at, lists=lists)
    if isinstance(view, RewriteView):
        sources = tuple(sha256 for _, sha256 in view.sources)
        olds = tuple(dict.fromkeys((*view.olds, *(commit for commit, _ in view.sources))))
        return Described(payload_sha256, view.commit, points_at=sources, olds=olds)
    if isinstance(view, ApprovalView):
        reviewed = tuple(sha256 for _, sha256 in view.reviewed)
        return Described(payload_sha256, approves=True, reviewed=reviewed)
    return Described(payload_sha256)


class StoredLine:
    """One line of a note, unpacked and read as far as is asked."""

    __slots__ = ("_record", "anchor", "said", "stored")

    def __init__(self, anchor: str, stored: bytes) -> None:
        self.anchor = anchor
        self.stored = stored
        self.said: Described | None = None
        self._record: Record | None = None

    def record(self) -> Record:
        if self._record is None:
            self._record = record_of(self.anchor, unpacked(self.stored))
        return self._record

    def payload(self) -> bytes | None:
        """Give the payload where a glance is as good as reading; None where only reading tells.

        With no escape in it, a member's name and a word stand there as they are. What is no bundle
        may be taken for one here, and is refused when it is read.
        """
        try:
            payload = packed.payload(self.stored)
        except MalformedInput:
            return None
        if payload is None:
            return glance(self.stored)
        return None if b"\\" in payload else payload

    def describe(self, known: dict[bytes, Described]) -> Described:
        """Read what it says, once for all lines that say the same."""
        if self.said is None:
            record = self.record()
            self.said = known.get(record.data) or described(record)
            known[record.data] = self.said
        return self.said


def record_of(anchor: str, line: bytes) -> Record:
    return Record(line, f"note of {anchor[:12]}", anchor=anchor)
