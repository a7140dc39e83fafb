"""Finds by content which recorded commits a new commit was made of, where nobody said so.

Candidates are recorded commits whose objects are here and that the new commit does not descend
from. Of a path's lines, those that candidates from different lines of work claim differently stay
open: a likeness is never a guess. docs/spec/rewrites.md is the page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agentprov.flows.rewrite_links import Commits
from agentprov.flows.world import World
from agentprov.formats import carrying
from agentprov.formats.carrying import Claim
from agentprov.formats.names import path_label
from agentprov.formats.predicates.rewrite import RewrittenPath
from agentprov.record.linking import Link, NewSide, Old
from agentprov.record.rewrites_seen import Rewrite, message_alike
from agentprov.system.git import Git
from agentprov.system.trees import RawChange

MAX_GRAPH = 20_000
_MAX_WORKS = 24
_MAX_CHAIN = 500


@dataclass
class Graph:
    """Commits around the new ones with their parents; which are ancestors of which."""

    parents: Mapping[str, Sequence[str]]
    _bits: dict[str, int] = field(default_factory=dict)
    _above: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place, oid in enumerate(self.parents):
            self._bits[oid] = 1 << place
        for start in self.parents:
            waiting = [start]
            while waiting:
                oid = waiting[-1]
                if oid in self._above:
                    waiting.pop()
                    continue
                first = [p for p in self.parents[oid] if p in self.parents and p not in self._above]
                if first:
                    waiting += first
                    continue
                above = self._bits[oid]
                for parent in self.parents[oid]:
                    above |= self._above.get(parent, 0)
                self._above[oid] = above

    def descends(self, oid: str, ancestor: str) -> bool:
        """Say whether one commit is, or descends from, another; both must be in the graph."""
        return bool(self._above[oid] & self._bits[ancestor])

    def apart(self, tips: Iterable[str], news: Iterable[str]) -> list[str]:
        """Give the commits that tips reach and not every new commit does."""
        all_of_them = ~0
        for oid in news:
            all_of_them &= self._above[oid]
        wanted = 0
        for oid in tips:
            wanted |= self._above[oid]
        return [oid for oid in self.parents if self._bits[oid] & wanted & ~all_of_them]

    def reaches_all(self, oid: str, others: Iterable[str]) -> bool:
        """Say whether a commit descends from all of these."""
        return all(self._above[oid] & self._bits[other] for other in others)

    def tips(self, oids: Collection[str]) -> list[str]:
        """Give those commits that no other of them descends from."""
        found: list[str] = []
        covered = 0
        for oid in self.parents:  # children stand before their parents
            if oid in oids:
                if not covered & self._bits[oid]:
                    found.append(oid)
                covered |= self._above[oid]
        return found

    def work(self, tip: str, without: str) -> list[str]:
        """Give the first parents of a commit, oldest first, up to those of another commit."""
        found: list[str] = []
        while tip in self.parents and not self.descends(without, tip) and len(found) < _MAX_CHAIN:
            found.append(tip)
            if not self.parents[tip]:
                break
            tip = self.parents[tip][0]
        return found[::-1]


def graph(
    git: Git, news: Collection[str], bases: Collection[str], anchors: Collection[str]
) -> Graph:
    """Read the commits that new and recorded ones reach, less what all the bases reach.

    One or two processes, whatever the number of commits; at most `MAX_GRAPH` commits.
    """
    common = next(iter(bases), "") if len(bases) < 2 else ""
    if len(bases) > 1:
        common = git.text("merge-base", "--octopus", *sorted(bases)[:100], check=False)
    asked = [*news, *anchors, *([f"^{common}"] if common else [])]
    out = git.run(
        "rev-list", "--parents", "--topo-order", f"--max-count={MAX_GRAPH}", "--ignore-missing",
        "--stdin", input=("\n".join(asked) + "\n").encode(), check=False,
    )  # fmt: skip
    rows = (line.split() for line in out.decode().splitlines())
    return Graph({row[0]: row[1:] for row in rows})


class Likeness:
    """Compares new commits with recorded ones; `anchors` are the ids that have notes."""

    def __init__(
        self, world: World, commits: Commits, news: Sequence[str], anchors: Collection[str]
    ) -> None:
        self._commits = commits
        objects = commits.objects(news)
        made = {oid: objects[oid] for oid in news}
        bases = {
            parent for one in made.values() if one for parent in one.parents if parent not in made
        }
        roots = any(one is not None and not one.parents for one in made.values())
        self.graph = graph(world.git, news, () if roots else bases, anchors)
        self._candidates = [oid for oid in self.graph.parents if oid in anchors]
        self.news = [oid for oid in news if oid in self.graph.parents]
        self._narrow()
        self._paths: dict[str, list[str]] = defaultdict(list)
        self._blobs: dict[str, list[str]] = defaultdict(list)
        self._added: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._authors: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def _narrow(self) -> None:
        """Keep what may be apart from some new commit: no ancestor, and no descendant, of all."""
        inside = set(self.graph.apart(self._candidates, self.news)) if self.news else set()
        self._candidates = [
            oid
            for oid in self._candidates
            if oid in inside and not self.graph.reaches_all(oid, self.news)
        ]

    def _apart(self, oid: str, new: str) -> bool:
        return not self.graph.descends(new, oid) and not self.graph.descends(oid, new)

    @property
    def hopeless(self) -> bool:
        """Say whether there is nothing to compare with."""
        return not self._candidates or not self.news

    def forget(self, news: Collection[str]) -> None:
        """Leave out new commits that are not worth comparing: nothing leads to them any more."""
        self.news = [oid for oid in self.news if oid not in news]
        self._narrow()

    def prepare(self) -> None:
        """Read what the comparison needs: a constant number of processes."""
        commits = self._commits
        works = self.graph.apart(self._candidates, self.news)
        commits.load_sides([*works, *self.news])
        commits.load_told([*works, *self.news])
        commits.load_news(self.news)
        self._candidates = [oid for oid in self._candidates if commits.told[oid]]
        self.sessions = commits.sessions(
            told for oid in (*works, *self.news) for told in commits.told[oid]
        )
        for oid in self._candidates:
            old = commits.objects([oid])[oid]
            if old is not None:
                self._authors[old.author].append((oid, old.message))
            for path, (_, after) in commits.sides[oid].blobs.items():
                self._paths[path].append(oid)
                if after is not None:
                    self._blobs[after].append(oid)
            for told in commits.told[oid]:
                for path, stated in told.stated(lambda _: 0).items():
                    # Of a new file the lines are those of the blob, and have no digest.
                    lines = stated.blob if stated.op == "add" else stated.added
                    if lines is not None:
                        self._added[lines].append((path, oid))

    def seen(self, new: str, kind: str) -> Rewrite | None:
        """Find the one commit of the same author, author's time and subject, for a copy seen made.

        `kind` is what the reflog calls it: a cherry-pick, a patch applied, a rebase.
        """
        method = {"pick": "cherry-pick", "am": "am", "rebase": "rebase"}.get(kind)
        made = self._commits.objects([new])[new]
        if method is None or made is None:
            return None
        same = [
            oid
            for oid, message in self._authors.get(made.author, ())
            if self._apart(oid, new) and message_alike(message, made.message)
        ]
        return Rewrite((same[0],), new, method) if len(same) == 1 else None

    def links(self, new: str) -> list[tuple[Link, list[RewrittenPath]]]:
        """Give what of recorded commits lives on in a new one: a link for each line of work.

        A path of which lines of work say different things stands in none.
        """
        side = self._commits.news.get(new)
        if side is None or len(side.object.parents) > 1:
            return []
        found: list[_Found] = []
        works, whole_files = self._works(new, side)
        for work in works:
            link = self._link(side, work)
            paths = {path.path: (self._grade(side, link, path), path) for path in link.paths()}
            if whole_files:
                paths = {
                    name: found for name, found in paths.items() if not found[0] and found[1].blob
                }
            if paths:
                found.append(_Found(link, paths))
        found.sort(key=lambda one: (-one.weight, len(one.link.old_commits)))
        _agree(found)
        return [(one.link, [path for _, path in one.paths.values()]) for one in found if one.paths]

    def _link(self, side: NewSide, olds: Iterable[str]) -> Link:
        commits = self._commits
        several = [Old(commits.sides[oid], commits.told[oid]) for oid in olds]
        return Link(side, several, self.sessions, commits.text, by_content=True)

    def _works(self, new: str, side: NewSide) -> tuple[list[list[str]], bool]:
        """Give lines of work, each oldest first, that touch what the new commit touches.

        Single commits that add the same lines come first; where these account for everything,
        nothing else is asked. A commit that another here was made of is left to that one. Where
        there are more than can be compared, only those are given that leave a whole file as it
        is here, and True: nothing else can be said of them.
        """
        touching: set[str] = set()
        exact: dict[str, None] = {}
        all_exact = True
        for change in side.changes:
            touching.update(self._blobs.get(change.new_blob, ()))
            for path in (change.path, change.old_path):
                if path is not None:
                    touching.update(self._paths.get(path_label(path), ()))
            same = self._exact(side, change, new)
            all_exact = all_exact and bool(same)
            exact.update(dict.fromkeys(same))
        near = {oid for oid in touching if self._apart(oid, new)}
        near -= {old for oid in near for told in self._commits.told[oid] for old in told.olds}
        works = [[oid] for oid in exact]
        whole = {oid for change in side.changes for oid in self._blobs.get(change.new_blob, ())}
        if not all_exact or not (whole & near) <= exact.keys():
            for tip in self.graph.tips(near):
                work = self.graph.work(tip, new)
                if work and work not in works:
                    works.append(work)
        if len(works) <= _MAX_WORKS:
            return works, False
        works = [work for work in works if not whole.isdisjoint(work)]
        return (works if len(works) <= _MAX_WORKS else []), True

    def _exact(self, side: NewSide, change: RawChange, new: str) -> list[str]:
        """Give the commits that add the same lines in the same order, to the same path if any."""
        spans = side.added.get(change.path, ())
        content = self._commits.text(change.new_blob) if spans else None
        if content is None:
            return []
        whole = change.status == "A"
        lines = change.new_blob if whole else carrying.added_digest(content, spans)
        found = self._added.get(lines, ())
        apart = [(path, oid) for path, oid in found if self._apart(oid, new)]
        here = [oid for path, oid in apart if path == path_label(change.path)]
        return here or [oid for _, oid in apart]

    def _grade(self, side: NewSide, link: Link, path: RewrittenPath) -> int:
        """Say how alike a path is: the same file, the same added lines, or single lines."""
        history = carrying.versions(path.came_from, link.old_commits)
        if history and history[-1].after == path.blob:
            return 0
        if path.blob is None or path.source is not None:
            return 0
        content = self._commits.text(path.blob)
        added = next(
            (spans for name, spans in side.added.items() if path_label(name) == path.path), ()
        )
        if content is not None and carrying.is_exact(history, content, added, path.blob):
            return 1
        return 2


@dataclass(eq=False)
class _Found:
    """What one line of work gives: by path, how alike it is (less is more) and its claims."""

    link: Link
    paths: dict[str, tuple[int, RewrittenPath]]

    @property
    def weight(self) -> int:
        return sum(max(1, len(list(_lines(path)))) for _, path in self.paths.values())

    def whose(self, claim: Claim) -> object:
        return claim.origin, claim.model, self.link.who(claim.source)


def _agree(several: Sequence[_Found]) -> None:
    """Leave every path to the first lines of work that claim it, and to nobody where they differ.

    Of a path, only those are heard that are most alike. A path is kept whole or not at all.
    """
    for label in {label for one in several for label in one.paths}:
        best = min(one.paths[label][0] for one in several if label in one.paths)
        heard = [one for one in several if label in one.paths and one.paths[label][0] == best]
        lines: dict[int, set[object]] = defaultdict(set)
        for one in heard:
            for number, claim in _lines(one.paths[label][1]):
                lines[number].add(one.whose(claim))
        wholes = [(one, one.paths[label][1].source) for one in heard]
        whose = {one.link.who(source) for one, source in wholes if source is not None}
        differ = len(whose) > 1 or any(len(claims) > 1 for claims in lines.values())
        taken: set[int] = set()
        for one in several:
            if label not in one.paths:
                continue
            numbers = {number for number, _ in _lines(one.paths[label][1])} or {0}
            if differ or one not in heard or numbers <= taken:
                del one.paths[label]
            else:
                taken |= numbers


def _lines(path: RewrittenPath) -> Iterator[tuple[int, Claim]]:
    for claim in path.claims:
        for number in range(claim.start, claim.end + 1):
            yield number, claim


__all__ = ["Graph", "Likeness", "graph"]
