"""Finds what git says of rewrites: hooks' pairs, reflogs, maps and refs that rewriting tools leave.

What is reported by git itself names old and new commits; whatever git keeps no pair of (a squash
merge, a reset and a commit) is for flows/likeness.py to find by content. Nothing here is believed
further than that the commits are then compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agentprov.formats.value import value
from agentprov.record.commits import reflog_files
from agentprov.record.spool import Dropped
from agentprov.system.files import read_bounded
from agentprov.system.git import Git

MAX_REFLOG = 20_000
_MAX_MAP_BYTES = 256 * 1024 * 1024
_PAIR = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64})(?: .*)?")
_SQUASHED = re.compile(r"^commit ([0-9a-f]{40,64})$", re.MULTILINE)
_PICKED = re.compile(r"^\(cherry picked from commit ([0-9a-f]{40,64})\)$", re.MULTILINE)
_REVERTED = re.compile(r"^This reverts commit [0-9a-f]{40,64}", re.MULTILINE)
_KINDS = re.compile(
    rb"(?P<amend>commit \(amend\))|(?P<revert>revert)|(?P<merge>commit \(merge\)|merge)"
    rb"|(?P<pick>(?:commit \()?cherry-pick)|(?P<am>am\b)|(?P<rebase>rebase|pull)"
    rb"|(?P<commit>commit)"
)
_NOTHING_MADE = re.compile(
    rb"[^:]*(?:\((?:start|finish|abort)\)|: (?:Fast-forward|checkout|returning to|updating HEAD))"
)


@value
class Rewrite:
    """Old commits, oldest first, that a new one is said to be made of, and how that is known."""

    olds: tuple[str, ...]
    new: str
    method: str


@value
class Made:
    """A commit that a HEAD came to by being made here; `before` is where it stood."""

    oid: str
    before: str
    kind: str


def from_hooks(drops: Iterable[Dropped]) -> list[Rewrite]:
    """Read the pairs that post-rewrite was given; several old ones of one new stand together."""
    found: list[Rewrite] = []
    for item in drops:
        drop = item.drop
        if drop.channel != "git" or drop.event != "post-rewrite":
            continue
        words = dict(
            line.split(b" ", 1)
            for line in drop.payload.split(b"\n\n", 1)[0].split(b"\n")
            if b" " in line
        )
        method = "amend" if words.get(b"argument", b"").strip() == b"amend" else "rebase"
        found += grouped(pairs_in(drop.payload), method)
    return found


def pairs_in(text: bytes) -> list[tuple[str, str]]:
    """Give the (old, new) of each line that is two object ids."""
    found = []
    for line in text.split(b"\n"):
        match = _PAIR.fullmatch(line)
        if match is not None and match[1] != match[2] and match[2].strip(b"0"):
            found.append((match[1].decode(), match[2].decode()))
    return found


def grouped(pairs: Iterable[tuple[str, str]], method: str) -> list[Rewrite]:
    """Put the old commits of each new one together, in the order in which they stand."""
    olds: dict[str, dict[str, None]] = {}
    for old, new in pairs:
        olds.setdefault(new, {})[old] = None
    return [Rewrite(tuple(several), new, method) for new, several in olds.items()]


def made_since(git: Git, sizes: Mapping[str, int]) -> list[Made]:
    """Read the tails of all HEAD reflogs: the commits that were made here, in order."""
    found: list[Made] = []
    for path in reflog_files(git):
        for line in _tail(path, sizes.get(str(path), 0))[-MAX_REFLOG:]:
            head, tab, message = line.partition(b"\t")
            words = head.split(b" ", 2)
            kind = _KINDS.match(message)
            if not tab or len(words) != 3 or kind is None or _NOTHING_MADE.match(message):
                continue
            if words[1].strip(b"0") and words[1] != words[0]:
                before, oid = (word.decode("ascii", "replace") for word in words[:2])
                found.append(Made(oid, before, kind.lastgroup or "commit"))
    return found


def _tail(path: Path, offset: int) -> list[bytes]:
    try:
        with path.open("rb") as stream:
            if offset <= os.fstat(stream.fileno()).st_size:
                stream.seek(offset)
            return stream.read().splitlines()
    except OSError:
        return []


def amended(made: Iterable[Made]) -> list[Rewrite]:
    """Give the amends that a reflog tells of, also where no hook ran."""
    return [
        Rewrite((one.before,), one.oid, "amend")
        for one in made
        if one.kind == "amend" and one.before.strip("0")
    ]


def said_in(message: str) -> tuple[tuple[str, ...], str] | None:
    """Give the old commits that git's own words in a message name, oldest first, and the method."""
    if _REVERTED.search(message):
        return None
    if "Squashed commit of the following:" in message:
        # Git writes the newest first.
        found = tuple(dict.fromkeys(_SQUASHED.findall(message)[::-1]))
        return (found, "squash") if found else None
    picked = _PICKED.findall(message)
    return ((picked[-1],), "cherry-pick") if picked else None


def reverts(message: str) -> bool:
    """Say whether a commit says that it reverts another: what it adds was there before."""
    return bool(_REVERTED.search(message))


def commit_map(git: Git) -> list[Rewrite]:
    """Read the map that git-filter-repo leaves; none where it never ran."""
    try:
        text = read_bounded(git.common_dir / "filter-repo" / "commit-map", _MAX_MAP_BYTES)
    except OSError:
        return []
    return grouped(pairs_in(text), "filter")


def refs(git: Git) -> dict[str, str]:
    """Give all refs with the ids that they hold (one process)."""
    out = git.text("for-each-ref", "--format=%(refname) %(objectname)", check=False)
    rows = (line.rpartition(" ") for line in out.splitlines())
    return {name: oid for name, _, oid in rows if name}


def replaced(held: Mapping[str, str]) -> list[Rewrite]:
    """Give what `git replace` puts in the place of commits, from all refs."""
    above = "refs/replace/"
    return [
        Rewrite((name.removeprefix(above),), oid, "replace")
        for name, oid in held.items()
        if name.startswith(above)
    ]


def originals(held: Mapping[str, str]) -> list[tuple[str, str]]:
    """Give (tip before, tip now) of the branches that git-filter-branch rewrote, from all refs."""
    found = []
    for name, old in held.items():
        now = held.get(name.removeprefix("refs/original/"))
        if name.startswith("refs/original/") and now is not None and now != old:
            found.append((old, now))
    return found


def message_alike(one: str, other: str) -> bool:
    """Say whether two messages begin with the same line."""
    return one.strip().split("\n", 1)[0].strip() == other.strip().split("\n", 1)[0].strip()


def in_order(rewrites: Sequence[Rewrite]) -> list[Rewrite]:
    """Put each rewrite behind those that made its old commits; a circle is broken somewhere."""
    makers: dict[str, list[Rewrite]] = {}
    for one in rewrites:
        makers.setdefault(one.new, []).append(one)
    placed: dict[int, Rewrite] = {}
    begun: set[int] = set()
    for start in rewrites:
        waiting = [start]
        while waiting:
            one = waiting[-1]
            if id(one) in placed:
                waiting.pop()
                continue
            first = [
                maker
                for old in one.olds
                for maker in makers.get(old, ())
                if id(maker) not in placed and id(maker) not in begun
            ]
            begun.add(id(one))
            if first:
                waiting += first
            else:
                waiting.pop()
                placed[id(one)] = one
    return list(placed.values())


__all__ = [
    "Made",
    "Rewrite",
    "amended",
    "commit_map",
    "from_hooks",
    "grouped",
    "in_order",
    "made_since",
    "message_alike",
    "originals",
    "pairs_in",
    "refs",
    "replaced",
    "reverts",
    "said_in",
]
