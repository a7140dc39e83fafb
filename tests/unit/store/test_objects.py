from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from agentprov.errors import MalformedInput
from agentprov.store.objects import (
    FILE_MODE,
    TREE_MODE,
    Entry,
    NewObjects,
    format_commit,
    format_tree,
    parse_tree,
)
from support.repository import Repository


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_git_unpacks_our_pack_and_agrees_on_every_id(
    tmp_path: Path, object_format: Literal["sha1", "sha256"]
) -> None:
    repository = Repository(tmp_path / "r", object_format=object_format)
    new = NewObjects(object_format)
    blobs = [new.add("blob", b"x" * size) for size in (0, 1, 15, 16, 2047, 2048, 300_000)]
    entries = {
        b"a": Entry(TREE_MODE, new.add("tree", format_tree({b"x": Entry(FILE_MODE, blobs[1])}))),
        b"a.b": Entry(FILE_MODE, blobs[2]),
        b"a0": Entry(FILE_MODE, blobs[3]),
    }
    tree = new.add("tree", format_tree(entries))
    commit = new.add("commit", format_commit(tree, [], "a <b@c>", 1_700_000_000, "say it"))
    repository.git("unpack-objects", "-q", input=new.pack())
    for oid in blobs:
        assert repository.git("cat-file", "-t", oid) == "blob"
    repository.git("update-ref", "refs/heads/x", commit)
    repository.git("fsck", "--strict", "--no-dangling")
    assert repository.git("log", "-1", "--format=%s %an %ct", commit) == "say it a 1700000000"


def test_a_tree_reads_back_as_it_was_written() -> None:
    entries = {
        b"b": Entry(FILE_MODE, "1" * 40),
        b"\xff name": Entry(b"120000", "2" * 40),
        b"a": Entry(TREE_MODE, "3" * 40),
    }
    assert parse_tree(format_tree(entries), "sha1") == entries


@pytest.mark.parametrize("cut", [1, 5, 10, 26])
def test_a_tree_that_is_cut_off_is_malformed(cut: int) -> None:
    content = format_tree({b"a": Entry(FILE_MODE, "1" * 40)})
    with pytest.raises(MalformedInput):
        parse_tree(content[:cut], "sha1")
