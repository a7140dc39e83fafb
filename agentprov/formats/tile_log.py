"""The layout of a tiled log (C2SP tlog-tiles): which hashes lie in which file, and entries.

A tile holds 256 hashes of one row of every eighth level of the tree; the last one of a row is
partial, and its name says how wide it is. Values in, values out: files are `agentprov.store`'s.
docs/spec/log.md says what an entry of ours is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentprov.errors import MalformedInput
from agentprov.formats import merkle
from agentprov.formats.merkle import HASH_BYTES

WIDTH = 256
ENTRIES = -1
"""The level that stands for the entries themselves."""

ENTRY_BYTES = 64
MAX_SIZE = 1 << 40
_LEVELS_PER_TILE = 8

ReadTile = Callable[[int, int, int], bytes]


def entry(payload_sha256: str, signature_sha256: str) -> bytes:
    """Give the entry of a signed statement: both digests as raw bytes, payload's first.

    What may be added to a bundle later (a timestamp, a log entry) does not change it.
    """
    return bytes.fromhex(payload_sha256) + bytes.fromhex(signature_sha256)


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Give a tile's path below the log, for example ``tile/0/x001/234.p/5``."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    kind = "entries" if level == ENTRIES else str(level)
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{kind}/{'/'.join(groups)}{partial}"


def width_of(level: int, index: int, size: int) -> int:
    """Say how many hashes (or entries) of a tile belong to a tree of `size` leaves; at most 256."""
    row = size if level == ENTRIES else size >> (_LEVELS_PER_TILE * level)
    return max(0, min(WIDTH, row - index * WIDTH))


def levels(size: int) -> range:
    """Give the levels of tiles that a tree of `size` leaves has."""
    found = 0
    while size >> (_LEVELS_PER_TILE * found):
        found += 1
    return range(found)


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Write entries as their tile holds them: each with its length in two bytes before it."""
    return b"".join(len(item).to_bytes(2, "big") + item for item in entries)


def decode_entries(data: bytes) -> list[bytes]:
    """Read a tile of entries; raises MalformedInput when it ends in the middle of one."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        item = data[at + 2 : at + 2 + length]
        if at + 2 > len(data) or len(item) != length:
            raise MalformedInput("log: a tile of entries ends too early")
        found.append(item)
        at += 2 + length
    return found


class Tiles:
    """The hashes of a tree of `size` leaves, read tile by tile, each once.

    `read(level, index, width)` gives a tile's first `width` hashes as bytes. Does not check
    that the hashes fit each other: compare `root` with a signed one.
    """

    def __init__(self, size: int, read: ReadTile) -> None:
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], list[bytes]] = {}
        self._nodes: dict[tuple[int, int], bytes] = {}

    def tile(self, level: int, index: int) -> list[bytes]:
        """Give a tile's hashes; raises MalformedInput when there are fewer than there must be."""
        known = self._tiles.get((level, index))
        if known is None:
            width = width_of(level, index, self.size)
            data = self._read(level, index, width)[: width * HASH_BYTES]
            if len(data) != width * HASH_BYTES:
                raise MalformedInput(f"log: {tile_path(level, index, width)} is too short")
            known = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
            self._tiles[level, index] = known
        return known

    def subtree(self, level: int, index: int) -> bytes:
        """Give the hash of a complete subtree of ``2**level`` leaves."""
        height = level % _LEVELS_PER_TILE
        if height == 0:
            tile, offset = divmod(index, WIDTH)
            return self.tile(level // _LEVELS_PER_TILE, tile)[offset]
        known = self._nodes.get((level, index))
        if known is None:
            left = self.subtree(level - 1, 2 * index)
            known = merkle.node_hash(left, self.subtree(level - 1, 2 * index + 1))
            self._nodes[level, index] = known
        return known

    def root(self, size: int | None = None) -> bytes:
        """Give the root of the whole tree, or of the tree that its first `size` leaves made."""
        return merkle.root(self.size if size is None else size, self.subtree)


def grown(tiles: Tiles, leaves: Sequence[bytes]) -> tuple[Tiles, dict[tuple[int, int], bytes]]:
    """Add leaves (hashes) to a tree; gives the new tree and the tiles that changed, as bytes.

    Reads of the old tree its last tiles only.
    """
    size = tiles.size + len(leaves)
    changed: dict[tuple[int, int], list[bytes]] = {}
    added = list(leaves)
    for level in levels(size):
        before = tiles.size >> (_LEVELS_PER_TILE * level)
        first = before // WIDTH
        row = list(tiles.tile(level, first)) if before % WIDTH else []
        row += added
        for at in range(0, len(row), WIDTH):
            changed[level, first + at // WIDTH] = row[at : at + WIDTH]
        full = len(row) // WIDTH
        added = [merkle.complete_root(row[at * WIDTH : (at + 1) * WIDTH]) for at in range(full)]
    plain = {place: b"".join(hashes) for place, hashes in changed.items()}

    def read(level: int, index: int, _width: int) -> bytes:
        fresh = plain.get((level, index))
        return b"".join(tiles.tile(level, index)) if fresh is None else fresh

    return Tiles(size, read), plain
