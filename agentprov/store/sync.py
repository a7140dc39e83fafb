"""Carries the notes ref between repositories: fetch aside, merge as a set, push without force.

A remote's notes are fetched to a ref of their own and never over ours. Servers protect no notes
refs, so what a remote has *lost* since we last looked is reported and never followed: merging
only ever adds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from agentprov.errors import GitFailed
from agentprov.store import lines, ref_lock
from agentprov.store.notes import NotesStore, read_blobs
from agentprov.store.objects import NewObjects
from agentprov.system.git_objects import CatFile

PUSH_ATTEMPTS = 6
_PLAIN_NAME = re.compile(r"(?!.*\.\.)(?!.*\.lock(?:/|$))[A-Za-z0-9_][A-Za-z0-9._/-]{0,99}(?<![./])")


@dataclass(frozen=True)
class Fetched:
    """What a fetch found on a remote.

    `missing` it has no records; `unchanged` what we saw last time; `new` more than last time;
    `rewound` another history than last time (records may be gone there); `vanished` it had
    records last time, and now has no such ref. `tip` is what it has now.
    """

    outcome: Literal["missing", "unchanged", "new", "rewound", "vanished"]
    tip: str | None


@dataclass(frozen=True)
class Merged:
    """What a merge did: how many records were new here, and whether the ref moved."""

    added: int
    moved: bool


@dataclass(frozen=True)
class Pushed:
    """What a push did; `why` has git's words for `refused`.

    `nothing` we have no records; `unchanged` the remote had all of them; `pushed`.
    """

    outcome: Literal["nothing", "unchanged", "pushed", "refused"]
    why: str | None = None
    attempts: int = 0


def tracking_ref(remote: str) -> str:
    """Give the ref under which a remote's notes are kept here; `remote` is a name or a URL."""
    name = remote
    if not _PLAIN_NAME.fullmatch(remote):
        name = "url-" + sha256(remote.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"refs/notes/remotes/{name}/agentprov"


def fetch(store: NotesStore, remote: str) -> Fetched:
    """Bring a remote's notes to its tracking ref; our own ref stays as it is.

    Raises GitFailed when the remote cannot be reached; a remote without records is no error.
    """
    git, tracking = store.git, tracking_ref(remote)
    ref_lock.remove_left(git, tracking)
    known = _ref(store, tracking)
    tip = _remote_tip(store, remote)
    if tip is None:
        return Fetched("vanished" if known else "missing", None)
    if tip == known:
        return Fetched("unchanged", tip)
    git.run(
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options",
        remote, f"+{store.ref}:{tracking}",
    )  # fmt: skip
    tip = _ref(store, tracking)
    if known and tip and not git.succeeds("merge-base", "--is-ancestor", known, tip):
        return Fetched("rewound", tip)
    return Fetched("new", tip)


def merge_remote(store: NotesStore, remote: str) -> Merged:
    """Take what was fetched from a remote into our notes: the union of both sets of lines.

    Nothing is removed, whatever the remote dropped. Afterwards our ref descends from the
    remote's. Raises Busy, GitFailed. A remote that was never fetched changes nothing.
    """
    theirs = _ref(store, tracking_ref(remote))
    if theirs is None:
        return Merged(0, False)
    added = 0
    before: list[str | None] = []

    def union(reader: CatFile, ours: str | None, new: NewObjects) -> str | None:
        nonlocal added
        before.append(ours)
        their_blobs = store.blobs(theirs)
        our_blobs = store.blobs(ours) if ours else {}
        more, lacking = _difference(reader, our_blobs, their_blobs)
        added = sum(len(found) for found in more.values())
        if ours is None or (not lacking and _descends(store, theirs, ours)):
            return theirs
        if not more and _descends(store, ours, theirs):
            return None
        tree = store.tree_at(reader, ours)
        grown = {anchor: tree.find(anchor) | found for anchor, found in more.items()}
        return store.commit(
            new, tree.write(grown, new), [ours, theirs], f"Merge records of {remote}"
        )

    after = store.swap(union)
    return Merged(added, after != before[-1])


def push(store: NotesStore, remote: str) -> Pushed:
    """Push our notes, without force; a remote that has more is fetched and merged first.

    Runs no hooks: this is what hooks call. Never raises for what the remote says or does not
    say; `refused` carries it. Raises Busy.
    """
    why: str | None = None
    stuck = 0
    for attempt in range(1, PUSH_ATTEMPTS + 1):
        try:
            tip = _remote_tip(store, remote)
            if tip is not None and not _descends(store, store.ref, tip):
                fetch(store, remote)
                merge_remote(store, remote)
                stuck = 0
        except GitFailed as error:
            return Pushed("refused", error.message, attempt - 1)
        ours = _ref(store, store.ref)
        if ours is None:
            return Pushed("nothing")
        if tip == ours:
            _remember(store, remote, ours)
            return Pushed("unchanged", attempts=attempt - 1)
        why = _push_once(store, remote, ours)
        if why is None:
            _remember(store, remote, ours)
            return Pushed("pushed", attempts=attempt)
        # A ref that somebody else is just now writing refuses us once without having moved.
        stuck += 1
        if stuck > 1:
            break
    return Pushed("refused", why, attempt)


def _push_once(store: NotesStore, remote: str, ours: str) -> str | None:
    """Push once; gives None, or git's words on why not."""
    answer = store.git.text(
        "push", "--porcelain", "--no-verify", "--end-of-options",
        remote, f"{ours}:{store.ref}", check=False,
    )  # fmt: skip
    report = answer.split("\n")
    refused = [line.split("\t")[-1] for line in report if line.startswith("!")]
    if refused:
        return refused[0]
    return None if "Done" in report else "the remote ended the push without a reason"


def sync(store: NotesStore, remote: str) -> tuple[Fetched, Merged, Pushed]:
    """Fetch, merge and push; raises GitFailed when the remote cannot be reached."""
    return fetch(store, remote), merge_remote(store, remote), push(store, remote)


def _difference(
    reader: CatFile, ours: dict[str, list[str]], theirs: dict[str, list[str]]
) -> tuple[dict[str, set[bytes]], bool]:
    """Give the lines that only they have, and whether they lack any of ours."""
    more: dict[str, set[bytes]] = {}
    lacking = bool(ours.keys() - theirs.keys())
    for anchor, blobs in theirs.items():
        own = ours.get(anchor, [])
        if set(own) == set(blobs):
            continue
        mine = _lines(reader, own)
        their = _lines(reader, blobs)
        lacking = lacking or not mine <= their
        if their - mine:
            more[anchor] = their - mine
    return more, lacking


def _lines(reader: CatFile, blobs: Iterable[str]) -> set[bytes]:
    return lines.split(b"\n".join(read_blobs(reader, list(blobs))))


def _ref(store: NotesStore, name: str) -> str | None:
    return (
        store.git.text("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False)
        or None
    )


def _remote_tip(store: NotesStore, remote: str) -> str | None:
    listing = store.git.text("ls-remote", "--quiet", "--end-of-options", remote, store.ref)
    for line in listing.split("\n"):
        oid, _, name = line.partition("\t")
        if name == store.ref:
            return oid
    return None


def _remember(store: NotesStore, remote: str, tip: str) -> None:
    store.git.run("update-ref", "-m", "agentprov: seen", tracking_ref(remote), tip)


def _descends(store: NotesStore, commit: str, ancestor: str) -> bool:
    return store.git.succeeds("merge-base", "--is-ancestor", ancestor, commit)


__all__ = [
    "Fetched",
    "Merged",
    "Pushed",
    "fetch",
    "merge_remote",
    "push",
    "sync",
    "tracking_ref",
]
