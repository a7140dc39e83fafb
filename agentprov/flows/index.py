"""Brings the index up to date: reads what changed in the notes, has it judged, keeps the outcome.

The index is a cache of the judge's answers. It is taken for good only for the very notes commit,
trust root and program version that it was made from; otherwise what may have changed is judged
again, and where that cannot be said, everything. docs/spec/index.md is the page.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from agentprov import __version__
from agentprov.errors import Busy, GitFailed, MalformedInput, UserError
from agentprov.flows import claims
from agentprov.flows import verify as verifying
from agentprov.flows.affected import Affected
from agentprov.flows.repository import identity
from agentprov.flows.verify import Targets
from agentprov.flows.world import World
from agentprov.formats.claims import CommitClaim, PlanClaim
from agentprov.formats.predicates.generation import GenerationView
from agentprov.store.notes_tree import anchor_of
from agentprov.store.plans import PlanShelf
from agentprov.system import database, places
from agentprov.system.git_objects import CatFile, CommitObject, read_commits
from agentprov.system.trees import diff_tree
from agentprov.verify.reading import Reading
from agentprov.verify.trust import TrustRoot

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from agentprov.query.state import State

T = TypeVar("T")
TOGETHER = 2_000
_MAX_PLAN_TEXT = 200_000


def usable_place() -> Path | None:
    """Give the file of this user's index; None where nothing can be written there."""
    place = places.index()
    there = place.parent
    while not there.exists() and there != there.parent:
        there = there.parent
    return place if there.is_dir() and os.access(there, os.W_OK) else None


def forget(worlds: Sequence[World], place: Path) -> None:
    """Forget what the index knows of some repositories, so that all of it is judged anew."""
    from agentprov.query import state

    def forgotten(engine: Engine) -> None:
        for world in worlds:
            with database.writing(place), engine.begin() as connection:
                key = state.repository(connection, place_of(world), identity(world.git).uri)
                state.forget(connection, key)

    using(place, forgotten)


def place_of(world: World) -> str:
    """Give the name under which the index knows a repository: its common directory."""
    return os.path.realpath(world.git.common_dir)


def using(place: Path | None, action: Callable[[Engine], T]) -> T:
    """Do something with the index in a file (None: in memory); one that is damaged is made anew.

    Raises UserError for a file that cannot be an index of this user's, Busy for one that cannot
    be written now: a full disk, or somebody who holds it for long. What begins as no index is
    made anew in the user's cache only; a file that was named may be of another program.
    """
    if place is not None and place == places.index() and database.is_none(place):
        with database.writing(place):
            # Another may have made it anew while we waited.
            if database.is_none(place):
                database.remove(place)
    for last in (False, True):
        # Asked before it is opened, so that who opens a new file makes it alone.
        there = place is None or (place.exists() and place.stat().st_size > 0)
        engine = database.in_memory() if place is None else database.open_file(place)
        try:
            if _prepared(engine, place, there):
                return action(engine)
        except Exception as error:
            if database.refused(error):
                raise Busy(
                    f"the index {place} cannot be used now: {database.words(error)}",
                    hint="try again, or name another file: --index FILE",
                ) from error
            if last or place is None or not database.damage(error):
                raise
        finally:
            engine.dispose()
        if place is not None:
            with database.writing(place):
                database.remove(place)
    raise UserError(f"the index {place} is being replaced again and again", hint="try again")


def version() -> str:
    """Give what an index must have been written by: these tables, and this judge."""
    from agentprov.query import schema

    return f"{schema.VERSION} agentprov {__version__}"


def _prepared(engine: Engine, place: Path | None, there: bool) -> bool:
    """Make the tables where there are none; False for those of another version."""
    from agentprov.query import state

    try:
        if there:
            with engine.connect() as connection:
                if state.usable(connection, version()):
                    return True
    except Exception as error:
        if not database.refused(error):
            raise
    with database.writing(place), engine.begin() as connection:
        if state.usable(connection, version()):
            return True
        if not state.vacant(connection):
            return False
        state.begin(connection, version())
        return True


class Keeper:
    """Keeps one repository's part of the index up to date, under one trust root."""

    def __init__(self, world: World, engine: Engine, place: Path | None, root: TrustRoot) -> None:
        self.world = world
        self.engine = engine
        self.place = place
        self.root = root
        self.name = place_of(world)

    def state(self) -> State | None:
        """Give how far the repository was taken in, whatever that is worth now."""
        from agentprov.query import state

        with self.engine.connect() as connection:
            return state.of(connection, self.name)

    def fresh(self, tip: str | None) -> State | None:
        """Give the state if it may be believed as it is."""
        found = self.state()
        return found if found is not None and self._holds(found, tip, self.world.now()) else None

    def is_near(self) -> bool:
        """Say whether the repository is known under this trust root, so that little is missing."""
        found = self.state()
        return found is not None and self._holds(found, found.tip, self.world.now())

    def _holds(self, known: State, tip: str | None, now: str) -> bool:
        return known.fresh(tip, self.root.sha256, self._boundary(), now)

    def _boundary(self) -> str:
        """Tell where the history of a shallow clone is cut; empty for a whole one.

        What lies behind it changes verdicts, walks and blames, and a fetch can move it.
        """
        try:
            cut = (self.world.git.common_dir / "shallow").read_bytes()
        except FileNotFoundError:
            return ""
        return sha256(b"\n".join(sorted(cut.split()))).hexdigest()

    def up_to_date(self, say: Callable[[str], None] = lambda _: None) -> State:
        """Take in what is missing and give the state; raises Busy."""
        from agentprov.query import state

        with self.world.git.cat_file() as reader:
            tip = self.tip(reader)
            found = self.fresh(tip)
            if found is not None and not self._arrived(reader, found):
                return found
            with database.writing(self.place):
                found = self.fresh(tip)
                arrived = self._arrived(reader, found) if found is not None else []
                if found is None or arrived:
                    with self.engine.begin() as connection:
                        if found is None:
                            self._take_in(connection, reader, tip, say)
                        else:
                            self._take_more(connection, reader, found, arrived)
                        found = state.of(connection, self.name)
        assert found is not None
        return found

    def _arrived(self, reader: CatFile, known: State) -> list[str]:
        """Give commits that could not be judged before, and can be now: fetched after their notes.

        Without them an answer would leave out what is there.
        """
        from agentprov.query import bearing

        with self.engine.connect() as connection:
            absent = bearing.absent(connection, known.key)
        here = read_commits(reader, absent)
        parents = {parent for commit in here.values() for parent in commit.parents[:1]}
        there = read_commits(reader, sorted(parents))
        return [oid for oid, commit in here.items() if all(p in there for p in commit.parents[:1])]

    def _take_more(
        self, connection: Connection, reader: CatFile, known: State, commits: Sequence[str]
    ) -> None:
        from agentprov.query import state

        now = self.world.now()
        self.judge(connection, reader, known.key, commits, now)
        state.settle(
            connection,
            known.key,
            tip=known.tip,
            trust_sha256=known.trust_sha256,
            trust_source=known.trust_source,
            as_of=now,
            good_until=known.good_until,
            boundary=known.boundary,
        )

    def tip(self, reader: CatFile) -> str | None:
        """Give the commit that the notes ref names."""
        found = reader.read(self.world.notes.ref)
        return found[0] if found is not None else None

    def _take_in(
        self, connection: Connection, reader: CatFile, tip: str | None, say: Callable[[str], None]
    ) -> None:
        from agentprov.query import state

        now = self.world.now()
        boundary = self._boundary()
        before = state.of(connection, self.name)
        key = state.repository(connection, self.name, identity(self.world.git).uri)
        changed = self._changed(reader, before, tip, now)
        if changed is None:
            state.forget(connection, key)
            before = None
        found = Affected(now)
        for data in self._everything(reader) if changed is None else changed:
            found.hear(data)
        commits = found.commits
        if before is not None:
            from agentprov.query import bearing

            commits |= bearing.of_sessions(connection, key, found.sessions)
            commits |= bearing.of_plans(connection, key, found.plans)
            commits |= bearing.of_olds(connection, key, commits)
            known = bearing.everything(connection, key) if found.ranges else set()
            for base, commit in found.ranges:
                commits |= known & set(self._between(base, commit))
        good_until = found.good_until(self.root, before.good_until if before else None)
        self.judge(connection, reader, key, sorted(commits), now, say)
        state.settle(
            connection,
            key,
            tip=tip,
            trust_sha256=self.root.sha256,
            trust_source=self.root.source,
            as_of=now,
            good_until=good_until,
            boundary=boundary,
        )

    def judge(
        self,
        connection: Connection,
        reader: CatFile,
        key: int,
        commits: Sequence[str],
        now: str,
        say: Callable[[str], None] = lambda _: None,
        *,
        named: bool = True,
    ) -> None:
        """Have commits judged and put what is claimed of them in place of what was known.

        Those that are not in this clone are left out; where records have `named` them, that and
        what they left is kept.
        """
        from agentprov.query import bearing, state
        from agentprov.query.writing import Writer

        judging = state.judging(connection, key, self.root.sha256, self.root.source, now)
        writer = Writer(connection, key, judging, lambda plan: self._plan_text(reader, plan))
        for start in range(0, len(commits), TOGETHER):
            some = commits[start : start + TOGETHER]
            claimed = list(judged(self.world, self.root, read_commits(reader, some)))
            writer.put(claimed)
            if named:
                missing = set(some).difference(item.commit for item in claimed)
                left = self._left(reader, sorted(missing)) if missing else {}
                bearing.put_absent(connection, key, some, left)
            if len(commits) > TOGETHER:
                say(f"{min(start + TOGETHER, len(commits))} of {len(commits)} commits are judged")

    def _left(
        self, reader: CatFile, commits: Sequence[str]
    ) -> dict[str, set[tuple[str, str | None]]]:
        """Give what the records of some commits say these left: (label, blob id), unjudged."""
        notes = self.world.notes.tree_at(reader, self.tip(reader)).find_many(commits)
        found: dict[str, set[tuple[str, str | None]]] = {}
        for commit in commits:
            changes = found.setdefault(commit, set())
            for line in notes[commit]:
                try:
                    view = Reading(line).view()
                except MalformedInput:
                    continue
                if isinstance(view, GenerationView) and view.commit == commit:
                    changes.update((change.path, change.blob) for change in view.changes)
        return found

    def _changed(
        self, reader: CatFile, before: State | None, tip: str | None, now: str
    ) -> list[bytes] | None:
        """Give the lines that were added to the notes or taken away; None where all must be read.

        A verdict hangs on time as well, on the trust root, and on what a shallow clone lacks.
        """
        if before is None or before.tip is None or tip is None:
            return None
        if not self._holds(before, before.tip, now):
            return None
        try:
            changes = diff_tree(self.world.git, before.tip, tip, renames=False)
        except GitFailed:
            return None
        format_ = self.world.git.object_format
        anchors = {anchor_of(change.path, format_) for change in changes} - {None}
        sides = []
        for commit in (before.tip, tip):
            tree = self.world.notes.tree_at(reader, commit)
            found = tree.find_many(anchor for anchor in sorted(filter(None, anchors)))
            sides.append({line for body in found.values() for line in body})
        return sorted(sides[0] ^ sides[1])

    def _everything(self, reader: CatFile) -> Iterator[bytes]:
        for _, found in self.world.notes.everything(reader):
            yield from found

    def _between(self, base: str | None, commit: str) -> list[str]:
        words = (commit,) if base is None else (commit, f"^{base}")
        out = self.world.git.run("rev-list", "--end-of-options", *words, "--", check=False)
        return out.decode("ascii", "replace").split()

    def _plan_text(self, reader: CatFile, plan: PlanClaim) -> str | None:
        content = PlanShelf(self.world.git, reader).plan_bytes(plan.sha256)
        if content is None or len(content) > _MAX_PLAN_TEXT:
            return None
        return content.decode("utf-8", "replace")


def judged(
    world: World, root: TrustRoot, commits: dict[str, CommitObject]
) -> Iterator[CommitClaim]:
    """Have commits judged and give what is claimed of them.

    One whose parents a shallow clone lacks cannot be judged; it is left out.
    """
    if not commits:
        return
    try:
        judgement = verifying.judge_targets(
            world, Targets("the index", tuple(commits), frozenset()), root
        )
    except UserError:
        if len(commits) == 1:
            return
        names = list(commits)
        half = len(names) // 2
        for some in (names[:half], names[half:]):
            yield from judged(world, root, {name: commits[name] for name in some})
        return
    yield from claims.claims_of(judgement, commits)


__all__ = [
    "Keeper",
    "forget",
    "judged",
    "place_of",
    "usable_place",
    "using",
    "version",
]
