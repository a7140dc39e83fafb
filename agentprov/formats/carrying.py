"""Which lines of a rewritten commit are which lines of the commits that it was made of.

A pure function of git's bytes and of what statements claim of the old commits. The recorder uses
it to write a rewrite link, verifiers to make the link again; both name VERSION. Lines are compared
without trailing white space. docs/spec/rewrites.md is the page.

Decides nothing about which commits were made of which, and believes no statement: whoever calls
knows whether the old claims hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from agentprov.formats.vocabulary import BASES

VERSION = "agentprov-carry/1"
MAX_TEXT_BYTES = 32 * 1024 * 1024
_BINARY_BYTES = 8_000
_CAP = "reported"
_LOW = BASES[: BASES.index(_CAP) + 1]
_DIGEST_HEX = 32


class Claim(NamedTuple):
    """What one statement says of lines `start`..`end` (from 1, inclusive) of a file.

    `source` numbers the statement among those that the caller has.
    """

    start: int
    end: int
    origin: str
    basis: str
    model: str | None
    why: str | None
    source: int

    def says(self) -> tuple[str, str, str | None, str | None, int]:
        """Give all of it but the place."""
        return self[2:]


class StatedChange(NamedTuple):
    """What statements say of one path of an old commit; `old_path` only for a rename.

    `added` is the digest of the lines that it added, where the statement has it; `source` the
    number of the statement that speaks of the path as a whole.
    """

    op: str
    old_path: str | None
    claims: tuple[Claim, ...]
    added: str | None = None
    blob: str | None = None
    mode: str = ""
    source: int | None = None


class OldCommit(NamedTuple):
    """A commit that was rewritten: blob ids before and after by path label, and what is stated.

    `blobs` has every path that differs from the first parent, without rename detection; None
    where there is no file. A commit that nobody stated anything of has no `stated`.
    """

    oid: str
    blobs: Mapping[str, tuple[str | None, str | None]]
    stated: Mapping[str, StatedChange]


class Version(NamedTuple):
    """One old commit's version of a file: blob ids, and the claims about the lines of `after`."""

    before: str | None
    after: str | None
    claims: tuple[Claim, ...]
    added: str | None = None


def line_keys(content: bytes) -> list[bytes]:
    """Give one key per line of a text; what follows the last newline counts if not empty."""
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.rstrip() for line in lines]


def is_text(content: bytes) -> bool:
    """Say whether a blob's lines are followed: no NUL near its start, and not too large."""
    return len(content) <= MAX_TEXT_BYTES and b"\0" not in content[:_BINARY_BYTES]


def added_digest(content: bytes, added: Iterable[tuple[int, int]]) -> str:
    """Give the digest of a file's added lines, `added` as (start, end) from 1, in order.

    Two changes with the same digest add the same lines in the same order, wherever in the file.
    The first 128 bits of a SHA-256, as hex: it finds and compares, and authenticates nothing.
    """
    keys = line_keys(content)
    told = b"".join(keys[n - 1] + b"\n" for n in _numbers(added) if n <= len(keys))
    return sha256(told).hexdigest()[:_DIGEST_HEX]


def versions(path: str, olds: Sequence[OldCommit]) -> list[Version]:
    """Give what the old commits made of a file that ends up at `path`, in their order.

    Follows the renames that statements tell of, from the last commit back to the first.
    """
    found: list[Version] = []
    for old in reversed(olds):
        if path not in old.blobs:
            continue
        before, after = old.blobs[path]
        stated = old.stated.get(path)
        if stated is not None and stated.op == "rename" and stated.old_path is not None:
            path = stated.old_path
            before = old.blobs.get(path, (None, None))[0]
        if stated is not None:
            found.append(Version(before, after, stated.claims, stated.added))
        else:
            found.append(Version(before, after, ()))
    return found[::-1]


def carry(
    history: Sequence[Version],
    content_of: Callable[[str], bytes | None],
    new: bytes,
    added: Sequence[tuple[int, int]],
) -> list[Claim] | None:
    """Give the claims that hold of the `added` lines of `new`, joined and in order.

    None where a version's content is not at hand, or is no text: then nothing can be said. Of
    lines that could be one of several with different claims, nothing is claimed.
    """
    texts: list[tuple[list[bytes], list[bytes], tuple[Claim, ...]]] = []
    for version in history:
        before, after = (_text(oid, content_of) for oid in (version.before, version.after))
        if before is None or after is None:
            return None
        texts.append((before, after, version.claims))
    if not texts or not is_text(new):
        return None
    from agentprov.formats.lineage import Lineage

    lineage = Lineage(texts[0][0])
    told: dict[int, Claim] = {}
    for before, after, claims in texts:
        for keys in (before, after):
            if keys != lineage.keys:
                lineage.step(keys)
        for number, claim in _per_line(claims).items():
            if number <= len(lineage.ids):
                told[lineage.ids[number - 1]] = claim
    keys = line_keys(new)
    if keys != lineage.keys:
        lineage.step(keys)
    here = frozenset(lineage.ids)
    lines: dict[int, Claim] = {}
    for number in _numbers(added):
        if number > len(lineage.ids):
            break
        identity = lineage.ids[number - 1]
        found = told.get(identity)
        tied = lineage.ties.get(identity, set()) - here
        if found is not None and all(_same(told.get(one), found) for one in tied):
            lines[number] = found
    return _joined(lines)


def carry_by_order(claims: Sequence[Claim], added: Sequence[tuple[int, int]]) -> list[Claim] | None:
    """Give the claims for `added` where the same lines were added elsewhere, in the same order.

    The claims of a statement cover each added line of a text; the n-th of them is the n-th here.
    None where there are more or fewer. Only for changes whose `added_digest` is the same.
    """
    theirs = [claim for _, claim in sorted(_per_line(claims).items())]
    mine = list(_numbers(added))
    if len(theirs) != len(mine):
        return None
    return _joined(dict(zip(mine, theirs, strict=True)))


def within(claims: Sequence[Claim], added: Sequence[tuple[int, int]]) -> list[Claim]:
    """Give the claims of a file whose bytes are the same here, for the lines that were added."""
    lines = _per_line(claims)
    return _joined({number: lines[number] for number in _numbers(added) if number in lines})


def merged(
    claims: Iterable[Claim], who: Callable[[int], object] = lambda source: source
) -> list[Claim]:
    """Make one list of the claims of several statements about the same lines.

    `who` says whose a source's lines are: its session. What says where a line is from wins over
    `unknown`; of two that say the same the first stays; where two say different things, the line
    is left out.
    """

    def same(one: Claim, other: Claim) -> bool:
        return (one.origin, one.model) == (other.origin, other.model) and (
            one.source == other.source or who(one.source) == who(other.source)
        )

    lines: dict[int, Claim | None] = {}
    for claim in claims:
        for number in range(claim.start, claim.end + 1):
            known = lines.get(number, claim)
            if known is None or same(known, claim) or claim.origin == "unknown":
                lines[number] = known
            else:
                lines[number] = claim if known.origin == "unknown" else None
    return _joined({number: claim for number, claim in lines.items() if claim is not None})


def combined(
    several: Iterable[Mapping[str, StatedChange]], who: Callable[[int], object]
) -> dict[str, StatedChange]:
    """Make one of what several statements say of the same commit, in the order given."""
    found: dict[str, list[StatedChange]] = {}
    for stated in several:
        for path, change in stated.items():
            found.setdefault(path, []).append(change)
    return {
        path: changes[0]
        if len(changes) == 1
        else changes[0]._replace(
            claims=tuple(merged((one for change in changes for one in change.claims), who)),
            added=next((change.added for change in changes if change.added), None),
        )
        for path, changes in found.items()
    }


def follow(
    history: Sequence[Version],
    content_of: Callable[[str], bytes | None],
    new: bytes,
    added: Sequence[tuple[int, int]],
    blob: str,
) -> list[Claim]:
    """Give what `carry` gives, and where old versions are not at hand what needs none of them.

    `blob` is the id of `new`. Without the old versions, something can be said of a file that is
    the same as in one of them, and of the same lines added in the same order.
    """
    found = carry(history, content_of, new, added)
    if found is not None or not is_text(new):
        return found or []
    for version in reversed(history):
        if version.after == blob:
            return within(version.claims, added)
    digest = added_digest(new, added)
    for version in reversed(history):
        if version.added == digest:
            return carry_by_order(version.claims, added) or []
    return []


def is_exact(
    history: Sequence[Version], new: bytes, added: Sequence[tuple[int, int]], blob: str
) -> bool:
    """Say whether a file is what an old commit left, or has the same lines added as one did."""
    if history and history[-1].after == blob:
        return True
    digest = added_digest(new, added)
    return any(version.added == digest for version in history)


def capped(claims: Iterable[Claim]) -> list[Claim]:
    """Lower the basis of claims that were carried by a likeness of lines: at most `reported`."""
    return [claim if claim.basis in _LOW else claim._replace(basis=_CAP) for claim in claims]


def _text(oid: str | None, content_of: Callable[[str], bytes | None]) -> list[bytes] | None:
    if oid is None:
        return []
    content = content_of(oid)
    return line_keys(content) if content is not None and is_text(content) else None


def _per_line(claims: Iterable[Claim]) -> dict[int, Claim]:
    return {n: claim for claim in claims for n in range(claim.start, claim.end + 1)}


def _same(one: Claim | None, other: Claim) -> bool:
    return one is not None and one.says() == other.says()


def _numbers(spans: Iterable[tuple[int, int]]) -> Iterable[int]:
    return (number for start, end in spans for number in range(start, end + 1))


def joined(claims: Iterable[Claim]) -> list[Claim]:
    """Give claims in order of lines, neighbours that say the same as one; none may overlap."""
    found: list[Claim] = []
    for claim in sorted(claims, key=lambda one: one.start):
        last = found[-1] if found else None
        if last is not None and last.end + 1 == claim.start and last.says() == claim.says():
            found[-1] = last._replace(end=claim.end)
        else:
            found.append(claim)
    return found


def _joined(lines: Mapping[int, Claim]) -> list[Claim]:
    return joined(claim._replace(start=number, end=number) for number, claim in lines.items())


__all__ = [
    "VERSION",
    "Claim",
    "OldCommit",
    "StatedChange",
    "Version",
    "added_digest",
    "capped",
    "carry",
    "carry_by_order",
    "combined",
    "follow",
    "is_exact",
    "is_text",
    "joined",
    "line_keys",
    "merged",
    "versions",
    "within",
]
