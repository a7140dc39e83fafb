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
    known = replace(KNOWN, paths={os.fsencode(tmp_path / "a"): Touched(NOW, NOW, 1)})
    assert untouched(tmp_path, known, "a", "b") == {"b"}


def test_a_deleted_path_is_judged_by_its_name(tmp_path: Path) -> None:
    known = replace(KNOWN, names=frozenset({(*key(tmp_path), b"a")}))
    assert untouched(tmp_path, known, "a", "b") == {"b"}


def test_another_name_of_a_written_file_is_not_untouched(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").write_text("x")
    assert untouched(
        tmp_path, replace(KNOWN, files=frozenset({file_id(tmp_path / "a")})), "b", "c"
    ) == {"c"}


def test_an_inode_that_was_used_again_is_another_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    mine = file_id(tmp_path / "a")
    if not mine.birth:
        pytest.skip("this file system keeps no time of birth")
    earlier = mine._replace(birth=mine.birth - 1)
    assert untouched(tmp_path, replace(KNOWN, files=frozenset({earlier})), "a") == {"a"}
    # Without a time of birth the two cannot be told apart.
    unborn = mine._replace(birth=0)
    assert untouched(tmp_path, replace(KNOWN, files=frozenset({unborn})), "a") == set()


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
