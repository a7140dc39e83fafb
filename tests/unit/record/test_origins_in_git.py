"""Versions kept beside a real repository, and the commit that is described from them."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from agentprov.formats.facts import CommandWindow, Edit, LineRange
from agentprov.record import snapshot
from agentprov.record.accounts import Circumstances
from agentprov.record.describe import Evidence, describe
from agentprov.record.versions import Versions, kept
from agentprov.system.git import Git
from support.repository import Repository

BASE = "".join(f"first_line_{number} = 0\n" for number in range(12))
MODELS = "".join(f"model_line_{number} = {number}\n" for number in range(6))


class Watched:
    """A repository in which every save is noticed, one every five seconds."""

    def __init__(self, repository: Repository, place: Path) -> None:
        self.repository = repository
        self.git = snapshot.private_git(Git.discover(repository.top))
        self.place = place / "versions.jsonl"
        self.baseline = snapshot.take(self.git, "2026-01-01T00:00:00Z", "t").tree
        self._seconds = count(10, 5)
        self._now = ""
        assert self.git.objects is not None
        self.versions = Versions(
            repository.top, self.git.objects, self.place, lambda: self._now, self.git.object_format
        )

    def save(self, path: str, content: str | None) -> None:
        self._now = f"2026-01-01T00:00:{next(self._seconds):02}.000Z"
        if content is None:
            (self.repository.top / path).unlink()
        else:
            self.repository.write(path, content)
        self.versions.noticed(path.encode(), self._now)
        self.versions.settle()

    def ranges(self, edits: dict[bytes, list[Edit]], **more: object) -> tuple[LineRange, ...]:
        self.repository.commit("second")
        oid = self.repository.git("rev-parse", "HEAD")
        with self.git.cat_file() as reader:

            def read(blob: str) -> bytes | None:
                found = reader.get(blob)
                return found[1] if found else None

            evidence = Evidence(
                self.baseline,
                wire=edits,
                versions_of=lambda paths: kept(self.place, read, paths),
                circumstances=Circumstances(wire_complete=True, followed=True, **more),  # type: ignore[arg-type]
            )
            (change,) = describe(
                self.git, reader, oid, evidence, sequence=1, ref=None, during=True
            ).changes
        return change.ranges


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    repository = Repository(tmp_path / "r")
    repository.write("a.txt", BASE)
    repository.commit("first")
    Git.discover(repository.top).home.mkdir(exist_ok=True)
    return Watched(repository, tmp_path)


def _edit(text: str) -> Edit:
    return Edit("/r/a.txt", text, "Write", "m", "intercepted", "2026-01-01T00:00:05.000Z", "c")


def test_model_command_and_person_are_told_apart_in_one_file(watched: Watched) -> None:
    watched.save("a.txt", BASE + MODELS)
    watched.save("a.txt", BASE + MODELS + "generated_line = 1\n")
    watched.save("a.txt", "typed_line = 1\n" + BASE + MODELS + "generated_line = 1\n")
    window = CommandWindow("2026-01-01T00:00:14.900Z", "2026-01-01T00:00:15.100Z", "reported")
    found = watched.ranges({b"a.txt": [_edit(MODELS)]}, commands=[window])
    assert [(r.start, r.end, r.origin, r.basis) for r in found] == [
        (1, 1, "unknown", "observed"),
        (14, 19, "model", "intercepted"),
        (20, 20, "command", "reported"),
    ]


def test_a_renamed_file_keeps_the_origins_of_its_lines(watched: Watched) -> None:
    watched.save("a.txt", BASE + MODELS)
    watched.save("b.txt", BASE + MODELS)
    watched.save("a.txt", None)
    found = watched.ranges({b"a.txt": [_edit(MODELS)]})
    assert [(r.start, r.end, r.origin, r.why) for r in found] == [(13, 18, "model", None)]
