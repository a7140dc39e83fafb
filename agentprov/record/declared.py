"""What others declared about the lines of a commit, laid beside what the commit really added.

Nothing here was observed. A foreign record's line counts only if the commit added it; the rest is
left out with a complaint. Of each file that a session is said to have written in, every added line
is stated, so that what the record does not speak of is ``unknown`` and never missing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from agentprov.errors import MalformedInput
from agentprov.formats.facts import Change, Commit, LineRange
from agentprov.formats.foreign import content_hash
from agentprov.formats.foreign.claims import Author, Claim, Complaint, Kind
from agentprov.formats.vocabulary import Basis
from agentprov.record.describe import (
    MAX_TEXT_BYTES,
    changed_paths,
    is_binary,
    operation,
)
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile, CommitObject, read_commit
from agentprov.system.patches import Spans, added_lines, patch_id
from agentprov.system.trees import RawChange

MAX_LINES = 10_000_000
MAX_HASHED = 16 * 1024 * 1024
_EACH = 64
# A commit and as many children as are looked at for one record.
_COMMITS = 32
_WHYS: Mapping[Kind, str] = {
    "human": "declared-human",
    "mixed": "declared-mixed",
    "unknown": "declared-unknown",
    "agent": "declared-another-session",
}


@dataclass(frozen=True)
class AddedFile:
    """A path that a commit changed: `added` are the numbers of its new lines, in order."""

    raw: RawChange
    sha256: str | None
    size: int | None
    lines: Sequence[bytes] = ()
    added: Sequence[int] = ()
    why: str | None = None


@dataclass(frozen=True)
class BareCommit:
    """A commit and what it added, for as many of its paths as were asked for."""

    commit: CommitObject
    patch_id: str | None
    files: Mapping[bytes, AddedFile]


@dataclass
class Budget:
    """How much one record may make us do, however it is written."""

    lines: int = MAX_LINES
    hashed: int = MAX_HASHED

    def take(self, *, lines: int = 0, hashed: int = 0) -> None:
        self.lines -= lines
        self.hashed -= hashed
        if self.lines < 0 or self.hashed < 0:
            raise MalformedInput("the record speaks of the same lines far too often")


@dataclass
class Attribution:
    """Who is said to have written which added line of a commit: path, line number, author's key."""

    by_path: dict[bytes, dict[int, str]] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def paths_of(self, keys: frozenset[str]) -> list[bytes]:
        """Give the paths in which one of these authors has a line."""
        return sorted(
            path for path, lines in self.by_path.items() if not keys.isdisjoint(lines.values())
        )


class Looker:
    """Reads commits and what they added; git is asked once about each of the last that it read."""

    def __init__(self, git: Git, reader: CatFile) -> None:
        self._git = git
        self._reader = reader
        self.object_format = git.object_format
        self._commit = lru_cache(_COMMITS)(self._read_commit)
        self._changed = lru_cache(_COMMITS)(self._read_changed)
        self._spans = lru_cache(_COMMITS)(self._read_spans)

    def look(self, oid: str, only: Collection[bytes]) -> BareCommit:
        """Read a commit and what it added at these paths; raises GitFailed.

        For a merge these are paths that differ from every parent, as in a session's own records.
        """
        commit, patch = self._commit(oid)
        raw = [change for change in self._changed(oid) if change.path in only] if only else []
        spans = self._spans(oid) if raw else {}
        reader = self._reader
        files = {change.path: _file(reader, change, spans.get(change.path, ())) for change in raw}
        return BareCommit(commit, patch, files)

    def _read_commit(self, oid: str) -> tuple[CommitObject, str | None]:
        commit = read_commit(self._reader, oid)
        return commit, patch_id(self._git, commit)

    def _read_changed(self, oid: str) -> Sequence[RawChange]:
        return changed_paths(self._git, oid, self._parents(oid))

    def _read_spans(self, oid: str) -> Mapping[bytes, Spans]:
        return added_lines(self._git, self._parents(oid)[0], oid)

    def _parents(self, oid: str) -> tuple[str, ...]:
        return self._commit(oid)[0].parents or (self._git.empty_tree,)


def _file(reader: CatFile, raw: RawChange, spans: Iterable[tuple[int, int]]) -> AddedFile:
    if raw.status == "D" or raw.new_mode == "160000":
        return AddedFile(raw, None, None)
    found = reader.digest(raw.new_blob, keep=MAX_TEXT_BYTES)
    if found is None:
        return AddedFile(raw, None, None, why="blob-missing")
    if found.content is None:
        return AddedFile(raw, found.sha256, found.size, why="too-large")
    if is_binary(found.content) or raw.new_mode == "120000":
        return AddedFile(raw, found.sha256, found.size, why="binary")
    lines = found.content.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    added = [number for start, end in spans for number in range(start, min(end, len(lines)) + 1)]
    return AddedFile(raw, found.sha256, found.size, lines, added)


def attribute(bare: BareCommit, claims: Iterable[Claim]) -> Attribution:
    """Put added lines down to authors, later claims over earlier ones.

    A claim that carries a hash counts only for lines that have it, also where these stand now.
    Raises MalformedInput for a record that would cost more than any honest one.
    """
    made = Attribution()
    budget = Budget()
    outside: dict[bytes, int] = {}
    for claim in claims:
        file = bare.files.get(claim.path)
        if file is None or not file.lines or not 1 <= claim.start <= claim.end:
            outside[claim.path] = outside.get(claim.path, 0) + 1
            continue
        start, end = claim.start, claim.end
        if claim.content_hash is not None and content_hash.known(claim.content_hash):
            found = _standing(file, claim, budget)
            if found is None:
                made.complaints.append(
                    Complaint("content-hash-differs", "lines that do not have the hash given")
                )
                continue
            start, end = found
        numbers = file.added[bisect_left(file.added, start) : bisect_right(file.added, end)]
        budget.take(lines=len(numbers) + 1)
        if len(numbers) < end - start + 1:
            outside[claim.path] = outside.get(claim.path, 0) + 1
        made.by_path.setdefault(claim.path, {}).update(dict.fromkeys(numbers, claim.author))
    made.complaints += [
        Complaint("lines-not-added", f"{count} ranges of a file go beyond what the commit added")
        for count in outside.values()
    ]
    return made


def _standing(file: AddedFile, claim: Claim, budget: Budget) -> tuple[int, int] | None:
    """Give where lines with a claim's hash stand: at its place, else the only other one."""
    length = claim.end - claim.start + 1
    assert claim.content_hash is not None
    if claim.end <= len(file.lines):
        here = file.lines[claim.start - 1 : claim.end]
        budget.take(hashed=sum(map(len, here)) + length + _EACH)
        if content_hash.matches(claim.content_hash, here):
            return claim.start, claim.end
    found = []
    budget.take(lines=len(file.added))
    for start in _starts(file.added, length):
        there = file.lines[start - 1 : start - 1 + length]
        budget.take(hashed=sum(map(len, there)) + length + _EACH)
        if content_hash.matches(claim.content_hash, there):
            found.append(start)
    return (found[0], found[0] + length - 1) if len(found) == 1 else None


def _starts(added: Sequence[int], length: int) -> Iterator[int]:
    for at in range(len(added) - length + 1):
        if added[at + length - 1] == added[at] + length - 1:
            yield added[at]


def fits(bare: BareCommit, claim: Claim, budget: Budget) -> bool:
    """Say whether a claim can mean this commit: by its hash, or by a line that was added there."""
    file = bare.files.get(claim.path)
    if file is None or not file.lines or not 1 <= claim.start <= claim.end:
        return False
    if claim.content_hash is not None and content_hash.known(claim.content_hash):
        return _standing(file, claim, budget) is not None
    return bisect_left(file.added, claim.start) < bisect_right(file.added, claim.end)


def commit_of(
    bare: BareCommit,
    attribution: Attribution,
    authors: Mapping[str, Author],
    mine: Collection[str],
    basis: Basis = "declared",
) -> Commit:
    """State a commit for one imported session, whose authors' keys are `mine`."""
    keys = frozenset(mine)
    changes = [
        _change(bare.files[path], attribution.by_path[path], authors, keys, basis)
        for path in attribution.paths_of(keys)
    ]
    return whole(bare, changes)


def whole(bare: BareCommit, changes: Iterable[Change]) -> Commit:
    """Put a commit and the changes that are stated of it together."""
    return Commit(
        oid=bare.commit.oid,
        tree=bare.commit.tree,
        parents=bare.commit.parents,
        patch_id=bare.patch_id,
        ref=None,
        sequence=1,
        changes=tuple(changes),
    )


def _change(
    file: AddedFile,
    said: Mapping[int, str],
    authors: Mapping[str, Author],
    mine: frozenset[str],
    basis: Basis,
) -> Change:
    raw = file.raw
    op = operation(raw)
    return Change(
        path=raw.path,
        op=op,
        mode=raw.new_mode,
        blob=raw.new_blob,
        sha256=file.sha256,
        size=file.size,
        old_path=raw.old_path if op == "rename" else None,
        ranges=tuple(_range(number, said, authors, mine, basis) for number in file.added),
        why=file.why,
    )


def _range(
    number: int,
    said: Mapping[int, str],
    authors: Mapping[str, Author],
    mine: frozenset[str],
    basis: Basis,
) -> LineRange:
    key = said.get(number)
    if key is None:
        return LineRange(number, number, "unknown", basis, why="not-declared")
    author = authors[key]
    model = author.model.name if author.model is not None else None
    if key in mine and author.kind == "agent":
        return LineRange(number, number, "model", basis, model)
    why = _WHYS[author.kind]
    return LineRange(number, number, "unknown", basis, model if key in mine else None, why)
