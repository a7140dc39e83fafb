"""Finds the lines of a model's text among the new lines of a file.

A run of lines counts if it holds something distinctive or is the whole file; where it could
stand in several places and the text accounts for fewer, none of them is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agentprov.formats.facts import Edit
from agentprov.formats.lineage import is_distinctive

_MAX_PLACES = 64


@dataclass
class Text:
    """The lines of one write that are still to be found; `used` are those that were."""

    edit: Edit
    keys: Sequence[bytes]
    at: datetime | None = None
    used: set[int] = field(default_factory=set)
    echoed: frozenset[bytes] = frozenset()

    @property
    def spent(self) -> bool:
        """Say whether every line was found."""
        return len(self.used) >= len(self.keys)


class Places:
    """The new lines of one version of a file that nobody has claimed yet.

    `careful` says that several hands may have made them: then brackets prove nothing but in a
    text that is there as a whole, nor does a line of which more copies are new than texts hold.
    """

    def __init__(
        self, keys: Sequence[bytes], fresh: Sequence[int], *, careful: bool = False
    ) -> None:
        self.keys = keys
        self.careful = careful
        self.free = set(fresh)
        self.ambiguous: set[int] = set()
        self._by_key: dict[bytes, list[int]] = {}
        for index in fresh:
            self._by_key.setdefault(keys[index], []).append(index)

    def has(self, key: bytes) -> bool:
        """Say whether a new line has this key."""
        return key in self._by_key

    def coverage(self, text: Text) -> int:
        """Count the distinctive lines of a text that are new here."""
        return sum(1 for key in text.keys if key in self._by_key and is_distinctive(key))

    def claim(self, text: Text, peers: Sequence[Text], least: int = 1) -> Iterator[int]:
        """Claim runs of a text, of at least `least` lines; give their indexes in the file.

        `peers` are all texts that may account for the same lines, this one among them.
        """
        index = 0
        while index < len(text.keys):
            starts, length = self._longest(text, index)
            if not length:
                index += 1
                continue
            run = text.keys[index : index + length]
            if length >= least and self._counts(run):
                if len(starts) > 1 and not _accounted(run, len(starts), text, peers):
                    for start in starts:
                        self.ambiguous.update(range(start, start + length))
                else:
                    for step in self._sure(text, index, length):
                        if self._too_many(run[step], peers):
                            self.ambiguous.update(self._by_key[run[step]])
                            continue
                        text.used.add(index + step)
                        self.free.discard(starts[0] + step)
                        yield starts[0] + step
            index += length

    def _counts(self, run: Sequence[bytes]) -> bool:
        whole = len(run) == len(self.keys) and any(run)
        return whole or any(is_distinctive(line) for line in run)

    def _sure(self, text: Text, index: int, length: int) -> list[int]:
        """Give which lines of a run may be claimed."""
        if not self.careful or length == len(text.keys):
            return list(range(length))
        return [step for step in range(length) if is_distinctive(text.keys[index + step])]

    def _too_many(self, key: bytes, peers: Sequence[Text]) -> bool:
        if not self.careful:
            return False
        copies = len(self._by_key[key])
        return copies > 1 and copies > sum(list(peer.keys).count(key) for peer in peers)

    def _longest(self, text: Text, index: int) -> tuple[list[int], int]:
        """Give where the longest run from `index` may stand, and its length."""
        best: list[int] = []
        longest = 0
        if index in text.used:
            return best, longest
        for start in self._by_key.get(text.keys[index], ())[:_MAX_PLACES]:
            length = 0
            while (
                index + length < len(text.keys)
                and index + length not in text.used
                and start + length in self.free
                and self.keys[start + length] == text.keys[index + length]
            ):
                length += 1
            if length > longest:
                best, longest = [start], length
            elif length and length == longest:
                best.append(start)
        return best, longest


def _accounted(run: Sequence[bytes], ties: int, text: Text, peers: Sequence[Text]) -> bool:
    if text.edit.every:
        return True
    copies = 0
    wanted = list(run)
    for peer in peers:
        for index, key in enumerate(peer.keys):
            if (
                key == wanted[0]
                and index not in peer.used
                and list(peer.keys[index : index + len(wanted)]) == wanted
            ):
                copies += 1
                if copies >= ties:
                    return True
    return False
