from __future__ import annotations

import os
from pathlib import Path

from agentprov.formats.dropbox import Drop, encode
from agentprov.record.spool import Spool


def _drop(place: Path, event: str, payload: bytes = b"{}", at: int = 1) -> None:
    place.write_bytes(encode(Drop("git", event, payload)))
    os.utime(place, ns=(at, at))


def test_events_come_once_and_in_the_order_in_which_they_were_completed(tmp_path: Path) -> None:
    spool = Spool((tmp_path, tmp_path / "not-there"))
    _drop(tmp_path / "b.drop", "first", at=10)
    _drop(tmp_path / "a.drop", "second", at=20)
    assert [item.drop.event for item in spool.new()] == ["first", "second"]
    assert spool.new() == []
    _drop(tmp_path / "c.drop", "third", at=5)
    assert [item.drop.event for item in spool.new()] == ["third"]


def test_what_is_no_drop_is_named_once_and_loses_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "bad.drop").write_bytes(b"rubbish")
    os.mkfifo(tmp_path / "fifo.drop")
    os.symlink("/etc/passwd", tmp_path / "link.drop")
    _drop(tmp_path / "good.drop", "good")
    spool = Spool((tmp_path,))
    assert [item.drop.event for item in spool.new()] == ["good"]
    spool.new()
    assert sorted(defect.split(":")[0] for defect in spool.defects) == [
        "bad.drop",
        "fifo.drop",
        "link.drop",
    ]


def test_half_written_payloads_are_counted_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"agentprov-drop/1 git post-commit\n")
    spool = Spool((tmp_path,))
    assert spool.new() == []
    assert spool.unfinished() == 1


def test_clearing_removes_what_was_read_and_nothing_else(tmp_path: Path) -> None:
    spool = Spool((tmp_path,))
    _drop(tmp_path / "old.drop", "old")
    spool.new()
    _drop(tmp_path / "new.drop", "new")
    spool.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["new.drop"]
