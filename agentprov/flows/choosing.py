"""Chooses which stored records are brought to the judge: all that can bear on some commits.

What is looked at here is unverified, and decides nothing but what is brought.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from agentprov.errors import MalformedInput
from agentprov.formats.digest import sha256
from agentprov.formats.names import APPROVAL_TYPE
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.formats.value import value
from agentprov.store.notes import NotesStore
from agentprov.system.git_objects import CatFile
from agentprov.verify.reading import Reading
from agentprov.verify.record import Record

_PAYLOAD = re.compile(rb'"payload"[ \t]*:[ \t]*"([^"]*)"')
# Ids of sessions and commits, and the type of approvals, wherever a JSON text holds them.
_WORD = re.compile(rb'"([A-Za-z0-9][A-Za-z0-9._:/-]*)"')


@value
class Described:
    """What an unverified record says it is about."""

    payload_sha256: str | None = None
    commit: str | None = None
    session: str | None = None
    approves: bool = False
    points_at: tuple[str, ...] = ()


@value
class Chosen:
    """Records to bring, and the commits that they say they are about."""

    records: list[Record]
    about: frozenset[str]


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
        return Described(payload_sha256, view.commit, view.session, points_at=points_at)
    if isinstance(view, OpenView):
        plan = (view.plan[0],) if view.plan else ()
        return Described(payload_sha256, None, view.id, points_at=plan)
    if isinstance(view, CloseView):
        points_at = (view.open_sha256, *view.generations)
        return Described(payload_sha256, None, view.id, points_at=points_at)
    return Described(payload_sha256, approves=isinstance(view, ApprovalView))


def choose(
    notes: NotesStore,
    reader: CatFile,
    commits: Sequence[str],
    parents: Iterable[str] = (),
    bundles: Sequence[Record] = (),
) -> Chosen:
    """Bring the notes of commits, and whatever else these and some bundles need to be judged.

    Of the parents' notes, the approvals: they hang there too, so that one is found by the commit
    that took the approved one's place. The bundles themselves are not among what is brought.
    """
    around = set(parents) - set(commits)
    found = notes.get_many([*commits, *sorted(around)], reader) if commits else {}
    near: list[Record] = []
    known: dict[bytes, Described] = {}
    for record in _as_records(found.items()):
        said = known.get(record.data) or described(record)
        if record.anchor not in around or said.approves:
            near.append(record)
            known[record.data] = said
    for record in bundles:
        known[record.data] = described(record)
    if not _complete(known, commits):
        everything = list(_as_records(notes.everything(reader)))
        near = _related(near, known, everything, commits)
    about = frozenset(said.commit for said in known.values() if said.commit is not None)
    return Chosen(near, about)


def _as_records(notes: Iterable[tuple[str, Iterable[bytes]]]) -> Iterable[Record]:
    for anchor, lines in notes:
        for line in lines:
            yield Record(line, f"note of {anchor[:12]}", anchor=anchor)


def _complete(known: Mapping[bytes, Described], commits: Iterable[str]) -> bool:
    """Say whether the notes at hand answer for themselves, so that the rest need not be read."""
    here = {said.payload_sha256 for said in known.values()}
    covered = {said.commit for said in known.values()}
    return covered.issuperset(commits) and all(
        here.issuperset(said.points_at) for said in known.values()
    )


def _related(
    near: Sequence[Record],
    known: dict[bytes, Described],
    everything: Sequence[Record],
    commits: Collection[str],
) -> list[Record]:
    """Choose from all records those of the judged commits' sessions and what they point at.

    Adds what it learns to `known`.
    """
    judged = set(commits)
    sessions = {said.session for said in known.values() if said.session is not None}
    _learn(everything, known, judged)
    sessions |= {said.session for said in known.values() if said.session and said.commit in judged}
    _learn(everything, known, {*sessions, APPROVAL_TYPE})
    wanted = {
        edge for said in known.values() if said.session in sessions for edge in said.points_at
    }
    chosen = list(near)
    present = {record.data for record in near}
    for record in everything:
        if record.data in present:
            continue
        said = known.get(record.data)
        if said is None:
            payload = glance(record.data)
            if payload is None or sha256(payload) not in wanted:
                continue
            said = known[record.data] = described(record)
        if said.approves or said.session in sessions or said.payload_sha256 in wanted:
            chosen.append(record)
    return chosen


def _learn(
    records: Iterable[Record], known: dict[bytes, Described], words: Collection[str]
) -> None:
    """Describe the records that hold one of these words; a glance passes over the others."""
    wanted = {word.encode() for word in words}
    for record in records:
        if record.data in known:
            continue
        payload = glance(record.data)
        if payload is None or not wanted.isdisjoint(_WORD.findall(payload)):
            known[record.data] = described(record)


def glance(line: bytes) -> bytes | None:
    """Give the payload where a glance is as good as reading; None where only reading tells.

    With no escape in either text, a member's name and a word stand there as they are. One that is
    no bundle may be taken for one here, and is refused when it is read.
    """
    if b"\\" in line:
        return None
    found = _PAYLOAD.findall(line)
    if len(found) != 1:
        return None
    try:
        payload = binascii.a2b_base64(found[0], strict_mode=True)
    except binascii.Error:
        return None
    return None if b"\\" in payload else payload


def lines_about(notes: NotesStore, reader: CatFile, commit: str) -> list[bytes]:
    """Give the stored lines about one commit: its own note, its sessions' and their plans.

    Unverified. Of other notes, approvals and the generations of other commits are left out,
    though these may belong to the same session.
    """
    return [
        record.data
        for record in choose(notes, reader, [commit]).records
        if record.anchor == commit or _concerns(described(record), commit)
    ]


def _concerns(said: Described, commit: str) -> bool:
    return not said.approves and said.commit in (None, commit)
