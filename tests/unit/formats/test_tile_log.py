"""Tiles: the paths that C2SP prescribes, entries, and a tree that grows in any steps."""

from __future__ import annotations

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats import merkle, tile_log
from agentprov.formats.tile_log import ENTRIES, Tiles


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 1_234_067, 256, "tile/0/x001/x234/067"),
        (1, 5, 112, "tile/1/005.p/112"),
        (ENTRIES, 1_000, 1, "tile/entries/x001/000.p/1"),
        (63, 999, 256, "tile/63/999"),
    ],
)
def test_paths_are_those_of_the_layout(level: int, index: int, width: int, path: str) -> None:
    assert tile_log.tile_path(level, index, width) == path


def test_widths_say_what_belongs_to_a_size() -> None:
    assert [tile_log.width_of(0, index, 600) for index in range(4)] == [256, 256, 88, 0]
    assert tile_log.width_of(1, 0, 600) == 2
    assert tile_log.width_of(ENTRIES, 2, 600) == 88
    assert list(tile_log.levels(255)) == [0]
    assert list(tile_log.levels(256)) == [0, 1]
    assert list(tile_log.levels(0)) == []


def test_entries_come_back_and_half_an_entry_is_refused() -> None:
    entries = [b"", b"a", bytes(300)]
    data = tile_log.encode_entries(entries)
    assert tile_log.decode_entries(data) == entries
    for end in (len(data) - 1, 1, 3):
        with pytest.raises(MalformedInput):
            tile_log.decode_entries(data[:end])


def test_an_entry_is_both_digests_and_nothing_else() -> None:
    assert tile_log.entry("ab" * 32, "01" * 32) == b"\xab" * 32 + b"\x01" * 32


@pytest.mark.parametrize("steps", [[1] * 40, [255, 1, 1], [300, 300, 300], [65_536, 1], [700]])
def test_a_tree_that_grows_in_steps_is_the_same_tree(steps: list[int]) -> None:
    hashes = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(sum(steps))]
    files: dict[tuple[int, int], bytes] = {}
    tiles = Tiles(0, lambda *_: b"")
    at = 0
    for step in steps:
        tiles, changed = tile_log.grown(tiles, hashes[at : at + step])
        files.update(changed)
        at += step
        stored = Tiles(at, lambda level, index, width: files[level, index])
        whole = Tiles(0, lambda *_: b"")
        whole, _ = tile_log.grown(whole, hashes[:at])
        assert tiles.root() == stored.root() == whole.root()
        earlier = max(1, at - step)
        proof = merkle.consistency_proof(earlier, at, stored.subtree)
        assert merkle.is_consistent(earlier, stored.root(earlier), at, stored.root(), proof)


def test_a_tile_that_is_too_short_is_refused() -> None:
    with pytest.raises(MalformedInput, match="too short"):
        Tiles(3, lambda *_: bytes(64)).root()
