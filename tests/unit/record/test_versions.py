from __future__ import annotations

import zlib
from itertools import count
from pathlib import Path

import pytest

from agentprov.record import versions
from agentprov.record.versions import Versions, kept
from agentprov.record.watcher import Watcher
from agentprov.system.clock import SystemClock


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


def test_who_did_not_write_is_asked_for_every_version(tree: Path, tmp_path: Path) -> None:
    asked = []

    def by_others(path: bytes, before: str | None, at: str) -> bool:
        asked.append((path, before, at))
        return before is not None

    watched = _versions(tmp_path, by_others=by_others)
    for content in ("one", "two"):
        (tree / "f").write_text(content)
        watched.noticed(b"f", "2026-01-01T00:00:00Z")
        watched.settle()
    found = kept(tmp_path / "versions.jsonl", lambda blob: _read(tmp_path, blob), [b"f"])
    assert [version.by_others for version in found[b"f"]] == [False, True]
    assert asked[1][1] == asked[0][2]


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
