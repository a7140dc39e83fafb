from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentprov.system.attribution import resolve
from agentprov.system.attribution.resolve import AT_FDCWD, Place, Unresolved
from support.attributed import needs_attribution

pytestmark = [
    needs_attribution,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def find(path: str, directory: int = AT_FDCWD, *, follow: bool = True) -> Place:
    return resolve.find(os.getpid(), os.fsencode(path), directory, follow=follow)


def inode(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


@pytest.mark.parametrize(
    "spelling", ["file", "./file", "sub/../file", "link-dir/../file", "//{}/file"]
)
def test_one_file_has_one_place_however_it_is_spelled(here: Path, spelling: str) -> None:
    (here / "sub").mkdir()
    (here / "file").write_text("x")
    (here / "link-dir").symlink_to("sub")
    place = find(spelling.format(here))
    assert place.path == os.fsencode(here / "file")
    assert place.parent == inode(here)
    assert place.file is not None
    assert (place.file.device, place.file.inode) == inode(here / "file")


def test_what_leaves_the_directory_is_followed(here: Path) -> None:
    (here / "inner").mkdir()
    (here / "inner" / "absolute").symlink_to(here)
    os.chdir(here / "inner")
    assert find("../new").path == os.fsencode(here / "new")
    assert find("absolute/new").path == os.fsencode(here / "new")


def test_the_last_link_is_followed_only_when_asked(here: Path) -> None:
    (here / "link").symlink_to("target")
    assert find("link", follow=False).path == os.fsencode(here / "link")
    assert find("link").path == os.fsencode(here / "target")
    (here / "loop").symlink_to("loop")
    with pytest.raises(Unresolved):
        find("loop")


def test_a_directory_descriptor_is_the_start(here: Path) -> None:
    (here / "sub").mkdir()
    opened = os.open(here / "sub", os.O_RDONLY)
    try:
        assert find("new", opened).path == os.fsencode(here / "sub" / "new")
        assert find(str(here / "absolute"), opened).path == os.fsencode(here / "absolute")
    finally:
        os.close(opened)


def test_a_name_in_a_directory_that_is_not_there_keeps_its_words(here: Path) -> None:
    place = find("missing/new")
    assert place.path == os.fsencode(here / "missing" / "new")
    assert place.parent is None


def test_names_that_mean_the_reader_are_taken_as_the_callers(here: Path) -> None:
    (here / "file").write_text("x")
    opened = os.open(here / "file", os.O_RDONLY)
    try:
        for name in (
            f"/proc/self/fd/{opened}",
            f"/dev/fd/{opened}",
            f"/proc/{os.getpid()}/fd/{opened}",
        ):
            assert find(name).path == os.fsencode(here / "file")
        assert find("/proc/self/cwd/new").path == os.fsencode(here / "new")
        (here / "to-fd").symlink_to(f"/proc/self/fd/{opened}")
        assert find("to-fd").path == os.fsencode(here / "file")
        (here / "to-fds").symlink_to("/proc/self/fd")
        with pytest.raises(Unresolved):
            find(f"to-fds/{opened}")
    finally:
        os.close(opened)


def test_a_held_directory_shows_what_appears_in_it(here: Path) -> None:
    place = resolve.find(os.getpid(), b"new", AT_FDCWD, follow=True, hold=True)
    try:
        (here / "new").write_text("x")
        here.rename(here.with_name("renamed"))
        found = resolve.identify(place.directory, b"new")
        assert found is not None
        assert found[0].inode == here.with_name("renamed").joinpath("new").stat().st_ino
    finally:
        os.close(place.directory)


def test_nothing_stays_open(here: Path) -> None:
    (here / "link").symlink_to("sub/../target")
    (here / "sub").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for name in (
        "new",
        "sub/new",
        "link",
        "missing/x",
        "/proc/self/cwd/x",
        ".",
        "sub/",
        "/dev/null",
    ):
        find(name)
    assert len(os.listdir("/proc/self/fd")) == before
