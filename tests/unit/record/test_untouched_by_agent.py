"""The judgement over a ledger: every doubt counts against."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentprov.formats.facts import Gap
from agentprov.record.attribution import contact_gap, outside_contacts, untouched_by_agent
from agentprov.system.attribution.ledger import Attributed, Touched
from agentprov.system.attribution.resolve import AT_FDCWD, FileId, identify

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at files by statx")

KNOWN = Attributed(complete=True)
NOW = "2026-01-01T00:00:00.000Z"
ONCE = Touched(NOW, NOW, 1)


def untouched(top: Path, known: Attributed, *paths: str) -> set[str]:
    answer = untouched_by_agent(os.fsencode(top), [os.fsencode(path) for path in paths], known)
    assert answer.why_not is None
    return {os.fsdecode(path) for path in answer.paths}


def key(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def file_id(path: Path) -> FileId:
    found = identify(AT_FDCWD, os.fsencode(path))
    assert found is not None
    return found[0]


def test_what_nobody_named_is_untouched_and_what_was_named_is_not(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    known = replace(KNOWN, paths={os.fsencode(tmp_path / "a"): ONCE})
    assert untouched(tmp_path, known, "a", "b") == {"b"}


def test_a_deleted_path_is_judged_by_its_name(tmp_path: Path) -> None:
    known = replace(KNOWN, names={(*key(tmp_path), b"a"): ONCE})
    assert untouched(tmp_path, known, "a", "b") == {"b"}


def test_another_name_of_a_written_file_is_not_untouched(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").write_text("x")
    assert untouched(tmp_path, replace(KNOWN, files={file_id(tmp_path / "a"): ONCE}), "b", "c") == {
        "c"
    }


def test_an_inode_that_was_used_again_is_another_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    mine = file_id(tmp_path / "a")
    if not mine.birth:
        pytest.skip("this file system keeps no time of birth")
    earlier = mine._replace(birth=mine.birth - 1)
    assert untouched(tmp_path, replace(KNOWN, files={earlier: ONCE}), "a") == {"a"}
    # Without a time of birth the two cannot be told apart.
    unborn = mine._replace(birth=0)
    assert untouched(tmp_path, replace(KNOWN, files={unborn: ONCE}), "a") == set()


def test_below_a_renamed_directory_nothing_is_untouched(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").write_text("x")
    (tmp_path / "g").write_text("x")
    by_inode = replace(KNOWN, moved=frozenset({key(tmp_path / "d")}))
    assert untouched(tmp_path, by_inode, "d/e/f", "g") == {"g"}
    by_path = replace(KNOWN, moved_paths=frozenset({os.fsencode(tmp_path / "was")}))
    assert untouched(tmp_path, by_path, "was/e/f", "d/e/f", "g") == {"d/e/f", "g"}


def test_nothing_is_untouched_when_anything_was_missed(tmp_path: Path) -> None:
    known = replace(KNOWN, complete=False, gaps=(Gap("x", NOW, NOW),))
    answer = untouched_by_agent(os.fsencode(tmp_path), [b"a"], known)
    assert (answer.paths, answer.why_not) == (frozenset(), "process-attribution-incomplete")


@pytest.mark.parametrize(
    "address",
    [
        "unix:/run/nscd/socket", "unix:/var/run/nscd/socket", "unix:/dev/log",
        "unix:/run/systemd/resolve/io.systemd.Resolve", "unix:@/tmp/.X11-unix/X0",
        "unix:/tmp/ssh-XXabc/agent.4711", "unix:/home/u/.gnupg/S.gpg-agent",
    ],
)  # fmt: skip
def test_name_servers_loggers_displays_and_key_agents_write_for_nobody(address: str) -> None:
    assert outside_contacts(replace(KNOWN, contacts=frozenset({address}))) == ()


@pytest.mark.parametrize(
    "address",
    [
        "unix:/var/run/docker.sock", "unix:/run/user/1000/bus", "unix:@/tmp/.X11-unix/X0/../x",
        "tcp:127.0.0.1:7000", "unix:/run/user/1000/systemd/private", "unix:/tmp/x/dev/log",
    ],
)  # fmt: skip
def test_any_other_process_might_and_is_told(tmp_path: Path, address: str) -> None:
    known = replace(KNOWN, contacts=frozenset({address}))
    answer = untouched_by_agent(os.fsencode(tmp_path), [b"a"], known)
    assert (answer.paths, answer.why_not) == (frozenset(), "agent-reached-other-processes")
    gap = contact_gap(known, NOW)
    assert gap is not None
    assert gap.detail == address
    assert untouched_by_agent(os.fsencode(tmp_path), [b"a"], known, expected=[address]).paths == {
        b"a"
    }


def at(minute: int) -> Touched:
    return Touched(f"2026-01-01T00:{minute:02}:00.000Z", f"2026-01-01T00:{minute:02}:30.000Z", 1)


def opened(top: Path, known: Attributed, path: str) -> tuple[str, str]:
    answer = untouched_by_agent(os.fsencode(top), [os.fsencode(path)], known)
    return answer.opened[os.fsencode(path)]


def test_the_time_of_first_opening_counts_every_way_to_the_file(tmp_path: Path) -> None:
    """Lines that stood there before are the human's: too late a time would be a false one."""
    full = os.fsencode(tmp_path / "a")
    (tmp_path / "a").write_text("x")
    known = replace(KNOWN, paths={full: at(30)})
    assert opened(tmp_path, known, "a") == (at(30).first, at(30).last)
    by_name = replace(known, names={(*key(tmp_path), b"a"): at(20)})
    assert opened(tmp_path, by_name, "a") == (at(20).first, at(30).last)
    by_file = replace(known, files={file_id(tmp_path / "a"): at(10)})
    assert opened(tmp_path, by_file, "a")[0] == at(10).first
    replaced = FileId(1, 2, 3)
    before = replace(known, files={replaced: at(5)}, ids={full: frozenset({replaced})})
    assert opened(tmp_path, before, "a")[0] == at(5).first


def test_with_hard_links_about_no_opening_is_dated_later_than_the_first_of_all(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").write_text("x")
    other = {b"/elsewhere": at(1), os.fsencode(tmp_path / "a"): at(30)}
    assert opened(tmp_path, replace(KNOWN, paths=other), "a")[0] == at(30).first
    assert opened(tmp_path, replace(KNOWN, paths=other, linked=True), "a")[0] == at(1).first
