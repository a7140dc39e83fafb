from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from agentprov.errors import Busy, UserError
from agentprov.system import files

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX modes and special files")


@posix
def test_a_written_file_has_exactly_the_mode_asked_for(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        files.atomic_write(tmp_path / "open", b"x", mode=0o644)
        files.atomic_write(tmp_path / "private", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


@posix
def test_a_symbolic_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to(target)
    files.atomic_write(link, b"new")
    assert target.read_bytes() == b"precious"
    assert not link.is_symlink()
    assert link.read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(OSError, match="no space"):
        files.atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@posix
def test_a_missing_parent_is_made_private_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with pytest.raises(FileNotFoundError):
        files.atomic_write(path, b"")
    files.atomic_write(path, b"", make_parent=True)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@posix
def test_a_file_that_the_user_named_takes_the_place_of_a_regular_file_only(tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    place.write_bytes(b"old")
    files.write_for_user(place, b"new")
    assert (place.read_bytes(), stat.S_IMODE(place.stat().st_mode)) == (b"new", 0o644)
    fifo, folder, link, loose = (tmp_path / name for name in ("fifo", "folder", "link", "loose"))
    os.mkfifo(fifo)
    folder.mkdir()
    link.symlink_to(place)
    loose.symlink_to(tmp_path / "nowhere")
    for other, kind in (
        (fifo, "a FIFO"), (folder, "a directory"),
        (link, "a symbolic link"), (loose, "a symbolic link"),
    ):  # fmt: skip
        before = os.lstat(other)
        with pytest.raises(UserError, match=f"{kind}, not a regular file"):
            files.write_for_user(other, b"x")
        assert os.path.samestat(os.lstat(other), before)
    assert place.read_bytes() == b"new"
    with pytest.raises(UserError, match="there is no directory") as caught:
        files.write_for_user(tmp_path / "none" / "page.html", b"x")
    assert caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fifo", "folder", "link", "loose", "page.html"
    ]  # fmt: skip


def test_lines_are_appended_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    files.append_durably(path, b"one")
    files.append_durably(path, b"two")
    assert path.read_bytes() == b"one\ntwo\n"
    with pytest.raises(ValueError, match="one line"):
        files.append_durably(path, b"a\nb")


def test_a_line_that_does_not_fit_on_the_disk_is_cut_off_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    files.append_durably(path, b"one")
    real = os.write

    def full_after_two_bytes(descriptor: int, data: memoryview) -> int:
        if len(data) < 5:
            raise OSError(errno.ENOSPC, "no space")
        return real(descriptor, data[:2])

    monkeypatch.setattr(files.os, "write", full_after_two_bytes)
    with pytest.raises(OSError, match="no space"):
        files.append_durably(path, b"two!")
    assert path.read_bytes() == b"one\n"


@posix
def test_appending_does_not_follow_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError):
        files.append_durably(tmp_path / "link", b"x")
    assert not (tmp_path / "target").exists()


def test_a_held_lock_makes_others_busy_and_a_released_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with files.locked(path):
        with pytest.raises(Busy) as caught, files.locked(path, timeout=0.05):
            pytest.fail("two holders")
        assert caught.value.hint
    with files.locked(path, timeout=0):
        pass


def test_what_lies_where_a_lock_should_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("folder", "link"):
        with (
            pytest.raises(UserError, match=f"{name} is no lock file"),
            files.locked(tmp_path / name),
        ):
            pass
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "folder").is_dir()


def test_a_waiter_gets_the_lock_when_the_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order: list[str] = []

    def second() -> None:
        with files.locked(path, timeout=10):
            order.append("second")

    thread = threading.Thread(target=second)
    with files.locked(path):
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@posix
def test_a_fifo_a_device_and_a_directory_are_refused_without_blocking(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, kind in ((fifo, "FIFO"), (Path("/dev/zero"), "character"), (tmp_path, "directory")):
        with pytest.raises(OSError, match=kind):
            files.read_bounded(path, 100)
        with pytest.raises(OSError, match=kind):
            files.sha256_of_file(path)


@posix
def test_a_device_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.os, "open", lambda *_: pytest.fail("opened"))
    with pytest.raises(OSError, match="device"):
        files.open_regular("/dev/null")


@posix
def test_a_link_is_followed_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert files.read_bounded(tmp_path / "link", 1) == b"x"
    with pytest.raises(OSError, match="symbolic link"):
        files.read_bounded(tmp_path / "link", 1, follow=False)


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert files.read_bounded(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError) as caught:
        files.read_bounded(tmp_path / "file", 4)
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(OSError, match="larger than 4"):
        files.sha256_of_file(tmp_path / "file", limit=4)


@pytest.mark.parametrize("size", [0, 1, files.BLOCK, files.BLOCK + 1])
def test_a_digest_covers_the_whole_file_wherever_the_descriptor_stands(
    tmp_path: Path, size: int
) -> None:
    data = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(data)
    descriptor = files.open_regular(path)
    try:
        os.lseek(descriptor, size // 2, os.SEEK_SET)
        expected = (hashlib.sha256(data).hexdigest(), size)
        assert files.sha256_of_descriptor(descriptor) == expected
        assert files.sha256_of_descriptor(descriptor) == expected
    finally:
        os.close(descriptor)
    assert files.sha256_of_file(path) == expected
