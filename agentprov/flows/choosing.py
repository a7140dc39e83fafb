"""Chooses which stored records are brought to the judge: all that can bear on some commits.

What is looked at here is unverified, and decides nothing but what is brought.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from agentprov.flows.describing import Described, StoredLine, described
from agentprov.flows.glancing import place_of
from agentprov.formats import packed
from agentprov.formats.digest import sha256
from agentprov.formats.names import APPROVAL_TYPE, PLAN_TYPE, REWRITE_TYPE
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.value import value
from agentprov.store.notes import NotesStore
from agentprov.store.notes_tree import NotesTree
from agentprov.system.git_objects import CatFile
from agentprov.verify.record import Record, Unopened

# Ids of sessions and commits, and the type of approvals, wherever a JSON text holds them.
_WORD = re.compile(rb'"([A-Za-z0-9][A-Za-z0-9._:/-]*)"')
_OBJECT_ID = re.compile(rb'"([0-9a-f]{40}|[0-9a-f]{64})"')
_REWRITE = REWRITE_TYPE.encode()
_TEXT = re.compile(rb'"([^"]*)"')
# Of more words than these, a line's own are looked up among them, and not they in the line.
_FEW_WORDS = 16


@value
class Chosen:
    """Records to bring, and the commits that they say they are about.

    `bare` are judged commits that none of them names, `linked` the new commits of links and `olds`
    what these were made of. `gone` are recorded commits that no bare one leads back to, whose
    records are brought as well. `unopened` are generations of the same sessions, by payload digest,
    that are not brought: nothing but their sessions' lists asks for them.
    """

    records: list[Record]
    about: frozenset[str]
    bare: frozenset[str] = frozenset()
    linked: frozenset[str] = frozenset()
    olds: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    unopened: Mapping[str, Unopened] = field(default_factory=dict)


@value
class Lost:
    """How to find records of commits that are in the history no more.

    `not_behind` gives those of some object ids that are no ancestors of some commits, `touched`
    the path labels and blob ids that some commits bring.
    """

    not_behind: Callable[[Collection[str], Collection[str]], frozenset[str]]
    touched: Callable[[Collection[str]], frozenset[str]]


@value
class Asked:
    """What else must be opened: generations at these (session, number), or `entire` sessions."""

    places: frozenset[tuple[str, int]] = frozenset()
    entire: bool = False


NOTHING_ELSE = Asked()


def choose(
    notes: NotesStore,
    reader: CatFile,
    commits: Sequence[str],
    parents: Iterable[str] = (),
    bundles: Sequence[Record] = (),
    lost: Lost | None = None,
    asked: Asked = NOTHING_ELSE,
) -> Chosen:
    """Bring the notes of commits, and whatever else these and some bundles need to be judged.

    Of the parents' notes, the approvals: they hang there too, so that one is found by the commit
    that took the approved one's place. What links say a commit was made of comes from the notes of
    the old commits. The bundles themselves are not among what is brought.

    For commits that no record names, `lost` finds records whose content they may hold.
    """
    around = set(parents) - set(commits)
    tree = notes.as_it_stands(reader)
    lines = _Lines(tree)
    near: list[Record] = []
    known: dict[bytes, Described] = {}
    for line in lines.under([*commits, *sorted(around)] if commits else ()):
        record = line.record()
        said = known.get(record.data) or described(record)
        if line.anchor not in around or said.approves:
            near.append(record)
            known[record.data] = line.said = said
    for record in bundles:
        known[record.data] = described(record)
    near += _behind_links(lines, known, set(commits))
    gone: frozenset[str] = frozenset()
    unopened: dict[str, Unopened] = {}
    if not _complete(known, commits, asked):
        everything = lines.everything()
        bare = _bare(known, commits)
        if bare and lost is not None:
            gone = _gone(everything, known, bare, lost)
        near, unopened = _related(near, known, everything, commits, gone, asked)
    said_of = known.values()
    return Chosen(
        near,
        about=frozenset(said.commit for said in said_of if said.commit is not None),
        bare=_bare(known, commits),
        linked=frozenset(said.commit for said in said_of if said.olds and said.commit),
        olds=frozenset(old for said in said_of for old in said.olds),
        gone=gone,
        unopened=unopened,
    )


class _Lines:
    """The lines of notes, each read once however often it is asked for."""

    def __init__(self, tree: NotesTree) -> None:
        self._tree = tree
        self._made: dict[tuple[str, bytes], StoredLine] = {}

    def under(self, anchors: Sequence[str]) -> Iterator[StoredLine]:
        """Give the lines of these notes, in order, each bundle once however often it is stored."""
        for anchor, stored in self._tree.stored_of(anchors).items():
            made = [self._line(anchor, line) for line in stored]
            each = {line.record().data: line for line in made}
            yield from (each[data] for data in sorted(each))

    def everything(self) -> list[StoredLine]:
        """Give all lines, in the order of what they hang on."""
        return [
            self._line(anchor, line)
            for anchor, stored in self._tree.stored()
            for line in sorted(stored)
        ]

    def _line(self, anchor: str, stored: bytes) -> StoredLine:
        made = self._made.get((anchor, stored))
        if made is None:
            made = self._made[anchor, stored] = StoredLine(anchor, stored)
        return made


def _behind_links(lines: _Lines, known: dict[bytes, Described], read: set[str]) -> list[Record]:
    """Bring the notes of the commits that links lead to, and of those that these lead to."""
    found: list[Record] = []
    olds = {old for said in known.values() for old in said.olds} - read
    while olds:
        read |= olds
        more: set[str] = set()
        for line in lines.under(sorted(olds)):
            record = line.record()
            if record.data not in known:
                # An approval of an old commit says what was approved before it was rewritten.
                line.said = known[record.data] = described(record)
                more.update(line.said.olds)
                found.append(record)
        olds = more - read
    return found


def _gone(
    everything: Sequence[StoredLine],
    known: dict[bytes, Described],
    bare: Collection[str],
    lost: Lost,
) -> frozenset[str]:
    """Find recorded commits that bare ones do not lead back to, and that touch what they touch."""
    away = lost.not_behind({line.anchor for line in everything}, bare)
    touched = lost.touched(bare) if away else frozenset()
    texts = {text.encode() for text in touched}
    found = set()
    for line in everything:
        if line.anchor not in away:
            continue
        payload = line.payload()
        if payload is not None and texts.isdisjoint(_TEXT.findall(payload)):
            continue
        record = line.record()
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


def _complete(known: Mapping[bytes, Described], commits: Iterable[str], asked: Asked) -> bool:
    """Say whether the notes at hand answer for themselves, so that the rest need not be read."""
    if _unmet(known, asked):
        return False
    here = {said.payload_sha256 for said in known.values()}
    covered = {said.commit for said in known.values()}
    return covered.issuperset(commits) and all(
        here.issuperset(said.points_at) and here.issuperset(said.lists) for said in known.values()
    )


def _unmet(known: Mapping[bytes, Described], asked: Asked) -> set[tuple[str, int]]:
    """Give the places that were asked for and that nothing at hand has."""
    return set(asked.places) - {
        (said.session, said.sequence)
        for said in known.values()
        if said.session is not None and said.sequence is not None
    }


def _related(
    near: Sequence[Record],
    known: dict[bytes, Described],
    everything: Sequence[StoredLine],
    judged: Collection[str],
    gone: Collection[str],
    asked: Asked,
) -> tuple[list[Record], dict[str, Unopened]]:
    """Choose from all lines those of the judged commits' sessions and what they point at.

    Adds what it learns to `known`. Also gives what is left unopened.
    """
    about = set(judged)
    sessions = {said.session for said in known.values() if said.session is not None}
    _learn(everything, known, about)
    if _follow_links(everything, known, about):
        _learn(everything, known, about)
    about.update(gone)
    sessions |= {said.session for said in known.values() if said.session and said.commit in about}
    # A trailer may name a session that nothing else here speaks of.
    sessions |= {session for session, _ in _unmet(known, asked)}
    _learn(everything, known, {APPROVAL_TYPE})
    unopened = _learn_sessions(everything, known, sessions, about, asked)
    wanted = {
        edge
        for said in known.values()
        if said.session in sessions or (said.olds and said.commit in about)
        for edge in (*said.points_at, *said.lists)
    }
    _learn_wanted(everything, known, wanted, unopened)
    chosen = list(near)
    present = {record.data for record in near}
    for line in everything:
        said = line.said
        if said is None or line.record().data in present:
            continue
        linking = bool(said.olds) and said.commit in about
        if said.approves or linking or said.session in sessions or said.payload_sha256 in wanted:
            chosen.append(line.record())
    return chosen, unopened


def _follow_links(
    everything: Iterable[StoredLine], known: dict[bytes, Described], about: set[str]
) -> bool:
    """Add to `about` what links say that its commits were made of; says whether that was more.

    Anybody can put links there, so their number and the length of their chains must cost no more
    than one look at each.
    """
    unread: dict[str, list[StoredLine]] = defaultdict(list)
    olds_of: dict[str, set[str]] = defaultdict(set)
    for line in _holding(everything, {REWRITE_TYPE}):
        for word in _words_of_a_link(line):
            unread[word].append(line)
    for said in known.values():
        if said.commit is not None:
            olds_of[said.commit].update(said.olds)
    waiting, before = list(about), len(about)
    while waiting:
        commit = waiting.pop()
        for line in unread.pop(commit, ()):
            if line.said is None:
                said = line.describe(known)
                if said.commit is not None and said.olds:
                    olds_of[said.commit].update(said.olds)
                    if said.commit in about:
                        waiting.append(said.commit)
        news = olds_of.pop(commit, set()) - about
        about |= news
        waiting += news
    return len(about) > before


def _words_of_a_link(line: StoredLine) -> set[str]:
    """Give the object ids in what may be a rewrite link, for a glance."""
    payload = line.payload()
    if payload is None or _REWRITE not in payload:
        return set()
    return {word.decode() for word in _OBJECT_ID.findall(payload)}


def _learn(
    everything: Iterable[StoredLine], known: dict[bytes, Described], words: Collection[str]
) -> None:
    """Describe the lines that hold one of these words; a glance passes over the others."""
    for line in _holding(everything, words):
        line.describe(known)


def _learn_sessions(
    everything: Iterable[StoredLine],
    known: dict[bytes, Described],
    sessions: Collection[str],
    about: Collection[str],
    asked: Asked,
) -> dict[str, Unopened]:
    """Describe the lines of sessions; gives those that it leaves unopened, by payload digest.

    What is about a commit, or claims the place of something, that anybody else speaks of is not
    left so: it may decide something, by its signature or by contradicting.
    """
    told = known.values()
    commits = {*about, *(said.commit for said in told)}
    taken = {*asked.places, *((said.session, said.sequence) for said in told)}
    named = {said.payload_sha256 for said in told}
    for said in told:
        named.update((*said.reviewed, *(said.points_at if said.olds else ())))
    unopened: dict[str, Unopened] = {}
    for line in _holding(everything, sessions):
        payload = None if asked.entire else line.payload()
        found = place_of(payload) if payload is not None else None
        if payload is not None and found is not None:
            commit, place = found
            digest = sha256(payload)
            if not (
                commit in commits
                or place.session not in sessions
                or (place.session, place.sequence) in taken
                or digest in named
            ):
                unopened[digest] = place
                continue
        line.describe(known)
    return unopened


def _learn_wanted(
    everything: Iterable[StoredLine],
    known: dict[bytes, Described],
    wanted: Collection[str],
    unopened: Collection[str],
) -> None:
    """Describe the lines with these payload digests: plans, and whatever else nobody has found."""
    for line in _holding(everything, {PLAN_TYPE}):
        _describe_wanted(line, known, wanted)
    here = {line.said.payload_sha256 for line in everything if line.said is not None}
    missing = {*wanted} - here - {*unopened} - {said.payload_sha256 for said in known.values()}
    if missing:
        for line in everything:
            if line.said is None:
                _describe_wanted(line, known, missing)


def _describe_wanted(
    line: StoredLine, known: dict[bytes, Described], wanted: Collection[str]
) -> None:
    payload = line.payload()
    if payload is not None and sha256(payload) in wanted:
        line.describe(known)


def _holding(everything: Iterable[StoredLine], words: Collection[str]) -> Iterator[StoredLine]:
    """Give the lines, of those that nobody has described, that may hold one of these words."""
    wanted = {word.encode() for word in words}
    sought = [packed.sought(word) for word in wanted] if len(wanted) <= _FEW_WORDS else [()]
    texts = [text for some in sought for text in some] if all(sought) else None
    for line in everything:
        if line.said is not None:
            continue
        if texts is not None and packed.is_packed(line.stored):
            stored = line.stored
            if packed.ESCAPE in stored or any(text in stored for text in texts):
                yield line
            continue
        payload = line.payload()
        if payload is None or not wanted.isdisjoint(_WORD.findall(payload)):
            yield line


def lines_about(notes: NotesStore, reader: CatFile, commit: str) -> list[bytes]:
    """Give the stored lines about one commit: its own note, its sessions' and their plans.

    Where a link says what it was made of, also the statements that the link names. Unverified. Of
    other notes, approvals and the generations of other commits are left out, though these may
    belong to the same session.
    """
    found = [(record, described(record)) for record in choose(notes, reader, [commit]).records]
    behind = {
        edge for _, said in found if said.olds and said.commit == commit for edge in said.points_at
    }
    return [
        record.data
        for record, said in found
        if record.anchor == commit
        or said.payload_sha256 in behind
        or (not said.approves and said.commit in (None, commit))
    ]
