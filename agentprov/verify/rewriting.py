"""Rewrite links made again: what a link says of a new commit's lines, against git and its sources.

Where all versions are at hand each range is made again. Without them, a file that is the same as
in an old commit, and the same lines added in the same order, say as much. What is left is
*bounded*: it may not claim more than the sources do. docs/spec/rewrites.md is the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from agentprov.formats import carrying
from agentprov.formats.carrying import Claim, OldCommit, StatedChange
from agentprov.formats.predicates import generation, rewrite
from agentprov.formats.predicates.generation import ChangeView, GenerationView
from agentprov.formats.predicates.rewrite import RewriteView, RewrittenPath
from agentprov.formats.vocabulary import BASES
from agentprov.verify import subjects
from agentprov.verify.descent import sources_first
from agentprov.verify.finding import Problem
from agentprov.verify.record import Entry
from agentprov.verify.rewritten import History, Spans
from agentprov.verify.subjects import CommitFacts


class _Link(NamedTuple):
    """A link with the statements about its old commits, their sources numbered as in the link.

    `commits` are the old ones as git has them, None where one is not here.
    """

    view: RewriteView
    olds: Mapping[str, Sequence[Mapping[str, StatedChange]]]
    merged: Mapping[str, Mapping[str, StatedChange]]
    commits: Sequence[OldCommit] | None


def judge(entries: Sequence[Entry], commits: Mapping[str, CommitFacts], history: History) -> None:
    """Compare links with git and with their sources; sets `replayed` and `again` of entries.

    Looks at links whose signer may say it, sources before what stands on them.
    """
    for entry in sources_first([entry for entry in entries if isinstance(entry.view, RewriteView)]):
        view = entry.view
        if isinstance(view, RewriteView) and entry.statement is not None and not entry.problems:
            _judge_one(entry, view, commits.get(view.commit), history)


def _judge_one(
    entry: Entry, view: RewriteView, facts: CommitFacts | None, history: History
) -> None:
    if facts is not None:
        for problem in subjects.compare(as_generation(view), facts):
            entry.blame(*problem)
    elif entry.named:
        entry.blame("commit-missing", f"{view.commit} is not in this repository")
    link = _link(entry, view, history)
    for problem in _unbounded(link):
        entry.blame(*problem)
    if entry.problems:
        return
    known = view.carrying == carrying.VERSION and facts is not None
    again = [_replay(link, change, history) if known else None for change in view.changes]
    for change, answer in zip(view.changes, again, strict=True):
        if answer is False:
            entry.blame(
                "rewrite-differs",
                f"made again, {change.path!r} has other lines of the old commits",
                change.path,
            )
    below = [use for use in entry.uses if isinstance(use.view, RewriteView)]
    if all(use.replayed for use in below):
        made = zip(view.changes, again, strict=True)
        entry.again = frozenset(change.path for change, answer in made if answer)
        entry.replayed = all(again)
    if not entry.replayed and not entry.problems:
        open_ = sum(answer is None for answer in again)
        what = f"{open_} of {len(again)} paths" if open_ else "links before it"
        entry.remark(
            "rewrite-not-replayed",
            f"{what} could not be made again here: that is the recorder's word, and no more than "
            "the sources claim",
        )


def as_generation(view: RewriteView) -> subjects.Described:
    """Give what a link says of its commit in the form in which commits are compared."""
    changes = tuple(
        ChangeView(one.path, one.op, one.mode, one.blob, one.old_path, None, True)
        for one in view.changes
    )
    return subjects.Described(view.tree, view.parents, changes)


def _link(entry: Entry, view: RewriteView, history: History) -> _Link:
    """Put together what the sources say of each old commit; only what `uses` leads to counts."""
    found = {use.payload_sha256: use for use in entry.uses}
    sessions: dict[int, object] = {}
    olds: dict[str, list[Mapping[str, StatedChange]]] = {}
    numbers = {source: index for index, source in enumerate(view.sources)}
    for index, (commit, sha256) in enumerate(view.sources):
        source = found.get(sha256)
        if source is None or source.statement is None:
            continue
        if isinstance(source.view, GenerationView):
            sessions[index] = source.view.session
            stated = generation.stated(source.statement.value.predicate, index)
        elif isinstance(source.view, RewriteView):
            stated = rewrite.stated(source.view, lambda one: numbers.get(one, -1))
        else:
            continue
        if commit in view.olds:
            olds.setdefault(commit, []).append(stated)
    merged = {
        commit: carrying.combined(several, lambda one: sessions.get(one, one))
        for commit, several in olds.items()
    }
    commits = []
    for oid in view.olds:
        blobs = history.blobs(oid)
        if blobs is not None:
            commits.append(OldCommit(oid, blobs, merged.get(oid, {})))
    return _Link(view, olds, merged, commits if len(commits) == len(view.olds) else None)


def _through(link: _Link, path: str) -> Iterator[tuple[str, str]]:
    """Give (old commit, path in it) for a path as the old commits left it, the last one first."""
    for old in reversed(link.view.olds):
        yield old, path
        stated = link.merged.get(old, {}).get(path)
        if stated is not None and stated.op == "rename" and stated.old_path is not None:
            path = stated.old_path


def _unbounded(link: _Link) -> Iterator[Problem]:
    """Find claims that no source makes: of more lines, or known better."""
    used: Counter[tuple[object, ...]] = Counter()
    for change in link.view.changes:
        stated = list(_statements(link, change.came_from))
        if change.source is not None and not _same_without_lines(change, stated):
            yield Problem(
                "rewrite-differs", f"its source does not say that of {change.path!r}", change.path
            )
        allowed: Counter[tuple[object, ...]] = Counter()
        best: dict[tuple[object, ...], int] = {}
        for one in (claim for item in stated for claim in item.claims):
            key = (one.source, one.origin, one.model, one.why)
            allowed[key] += one.end - one.start + 1
            best[key] = max(best.get(key, 0), BASES.index(one.basis))
        for claim in change.claims:
            key = (claim.source, claim.origin, claim.model, claim.why)
            used[change.came_from, *key] += claim.end - claim.start + 1
            if used[change.came_from, *key] > allowed[key]:
                yield Problem(
                    "rewrite-claims-more",
                    f"its sources claim fewer lines of {change.path!r} as {claim.origin}",
                    change.path,
                )
            elif BASES.index(claim.basis) > best[key]:
                yield Problem(
                    "rewrite-claims-more",
                    f"its sources know less well where lines of {change.path!r} are from",
                    change.path,
                )


def _statements(link: _Link, path: str) -> Iterator[StatedChange]:
    for old, name in _through(link, path):
        for stated in link.olds.get(old, ()):
            if name in stated:
                yield stated[name]


def _same_without_lines(change: RewrittenPath, stated: Sequence[StatedChange]) -> bool:
    """Say whether a source says of a path without lines what the link says."""
    for one in stated:
        if change.op == "delete" or one.op == "delete":
            if change.op == one.op:
                return True
        elif change.op == "mode" or one.op == "mode":
            if one.mode == change.mode:
                return True
        elif not one.claims or one.blob == change.blob:
            return True
    # A rename takes the file away from where it was.
    return change.op == "delete" and not stated


def _replay(link: _Link, change: RewrittenPath, history: History) -> bool | None:
    """Make one path again; None where that cannot be done here."""
    if change.source is not None:
        stated = list(_statements(link, change.came_from))
        gone = change.op in ("delete", "mode")
        return True if gone or any(one.blob == change.blob for one in stated) else None
    spans = (history.added(link.view.commit) or {}).get(change.path)
    if spans is None or change.blob is None:
        return None
    claimed = {n for claim in change.claims for n in range(claim.start, claim.end + 1)}
    if not claimed <= {n for start, end in spans for n in range(start, end + 1)}:
        return False
    new = history.content(change.blob)
    if new is None:
        return None
    expected = _from_bytes(link, change, history, new, spans)
    if expected is not None:
        return list(change.claims) == expected
    return _from_statements(link, change, new, spans)


def _from_bytes(
    link: _Link, change: RewrittenPath, history: History, new: bytes, spans: Spans
) -> list[Claim] | None:
    if link.commits is None:
        return None
    versions = carrying.versions(change.came_from, link.commits)
    found = carrying.carry(versions, history.content, new, spans)
    exact = link.view.method != "content" or carrying.is_exact(
        versions, new, spans, change.blob or ""
    )
    return found if found is None or exact else carrying.capped(found)


def _from_statements(link: _Link, change: RewrittenPath, new: bytes, spans: Spans) -> bool | None:
    """Make a path again from what is signed alone; None where that does not settle it."""
    merged = [
        link.merged[old][name]
        for old, name in _through(link, change.came_from)
        if name in link.merged.get(old, {})
    ]
    claiming = [one for one in merged if one.claims]
    if len(claiming) != 1:
        return None
    (only,) = claiming
    if only.blob == change.blob:
        expected = carrying.within(only.claims, spans)
        if not _among(change.claims, expected):
            # With more old commits, one may have moved lines that another moved back.
            return False if len(link.view.olds) == 1 else None
    elif only.added == carrying.added_digest(new, spans):
        found = carrying.carry_by_order(only.claims, spans)
        if found is None or not _among(change.claims, found):
            return None
        expected = found
    else:
        return None
    return True if _count(change.claims) == _count(expected) else None


def _count(claims: Sequence[Claim]) -> int:
    return sum(claim.end - claim.start + 1 for claim in claims)


def _among(claims: Sequence[Claim], expected: Sequence[Claim]) -> bool:
    known = {n: one for one in expected for n in range(one.start, one.end + 1)}
    for claim in claims:
        for number in range(claim.start, claim.end + 1):
            one = known.get(number)
            if one is None or claim.says() != one.says():
                return False
    return True


__all__ = ["as_generation", "judge"]
