"""Content found again: commits without record or link that hold what a recorded commit held.

A forge that squashes, another client, a clone without hooks: nobody saw the rewrite. Only records
of commits that no judged commit leads back to are asked: what is still in the history was not
rewritten. What is found is content, never a link: it says so, and of what is not exact the basis
is `reported` at best. Where several branches claim a line differently nobody has it.
docs/spec/rewrites.md is the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from agentprov.formats import carrying
from agentprov.formats.carrying import Claim, OldCommit, StatedChange
from agentprov.formats.names import path_label
from agentprov.formats.predicates import generation
from agentprov.formats.predicates.generation import GenerationView
from agentprov.verify import authority
from agentprov.verify.claims import ClaimedPath, ClaimedRange
from agentprov.verify.record import Entry
from agentprov.verify.rewritten import Binding, Found, History, Spans
from agentprov.verify.subjects import EMPTY_BLOBS, CommitFacts, PathDiff

EXACT = ("tree", "path-blob", "added")
_BLOCK = 3
_TELLING = 20
_MAX_VERSIONS = 200
_SUBMODULE = "160000"


class _Branch(NamedTuple):
    """Recorded commits that follow each other, oldest first; `entries` are the claims' sources."""

    commits: tuple[str, ...]
    entries: tuple[Entry, ...]
    stated: Mapping[str, Mapping[str, StatedChange]]

    def sessions(self, claim: Claim) -> object:
        view = self.entries[claim.source].view
        return view.session if isinstance(view, GenerationView) else None


class _Match(NamedTuple):
    branch: _Branch
    key: str
    claims: tuple[Claim, ...]
    sources: tuple[int, ...]


def branches(entries: Iterable[Entry], gone: frozenset[str]) -> list[_Branch]:
    """Put the generations that hold for commits that are gone into their lines of development.

    What follows what is what they sign of their parents: the commits need not be here.
    """
    by_commit: dict[str, list[Entry]] = {}
    parents: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        view = entry.view
        if not isinstance(view, GenerationView) or view.commit not in gone:
            continue
        if entry.holds():
            by_commit.setdefault(view.commit, []).append(entry)
            parents[view.commit] = view.parents
    for commit, several in by_commit.items():
        # Imports must not water down what somebody recorded.
        recorded = [entry for entry in several if not authority.is_import(_builder(entry))]
        by_commit[commit] = recorded or several
    return [_branch(commits, by_commit) for commits in _together(sorted(by_commit), parents)]


def _builder(entry: Entry) -> str:
    return entry.view.builder if isinstance(entry.view, GenerationView) else ""


def _together(commits: Sequence[str], parents: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Group commits that are tied by parents; each group in an order with parents first."""
    children: dict[str, list[str]] = {}
    for commit in commits:
        for parent in parents[commit]:
            if parent in parents:
                children.setdefault(parent, []).append(commit)
    groups: list[list[str]] = []
    seen: set[str] = set()
    for first in commits:
        if first in seen:
            continue
        group: set[str] = set()
        waiting = [first]
        while waiting:
            commit = waiting.pop()
            if commit not in group:
                group.add(commit)
                waiting += [one for one in parents[commit] if one in parents]
                waiting += children.get(commit, [])
        seen |= group
        groups.append(_parents_first(group, parents))
    return groups


def _parents_first(group: set[str], parents: Mapping[str, Sequence[str]]) -> list[str]:
    ordered: list[str] = []
    begun: set[str] = set()
    for first in sorted(group):
        waiting = [(first, False)]
        while waiting:
            commit, done = waiting.pop()
            if done:
                ordered.append(commit)
            elif commit not in begun:
                begun.add(commit)
                waiting.append((commit, True))
                waiting += [(one, False) for one in parents[commit] if one in group]
    return ordered


def _branch(commits: Sequence[str], by_commit: Mapping[str, Sequence[Entry]]) -> _Branch:
    entries: list[Entry] = []
    stated: dict[str, Mapping[str, StatedChange]] = {}
    for commit in commits:
        several = []
        for entry in by_commit[commit]:
            assert entry.statement is not None
            several.append(generation.stated(entry.statement.value.predicate, len(entries)))
            entries.append(entry)
        sessions = [entry.view.session for entry in entries]  # type: ignore[union-attr]
        stated[commit] = carrying.combined(several, sessions.__getitem__)
    return _Branch(tuple(commits), tuple(entries), stated)


def bind(facts: CommitFacts, found: Sequence[_Branch], history: History, *, whole: bool) -> Binding:
    """Find recorded content in a commit that has no record.

    Without the `whole` history at hand (a shallow clone) nobody can say that a candidate is not
    simply an older commit, so nothing is granted. Merges are left alone: what they bring has
    records of its own.
    """
    if len(facts.parents) > 1 or not found:
        return Binding()
    near = [branch for branch in found if _touches(branch, facts)]
    if not near:
        return Binding()
    added = history.added(facts.oid) or {}
    tree = {branch.commits for branch in near if _leaves(branch, facts)}
    granted: list[Found] = []
    open_: list[Found] = []
    paths: list[ClaimedPath] = []
    exact = matched = True
    whole_branch = whole and any(_is_all_of(branch, facts, history) for branch in near)
    telling = False
    for path, diff in sorted(facts.diffs.items()):
        label = path_label(path)
        spans = added.get(label, ())
        matches = [
            match for branch in near for match in _matches(branch, label, diff, spans, history)
        ]
        best = _best(matches)
        if not best or not whole or not _agree(best):
            open_ += [one for match in best for one in _found(match, label)]
            exact = matched = False
            continue
        match = best[0]
        key = "tree" if match.branch.commits in tree and match.key == "path-blob" else match.key
        granted += _found(match._replace(key=key), label)
        telling = telling or key == "tree" or _is_telling(match, diff)
        paths.append(_claimed(match, label, diff))
        exact = exact and key in EXACT and _loses_nothing(match, label, diff, facts, history)
        matched = matched and _count(match.claims) == sum(end - start + 1 for start, end in spans)
    if not telling:
        exact = matched = False
    elif whole_branch and not open_:
        exact = True
    return Binding(tuple(granted), tuple(open_), tuple(paths), exact, matched)


def _loses_nothing(
    match: _Match, label: str, diff: PathDiff, facts: CommitFacts, history: History
) -> bool:
    """Say whether what the commit takes away at a path is what the recorded ones took away.

    A statement names the lines that were added; what went with them only the patch id says. The
    very file is enough where it replaces what the branch replaced: what stood there when the
    branch began, or an earlier version of its own. Else somebody could put recorded lines back
    and take out others, or go back to a version of before a fix.
    """
    if diff.old_blob is None:
        return True
    branch = match.branch
    views = [entry.view for entry in branch.entries]
    if match.key == "added":
        patch = history.patch(facts.oid)
        told = {
            views[index].patch_id  # type: ignore[union-attr]
            for index in match.sources
        }
        return patch is not None and told == {patch}
    own = [branch.stated[one][label].blob for one in branch.commits if label in branch.stated[one]]
    until = max((n for n, blob in enumerate(own) if blob == diff.new_blob), default=0)
    if diff.old_blob in own[:until]:
        return True
    began = {
        parent
        for view in views
        if isinstance(view, GenerationView)
        for parent in view.parents[:1]
        if parent not in branch.commits
    }
    answers = (history.moved(older, facts.oid) for older in sorted(began))
    return any(moved is not None and label not in moved for moved in answers)


def _is_all_of(branch: _Branch, facts: CommitFacts, history: History) -> bool:
    """Say whether a commit goes from where a row of recorded commits began to where they ended.

    Both its trees are then the row's, and nothing stands between them that a record does not
    answer for, files included of which no session has anything to say.
    """
    by_commit: dict[str, GenerationView] = {}
    for entry in branch.entries:
        if isinstance(entry.view, GenerationView):
            by_commit[entry.view.commit] = entry.view
    for view in [one for one in by_commit.values() if one.tree == facts.tree]:
        for _ in by_commit:
            if view.parents == facts.parents:
                return True
            if len(view.parents) != 1 or view.parents[0] not in by_commit:
                break
            view = by_commit[view.parents[0]]
        if len(view.parents) == 1 and history.moved(view.parents[0], facts.oid) == frozenset():
            return True
    return False


def _is_telling(match: _Match, diff: PathDiff) -> bool:
    """Say whether a path holds anything to go by: a deletion and an empty file are anybody's."""
    return bool(match.claims) or diff.new_blob not in (None, diff.old_blob, *EMPTY_BLOBS)


def _touches(branch: _Branch, facts: CommitFacts) -> bool:
    """Say at a glance whether a branch can have something to say: a path or a blob in common."""
    labels = {path_label(path) for path in facts.diffs}
    blobs = {diff.new_blob for diff in facts.diffs.values()} - {None}
    return any(
        not labels.isdisjoint(stated)
        or not blobs.isdisjoint(change.blob for change in stated.values())
        for stated in branch.stated.values()
    )


def _leaves(branch: _Branch, facts: CommitFacts) -> bool:
    """Say whether one of its commits has the very tree."""
    return any(
        isinstance(entry.view, GenerationView) and entry.view.tree == facts.tree
        for entry in branch.entries
    )


def _matches(
    branch: _Branch, label: str, diff: PathDiff, spans: Spans, history: History
) -> list[_Match]:
    """Find what a branch says of a path: one answer, unless commits of it contradict each other."""
    new = history.content(diff.new_blob) if spans and diff.new_blob is not None else None
    if new is not None:
        digest = carrying.added_digest(new, spans)
        for key in ("path-blob", "added"):
            whole: dict[object, _Match] = {}
            for commit in branch.commits:
                one = branch.stated[commit].get(label)
                if one is None or one.mode != diff.new_mode:
                    continue
                if key == "path-blob" and one.blob == diff.new_blob:
                    claims = carrying.within(one.claims, spans)
                elif key == "added" and one.added == digest:
                    claims = carrying.carry_by_order(one.claims, spans) or []
                else:
                    continue
                if claims and _count(claims) == sum(end - start + 1 for start, end in spans):
                    sources = tuple(sorted({claim.source for claim in claims}))
                    said = _Match(branch, key, tuple(claims), sources)
                    whole[_said(said)] = said
            # One commit that added all of it: what came before in the branch has no say.
            if whole:
                return list(whole.values())
    match = _match(branch, label, diff, spans, history)
    return [] if match is None else [match]


def _count(claims: Iterable[Claim]) -> int:
    return sum(claim.end - claim.start + 1 for claim in claims)


def _match(
    branch: _Branch, label: str, diff: PathDiff, spans: Spans, history: History
) -> _Match | None:
    """Find what a branch says of a path, by the best key that fits."""
    last = [
        branch.stated[commit][label] for commit in branch.commits if label in branch.stated[commit]
    ]
    if diff.new_blob is None:
        said = next((one for one in last[-1:] if one.op == "delete"), None)
        sources = _sources_of(branch, label)
        return _Match(branch, "path-blob", (), sources[-1:]) if said is not None else None
    name = label
    if any(one.blob == diff.new_blob and one.mode == diff.new_mode for one in last):
        key = "path-blob"
    else:
        elsewhere = _same_blob(branch, diff.new_blob) if spans else None
        if elsewhere is not None:
            key, name = "blob", elsewhere
        elif not last or diff.new_mode == _SUBMODULE:
            return None
        else:
            key = "lines"
    new = history.content(diff.new_blob) if spans else None
    if new is None:
        # Without lines there is only the blob to go by.
        if key == "lines":
            return None
        return _Match(branch, key, (), _sources_of(branch, name, diff.new_blob))
    digest = carrying.added_digest(new, spans)
    if key == "lines" and any((one.added, one.mode) == (digest, diff.new_mode) for one in last):
        key = "added"
    claims = _claims(branch, name, diff.new_blob, new, spans, history)
    if key == "lines":
        claims = carrying.capped(_telling(claims, carrying.line_keys(new)))
    if not claims and key not in ("path-blob", "added"):
        return None
    sources = tuple(sorted({claim.source for claim in claims}))
    return _Match(branch, key, tuple(claims), sources or _sources_of(branch, name))


def _claims(
    branch: _Branch,
    name: str,
    blob: str,
    new: bytes,
    spans: Spans,
    history: History,
) -> list[Claim]:
    olds = []
    content = history.content
    for commit in branch.commits:
        blobs = history.blobs(commit)
        if blobs is None:
            # Statements say what was there afterwards; what was before is not here.
            blobs = {path: (None, one.blob) for path, one in branch.stated[commit].items()}
            content = _nothing
        olds.append(OldCommit(commit, blobs, branch.stated[commit]))
    versions = carrying.versions(name, olds)[-_MAX_VERSIONS:]
    return carrying.follow(versions, content, new, spans, blob)


def _nothing(_blob: str) -> bytes | None:
    return None


def _same_blob(branch: _Branch, blob: str) -> str | None:
    for commit in reversed(branch.commits):
        for path, change in branch.stated[commit].items():
            if change.blob == blob and change.claims:
                return path
    return None


def _sources_of(branch: _Branch, name: str, blob: str | None = None) -> tuple[int, ...]:
    found = []
    for index, entry in enumerate(branch.entries):
        view = entry.view
        assert isinstance(view, GenerationView)
        if any(change.path == name and blob in (None, change.blob) for change in view.changes):
            found.append(index)
    return tuple(found)


def _telling(claims: Iterable[Claim], keys: Sequence[bytes]) -> Iterator[Claim]:
    """Give claims of lines that say enough to be recognised: a block, or a line of some length."""
    run: list[Claim] = []
    for claim in [*claims, None]:
        if claim is not None and (not run or run[-1].end + 1 == claim.start):
            run.append(claim)
            continue
        if run:
            numbers = range(run[0].start, run[-1].end + 1)
            long = any(len(keys[n - 1].strip()) >= _TELLING for n in numbers if n <= len(keys))
            if len(numbers) >= _BLOCK or long:
                yield from run
        run = [claim] if claim is not None else []


def _best(matches: Sequence[_Match]) -> list[_Match]:
    """Give those by the best key that any has: a file, then its lines, then a file elsewhere."""
    for key in ("path-blob", "added", "blob", "lines"):
        found = [match for match in matches if match.key == key]
        if found:
            return found
    return []


def _agree(matches: Sequence[_Match]) -> bool:
    """Say whether all of them say the same of the same lines, session included."""
    return len({_said(match) for match in matches}) == 1


def _said(match: _Match) -> object:
    if not match.claims:
        entries = [match.branch.entries[index].view for index in match.sources]
        return frozenset(view.session for view in entries if isinstance(view, GenerationView))
    return tuple(
        (number, claim.origin, claim.model, match.branch.sessions(claim))
        for claim in match.claims
        for number in range(claim.start, claim.end + 1)
    )


def _found(match: _Match, label: str) -> Iterator[Found]:
    for index in match.sources:
        yield Found(match.branch.entries[index], match.key, label)


def _claimed(match: _Match, label: str, diff: PathDiff) -> ClaimedPath:
    entries = match.branch.entries
    op = "delete" if diff.new_mode is None else "add" if diff.old_mode is None else "modify"
    return ClaimedPath(
        path=label,
        op=op,
        mode=diff.new_mode or diff.old_mode or "",
        blob=diff.new_blob,
        old_path=None,
        sources=tuple(entries[index] for index in match.sources),
        via="content",
        ranges=tuple(
            ClaimedRange(*claim[:6], (entries[claim.source],), "content") for claim in match.claims
        ),
    )


__all__ = ["EXACT", "Binding", "Found", "bind", "branches"]
