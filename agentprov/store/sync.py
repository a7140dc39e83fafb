"""Carries the notes ref between repositories: fetch aside, merge as a set, push without force.

A remote's notes are fetched to a ref of their own and never over ours. Servers protect no notes
refs, so what a remote has *lost* since we last looked is reported and never followed: merging
only ever adds, and a push puts back what is gone there.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentprov.errors import Busy, GitFailed
from agentprov.store import ref_lock, seen
from agentprov.store.notes import NotesStore
from agentprov.store.objects import NewObjects
from agentprov.store.seen import label, seen_ref, tracking_ref
from agentprov.system import files
from agentprov.system.git_objects import CatFile

PUSH_ATTEMPTS = 12
PATIENCE_SECONDS = 300.0
TURN_SECONDS = 60.0
_LONGEST_PAUSE = 15.0
_SHORT, _LONG = 12.0, 20.0
_REFLOG_STEPS = 50
_FILL_ROUNDS = 10
# How git and the common servers say that somebody else was faster.
_RACE = re.compile(
    r"fetch first|non-fast-forward|stale info|cannot lock ref|failed to (?:lock|update ref)"
    r"|incorrect old value|reference already exists|unable to create .*\.lock",
    re.IGNORECASE,
)
# All of a history, but without asking for that of the branches, as git's own "infinite" would.
_ALL_DEPTH = str(0x7FFFFFFE)
# Talking to a remote is what these calls are for; elsewhere nothing is fetched on the way.
_MAY_FETCH = {"GIT_NO_LAZY_FETCH": "0"}


@dataclass(frozen=True)
class Fetched:
    """What a fetch found on a remote.

    `missing` it has no records; `unchanged` what we saw last time; `new` more than last time;
    `rewound` another history than we saw before (records may be gone there); `vanished` it had
    records before, and now has no such ref. `tip` is what it has now. `removed` counts the
    records that it had and does not have any more.
    """

    outcome: Literal["missing", "unchanged", "new", "rewound", "vanished"]
    tip: str | None
    removed: int = 0

    @property
    def harmed(self) -> bool:
        """Say whether something that was there before is gone."""
        return self.outcome in ("rewound", "vanished") or self.removed > 0


@dataclass(frozen=True)
class Merged:
    """What a merge did: how many records were new here, and whether the ref moved."""

    added: int
    moved: bool


@dataclass(frozen=True)
class Pushed:
    """What a push did; `why` has git's words for `refused`.

    `nothing` we have no records; `unchanged` the remote had all of them; `pushed`. Every attempt
    after the first is a retry, because somebody else was faster.
    """

    outcome: Literal["nothing", "unchanged", "pushed", "refused"]
    why: str | None = None
    attempts: int = 0


def fetch(store: NotesStore, remote: str) -> Fetched:
    """Bring a remote's notes to its tracking ref; our own ref stays as it is.

    Compares with the newest that this remote ever showed, also to a plain ``git fetch``. Raises
    GitFailed when the remote cannot be reached, or has something else than notes there; a remote
    without records is no error.
    """
    git, tracking = store.git, tracking_ref(remote)
    ref_lock.remove_left(git, tracking)
    known = _catch_up(store, remote)
    tip = _remote_tip(store, remote)
    if tip is None:
        return Fetched("vanished" if known else "missing", None)
    before = _ref(store, tracking)
    if tip != before:
        _bring(store, remote)
    _fill(store, remote)
    tip = _ref(store, tracking)
    if tip is None:
        git.run("update-ref", "-d", tracking, check=False)
        raise GitFailed(f"{remote} has no commit under {store.ref}, so no notes")
    if known is None:
        _see(store, remote, tip, known)
        return Fetched("new", tip)
    if tip == known:
        return Fetched("unchanged", tip)
    removed = _removed(store, known, tip)
    if not _descends(store, tip, known):
        return Fetched("rewound", tip, removed)
    if not removed:
        _see(store, remote, tip, known)
    return Fetched("unchanged" if tip == before else "new", tip, removed)


def merge_remote(store: NotesStore, remote: str) -> Merged:
    """Take what was fetched from a remote into our notes: the union of both sets of lines.

    Also what the remote showed earlier and has taken away since. Nothing is removed, whatever
    the remote dropped. Afterwards our ref descends from the remote's. Raises Busy, GitFailed. A
    remote that was never fetched changes nothing.
    """
    added, moved = 0, False
    tips = (_ref(store, tracking_ref(remote)), _ref(store, seen_ref(remote)))
    for theirs in dict.fromkeys(tip for tip in tips if tip is not None):
        one = _merge(store, theirs, label(remote))
        added, moved = added + one.added, moved or one.moved
    return Merged(added, moved)


def _merge(store: NotesStore, theirs: str, name: str) -> Merged:
    added = 0
    before: list[str | None] = []

    def union(reader: CatFile, ours: str | None, new: NewObjects) -> str | None:
        nonlocal added
        before.append(ours)
        added = 0
        tree = store.tree_at(reader, ours)
        more, lacking = tree.difference(store.tree_at(reader, theirs))
        added = sum(len(found) for found in more.values())
        if ours is None or (not lacking and _descends(store, theirs, ours)):
            return theirs
        if not more and _descends(store, ours, theirs):
            return None
        grown = {anchor: tree.find(anchor) | found for anchor, found in more.items()}
        return store.commit(new, tree.write(grown, new), [ours, theirs], f"Merge records of {name}")

    after = store.swap(union)
    return Merged(added, after != before[-1])


def push(
    store: NotesStore, remote: str, known: Fetched | None = None, turns: Path | None = None
) -> Pushed:
    """Push our notes, without force; a remote that has more is fetched and merged first.

    `known` is what was fetched just now, which spares asking once more. Pushes of one clone take
    turns, and with `turns`, a directory of this user, those of all clones that push to one
    place. Whoever loses a race against another machine waits a random while, in proportion to
    how long the attempt took, and longer each time. Runs no hooks: this is what hooks call.
    Never raises for what the remote says or does not say; `refused` carries it. Raises Busy.
    """
    with _turn(store, remote, turns) as waited:
        return _push(store, remote, None if waited else known)


def _push(store: NotesStore, remote: str, known: Fetched | None) -> Pushed:
    deadline = time.monotonic() + PATIENCE_SECONDS
    why: str | None = None
    attempt = stuck = 0
    while attempt < PUSH_ATTEMPTS:
        started = time.monotonic()
        try:
            if known is None:
                known = fetch(store, remote)
            if known.tip is not None and not _descends(store, store.ref, known.tip):
                merge_remote(store, remote)
        except GitFailed as error:
            return Pushed("refused", error.message, attempt)
        ours = _ref(store, store.ref)
        if ours is None:
            return Pushed("nothing")
        if known.tip == ours:
            _remember(store, remote, ours)
            return Pushed("unchanged", attempts=attempt)
        attempt += 1
        why = _push_once(store, remote, ours)
        if why is None:
            _remember(store, remote, ours)
            return Pushed("pushed", attempts=attempt)
        known = None
        if not _RACE.search(why):
            # One more look, for a server that says it in other words.
            stuck += 1
            if stuck > 1:
                break
            continue
        if not _wait_for_quiet(store, remote, time.monotonic() - started, deadline):
            break
        known = _again(store, remote)
    return Pushed("refused", why, attempt)


@contextlib.contextmanager
def _turn(store: NotesStore, remote: str, turns: Path | None) -> Iterator[bool]:
    """Wait for other pushes to the same place; says whether there was one, so that we look again.

    Whoever does not get a turn in time pushes all the same: only politeness is lost.
    """
    place = (turns or store.git.home) / f"push-{_place(store, remote)}.lock"
    with contextlib.ExitStack() as stack:
        waited = False
        with contextlib.suppress(OSError):
            files.private_directory(place.parent)
            try:
                stack.enter_context(files.locked(place, 0.0))
            except Busy:
                waited = True
                with contextlib.suppress(Busy):
                    stack.enter_context(files.locked(place, TURN_SECONDS))
        yield waited


def _place(store: NotesStore, remote: str) -> str:
    """Give a name for where a remote is, the same for all clones on this machine."""
    from hashlib import sha256

    url = store.git.text("remote", "get-url", "--push", "--", remote, check=False) or remote
    if "://" not in url:
        url = str((store.git.top / url).resolve()) if (store.git.top / url).exists() else url
    return sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _wait_for_quiet(store: NotesStore, remote: str, took: float, deadline: float) -> bool:
    """Wait until nobody has pushed for a random while, in proportion to how long a push takes.

    Listening before speaking is what keeps a crowd from refusing each other: looking is cheap,
    and disturbs nobody. One other writer costs a short wait; where the tip still moves there are
    many, and the wait is longer. Says whether there is time left.
    """
    spread = _SHORT
    try:
        last = _remote_tip(store, remote)
        while time.monotonic() < deadline:
            time.sleep(min(_LONGEST_PAUSE, random.uniform(0.0, spread) * took))  # noqa: S311
            now = _remote_tip(store, remote)
            if now == last:
                return True
            last, spread = now, _LONG
    except GitFailed:
        return False
    return False


def _again(store: NotesStore, remote: str) -> Fetched | None:
    """Fetch with the least between looking and pushing; None where a whole look is needed."""
    try:
        _bring(store, remote)
        _fill(store, remote)
    except GitFailed:
        return None
    tip = _ref(store, tracking_ref(remote))
    return None if tip is None else Fetched("new", tip)


def _push_once(store: NotesStore, remote: str, ours: str) -> str | None:
    """Push once; gives None, or git's words on why not."""
    answer = store.git.run(
        "push", "--porcelain", "--no-verify", "--end-of-options",
        remote, f"{ours}:{store.ref}", check=False, env=_MAY_FETCH,
    ).decode("utf-8", "replace")  # fmt: skip
    report = answer.split("\n")
    refused = [line.split("\t")[-1] for line in report if line.startswith("!")]
    if refused:
        return refused[0]
    return None if "Done" in report else "the remote ended the push without a reason"


def sync(
    store: NotesStore, remote: str, turns: Path | None = None
) -> tuple[Fetched, Merged, Pushed]:
    """Fetch, merge and push; raises GitFailed when the remote cannot be reached."""
    fetched = fetch(store, remote)
    return fetched, merge_remote(store, remote), push(store, remote, fetched, turns)


def accept(store: NotesStore, remote: str, tip: str | None) -> None:
    """Take what a remote has now for what was last seen of it, whatever it had before."""
    tracking = tracking_ref(remote)
    store.git.run("reflog", "expire", "--expire=all", tracking, check=False)
    if tip is None:
        store.git.run("update-ref", "-d", tracking)
        store.git.run("update-ref", "-d", seen_ref(remote))
    else:
        store.git.run("update-ref", seen_ref(remote), tip)


def _catch_up(store: NotesStore, remote: str) -> str | None:
    """Give the newest tip that this remote ever showed, with what plain fetches brought since.

    A fetch that followed the remote backwards left the step before it in the reflog.
    """
    git, tracking = store.git, tracking_ref(remote)
    known = _ref(store, seen_ref(remote))
    left = seen.load(git).get(label(remote))
    since: list[str] = []
    if left is None or left.tracking != _ref(store, tracking):
        log = git.text("reflog", "show", "--format=%H", tracking, "--", check=False).split("\n")
        for oid in filter(None, [_ref(store, tracking), *log[:_REFLOG_STEPS]]):
            if left is not None and oid == left.tracking:
                break
            since.insert(0, oid)
    newest = known
    for oid in dict.fromkeys(since):
        if newest is None or (oid != newest and _grew(store, newest, oid)):
            newest = oid
    if newest is not None and newest != known:
        _see(store, remote, newest, known)
    return newest


def _bring(store: NotesStore, remote: str, *options: str) -> None:
    # A partial clone's filter would leave the records themselves out.
    store.git.run(
        "fetch", "--quiet", "--no-tags", "--no-filter", "--no-write-fetch-head", *options,
        "--end-of-options", remote, f"+{store.ref}:{tracking_ref(remote)}",
    )  # fmt: skip


def _fill(store: NotesStore, remote: str) -> None:
    """Bring what a shallow or a partial clone's own fetch has left out of the notes."""
    git, tracking = store.git, tracking_ref(remote)
    if (git.common_dir / "shallow").exists():
        cut = set((git.common_dir / "shallow").read_text().split())
        if cut & set(git.text("rev-list", "--max-parents=0", tracking, check=False).split("\n")):
            _bring(store, remote, f"--depth={_ALL_DEPTH}")
    if not _promised(store):
        return
    walk = ("rev-list", "--objects", "--no-object-names", "--missing=print", "--max-count=1")
    for _ in range(_FILL_ROUNDS):
        listed = git.text(*walk, tracking, check=False).split("\n")
        missing = [line[1:] for line in listed if line.startswith("?")]
        if not missing:
            return
        # As git itself fetches what is promised: with nothing offered as known.
        git.run(
            "-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags",
            "--no-filter", "--no-write-fetch-head", "--stdin", "--end-of-options", remote,
            input="".join(f"{oid}\n" for oid in missing).encode(),
        )  # fmt: skip


def _promised(store: NotesStore) -> bool:
    return store.git.succeeds("config", "--get-regexp", r"^remote\..*\.promisor$")


def _grew(store: NotesStore, before: str, after: str) -> bool:
    return _descends(store, after, before) and not _removed(store, before, after)


def _removed(store: NotesStore, before: str, after: str) -> int:
    """Count the records that stood in one version of the notes and do not stand in another."""
    with store.git.cat_file() as reader:
        gone, _ = store.tree_at(reader, after).difference(store.tree_at(reader, before))
    return sum(len(found) for found in gone.values())


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


def _see(store: NotesStore, remote: str, tip: str, known: str | None) -> None:
    """Move what was seen forward; whoever looked at the same time and saw more is not undone."""
    old = known or store.git.zero
    store.git.run("update-ref", seen_ref(remote), tip, old, check=False)


def _remember(store: NotesStore, remote: str, tip: str) -> None:
    """Keep that the remote has this: it took our push, or said so."""
    store.git.run("update-ref", "-m", "agentprov: seen", tracking_ref(remote), tip)
    known = _ref(store, seen_ref(remote))
    if known != tip and (known is None or _descends(store, tip, known)):
        _see(store, remote, tip, known)


def _descends(store: NotesStore, commit: str, ancestor: str) -> bool:
    return store.git.succeeds("merge-base", "--is-ancestor", ancestor, commit)


__all__ = [
    "Fetched",
    "Merged",
    "Pushed",
    "accept",
    "fetch",
    "merge_remote",
    "push",
    "sync",
    "tracking_ref",
]
