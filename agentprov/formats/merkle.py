"""Merkle trees as RFC 6962 hashes them: roots, and proofs that a stranger can check.

A tree is known by its size and a function ``subtree(level, index)``, which gives the hash of the
complete subtree of ``2**level`` leaves that is the ``index``-th of its kind. Everything here is
arithmetic over such hashes; where they are kept is `agentprov.formats.tile_log`'s affair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from agentprov.errors import MalformedInput

Subtree = Callable[[int, int], bytes]

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_BYTES = 32


def leaf_hash(data: bytes) -> bytes:
    """Hash one entry; 32 bytes. The prefix keeps leaves and inner nodes apart."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into the one above them; 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """Give the root above a row of hashes whose number is a power of two."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def root(size: int, subtree: Subtree) -> bytes:
    """Give the root of a tree of `size` leaves."""
    return _range(0, size, subtree) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Give the hashes that lead from the leaf at `index` to the root of `size` leaves.

    Raises ValueError for a leaf that is not in the tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range(middle, end, subtree))
            end = middle
        else:
            path.append(_range(start, middle, subtree))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Give the hashes that show a tree of `new` leaves to begin with the tree of `old` leaves.

    Raises ValueError unless ``0 < old <= new``.
    """
    if not 0 < old <= new:
        raise ValueError(f"nothing to prove between {old} and {new}")
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range(middle, end, subtree))
            end = middle
        else:
            path.append(_range(start, middle, subtree))
            start, whole = middle, False
    if not whole:
        path.append(_range(start, end, subtree))
    return path[::-1]


def root_by_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Give the root that an inclusion proof leads to from a leaf's hash.

    The caller compares it with a root it trusts. Raises MalformedInput for a proof of the
    wrong length, or a leaf outside the tree.
    """
    if not 0 <= index < size:
        raise MalformedInput(f"inclusion proof: no leaf {index} in a tree of {size}")
    here, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise MalformedInput("inclusion proof: longer than the tree is high")
        if here % 2 or here == last:
            found = node_hash(sibling, found)
            while here % 2 == 0 and here:
                here, last = here // 2, last // 2
        else:
            found = node_hash(found, sibling)
        here, last = here // 2, last // 2
    if last:
        raise MalformedInput("inclusion proof: shorter than the tree is high")
    return found


def is_consistent(
    old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Say whether a consistency proof shows the new tree to begin with the old one.

    An empty old tree is the beginning of every tree, and needs no proof.
    """
    if old == 0:
        return old_root == EMPTY_ROOT and not path
    if not 0 < old <= new:
        return False
    if old == new:
        return old_root == new_root and not path
    hashes = list(path) if old & (old - 1) else [old_root, *path]
    if not hashes:
        return False
    here, last = old - 1, new - 1
    while here % 2:
        here, last = here // 2, last // 2
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if here % 2 or here == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while here % 2 == 0 and here:
                here, last = here // 2, last // 2
        else:
            second = node_hash(second, sibling)
        here, last = here // 2, last // 2
    return last == 0 and first == old_root and second == new_root


def _range(start: int, end: int, subtree: Subtree) -> bytes:
    """Hash the leaves from `start` to before `end`, as the tree's own shape has them."""
    count = end - start
    if count & (count - 1) == 0 and start % count == 0:
        return subtree(count.bit_length() - 1, start // count)
    middle = start + _split(count)
    return node_hash(_range(start, middle, subtree), _range(middle, end, subtree))


def _split(count: int) -> int:
    """Give the largest power of two that is smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1
