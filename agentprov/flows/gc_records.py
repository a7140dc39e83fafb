"""Records in the notes that no reachable commit needs: found, explained, and dropped when asked.

Only what no remote is known to hold can go: a remote that holds a record gives it back at the
next `sync`, because merging only adds. What is kept is more than what commits need, never less;
docs/spec/gc.md has the rules.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from agentprov.errors import MalformedInput, UserError
from agentprov.flows.gc import LOCK_SECONDS, require_outside
from agentprov.flows.world import World
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.record.session import SessionDirectory
from agentprov.store import seen
from agentprov.store.notes import NotesStore
from agentprov.store.objects import NewObjects
from agentprov.system import files
from agentprov.system.git_objects import CatFile
from agentprov.verify.reading import Reading

_ID = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")

Lines = frozenset[bytes]
Notes = Mapping[str, Lines]


@dataclass(frozen=True)
class Records:
    """Records by what becomes of them; `anchors` are the objects whose notes would go.

    `lines` are those that no note has then.
    """

    anchors: tuple[str, ...]
    records: int
    bytes: int
    on_a_remote: int
    pruned: bool = False
    lines: Lines = frozenset()


def collect(world: World, *, prune: bool = False) -> Records:
    """Find the notes that nothing reachable needs; with `prune` drop them here.

    Dropping starts the local history of the ref anew, on top of what remotes have, so that git's
    own garbage collector can free the space once the reflog has expired. A session whose records
    go keeps a list of them, so that it is not kept for what was dropped. Raises UserError where
    not all history is here to be asked or inside a recorded run, GitFailed, Busy, OSError.
    """
    require_outside(prune)
    git = world.git
    if git.text("rev-parse", "--is-shallow-repository") == "true" or git.text(
        "config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$", check=False
    ):
        raise UserError(
            "what commits need cannot be told in a clone that has not all of its history",
            hint="run `git fetch --unshallow`, or prune records in a whole clone",
        )
    store = world.notes
    remotes = _remote_tips(world)
    unknown = _never_seen(world)
    if unknown:
        raise UserError(
            f"what records {', '.join(unknown)} holds was never looked at, so none here can go",
            hint="run `agentprov sync --no-push` first, or `git remote remove` what is no more",
        )
    result = Records((), 0, 0, 0)

    def change(reader: CatFile, tip: str | None, new: NewObjects) -> str | None:
        nonlocal result
        notes: Notes = {
            anchor: frozenset(lines) for anchor, lines in store.tree_at(reader, tip).everything()
        }
        held = _held(store, reader, remotes)
        free = _unneeded(notes, _reachable(world), _unfinished(world))
        going = {one for one in free if not notes[one] & held.get(one, frozenset())}
        result = Records(
            tuple(sorted(going)),
            sum(len(notes[one]) for one in going),
            sum(len(line) for one in going for line in notes[one]),
            sum(len(notes[one]) for one in free - going),
            pruned=prune and bool(going),
            lines=_lines(notes, going) - _lines(notes, notes.keys() - going),
        )
        if not prune or not going:
            return None
        parents = [oid for oid in remotes if tip and git.succeeds(*_ANCESTOR, oid, tip)]
        tree = store.tree_at(reader, tip).write({anchor: set() for anchor in going}, new)
        return store.commit(new, tree, parents, "Drop records that no reachable commit needs")

    files.private_directory(git.home)
    with files.locked(git.home / "lock", LOCK_SECONDS):
        store.swap(change)
        if result.pruned:
            _tell_sessions(world, result.lines)
    return result


_ANCESTOR = ("merge-base", "--is-ancestor")


def _lines(notes: Notes, anchors: Set[str]) -> Lines:
    return frozenset(line for anchor in anchors for line in notes[anchor])


def _tell_sessions(world: World, dropped: Lines) -> None:
    """Write down beside each session's own records which of them the notes have lost on purpose."""
    for place in sorted((world.git.home / "sessions").glob("*")):
        if not place.is_symlink():
            directory = SessionDirectory(world.git.home, place.name)
            directory.note_dropped(line for line in directory.bundles() if line in dropped)


def _remote_tips(world: World) -> list[str]:
    words = ("for-each-ref", "--format=%(objectname)", "refs/notes/remotes/")
    return sorted(set(world.git.text(*words, check=False).split()))


def _never_seen(world: World) -> list[str]:
    """Give the remotes that nobody ever asked for their records; to hold none is an answer."""
    git = world.git
    known = seen.load(git)
    return [
        remote
        for remote in git.text("remote", check=False).split()
        if seen.label(remote) not in known and git.resolve(seen.tracking_ref(remote)) is None
    ]


def _held(store: NotesStore, reader: CatFile, tips: Iterable[str]) -> Notes:
    """Give what remotes hold as far as is known here."""
    found: dict[str, set[bytes]] = defaultdict(set)
    for tip in tips:
        for anchor, lines in store.tree_at(reader, tip).everything():
            found[anchor] |= lines
    return {anchor: frozenset(lines) for anchor, lines in found.items()}


def _reachable(world: World) -> frozenset[str]:
    """Give every object that a ref, a reflog, an index or a HEAD of any work tree leads to."""
    ours = ("--exclude=refs/notes/*", "--exclude=refs/agentprov/*")
    listing = world.git.run(
        "rev-list", "--objects", "--no-object-names", *ours, "--all", "--indexed-objects",
        "--reflog",
    )  # fmt: skip
    return frozenset(listing.decode().split())


def _unfinished(world: World) -> frozenset[str]:
    """Give the sessions of which a commit may still be bound: live, or with something pending."""
    found: set[str] = set()
    for name in ("live", "pending"):
        with contextlib.suppress(FileNotFoundError):
            found.update(os.listdir(world.git.home / name))
    return frozenset(found)


def _unneeded(
    notes: Notes, reachable: frozenset[str], unfinished: Set[str] = frozenset()
) -> set[str]:
    """Give the objects whose notes nothing needs.

    A note is needed if its object is reachable, if a generation in it is of a commit or of content
    that is (so that it is found again by content, however history was rewritten), if it holds
    anything but statements of sessions and generations, if it is of a session that is
    `unfinished` (what is bound later stands on its opening), or if a record that is needed names
    it or a record in it. That may keep too much, and is meant to.
    """
    named: dict[str, frozenset[str]] = {}
    holders: dict[str, set[str]] = defaultdict(set)
    waiting: list[str] = []
    for anchor, lines in notes.items():
        words: set[str] = set()
        needed = anchor in reachable
        holders[anchor].add(anchor)
        for line in lines:
            try:
                reading = Reading(line)
                view = reading.view()
            except MalformedInput:
                needed = True
                continue
            holders[reading.bundle().payload_sha256].add(anchor)
            words.update(word.decode() for word in _ID.findall(reading.bundle().payload))
            if isinstance(view, GenerationView):
                blobs = {change.blob for change in view.changes if change.blob}
                needed |= not reachable.isdisjoint({view.commit, *blobs})
                needed |= view.session in unfinished
            elif isinstance(view, OpenView | CloseView):
                needed |= view.id in unfinished
            else:
                needed = True
        named[anchor] = frozenset(words)
        if needed:
            waiting.append(anchor)
    kept: set[str] = set()
    while waiting:
        anchor = waiting.pop()
        if anchor not in kept:
            kept.add(anchor)
            for word in named[anchor] & holders.keys():
                waiting.extend(holders[word] - kept)
    return set(notes) - kept


__all__ = ["Records", "collect"]
