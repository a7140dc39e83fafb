"""What git knows of rewritten commits, read when the judge first asks for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache

from agentprov.errors import AgentprovError
from agentprov.formats.names import path_label
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile, parse_commit
from agentprov.system.trees import diff_tree
from agentprov.verify.rewritten import Blobs, History, Spans
from agentprov.verify.subjects import CommitFacts

_KEPT_BYTES = 64 * 1024 * 1024
# What following lines may cost. A small pack can hold files that are large and have many versions;
# what lies beyond is as if it were not here, which a partial clone must be able to say as well.
_PATCH_BYTES = 32 * 1024 * 1024
_FOLLOWED_BYTES = 32 * 1024 * 1024
_FOLLOWED_BYTES_EACH = 64 * 1024


def history(
    git: Git,
    reader: CatFile,
    facts: Mapping[str, CommitFacts],
    wanted: Collection[str],
) -> History:
    """Answer from git; `wanted` are the commits whose added lines will be asked for.

    All of these cost one process, whichever is asked for first.
    """
    contents = _Contents(reader, _FOLLOWED_BYTES + _FOLLOWED_BYTES_EACH * len(wanted))

    @cache
    def lines() -> Mapping[str, Mapping[str, Spans]]:
        try:
            return _added(git, reader, [facts[one] for one in wanted if one in facts])
        except AgentprovError:
            # In a partial clone contents can be missing, and then git shows no lines at all.
            return {}

    def added(commit: str) -> Mapping[str, Spans] | None:
        return lines().get(commit)

    @cache
    def blobs(commit: str) -> Blobs | None:
        found = facts.get(commit)
        if found is None:
            return None
        return {
            path_label(path): (diff.old_blob, diff.new_blob) for path, diff in found.diffs.items()
        }

    @cache
    def patch(commit: str) -> str | None:
        from agentprov.system.patches import text_patch_id

        found = facts.get(commit)
        if found is None:
            return None
        try:
            return text_patch_id(git, found.parents, commit, _PATCH_BYTES)
        except AgentprovError:
            return None

    @cache
    def moved(older: str, commit: str) -> frozenset[str] | None:
        found = facts.get(commit)
        if found is None or not found.parents:
            return None
        try:
            changes = diff_tree(git, older, found.parents[0], renames=False)
        except AgentprovError:
            return None
        return frozenset(path_label(change.path) for change in changes)

    return History(blobs=blobs, content=contents, added=added, patch=patch, moved=moved)


def _added(
    git: Git, reader: CatFile, commits: Sequence[CommitFacts]
) -> dict[str, Mapping[str, Spans]]:
    pairs: dict[str, tuple[str, str]] = {}
    parents = [commit.parents[0] for commit in commits if commit.parents]
    trees = {
        oid: parse_commit(oid, found[1]).tree
        for oid, found in zip(parents, reader.get_many(parents), strict=True)
        if found is not None and found[0] == "commit"
    }
    for commit in commits:
        old = trees.get(commit.parents[0]) if commit.parents else git.empty_tree
        if old is not None:
            pairs[commit.oid] = (old, commit.tree)
    from agentprov.system.patches import added_within

    answers = added_within(git, list(pairs.values()), _PATCH_BYTES)
    return {
        oid: {path_label(path): spans for path, spans in answer.items()}
        for oid, answer in zip(pairs, answers, strict=True)
        if answer is not None
    }


class _Contents:
    """Gives blobs that are small enough to have lines, `most` bytes in all; keeps the latest."""

    def __init__(self, reader: CatFile, most: int) -> None:
        self._reader = reader
        self._left = most
        self._known: dict[str, bytes | None] = {}
        self._size = 0

    def __call__(self, oid: str) -> bytes | None:
        if self._left < 0:
            return None
        if oid not in self._known:
            from agentprov.formats.carrying import MAX_TEXT_BYTES

            read = self._reader.digest(oid, keep=MAX_TEXT_BYTES)
            content = read.content if read is not None and read.kind == "blob" else None
            self._size += len(content or b"")
            if self._size > _KEPT_BYTES:
                self._known.clear()
                self._size = len(content or b"")
            self._known[oid] = content
        found = self._known[oid]
        self._left -= len(found or b"")
        return found


def here(reader: CatFile, oids: Iterable[str]) -> list[str]:
    """Give those commits that are here with their first parent, so that their changes are known."""
    wanted = sorted(set(oids))
    parents: dict[str, str | None] = {}
    for oid, found in zip(wanted, reader.get_many(wanted), strict=True):
        if found is not None and found[0] == "commit":
            led = parse_commit(oid, found[1]).parents
            parents[oid] = led[0] if led else None
    asked = sorted({parent for parent in parents.values() if parent is not None})
    there = {
        oid for oid, found in zip(asked, reader.get_many(asked), strict=True) if found is not None
    }
    return [oid for oid, parent in parents.items() if parent is None or parent in there]


def not_behind(git: Git) -> Callable[[Collection[str], Collection[str]], frozenset[str]]:
    """Give what says which object ids are no ancestors of some commits, by one walk of git's."""

    def ask(anchors: Collection[str], commits: Collection[str]) -> frozenset[str]:
        if not anchors:
            return frozenset()
        tips = "".join(f"{oid}\n" for oid in commits).encode()
        try:
            out = git.run("rev-list", "--stdin", input=tips)
        except AgentprovError:
            return frozenset()
        return frozenset(anchors).difference(out.decode().split())

    return ask


def touched(
    facts: Callable[[], Iterable[CommitFacts]],
) -> Callable[[Collection[str]], frozenset[str]]:
    """Give what says which paths (labels) and blobs some of these commits bring.

    `facts` is asked when there is something to say.
    """

    def ask(commits: Collection[str]) -> frozenset[str]:
        diffs = [commit.diffs for commit in facts() if commit.oid in commits]
        labels = {path_label(path) for one in diffs for path in one}
        blobs = {diff.new_blob for one in diffs for diff in one.values()} - {None}
        return frozenset(labels).union(blob for blob in blobs if blob is not None)

    return ask


__all__ = ["here", "history", "not_behind", "touched"]
