"""What of old commits lives on in a new one, from statements about the old ones and git's facts.

Values in, values out: flows/rewrites.py reads them. Statements that do not fit what git holds of
their commit are refused here; whose key signed them is for the verifier to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agentprov.errors import MalformedInput
from agentprov.formats import bundle, carrying
from agentprov.formats import statement as statements
from agentprov.formats.carrying import Claim, OldCommit, StatedChange
from agentprov.formats.names import path_label
from agentprov.formats.predicates import generation, rewrite
from agentprov.formats.predicates.rewrite import Rewritten, RewrittenPath
from agentprov.system.git_objects import CommitObject
from agentprov.system.trees import RawChange

Blobs = Mapping[str, tuple[str | None, str | None]]
Source = tuple[str, str]
_OPERATIONS = {"A": "add", "C": "add", "D": "delete", "R": "rename", "M": "modify", "T": "modify"}
_LINK = "120000"


@dataclass(frozen=True)
class Told:
    """One statement about a commit: its source id, and what it says of each path.

    `stated` takes a function that numbers sources. `session` is a generation's; `olds` is what a
    rewrite was made of, `inner` its sources; `hint` names the key.
    """

    source: Source
    stated: Callable[[Callable[[Source], int]], Mapping[str, StatedChange]]
    session: str | None
    order: tuple[object, ...]
    olds: tuple[str, ...] = ()
    inner: tuple[Source, ...] = ()
    hint: str | None = None


@dataclass(frozen=True)
class Side:
    """A commit as git holds it: what differs from its first parent, by path label.

    `object` and so the rest is missing where the commit is not here any more.
    """

    oid: str
    object: CommitObject | None = None
    blobs: Blobs = field(default_factory=dict)


@dataclass(frozen=True)
class NewSide:
    """A new commit: its changes against the first parent with renames, and its added lines."""

    object: CommitObject
    changes: Sequence[RawChange]
    added: Mapping[bytes, Sequence[tuple[int, int]]]


def read(line: bytes, side: Side) -> Told | None:
    """Read a stored bundle as a statement about a commit; None for any that is none, or is wrong.

    Of a commit that is not here any more, the statement's own words are all there is.
    """
    try:
        parsed = bundle.parse(line)
        statement = statements.parse(parsed.payload)
    except MalformedInput:
        return None
    source = (side.oid, parsed.payload_sha256)
    if statement.kind == "generation":
        subjects = [(subject.name, subject.digest) for subject in statement.subjects]
        made = generation.view(subjects, statement.predicate)
        if made.commit != side.oid or not _fits(side, made.tree, made.parents, made.changes):
            return None
        predicate = statement.predicate
        return Told(
            source,
            lambda number: generation.stated(predicate, number(source)),
            made.session,
            (0, made.session, made.sequence, made.part, source[1]),
            hint=parsed.hint,
        )
    if statement.kind == "rewrite":
        view = rewrite.view(statement.predicate)
        if view.commit != side.oid or not _fits(side, view.tree, view.parents, view.changes):
            return None
        return Told(
            source,
            lambda number: rewrite.stated(view, number),
            None,
            (1, source[1]),
            view.olds,
            view.sources,
            parsed.hint,
        )
    return None


def _fits(
    side: Side,
    tree: str,
    parents: tuple[str, ...],
    changes: Iterable[generation.ChangeView | RewrittenPath],
) -> bool:
    if side.object is None:
        return True
    if (side.object.tree, side.object.parents) != (tree, parents):
        return False
    return all(
        change.path in side.blobs and side.blobs[change.path][1] == change.blob
        for change in changes
    )


def blobs_of(changes: Iterable[RawChange]) -> Blobs:
    """Give blob ids before and after by path label, of a comparison without renames."""
    return {
        path_label(change.path): (_present(change.old_blob), _present(change.new_blob))
        for change in changes
    }


def _present(oid: str) -> str | None:
    return oid if oid.strip("0") else None


@dataclass(frozen=True)
class Old:
    """An old commit with all that is stated of it, in the order that counts."""

    side: Side
    told: Sequence[Told]


class Numbers:
    """Numbers sources in the order in which they are first met."""

    def __init__(self, first: Iterable[Source]) -> None:
        self._known: dict[Source, int] = {}
        for source in first:
            self(source)

    def __call__(self, source: Source) -> int:
        return self._known.setdefault(source, len(self._known))

    def __getitem__(self, number: int) -> Source:
        return list(self._known)[number]

    def all(self) -> list[Source]:
        """Give them all in order."""
        return list(self._known)


class Link:
    """Follows the lines of old commits into a new one; `sessions` is by generation digest.

    After `paths`, `exact` says whether every file is one that the old commits left, or adds the
    same lines as they did.
    """

    def __init__(
        self,
        new: NewSide,
        olds: Sequence[Old],
        sessions: Mapping[str, str],
        content_of: Callable[[str], bytes | None],
        *,
        by_content: bool,
    ) -> None:
        self._new = new
        self._olds = olds
        self._content_of = content_of
        self._by_content = by_content
        told = [one for old in olds for one in sorted(old.told, key=lambda one: one.order)]
        self.numbers = Numbers(one.source for one in told)
        self._sessions = sessions
        self.old_commits = [self._old(old) for old in olds]
        self._taken: set[str] = set()
        self._whole_history = all(old.side.object is not None for old in olds)
        self.exact = True

    def _old(self, old: Old) -> OldCommit:
        several = [one.stated(self.numbers) for one in sorted(old.told, key=lambda one: one.order)]
        stated = carrying.combined(several, self.who)
        blobs = old.side.blobs
        if old.side.object is None:
            blobs = {path: (None, change.blob) for path, change in stated.items()}
        return OldCommit(old.side.oid, blobs, stated)

    def who(self, number: int) -> object:
        """Say whose the lines of a source are: a session, or a statement that is not here."""
        source = self.numbers[number]
        return self._sessions.get(source[1], source)

    @property
    def claimed(self) -> int:
        """Count the lines that the statements claim."""
        return sum(
            claim.end - claim.start + 1
            for old in self.old_commits
            for change in old.stated.values()
            for claim in change.claims
        )

    def paths(self) -> list[RewrittenPath]:
        """Give the paths of the new commit that hold something of the old ones, by label."""
        names = {path_label(one.path) for one in self._new.changes if one.status != "D"}
        found = []
        for change in self._new.changes:
            label = path_label(change.path)
            origin = self._origin(change, label, names)
            if origin is None:
                self.exact = self.exact and not self._new.added.get(change.path)
                continue
            path = self._path(change, label, origin)
            if path is not None:
                self._taken.add(origin)
                found.append(path)
        return sorted(found, key=lambda one: one.path)

    def _origin(self, change: RawChange, label: str, names: set[str]) -> str | None:
        """Find the path at which the old commits left what is now at `label`."""
        left: dict[str, str | None] = {}
        for old in self.old_commits:
            for path, (_, after) in old.blobs.items():
                left[path] = after
        if label in left and (left[label] is not None or change.status == "D"):
            return label
        if change.status == "D":
            return None
        free = [path for path in left if path not in names and path not in self._taken]
        before = path_label(change.old_path) if change.old_path is not None else None
        if before in free and left[before] is not None:
            return before
        gone = {path_label(one.path) for one in self._new.changes if one.status == "D"}
        for likely in (
            [path for path in free if left[path] == change.new_blob],
            [path for path in free if left[path] and label.endswith("/" + path)],
            [path for path in free if left[path] and path in gone],
        ):
            if len(likely) == 1:
                return likely[0]
        return None

    def _path(self, change: RawChange, label: str, origin: str) -> RewrittenPath | None:
        op = _OPERATIONS.get(change.status, "modify")
        if change.status == "M" and change.old_blob == change.new_blob:
            op = "mode"
        deleted = op == "delete"
        claims: tuple[Claim, ...] = ()
        source: int | None = None
        added = self._new.added.get(change.path, ())
        if added and not deleted and change.new_mode != _LINK:
            claims = tuple(self._claims(change.new_blob, origin, added))
        if not claims:
            source = self._whole(change, op, origin)
            if source is None:
                return None
        return RewrittenPath(
            path=label,
            op=op,
            mode=change.old_mode if deleted else change.new_mode,
            blob=None if deleted else change.new_blob,
            old_path=path_label(change.old_path) if op == "rename" and change.old_path else None,
            came_from=origin,
            claims=claims,
            source=source,
        )

    def _claims(self, blob: str, origin: str, added: Sequence[tuple[int, int]]) -> list[Claim]:
        content = self._content_of(blob)
        history = carrying.versions(origin, self.old_commits)
        if content is None or not any(version.claims for version in history):
            return []
        # Half a history would give other lines than the whole one gives elsewhere.
        content_of = self._content_of if self._whole_history else _nothing
        found = carrying.follow(history, content_of, content, added, blob)
        exact = carrying.is_exact(history, content, added, blob)
        self.exact = self.exact and exact
        if self._by_content and not exact:
            return carrying.capped(found) if is_telling(found, content) else []
        return found

    def _whole(self, change: RawChange, op: str, origin: str) -> int | None:
        """Find the generation that states the same of a path without lines."""
        last = next((old for old in reversed(self.old_commits) if origin in old.blobs), None)
        stated = last.stated.get(origin) if last is not None else None
        if stated is None or (stated.op == "delete") != (op == "delete"):
            return None
        gone = op == "delete"
        same = stated.mode == (change.old_mode if gone else change.new_mode)
        return (
            stated.source if same and stated.blob == (None if gone else change.new_blob) else None
        )

    def rewritten(self, method: str, paths: Sequence[RewrittenPath]) -> Rewritten:
        """Put the facts together that a statement is made of.

        All generations that a source rests on are named, also where no range points at them:
        whoever makes the link again must know whose lines they speak of.
        """
        everything = self.numbers.all()
        new = self._new.object.oid
        kept = [number for number, source in enumerate(everything) if source[0] != new]
        place = {number: index for index, number in enumerate(kept)}
        return Rewritten(
            commit=self._new.object.oid,
            tree=self._new.object.tree,
            parents=self._new.object.parents,
            method=method,
            olds=tuple(old.side.oid for old in self._olds),
            sources=tuple(everything[number] for number in kept),
            changes=tuple(
                path._replace(
                    claims=tuple(one._replace(source=place[one.source]) for one in path.claims),
                    source=None if path.source is None else place[path.source],
                )
                for path in paths
            ),
            claimed=max(self.claimed, _count(paths)),
        )


def _count(paths: Iterable[RewrittenPath]) -> int:
    return sum(claim.end - claim.start + 1 for path in paths for claim in path.claims)


_BLOCK = 3
_TELLING = 20
_DISTINCTIVE = 8


def is_telling(claims: Sequence[Claim], content: bytes) -> bool:
    """Say whether some stretch of claimed lines says enough to be recognised.

    That is three lines in a row of which one is more than a bracket, or one line of 20 characters.
    """
    keys = carrying.line_keys(content)
    numbers = sorted(n for claim in claims for n in range(claim.start, claim.end + 1))
    run: list[int] = []
    for number in numbers:
        run = [*run, number] if run and run[-1] + 1 == number else [number]
        lengths = [len(keys[one - 1].strip()) for one in run[-_BLOCK:]]
        if lengths[-1] >= _TELLING or (len(lengths) == _BLOCK and max(lengths) >= _DISTINCTIVE):
            return True
    return False


def _nothing(_: str) -> None:
    return None


__all__ = ["Link", "NewSide", "Old", "Side", "Told", "blobs_of", "is_telling", "read"]
