"""Chooses which stored records are brought to the judge: all that can bear on some commits.

What is looked at here is unverified, and decides nothing but what is brought.
"""

from __future__ import annotations

import binascii
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from agentprov.errors import MalformedInput
from agentprov.formats.digest import sha256
from agentprov.formats.names import APPROVAL_TYPE, REWRITE_TYPE
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.formats.value import value
from agentprov.store.notes import NotesStore
from agentprov.system.git_objects import CatFile
from agentprov.verify.reading import Reading
from agentprov.verify.record import Record

_PAYLOAD = re.compile(rb'"payload"[ \t]*:[ \t]*"([^"]*)"')
# Ids of sessions and commits, and the type of approvals, wherever a JSON text holds them.
_WORD = re.compile(rb'"([A-Za-z0-9][A-Za-z0-9._:/-]*)"')
_OBJECT_ID = re.compile(rb'"([0-9a-f]{40}|[0-9a-f]{64})"')
_REWRITE = REWRITE_TYPE.encode()
_TEXT = re.compile(rb'"([^"]*)"')


@value
class Described:
    """What an unverified record says it is about; `olds` is what a link says it was made of."""

    payload_sha256: str | None = None
    commit: str | None = None
    session: str | None = None
    approves: bool = False
    points_at: tuple[str, ...] = ()
    olds: tuple[str, ...] = ()


@value
class Chosen:
    """Records to bring, and the commits that they say they are about.

    `bare` are judged commits that none of them names, `linked` the new commits of links and `olds`
    what these were made of. `gone` are recorded commits that no bare one leads back to, whose
    records are brought as well.
    """

    records: list[Record]
    about: frozenset[str]
    bare: frozenset[str] = frozenset()
    linked: frozenset[str] = frozenset()
    olds: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


@value
class Lost:
    """How to find records of commits that are in the history no more.

    `not_behind` gives those of some object ids that are no ancestors of some commits, `touched`
    the path labels and blob ids that some commits bring.
    """

    not_behind: Callable[[Collection[str], Collection[str]], frozenset[str]]
    touched: Callable[[Collection[str]], frozenset[str]]


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
    if isinstance(view, RewriteView):
        sources = tuple(sha256 for _, sha256 in view.sources)
        olds = tuple(dict.fromkeys((*view.olds, *(commit for commit, _ in view.sources))))
        return Described(payload_sha256, view.commit, points_at=sources, olds=olds)
    return Described(payload_sha256, approves=isinstance(view, ApprovalView))


def choose(
    notes: NotesStore,
    reader: CatFile,
    commits: Sequence[str],
    parents: Iterable[str] = (),
    bundles: Sequence[Record] = (),
    lost: Lost | None = None,
) -> Chosen:
    """Bring the notes of commits, and whatever else these and some bundles need to be judged.

    Of the parents' notes, the approvals: they hang there too, so that one is found by the commit
    that took the approved one's place. What links say a commit was made of comes from the notes of
    the old commits. The bundles themselves are not among what is brought.

    For commits that no record names, `lost` finds records whose content they may hold.
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
    near += _behind_links(notes, reader, known, set(commits))
    gone: frozenset[str] = frozenset()
    if not _complete(known, commits):
        everything = list(_as_records(notes.everything(reader)))
        bare = _bare(known, commits)
        if bare and lost is not None:
            gone = _gone(everything, known, bare, lost)
        near = _related(near, known, everything, commits, gone)
    said_of = known.values()
    return Chosen(
        near,
        about=frozenset(said.commit for said in said_of if said.commit is not None),
        bare=_bare(known, commits),
        linked=frozenset(said.commit for said in said_of if said.olds and said.commit),
        olds=frozenset(old for said in said_of for old in said.olds),
        gone=gone,
    )


def _as_records(notes: Iterable[tuple[str, Iterable[bytes]]]) -> Iterable[Record]:
    for anchor, lines in notes:
        for line in lines:
            yield Record(line, f"note of {anchor[:12]}", anchor=anchor)


def _behind_links(
    notes: NotesStore, reader: CatFile, known: dict[bytes, Described], read: set[str]
) -> list[Record]:
    """Bring the notes of the commits that links lead to, and of those that these lead to."""
    found: list[Record] = []
    olds = {old for said in known.values() for old in said.olds} - read
    while olds:
        read |= olds
        more: set[str] = set()
        for record in _as_records(notes.get_many(sorted(olds), reader).items()):
            said = known.get(record.data)
            if said is None:
                said = known[record.data] = described(record)
                more.update(said.olds)
                if not said.approves:
                    found.append(record)
        olds = more - read
    return found


def _gone(
    everything: Sequence[Record],
    known: dict[bytes, Described],
    bare: Collection[str],
    lost: Lost,
) -> frozenset[str]:
    """Find recorded commits that bare ones do not lead back to, and that touch what they touch."""
    anchors = {record.anchor for record in everything if record.anchor is not None}
    away = lost.not_behind(anchors, bare)
    touched = lost.touched(bare) if away else frozenset()
    texts = {text.encode() for text in touched}
    found = set()
    for record in everything:
        if record.anchor not in away:
            continue
        payload = glance(record.data)
        if payload is not None and texts.isdisjoint(_TEXT.findall(payload)):
            continue
        said = known.get(record.data) or described(record)
        view = record.reading.view() if said.session is not None else None
        if isinstance(view, GenerationView) and any(
            change.path in touched or change.blob in touched for change in view.changes
        ):
            known[record.data] = said
            found.add(view.commit)
    return frozenset(found) & away


def _bare(known: Mapping[bytes, Described], commits: Iterable[str]) -> frozenset[str]:
    return frozenset(commits) - {said.commit for said in known.values()}


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
    gone: Collection[str],
) -> list[Record]:
    """Choose from all records those of the judged commits' sessions and what they point at.

    Adds what it learns to `known`.
    """
    about = set(commits)
    sessions = {said.session for said in known.values() if said.session is not None}
    _learn(everything, known, about)
    if _follow_links(everything, known, about):
        _learn(everything, known, about)
    about.update(gone)
    sessions |= {said.session for said in known.values() if said.session and said.commit in about}
    _learn(everything, known, {*sessions, APPROVAL_TYPE})
    wanted = {
        edge
        for said in known.values()
        if said.session in sessions or (said.olds and said.commit in about)
        for edge in said.points_at
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
        linking = bool(said.olds) and said.commit in about
        if said.approves or linking or said.session in sessions or said.payload_sha256 in wanted:
            chosen.append(record)
    return chosen


def _follow_links(
    everything: Iterable[Record], known: dict[bytes, Described], about: set[str]
) -> bool:
    """Add to `about` what links say that its commits were made of; says whether that was more.

    Anybody can put links there, so their number and the length of their chains must cost no more
    than one look at each.
    """
    unread: dict[str, list[Record]] = defaultdict(list)
    olds_of: dict[str, set[str]] = defaultdict(set)
    for record in everything:
        if record.data not in known:
            for word in _words_of_a_link(record.data):
                unread[word].append(record)
    for said in known.values():
        if said.commit is not None:
            olds_of[said.commit].update(said.olds)
    waiting, before = list(about), len(about)
    while waiting:
        commit = waiting.pop()
        for record in unread.pop(commit, ()):
            if record.data not in known:
                said = known[record.data] = described(record)
                if said.commit is not None and said.olds:
                    olds_of[said.commit].update(said.olds)
                    if said.commit in about:
                        waiting.append(said.commit)
        news = olds_of.pop(commit, set()) - about
        about |= news
        waiting += news
    return len(about) > before


def _words_of_a_link(line: bytes) -> set[str]:
    """Give the object ids in what may be a rewrite link, for a glance."""
    payload = glance(line)
    if payload is None or _REWRITE not in payload:
        return set()
    return {word.decode() for word in _OBJECT_ID.findall(payload)}


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
