"""Which line of one version of a file is which line of the next, also when it was moved.

Lines carry an identity from the version in which they first stood. A line that vanishes and
comes back (a block cut in one save and pasted in another, a file read while half written)
keeps its identity if it says enough to be recognised, and so do its neighbours.

Pure, and versioned: verifiers make again what it said of rewritten commits (docs/spec/rewrites.md),
so any change of the outcome for any input is a new VERSION.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

VERSION = 1
DISTINCTIVE_CHARACTERS = 8
_SMALL = 300
# Honest files need a few; each costs as much as reading both files once.
_MAX_DEPTH = 32
_MAX_PLACES = 32
_BLOCK = 3
_TELLING_CHARACTERS = 20


def is_distinctive(key: bytes) -> bool:
    """Say whether a line is more than a bracket or a keyword, so that finding it means much."""
    return len(key.strip()) >= DISTINCTIVE_CHARACTERS


def carried(old: Sequence[bytes], new: Sequence[bytes]) -> list[int]:
    """Map each line of `new` to the line of `old` that it is (index from 0), or -1.

    Anchors are common ends and lines that stand once on both sides; between anchors small
    stretches are compared in full, large ones without any anchor count as replaced, and so do
    those that lie between anchors which were found between anchors, 32 levels deep.
    """
    found = [-1] * len(new)
    todo = [(0, len(old), 0, len(new), 0)]
    while todo:
        a, a_end, b, b_end, depth = todo.pop()
        while a < a_end and b < b_end and old[a] == new[b]:
            found[b] = a
            a, b = a + 1, b + 1
        while a < a_end and b < b_end and old[a_end - 1] == new[b_end - 1]:
            a_end, b_end = a_end - 1, b_end - 1
            found[b_end] = a_end
        if a == a_end or b == b_end:
            continue
        if (a_end - a) * (b_end - b) <= _SMALL:
            _compare(old, new, (a, a_end, b, b_end), found)
            continue
        anchors = _anchors(old, new, a, a_end, b, b_end) if depth < _MAX_DEPTH else []
        if not anchors:
            if max(a_end - a, b_end - b) <= _SMALL:
                _compare(old, new, (a, a_end, b, b_end), found)
            continue
        for left, right in anchors:
            todo.append((a, left, b, right, depth + 1))
            found[right] = left
            a, b = left + 1, right + 1
        todo.append((a, a_end, b, b_end, depth + 1))
    return found


def _compare(
    old: Sequence[bytes], new: Sequence[bytes], span: tuple[int, int, int, int], found: list[int]
) -> None:
    a, a_end, b, b_end = span
    matcher = SequenceMatcher(None, old[a:a_end], new[b:b_end], autojunk=False)
    for left, right, size in matcher.get_matching_blocks():
        for step in range(size):
            found[b + right + step] = a + left + step


def _anchors(
    old: Sequence[bytes], new: Sequence[bytes], a: int, a_end: int, b: int, b_end: int
) -> list[tuple[int, int]]:
    """Give lines that stand once on each side, as the longest list that rises on both."""
    old_counts = Counter(old[a:a_end])
    new_counts = Counter(new[b:b_end])
    places = {old[i]: i for i in range(a, a_end) if old_counts[old[i]] == 1}
    pairs = [
        (places[new[j]], j) for j in range(b, b_end) if new_counts[new[j]] == 1 and new[j] in places
    ]
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, (left, _) in enumerate(pairs):
        place = bisect.bisect_left(tops, left)
        before.append(ends[place - 1] if place else -1)
        if place == len(tops):
            tops.append(left)
            ends.append(index)
        else:
            tops[place] = left
            ends[place] = index
    chain: list[tuple[int, int]] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chain.append(pairs[index])
        index = before[index]
    return chain[::-1]


class Lineage:
    """The lines of one file through its versions; feed it with `step`.

    `ids` are the identities of the lines of the latest version; those below `first` are of the
    version that it began with. `ties` has, by identity, those of equal lines of which nobody can
    say which is which: of two neighbours that are the same, which was there before, or which
    was deleted.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.keys = list(keys)
        self.ids = list(range(len(keys)))
        self.first = len(keys)
        self._next = len(keys)
        self.ties: dict[int, set[int]] = {}
        self._gone: dict[bytes, list[tuple[list[tuple[bytes, int]], int]]] = {}

    def step(self, keys: Sequence[bytes]) -> list[int]:
        """Go on to the next version; give the indexes of its new lines."""
        mapping = carried(self.keys, keys)
        kept = set(mapping)
        self._tie(self.keys, self.ids, [n for n in range(len(self.keys)) if n not in kept])
        self._retire(mapping)
        ids = [self.ids[old] if old >= 0 else -1 for old in mapping]
        self._return(keys, ids)
        new = [index for index, identity in enumerate(ids) if identity < 0]
        for index in new:
            ids[index] = self._next
            self._next += 1
        self._tie(keys, ids, new)
        self.keys, self.ids = list(keys), ids
        return new

    def _tie(self, keys: Sequence[bytes], ids: Sequence[int], changed: Sequence[int]) -> None:
        """Tie the lines that change places when a stretch of changed lines is shifted.

        With ``a b a`` for ``a``, either ``a b`` came before it or ``b a`` after it.
        """
        for first, last in _spans(changed):
            size = last - first
            for way, start in ((-1, first - 1), (1, first)):
                at = start
                while at >= 0 and at + size < len(keys) and keys[at] == keys[at + size]:
                    self.ties.setdefault(ids[at], set()).add(ids[at + size])
                    self.ties.setdefault(ids[at + size], set()).add(ids[at])
                    at += way

    def _retire(self, mapping: Sequence[int]) -> None:
        kept = set(mapping)
        block: list[tuple[bytes, int]] = []
        for index in range(len(self.keys) + 1):
            if index < len(self.keys) and index not in kept:
                block.append((self.keys[index], self.ids[index]))
            elif block:
                for place, (key, _) in enumerate(block):
                    if is_distinctive(key):
                        self._gone.setdefault(key, []).append((block, place))
                block = []

    def _return(self, keys: Sequence[bytes], ids: list[int]) -> None:
        if not self._gone:
            return
        present = {identity for identity in ids if identity >= 0}
        for index in range(len(keys)):
            if ids[index] >= 0:
                continue
            for block, place in self._gone.get(keys[index], [])[: -_MAX_PLACES - 1 : -1]:
                if block[place][1] in present:
                    continue
                span = _span(keys, ids, index, block, place, present)
                if len(span) < _BLOCK and not any(_is_telling(keys[at]) for at, _ in span):
                    continue
                for at, source in span:
                    ids[at] = block[source][1]
                    present.add(ids[at])
                break


def _spans(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Give the runs of consecutive numbers, each as its first and the one after its last."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found


def _is_telling(key: bytes) -> bool:
    return len(key.strip()) >= _TELLING_CHARACTERS


def _span(
    keys: Sequence[bytes],
    ids: Sequence[int],
    index: int,
    block: Sequence[tuple[bytes, int]],
    place: int,
    present: set[int],
) -> list[tuple[int, int]]:
    """Stretch one recognised line to those of its neighbours that came back with it."""

    def fits(at: int, source: int) -> bool:
        return (
            0 <= at < len(keys)
            and 0 <= source < len(block)
            and ids[at] < 0
            and keys[at] == block[source][0]
            and block[source][1] not in present
        )

    low = 0
    while fits(index + low - 1, place + low - 1):
        low -= 1
    high = 0
    while fits(index + high + 1, place + high + 1):
        high += 1
    return [(index + shift, place + shift) for shift in range(low, high + 1)]
