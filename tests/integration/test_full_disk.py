"""The disk is full, or becomes read-only, at any moment: the agent works on, nothing half is kept.

Refusals are injected into this process, because root writes where others may not.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agentprov.errors import CannotStart
from agentprov.flows.drain import drain
from agentprov.flows.replay import replay
from agentprov.flows.request import Request
from agentprov.flows.run import run
from agentprov.flows.world import World
from agentprov.formats import bundle, journal, statement
from agentprov.record.session import SessionDirectory
from support.command_line import agentprov
from support.repository import Repository

AGENT = "echo a > a; git add -A; git commit -qm a; sleep 0.3; echo b > b; exit 7"
ROUNDS = (3, 9, 14, 19, 24, 29, 34, 39, 44, 49, 54, 60, 66, 72, 80, 90)


@contextmanager
def refusing(home: Path, number: int, code: int, *, once: bool) -> Iterator[Callable[[], int]]:
    """Let the n-th operation below a directory that takes room fail, or all from there on."""
    counter = itertools.count(1)
    refused = 0
    descriptors: dict[int, bool] = {}
    real = {name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "mkdir")}

    def due() -> bool:
        nonlocal refused
        at = next(counter)
        if at == number or (at > number and not once):
            refused += 1
            return True
        return False

    def fail() -> OSError:
        return OSError(code, os.strerror(code))

    def opened(path: Any, flags: int, *more: Any, **named: Any) -> int:
        inside = isinstance(path, str | Path) and str(path).startswith(f"{home}/")
        if inside and flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) and due():
            raise fail()
        descriptor = int(real["open"](path, flags, *more, **named))
        descriptors[descriptor] = inside
        return descriptor

    def written(descriptor: int, data: Any) -> int:
        if descriptors.get(descriptor) and due():
            if code == errno.ENOSPC:
                real["write"](descriptor, bytes(data)[: len(data) // 2])
            raise fail()
        return int(real["write"](descriptor, data))

    def other(name: str) -> Callable[..., Any]:
        def call(first: Any, *more: Any, **named: Any) -> Any:
            inside = (
                descriptors.get(first, False)
                if isinstance(first, int)
                else str(first).startswith(f"{home}/")
            )
            if inside and due():
                raise fail()
            return real[name](first, *more, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", opened)
        patch.setattr(os, "write", written)
        for name in ("fsync", "replace", "mkdir"):
            patch.setattr(os, name, other(name))
        yield lambda: refused


@pytest.mark.parametrize(
    ("code", "once"),
    [(errno.ENOSPC, True), (errno.ENOSPC, False), (errno.EROFS, False), (errno.EIO, True)],
    ids=["full-once", "full", "read-only", "broken-once"],
)
def test_a_disk_that_refuses_at_any_moment_stops_no_agent_and_halves_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, once: bool
) -> None:
    refusals = 0
    # Each way of failing takes another quarter of the moments.
    first = [errno.ENOSPC, errno.EROFS, errno.EIO].index(code) + (1 if once else 0)
    for number in ROUNDS[first % 4 :: 4]:
        repository = Repository(tmp_path / f"r{number}")
        repository.write("old", "old\n")
        repository.commit("first")
        monkeypatch.chdir(repository.top)
        world = World.here()
        request = Request(("sh", "-c", AGENT), repository.top, dict(os.environ), None, ())
        about = f"operation {number}"
        with refusing(world.git.home, number, code, once=once) as refused:
            try:
                assert run(world, request, lambda text: None).status == 7, about
            except CannotStart:
                assert not (repository.top / "a").exists(), about
            refusals += refused()
        assert repository.git("status", "--porcelain").splitlines() in (["?? b"], []), about
        for mark in (world.git.home / "live").glob("[!.]*"):
            # The recorder was this process, which is not to be the one that lives.
            mark.write_text("4194305\nanother-boot-1\n\n")
        assert drain(World.here()).failures == [], about
        judge(World.here(), about)
    assert refusals > 0


def judge(world: World, about: str) -> None:
    stored = [line for _, lines in world.notes.everything() for line in lines]
    kinds = Counter(statement.parse(bundle.parse(line).payload).kind for line in stored)
    assert kinds["generation"] <= 1, about
    assert kinds["session-close"] == kinds["session-open"] <= 1, about
    for place in (world.git.home / "sessions").glob("*"):
        directory = SessionDirectory(world.git.home, place.name)
        assert journal.read(directory.journal.read_bytes()).defect is None, about
        assert not directory.marked_live(), about
        found = Counter(
            statement.parse(bundle.parse(line).payload).kind for line in directory.bundles()
        )
        assert found["session-open"] == found["session-close"] <= 1, about
        # What could not be journaled is a gap there, and signed all the same.
        assert replay(directory).defect is None, about


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_git_directory_that_cannot_be_written_reads_and_commits_as_before(
    tmp_path: Path,
) -> None:
    repository = Repository(tmp_path / "r")
    repository.write("old", "old\n")
    repository.commit("first")
    assert agentprov("run", "--", "sh", "-c", AGENT, cwd=repository.top).status == 7
    home = repository.top / ".git/agentprov"
    # A file where a directory is expected refuses root too.
    (home / "lock").unlink(missing_ok=True)
    (home / "lock").mkdir()
    (home / "spool").mkdir(exist_ok=True)
    (home / "spool" / "x.drop").write_text("agentprov-drop/1 git post-commit\n\n")
    answer = agentprov("log", cwd=repository.top)
    assert answer.status == 0
    assert "not taken in" in answer.err
    assert "Traceback" not in answer.err
    repository.write("more", "x\n")
    repository.commit("goes on")
