"""Whose each line of a file is: git says which commit, the accepted records say the rest.

Git is asked first, and what else it takes is loaded while it works. Only the commits that git
names are looked up: in the index where it knows this repository, else by having them judged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprov.errors import GitFailed, UserError
from agentprov.flows.world import World
from agentprov.formats.names import label_path, path_label
from agentprov.formats.value import named_value, value
from agentprov.query.blame import (
    NOT_COMMITTED,
    Attribution,
    BlamedCommit,
    BlamedLine,
    Span,
    Spans,
    attribute,
    read_porcelain,
    spans_of,
)
from agentprov.system.git_objects import read_commits

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from agentprov.formats.claims import CommitClaim
    from agentprov.query.state import State
    from agentprov.system.git import Asked
    from agentprov.verify.trust import TrustRoot

SCHEMA = "agentprov-blame/1"
Trusting = Callable[[], "TrustRoot"]


@named_value
class Choice:
    """Which lines, and how git shall follow them; the words of ``git blame``.

    `copies` counts how often ``-C`` was said; a score is git's number of characters. Paths count
    from `cwd`.
    """

    path: str
    revision: str | None = None
    lines: tuple[str, ...] = ()
    whitespace: bool = False
    moves: bool = False
    move_score: int | None = None
    copies: int = 0
    copy_score: int | None = None
    ignored: tuple[str, ...] = ()
    ignored_file: str | None = None
    since: str | None = None
    first_parent: bool = False
    reverse: bool = False
    cwd: Path = Path()

    @property
    def looks_past(self) -> bool:
        """Say whether git may name a commit whose line is not the same, byte for byte."""
        return self.whitespace or bool(self.ignored) or self.ignored_file is not None


class Told:
    """One line with the answer about it; `last` is the last commit that had it, for ``reverse``."""

    __slots__ = ("answer", "last", "line")

    def __init__(self, line: BlamedLine, answer: Attribution, last: str | None) -> None:
        self.line = line
        self.answer = answer
        self.last = last


@value
class Answer:
    """The lines of a file at a revision (None: the work tree), in order."""

    path: str
    revision: str | None
    lines: tuple[Told, ...]
    commits: dict[str, BlamedCommit]


def blame(world: World, choice: Choice, trust: Trusting, place: Path | None = None) -> Answer:
    """Say whose lines a file holds; raises UserError, with git's own words where git refuses.

    `trust` gives the trust root; it is asked while git works. `place` is the index's file.
    """
    path = _path(world, choice)
    asked = [world.git.ask(*_words(choice, path, reverse=choice.reverse))]
    config = world.git.ask("config", "--get", "blame.ignoreRevsFile")
    if choice.reverse:
        # Git tells where a line was seen last; where it came from is another question.
        asked.append(world.git.ask(*_words(choice, path, reverse=False)))
    try:
        lookup = Lookup(world, trust(), place)
        # What the index takes to be opened, it takes while git works.
        lookup.prepare()
    finally:
        for one in (*asked, config):
            one.wait()
    lines, commits = _answer(asked[0], choice)
    last: dict[int, str] = {}
    if choice.reverse:
        last = {line.number: line.commit for line in lines}
        lines, more = _answer(asked[1], choice)
        commits = {**commits, **more}
    spans = lookup.spans({(line.commit, line.path) for line in lines})
    other = _other_bytes(world, lines) if choice.looks_past or config.answer(check=False) else ()
    told = tuple(
        Told(line, _whose(spans, line, line.number in other), last.get(line.number))
        for line in lines
    )
    return Answer(path_label(path), choice.revision, told, commits)


class Lookup:
    """Finds what is claimed of lines: in the index where it knows the repository, else judged.

    An index that is merely behind is brought up to date; none is made here.
    """

    def __init__(self, world: World, root: TrustRoot, place: Path | None) -> None:
        self._world = world
        self._root = root
        self._place = place
        self._state: State | None = None

    def prepare(self) -> None:
        """Open the index and bring it up to date, where it knows the repository."""
        from agentprov.flows import index

        place = self._place
        if place is not None and place.exists():
            self._state = index.using(place, lambda engine: self._known(engine, place))

    def _known(self, engine: Engine, place: Path) -> State | None:
        # Needed later, and slow to load.
        import agentprov.query.lines  # noqa: F401
        from agentprov.flows import index

        keeper = index.Keeper(self._world, engine, place, self._root)
        return keeper.up_to_date() if keeper.is_near() else None

    def spans(self, places: set[tuple[str, str]]) -> Spans:
        """Give the claims about lines of files at commits, by (commit id, path label)."""
        from agentprov.flows import index, surviving

        wanted = {place for place in places if place[0] not in NOT_COMMITTED}
        if not wanted:
            return {}
        if self._place is not None and self._state is not None:
            key = self._state.key
            found, recorded, absent = index.using(
                self._place, lambda engine: _indexed(engine, key, wanted)
            )
            bare = {commit for commit, _ in wanted} - recorded
            if bare and surviving.lost(self._world.git, "HEAD", recorded | absent):
                found.update(spans_of(self.judged(bare)))
            return found
        return spans_of(self.judged(commit for commit, _ in wanted))

    def judged(self, commits: Iterable[str]) -> Iterator[CommitClaim]:
        """Have commits judged now, and give what is claimed of them."""
        from agentprov.flows import index

        with self._world.git.cat_file() as reader:
            objects = read_commits(reader, sorted(set(commits)))
        yield from index.judged(self._world, self._root, objects)


def _indexed(
    engine: Engine, repository: int, wanted: set[tuple[str, str]]
) -> tuple[dict[tuple[str, str], list[Span]], set[str], set[str]]:
    from agentprov.query import bearing
    from agentprov.query.lines import spans_at

    with engine.connect() as connection:
        return (
            spans_at(connection, repository, wanted),
            bearing.recorded(connection, repository),
            set(bearing.absent(connection, repository)),
        )


def _path(world: World, choice: Choice) -> bytes:
    top = os.path.realpath(world.git.top)
    folder, name = os.path.split(os.path.join(os.path.realpath(choice.cwd), choice.path))
    path = os.path.relpath(os.path.join(os.path.realpath(folder), name), top)
    if path.startswith("../") or not name:
        raise UserError(f"{choice.path!r} is no file of this repository")
    return os.fsencode(path.replace(os.sep, "/"))


def _words(choice: Choice, path: bytes, *, reverse: bool) -> list[str | bytes]:
    """Write the command for git; nothing that a repository names is run."""
    revision = choice.revision
    if revision is not None and revision.startswith("-"):
        raise UserError(f"{revision!r} is no revision or range")
    if choice.reverse and not reverse:
        revision = (revision or "").partition("..")[0] or "HEAD"
    words: list[str | bytes] = ["blame", "--porcelain", "--root", "--no-textconv"]
    words += [f"-L{item}" for item in choice.lines]
    words += ["-w"] * choice.whitespace
    if choice.moves:
        words.append(f"-M{_score(choice.move_score)}")
    words += [f"-C{_score(choice.copy_score)}"] * choice.copies
    words += [f"--ignore-rev={item}" for item in choice.ignored]
    if choice.ignored_file is not None:
        named = choice.ignored_file
        place = os.path.join(os.path.realpath(choice.cwd), named) if named else ""
        words.append(f"--ignore-revs-file={place}")
    words += [f"--since={choice.since}"] * (choice.since is not None)
    words += ["--first-parent"] * choice.first_parent
    words += ["--reverse"] * reverse
    return [*words, *([revision] if revision else []), "--", path]


def _score(score: int | None) -> str:
    return "" if score is None else str(score)


def _answer(asked: Asked, choice: Choice) -> tuple[list[BlamedLine], dict[str, BlamedCommit]]:
    try:
        out = asked.answer()
    except GitFailed as error:
        raise UserError(f"{choice.path!r}: {error.message.removeprefix('git blame: ')}") from error
    return read_porcelain(out)


def _other_bytes(world: World, lines: Sequence[BlamedLine]) -> frozenset[int]:
    """Give the lines that are not, byte for byte, what stands where git says they came from."""
    places = list(dict.fromkeys((line.commit, line.path) for line in lines))
    known: dict[tuple[str, str], list[bytes]] = {}
    with world.git.cat_file() as reader:
        for commit, label in places:
            if commit not in NOT_COMMITTED:
                found = reader.read(f"{commit}:{os.fsdecode(label_path(label))}")
                known[commit, label] = found[2].split(b"\n") if found is not None else []
    return frozenset(
        line.number
        for line in lines
        if line.commit not in NOT_COMMITTED
        and known[line.commit, line.path][line.source - 1 : line.source] != [line.content]
    )


def _whose(spans: Spans, line: BlamedLine, other: bool) -> Attribution:
    if line.commit in NOT_COMMITTED:
        return Attribution("unknown", None, None, "not-committed", None)
    answer = attribute(spans.get((line.commit, line.path), ()), line.source)
    if line.boundary and answer.why == "no-record":
        return answer._replace(why="older-than-asked")
    # The record is about the line as it was; that it is still the same is not said by anybody.
    return answer._replace(why="not-these-bytes") if other and answer.source else answer


def document(answer: Answer) -> dict[str, Any]:
    """Give the answer for scripts: lines that belong together are one range.

    docs/spec/json-output.md.
    """

    def together(numbered: tuple[int, Told]) -> tuple[Any, ...]:
        number, told = numbered
        line = told.line
        return (line.number - number, line.commit, line.path, line.source - number, told.answer,
                told.last)  # fmt: skip

    ranges = []
    for _, group in groupby(enumerate(answer.lines), together):
        lines = [told for _, told in group]
        first, last = lines[0], lines[-1]
        commit = answer.commits.get(first.line.commit)
        source = first.answer.source
        ranges.append(
            {
                "start": first.line.number,
                "end": last.line.number,
                "origin": first.answer.origin,
                "basis": first.answer.basis,
                "commit": None if first.line.commit in NOT_COMMITTED else first.line.commit,
                "session": source.session if source else None,
                "agent": source.agent if source else None,
                "model": first.answer.model,
                "plan": source.plan if source else None,
                "author": commit.author if commit else None,
                "why": first.answer.why,
                "sourcePath": first.line.path,
                "sourceStart": first.line.source,
                "record": {"sha256": source.digest} if source else None,
                "planDigest": {"sha256": source.plan_sha256}
                if source and source.plan_sha256
                else None,
                "recordedBy": source.signer if source else None,
                "rewrite": source.method if source else None,
                "lastCommit": first.last,
            }
        )
    return {"schema": SCHEMA, "path": answer.path, "rev": answer.revision, "ranges": ranges}


__all__ = ["Answer", "Choice", "Lookup", "Told", "blame", "document"]
