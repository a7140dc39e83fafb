from __future__ import annotations

import os
import sys
import time
import zlib
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest

from agentprov.record import versions
from agentprov.record.versions import Versions, kept
from agentprov.record.watcher import Watcher
from agentprov.system.clock import SystemClock
from agentprov.system.writers import nobody_writes


def _versions(tmp_path: Path, **more: object) -> Versions:
    ticks = count()
    return Versions(
        tmp_path / "tree", tmp_path / "objects", tmp_path / "versions.jsonl",
        lambda: f"2026-01-01T00:00:{next(ticks) / 2:06.3f}Z", **more,  # type: ignore[arg-type]
    )  # fmt: skip


def _read(tmp_path: Path, blob: str) -> bytes | None:
    place = tmp_path / "objects" / blob[:2] / blob[2:]
    return zlib.decompress(place.read_bytes()).partition(b"\0")[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def test_contents_are_kept_in_order_and_found_again(tree: Path, tmp_path: Path) -> None:
    watched = _versions(tmp_path)
    for content in ("one\n", "one\n", "two\n"):
        (tree / "f").write_text(content)
        watched.noticed(b"f", "2026-01-01T00:00:00Z")
        watched.settle()
    (tree / "f").unlink()
    watched.noticed(b"f", "2026-01-01T00:00:09Z")
    watched.settle()
    found = kept(tmp_path / "versions.jsonl", lambda blob: _read(tmp_path, blob), [b"f"])
    assert [version.content for version in found[b"f"]] == [b"one\n", b"two\n", None]
    assert found[b"f"][-1].since == "2026-01-01T00:00:09Z"


def test_a_thread_reads_what_was_noticed(tree: Path, tmp_path: Path) -> None:
    watched = _versions(tmp_path)
    watched.start()
    (tree / "f").write_text("text\n")
    watched.noticed(b"f", "2026-01-01T00:00:00Z")
    watched.stop()
    assert [*kept(tmp_path / "versions.jsonl", lambda _: b"", [b"f"])] == [b"f"]


def test_links_large_files_and_gits_own_are_left_out(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "MAX_VERSION_BYTES", 10)
    (tree / "large").write_text("x" * 11)
    (tmp_path / "secret").write_text("secret")
    (tree / "link").symlink_to(tmp_path / "secret")
    (tree / ".git").mkdir()
    (tree / ".git" / "index").write_text("index")
    watched = _versions(tmp_path)
    for path in (b"large", b"link", b".git/index"):
        watched.noticed(path, "2026-01-01T00:00:00Z")
    watched.settle()
    found = kept(tmp_path / "versions.jsonl", lambda _: b"?", [b"large", b"link", b".git/index"])
    assert {path: [v.content for v in some] for path, some in found.items()} == {
        b"large": [None],
        b"link": [None],
    }
    assert watched.left_out() == {"too large": 1}


def test_too_many_versions_of_a_file_are_said(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "MAX_VERSIONS_OF_PATH", 2)
    watched = _versions(tmp_path)
    for number in range(4):
        (tree / "f").write_text(str(number))
        watched.noticed(b"f", "2026-01-01T00:00:00Z")
        watched.settle()
    assert watched.left_out() == {"too many versions of one file": 2}


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for leases")
def test_a_change_is_by_others_when_the_agent_held_and_opened_nothing(
    tree: Path, tmp_path: Path
) -> None:
    if not _leases_work(tree):
        pytest.skip("no leases on this file system")
    clock = SystemClock({})
    watched = Versions(
        tree, tmp_path / "objects", tmp_path / "versions.jsonl",
        lambda: clock.now().isoformat(timespec="microseconds"), leases=True,
    )  # fmt: skip
    watched.start()

    def save(name: str, content: str) -> None:
        (tree / name).write_text(content)
        watched.noticed(os.fsencode(name), clock.now().isoformat())
        time.sleep(1)

    before = clock.now()
    for name in ("free", "held", "opened", "unknown"):
        save(name, "one")
    with (tree / "held").open("a"):
        # The version that is held open may be written to without another call.
        save("held", "one and two")
    start = clock.now()
    for name in ("free", "held", "opened", "unknown"):
        save(name, "three")
    watched.stop()
    known: dict[bytes, list[tuple[datetime, datetime]]] = {
        b"free": [(before, before)], b"held": [(before, before)], b"opened": [(start, clock.now())],
    }  # fmt: skip
    found = kept(tmp_path / "versions.jsonl", lambda blob: _read(tmp_path, blob), None, known.get)
    last = {path: versions[-1] for path, versions in found.items()}
    assert {version.content for version in last.values()} == {b"three"}
    assert {path for path, version in last.items() if version.by_others} == {b"free"}
    assert [len(found[path]) for path in (b"free", b"held")] == [2, 3]


def _leases_work(tree: Path) -> bool:
    (tree / "probe").write_text("x")
    with (tree / "probe").open("rb") as stream:
        return nobody_writes(stream.fileno())


def test_a_damaged_line_is_passed_over(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "versions.jsonl").write_text('not json\n["f"]\n')
    assert kept(tmp_path / "versions.jsonl", lambda _: None, [b"f"]) == {}


def test_file_events_drive_it(tree: Path, tmp_path: Path) -> None:
    watched = _versions(tmp_path)
    watcher = Watcher(tree, SystemClock(), noticed=watched.noticed)
    watched.start()
    watcher.start()
    assert watcher.ready(10)
    (tree / "f").write_text("text\n")
    watcher.stop()
    watched.stop()
    found = kept(tmp_path / "versions.jsonl", lambda blob: _read(tmp_path, blob), [b"f"])
    assert found[b"f"][-1].content == b"text\n"


def test_a_file_caught_between_truncating_and_writing_is_no_version(
    tree: Path, tmp_path: Path
) -> None:
    watched = _versions(tmp_path)
    for content in ("one\n", "", "one\ntwo\n"):
        (tree / "f").write_text(content)
        watched.noticed(b"f", f"2026-01-01T00:01:0{len(content)}Z")
        watched.settle()
    found = kept(tmp_path / "versions.jsonl", lambda blob: _read(tmp_path, blob), [b"f"])[b"f"]
    assert [version.content for version in found] == [b"one\n", b"one\ntwo\n"]
    assert found[1].since == "2026-01-01T00:01:00Z"


def test_a_file_that_was_emptied_and_stayed_so_is_a_version(tree: Path, tmp_path: Path) -> None:
    watched = _versions(tmp_path)
    for content in ("one\n", ""):
        (tree / "f").write_text(content)
        watched.noticed(b"f", "2026-01-01T00:01:00Z")
        watched.settle()
    found = kept(tmp_path / "versions.jsonl", lambda blob: _read(tmp_path, blob), [b"f"])[b"f"]
    assert [version.content for version in found] == [b"one\n", b""]
