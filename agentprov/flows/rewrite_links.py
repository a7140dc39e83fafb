"""Signs rewrite links: reads what is known of old commits, and states what of it lives on.

However many commits were rewritten, git is asked by a constant number of processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agentprov import __version__, attest
from agentprov.flows import log_append
from agentprov.flows.repository import identity
from agentprov.flows.world import World, seal
from agentprov.formats import bundle
from agentprov.formats.carrying import MAX_TEXT_BYTES
from agentprov.formats.names import LOCAL_WRAPPER
from agentprov.formats.predicates.rewrite import RewrittenPath
from agentprov.formats.value import value
from agentprov.record.linking import Link, NewSide, Old, Side, Told, blobs_of, read
from agentprov.record.rewrites_seen import Rewrite
from agentprov.sign.registry import local_public
from agentprov.system.git_objects import CatFile, CommitObject, parse_commit
from agentprov.system.patches import added_in
from agentprov.system.trees import diff_pairs

VERSION = {"agentprov": __version__}
_CACHED_BYTES = 64 * 1024 * 1024


@value
class Linked:
    """What became of a rewrite: the signed line, or None where nothing lives on or it is stored.

    `waiting` says that some old commit has no statement here, so that a later look may find more;
    `exact` that nothing was added that the old commits do not account for.
    """

    rewrite: Rewrite
    line: bytes | None
    waiting: bool
    exact: bool = True


class Commits:
    """Commits with their changes and the statements about them, each read once."""

    def __init__(self, world: World, reader: CatFile) -> None:
        self._world = world
        self._reader = reader
        self._objects: dict[str, CommitObject | None] = {}
        self.sides: dict[str, Side] = {}
        self.news: dict[str, NewSide] = {}
        self.told: dict[str, list[Told]] = {}
        self._texts: dict[str, bytes | None] = {}
        self._held = 0

    def objects(self, oids: Iterable[str]) -> Mapping[str, CommitObject | None]:
        """Read commit objects; None for those that are not here."""
        missing = [oid for oid in dict.fromkeys(oids) if oid not in self._objects]
        for oid, found in zip(missing, self._reader.get_many(missing), strict=True):
            here = found is not None and found[0] == "commit"
            self._objects[oid] = parse_commit(oid, found[1]) if found and here else None
        return self._objects

    def load_sides(self, oids: Iterable[str]) -> None:
        """Compare commits with their first parents; one process for all of them."""
        wanted = [oid for oid in dict.fromkeys(oids) if oid not in self.sides]
        pairs = self._pairs(wanted)
        changes = dict(zip(pairs, diff_pairs(self._world.git, list(pairs.values())), strict=True))
        for oid in wanted:
            if oid in changes:
                self.sides[oid] = Side(oid, self._objects[oid], blobs_of(changes[oid]))
            else:
                self.sides[oid] = Side(oid)

    def load_news(self, oids: Iterable[str]) -> None:
        """Read what new commits changed and added; two processes for all of them."""
        git = self._world.git
        pairs = self._pairs([oid for oid in dict.fromkeys(oids) if oid not in self.news])
        trees = list(pairs.values())
        found = zip(pairs, diff_pairs(git, trees, renames=True), added_in(git, trees), strict=True)
        for oid, changes, added in found:
            made = self._objects[oid]
            assert made is not None
            self.news[oid] = NewSide(made, changes, added)

    def load_told(self, oids: Iterable[str]) -> None:
        """Read the statements about commits whose sides are loaded, from their own notes."""
        wanted = [oid for oid in dict.fromkeys(oids) if oid not in self.told]
        for oid, lines in self._world.notes.get_many(wanted, self._reader).items():
            found = [read(line, self.sides[oid]) for line in lines]
            self.told[oid] = [one for one in found if one is not None]

    def sessions(self, told: Iterable[Told]) -> dict[str, str]:
        """Give the sessions of generations by digest, also of those that rewrites rest on."""
        several = list(told)
        behind = {oid for one in several for oid, _ in one.inner}
        self.objects(behind)
        for oid in behind:
            self.sides.setdefault(oid, Side(oid))
        self.load_told(behind)
        everything = [*several, *(one for oid in behind for one in self.told[oid])]
        return {one.source[1]: one.session for one in everything if one.session is not None}

    def text(self, oid: str) -> bytes | None:
        """Give a blob's bytes; None for one that is not here or too large to have lines."""
        if oid not in self._texts:
            found = self._reader.digest(oid, keep=MAX_TEXT_BYTES)
            content = found.content if found is not None and found.kind == "blob" else None
            if self._held > _CACHED_BYTES:
                self._texts.clear()
                self._held = 0
            self._held += len(content or b"")
            self._texts[oid] = content
        return self._texts[oid]

    def _pairs(self, oids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Give (tree of the first parent, tree) of each commit that is here with its parent."""
        objects = self.objects(oids)
        here = [made for made in (objects[oid] for oid in oids) if made is not None]
        parents = self.objects(made.parents[0] for made in here if made.parents)
        found = {}
        for made in here:
            before = self._world.git.empty_tree
            if made.parents:
                parent = parents[made.parents[0]]
                if parent is None:
                    continue
                before = parent.tree
            found[made.oid] = (before, made.tree)
        return found


class Linker:
    """Makes links for rewrites in an order in which each finds those that it rests on."""

    def __init__(self, world: World, commits: Commits) -> None:
        self._world = world
        self._commits = commits
        self._repository: str | None = None
        spki = local_public("recorder", world.home)
        self._hint = bundle.key_hint(spki) if spki is not None else None
        self._sessions: dict[str, str] = {}

    def prepare(self, rewrites: Sequence[Rewrite]) -> None:
        """Read all that the rewrites need."""
        olds = [oid for one in rewrites for oid in one.olds]
        news = [one.new for one in rewrites]
        self._commits.load_sides([*olds, *news])
        self._commits.load_told([*olds, *news])
        about = {oid for oid in (*olds, *news) if self._commits.told[oid]}
        about |= set(news)
        self._commits.load_news(one.new for one in rewrites if about & set(one.olds))
        self._sessions.update(
            self._commits.sessions(
                told for oid in (*olds, *news) for told in self._commits.told[oid]
            )
        )

    def link(self, rewrite: Rewrite) -> Linked:
        """State what of the old commits lives on in the new one, and sign it."""
        told = self._commits.told
        olds = [Old(self._commits.sides[oid], told[oid]) for oid in rewrite.olds]
        waiting = any(not old.told for old in olds)
        new = self._commits.news.get(rewrite.new)
        if new is None or not any(old.told for old in olds):
            return Linked(rewrite, None, waiting)
        link = Link(
            new,
            olds,
            self._sessions,
            self._commits.text,
            by_content=rewrite.method == "content",
        )
        paths = [self.without_known(rewrite.new, link, path) for path in link.paths()]
        kept = [path for path in paths if path is not None]
        return Linked(rewrite, self.sign(link, rewrite.method, kept), waiting, link.exact)

    def sign(self, link: Link, method: str, paths: Sequence[RewrittenPath]) -> bytes | None:
        """Sign what a link found; None for nothing, or where this recorder said it before."""
        if not paths:
            return None
        facts = link.rewritten(method, paths)
        for one in self._commits.told[facts.commit]:
            same = one.olds == facts.olds and set(facts.sources) <= set(one.inner)
            if same and one.hint == self._hint:
                return None
        if self._repository is None:
            self._repository = identity(self._world.git).uri
        statement = attest.rewrite(
            facts, builder=LOCAL_WRAPPER, version=VERSION, repository=self._repository
        )
        line = seal(statement, self._world.recorder)
        made = read(line, self._commits.sides[facts.commit])
        if made is not None:
            self._commits.told[facts.commit].append(made)
        return line

    def without_known(self, new: str, link: Link, path: RewrittenPath) -> RewrittenPath | None:
        """Leave out what a session's own statement about the new commit says, or a link of ours.

        A commit that was rewritten and then made again, byte for byte, is its own source.
        """
        known: set[int] = set()
        whole = False
        for told in self._commits.told[new]:
            if told.session is None and told.hint != self._hint:
                continue
            stated = told.stated(lambda _: 0).get(path.path)
            if stated is not None:
                whole = True
                known |= {
                    number
                    for claim in stated.claims
                    if claim.origin != "unknown" or told.session is None
                    for number in range(claim.start, claim.end + 1)
                }
        if path.source is not None:
            return None if whole or link.numbers[path.source][0] == new else path
        if any(link.numbers[claim.source][0] == new for claim in path.claims):
            return None
        fresh = any(
            number not in known
            for claim in path.claims
            for number in range(claim.start, claim.end + 1)
        )
        # A path is stated whole or not at all, or nobody could tell what was left out from a lie.
        return path if fresh else None


def store(world: World, linked: Mapping[str, Sequence[bytes]]) -> str:
    """Keep links on the notes of their new commits and log them; give why logging failed."""
    world.store.add(linked)
    return log_append.append(world, [line for lines in linked.values() for line in lines])


__all__ = ["Commits", "Linked", "Linker", "store"]
