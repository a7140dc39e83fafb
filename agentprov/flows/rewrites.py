"""Learns of rewritten commits and links them: from hooks, reflogs, maps of tools, and by content.

Runs whenever waiting work is taken in, and for what a fetch brought. What was looked at is kept in
``rewrites.json`` (docs/spec/layout.md), so that each look reads only what is new. Without notes, or
without a recorder's key of this user, nothing is looked at and no key is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from agentprov.flows import waiting
from agentprov.flows.likeness import Likeness
from agentprov.flows.rewrite_links import Commits, Linker, store
from agentprov.flows.world import World
from agentprov.record import rewrites_seen as seen
from agentprov.record.rewrites_seen import Made, Rewrite
from agentprov.record.session import SessionDirectory
from agentprov.record.spool import Dropped
from agentprov.sign.registry import local_public
from agentprov.system.files import atomic_write, private_directory, read_bounded
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile

VERSION = 1
PLACE = "rewrites.json"
MAX_OPEN = 5_000
MAX_NEWS = 5_000
_MAX_BYTES = 64 * 1024 * 1024


@dataclass
class Seen:
    """What was looked at before: sizes of reflogs, tips, and rewrites that wait for a record.

    `again` are commits to compare once more: a session was live that may have fed them.
    """

    reflogs: dict[str, int] = field(default_factory=dict)
    tips: list[str] = field(default_factory=list)
    notes: str = ""
    maps: str = ""
    open: list[Rewrite] = field(default_factory=list)
    again: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, place: Path) -> Seen:
        """Read it; what cannot be read is as nothing, and everything is looked at again."""
        try:
            plain = json.loads(read_bounded(place, _MAX_BYTES))
            if plain["version"] != VERSION:
                return cls()
            return cls(
                {str(name): int(size) for name, size in plain["reflogs"].items()},
                [str(one) for one in plain["tips"]],
                str(plain["notes"]),
                str(plain["maps"]),
                [Rewrite(tuple(olds), new, method) for olds, new, method in plain["open"]],
                [str(one) for one in plain["again"]],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def save(self, place: Path) -> None:
        """Put it in place."""
        plain: dict[str, Any] = {
            "version": VERSION,
            "reflogs": self.reflogs,
            "tips": self.tips,
            "notes": self.notes,
            "maps": self.maps,
            "open": [[list(one.olds), one.new, one.method] for one in self.open[-MAX_OPEN:]],
            "again": self.again[-MAX_OPEN:],
        }
        atomic_write(place, json.dumps(plain, separators=(",", ":")).encode(), fsync=False)


@dataclass
class Taken:
    """New commits that got a link, and the rewrites of which nothing was known here."""

    linked: list[str] = field(default_factory=list)
    unlogged: str = ""


def take_in(world: World, drops: Sequence[Dropped] = ()) -> Taken:
    """Sign links for what was rewritten since the last look; the caller holds the lock.

    What a fetch brought counts as new too: a forge squashes and rebases unseen. Raises GitFailed,
    Busy, KeyUnusable; then the next look finds the same again.
    """
    taken = Taken()
    git = world.git
    before = Seen.load(git.home / PLACE)
    now = Seen(reflogs=waiting.reflog_sizes(git))
    made = seen.made_since(git, before.reflogs)
    with git.cat_file() as reader:
        tip = reader.resolve(world.notes.ref)
        if tip is None:
            _remember(git, now, before, drops)
            return taken
        if local_public("recorder", world.home) is None:
            _put_off(git, before, drops)
            return taken
        now.notes = tip
        _Look(world, reader, before, now, made, taken).go(drops)
    _save(git, now)
    return taken


def _remember(git: Git, now: Seen, before: Seen, drops: Sequence[Dropped]) -> None:
    """Keep pairs for when records come, from a fetch or from a session that is under way."""
    now.open = [*before.open, *seen.from_hooks(drops)]
    _save(git, now)


def _put_off(git: Git, before: Seen, drops: Sequence[Dropped]) -> None:
    """Leave it to whoever has a key here: nothing counts as looked at but what hooks told of."""
    told = seen.from_hooks(drops)
    if told:
        before.open = list(dict.fromkeys([*before.open, *told]))
        before.notes = ""
        private_directory(git.home)
        before.save(git.home / PLACE)


def _save(git: Git, now: Seen) -> None:
    private_directory(git.home)
    now.save(git.home / PLACE)
    waiting.looked_at(git, now.reflogs)


class _Look:
    """One look at everything that is new."""

    def __init__(
        self,
        world: World,
        reader: CatFile,
        before: Seen,
        now: Seen,
        made: Sequence[Made],
        taken: Taken,
    ) -> None:
        self.world = world
        self.reader = reader
        self.before = before
        self.now = now
        self.made = made
        self.taken = taken
        self.commits = Commits(world, reader)
        self.lines: dict[str, list[bytes]] = {}
        self.refs: dict[str, str] = {}
        self.settled: set[str] = set()

    def go(self, drops: Sequence[Dropped]) -> None:
        """Link what is said to be a rewrite, then what is like a recorded commit."""
        anchors = self.world.notes.anchors(self.reader)
        news = self._news()
        rewrites = self._said(drops, news)
        if self.before.notes != self.now.notes:
            rewrites = [*self.before.open, *rewrites]
        else:
            self.now.open = list(self.before.open)
        self._link(rewrites, anchors)
        self._compare([one for one in news if one not in self.settled], anchors)
        if self.lines:
            why = store(self.world, self.lines)
            self.taken.unlogged = why
            self.taken.linked = list(self.lines)
            self.now.notes = self.reader_tip()

    def reader_tip(self) -> str:
        """Give where the notes stand now that we added to them."""
        return self.reader.resolve(self.world.notes.ref) or ""

    def _news(self) -> dict[str, str]:
        """Give commits that may be copies of others, with how they came to be."""
        git = self.world.git
        self.refs = seen.refs(git)
        places = ("refs/heads/", "refs/remotes/")
        self.now.tips = sorted({oid for name, oid in self.refs.items() if name.startswith(places)})
        found = {one.oid: one.kind for one in self.made if one.kind not in ("revert", "merge")}
        reverted = {one.oid for one in self.made if one.kind in ("revert", "merge")}
        if not self._all_told():
            out = git.run(
                "rev-list", "--topo-order", "--reverse", f"--max-count={MAX_NEWS}",
                "--ignore-missing", "--no-merges", "--stdin", "--branches", "--not", "--remotes",
                input="".join(f"^{tip}\n" for tip in self.before.tips).encode(), check=False,
            )  # fmt: skip
            for oid in out.decode().split():
                found.setdefault(oid, "")
        for oid in (*self.before.again, *self._arrived()):
            found.setdefault(oid, "")
        return {oid: kind for oid, kind in found.items() if oid not in reverted}

    def _arrived(self) -> list[str]:
        """Give the commits that a fetch brought since the last look; none at the first."""
        if not self.before.tips:
            return []
        theirs = {oid for name, oid in self.refs.items() if name.startswith("refs/remotes/")}
        fresh = sorted(theirs.difference(self.before.tips))
        if not fresh:
            return []
        out = self.world.git.run(
            "rev-list", "--topo-order", "--reverse", f"--max-count={MAX_NEWS}",
            "--ignore-missing", "--no-merges", "--stdin",
            input="\n".join([*fresh, *(f"^{tip}" for tip in self.before.tips)]).encode() + b"\n",
            check=False,
        )  # fmt: skip
        return out.decode().split()

    def _all_told(self) -> bool:
        """Say whether reflogs told of every commit that branches gained since the last look."""
        known = {*self.before.tips, *(one.oid for one in self.made), self.world.git.zero}
        mine = {oid for name, oid in self.refs.items() if name.startswith("refs/heads/")}
        return known.issuperset(mine) and all(one.before in known for one in self.made)

    def _said(self, drops: Sequence[Dropped], news: dict[str, str]) -> list[Rewrite]:
        git = self.world.git
        found = [*seen.from_hooks(drops), *seen.amended(self.made)]
        maps = [*seen.commit_map(git), *seen.replaced(self.refs)]
        tips = seen.originals(self.refs)
        self.now.maps = sha256(repr((maps, tips)).encode()).hexdigest()
        if self.now.maps != self.before.maps:
            found += maps
            for old, now in tips:
                found += self._filtered(old, now)
        # What a message says counts for what was made here: anybody can write one.
        here = {one.oid for one in self.made}
        for oid, made in self.commits.objects(here.intersection(news)).items():
            said = seen.said_in(made.message) if made is not None and oid in news else None
            if said is not None:
                found.append(Rewrite(said[0], oid, said[1]))
        return found

    def _filtered(self, old: str, now: str) -> list[Rewrite]:
        """Pair the commits of a filtered branch with those before by author, committer, message."""
        git = self.world.git
        sides = []
        for tip, other in ((old, now), (now, old)):
            out = git.run(
                "rev-list", "--topo-order", "--reverse", f"--max-count={MAX_NEWS}",
                tip, f"^{other}", check=False,
            )  # fmt: skip
            objects = self.commits.objects(out.decode().split())
            side: dict[tuple[str, str, str], list[str]] = {}
            for oid in out.decode().split():
                made = objects[oid]
                if made is not None:
                    key = (made.author, made.committer, made.message)
                    side.setdefault(key, []).append(oid)
            sides.append(side)
        before, after = sides
        return [
            Rewrite((one,), other, "filter")
            for key, olds in before.items()
            if len(olds) == len(after.get(key, ()))
            for one, other in zip(olds, after[key], strict=True)
        ]

    def _link(self, rewrites: Sequence[Rewrite], anchors: set[str]) -> None:
        composed = self._composed(rewrites, anchors)
        objects = self.commits.objects(one.new for one in composed)
        todo = [one for one in composed if objects[one.new] is not None]
        recorded = anchors | {one.new for one in todo}
        todo = [one for one in todo if any(old in recorded for old in one.olds)]
        left = set(todo)
        waiting = [one for one in composed if one not in left]
        self.settled = {one.new for one in composed}
        linker = Linker(self.world, self.commits)
        linker.prepare(todo)
        done: set[str] = set()
        # Of several that speak of one commit, the one that names most recorded commits is heard.
        todo.sort(key=lambda one: -len(recorded.intersection(one.olds)))
        for one in seen.in_order(todo):
            if one.new in done and one.method != "replace":
                continue
            linked = linker.link(one)
            if linked.line is not None:
                self.lines.setdefault(one.new, []).append(linked.line)
                done.add(one.new)
                if not linked.exact:
                    self.settled.discard(one.new)
            if linked.waiting:
                waiting.append(one)
        self.now.open = list(dict.fromkeys([*self.now.open, *waiting]))

    def _composed(self, rewrites: Sequence[Rewrite], anchors: set[str]) -> list[Rewrite]:
        """Pass over commits between old and new that no ref holds and no record is about."""
        news = {one.new for one in rewrites}
        between = {
            old for one in rewrites for old in one.olds if old in news and old not in anchors
        }
        loose = self._loose(between) if between else set()
        makers = {one.new: one for one in reversed(rewrites) if one.new in loose}
        found = []
        for one in rewrites:
            if one.new in loose:
                continue
            olds: dict[str, None] = {}
            waiting = list(one.olds)[::-1]
            passed: set[str] = set()
            while waiting:
                old = waiting.pop()
                maker = makers.get(old)
                if maker is None or old in passed:
                    olds[old] = None
                    continue
                passed.add(old)
                waiting += maker.olds[::-1]
            olds.pop(one.new, None)
            if olds:
                found.append(Rewrite(tuple(olds), one.new, one.method))
        return list(dict.fromkeys(found))

    def _loose(self, oids: Iterable[str]) -> set[str]:
        """Give those commits that no ref and no HEAD leads to."""
        git = self.world.git
        heads = []
        for place in sorted((git.common_dir / "worktrees").glob("*/HEAD")):
            text = place.read_text(errors="replace").strip()
            if not text.startswith("ref:"):
                heads.append(f"^{text}")
        asked = "\n".join([*oids, *heads]) + "\n"
        out = git.run(
            "rev-list", "--ignore-missing", "--stdin", "--not", "--all",
            input=asked.encode(), check=False,
        )  # fmt: skip
        reached = set(out.decode().split())
        return {oid for oid in oids if oid in reached}

    def _compare(self, news: Sequence[str], anchors: set[str]) -> None:
        objects = self.commits.objects(news)
        worth = [
            oid
            for oid in news
            if (made := objects[oid]) is not None
            and len(made.parents) <= 1
            and not seen.reverts(made.message)
        ]
        if any(one.is_live() for one in SessionDirectory.said_live(self.world.git.home)):
            self.now.again = worth
        if not worth:
            return
        likeness = Likeness(self.world, self.commits, worth, anchors)
        if not likeness.hopeless:
            likeness.forget(self._loose(likeness.news))
        if likeness.hopeless:
            return
        likeness.prepare()
        linker = Linker(self.world, self.commits)
        kinds = {one.oid: one.kind for one in self.made}
        pairs = [likeness.seen(oid, kinds.get(oid, "")) for oid in likeness.news]
        known = [pair for pair in pairs if pair is not None]
        linker.prepare(known)
        for pair in known:
            linked = linker.link(pair)
            if linked.line is not None:
                self.lines.setdefault(pair.new, []).append(linked.line)
        for oid in likeness.news:
            for link, paths in likeness.links(oid):
                kept = [linker.without_known(oid, link, path) for path in paths]
                line = linker.sign(link, "content", [path for path in kept if path is not None])
                if line is not None:
                    self.lines.setdefault(oid, []).append(line)


__all__ = ["PLACE", "Seen", "Taken", "take_in"]
