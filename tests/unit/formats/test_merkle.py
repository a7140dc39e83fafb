"""RFC 6962: the reference vectors of Certificate Transparency, and proofs of every shape."""

from __future__ import annotations

import functools

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats import merkle

# Leaves and roots as the reference implementations of RFC 6962 publish them.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
MOST = 70
HASHES = [merkle.leaf_hash(bytes([number])) for number in range(MOST)]


def reference(level: int, index: int) -> bytes:
    return merkle.complete_root(
        [merkle.leaf_hash(item) for item in LEAVES[index << level : (index + 1) << level]]
    )


@functools.cache
def subtree(level: int, index: int) -> bytes:
    if level == 0:
        return HASHES[index]
    return merkle.node_hash(subtree(level - 1, 2 * index), subtree(level - 1, 2 * index + 1))


def plain_root(hashes: list[bytes]) -> bytes:
    """The definition of RFC 6962 section 2.1, as it stands there."""
    if not hashes:
        return merkle.EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return merkle.node_hash(plain_root(hashes[:split]), plain_root(hashes[split:]))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert merkle.root(size, reference).hex() == ROOTS[size]


@pytest.mark.parametrize("place", INCLUSION)
def test_inclusion_proofs_are_the_published_ones(place: tuple[int, int]) -> None:
    found = merkle.inclusion_proof(*place, reference)
    assert [item.hex() for item in found] == INCLUSION[place]


@pytest.mark.parametrize("sizes", CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(sizes: tuple[int, int]) -> None:
    found = merkle.consistency_proof(*sizes, reference)
    assert [item.hex() for item in found] == CONSISTENCY[sizes]


def test_every_leaf_of_every_tree_is_proven_and_no_other_is() -> None:
    for size in range(1, MOST):
        root = plain_root(HASHES[:size])
        assert merkle.root(size, subtree) == root
        for index in range(size):
            path = merkle.inclusion_proof(index, size, subtree)
            assert merkle.root_by_inclusion(index, size, HASHES[index], path) == root
            other = HASHES[(index + 1) % MOST]
            assert merkle.root_by_inclusion(index, size, other, path) != root


def test_every_tree_is_shown_to_begin_with_every_smaller_one() -> None:
    roots = [plain_root(HASHES[:size]) for size in range(MOST)]
    for new in range(1, MOST):
        for old in range(1, new + 1):
            path = merkle.consistency_proof(old, new, subtree)
            assert merkle.is_consistent(old, roots[old], new, roots[new], path)
            for at in range(len(path)):
                bent = [*path[:at], bytes(32), *path[at + 1 :]]
                assert not merkle.is_consistent(old, roots[old], new, roots[new], bent)
            assert not merkle.is_consistent(old, bytes(32), new, roots[new], path)
            assert not merkle.is_consistent(old, roots[old], new, bytes(32), path)
            assert not merkle.is_consistent(old, roots[old], new, roots[new], [*path, bytes(32)])
            if path:
                assert not merkle.is_consistent(old, roots[old], new, roots[new], path[:-1])


def test_an_empty_log_is_the_beginning_of_every_log() -> None:
    assert merkle.is_consistent(0, merkle.EMPTY_ROOT, 3, subtree(0, 0), [])
    assert not merkle.is_consistent(0, bytes(32), 3, subtree(0, 0), [])
    assert not merkle.is_consistent(4, bytes(32), 3, bytes(32), [])


def test_a_proof_of_another_length_is_malformed() -> None:
    path = merkle.inclusion_proof(2, 7, subtree)
    for wrong in (path[:-1], [*path, bytes(32)]):
        with pytest.raises(MalformedInput):
            merkle.root_by_inclusion(2, 7, HASHES[2], wrong)
    with pytest.raises(MalformedInput):
        merkle.root_by_inclusion(7, 7, HASHES[2], path)
    with pytest.raises(ValueError):
        merkle.inclusion_proof(7, 7, subtree)
    with pytest.raises(ValueError):
        merkle.consistency_proof(0, 7, subtree)
