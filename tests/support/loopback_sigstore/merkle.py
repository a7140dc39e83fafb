"""An append-only list with RFC 6962 hashes: root, inclusion proof, and C2SP tiles."""

from __future__ import annotations

import hashlib

TILE = 256


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


class MerkleTree:
    """Leaves in order of arrival. Recomputes everything, which is fast enough for tests."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self._leaves: list[bytes] = []

    def append(self, entry: bytes) -> int:
        """Add an entry and give its index."""
        self.entries.append(entry)
        self._leaves.append(hashlib.sha256(b"\0" + entry).digest())
        return len(self._leaves) - 1

    @property
    def size(self) -> int:
        return len(self._leaves)

    @property
    def root(self) -> bytes:
        return self._root(0, self.size)

    def _root(self, start: int, size: int) -> bytes:
        if size == 0:
            return hashlib.sha256(b"").digest()
        if size == 1:
            return self._leaves[start]
        left = _split(size)
        pair = self._root(start, left) + self._root(start + left, size - left)
        return hashlib.sha256(b"\1" + pair).digest()

    def proof(self, index: int) -> list[bytes]:
        """Give the hashes beside the way from an entry to the root, from the bottom up."""
        return self._proof(index, 0, self.size)

    def _proof(self, index: int, start: int, size: int) -> list[bytes]:
        if size <= 1:
            return []
        left = _split(size)
        if index < left:
            return [*self._proof(index, start, left), self._root(start + left, size - left)]
        rest = self._proof(index - left, start + left, size - left)
        return [*rest, self._root(start, left)]

    def tile(self, level: int, number: int, width: int) -> bytes | None:
        """Give a tile of hashes, or None where the tree has not so many."""
        span = TILE**level
        first = number * TILE
        if (first + width) * span > self.size:
            return None
        return b"".join(self._root((first + i) * span, span) for i in range(width))

    def bundle(self, number: int, width: int) -> bytes | None:
        """Give a bundle of entries, each behind its two-byte length."""
        first = number * TILE
        if first + width > self.size:
            return None
        part = self.entries[first : first + width]
        return b"".join(len(entry).to_bytes(2, "big") + entry for entry in part)
