"""Files of bundles that a user names: whatever they hold is judged, and nothing is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.flows.verify import resolve
from agentprov.system.git import Git
from support.repository import Repository
from support.story import Story, judge

LINES = list(Story().tell().lines().values())


def named(tmp_path: Path, content: bytes) -> list[bytes]:
    repository = Repository(tmp_path / "work")
    repository.commit("Begin")
    place = repository.write("records.jsonl", content)
    targets = resolve(Git.discover(repository.top), [str(place)])
    assert all(record.named for record in targets.bundles)
    return [record.data for record in targets.bundles]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b" \n\t\n", b" " * 100_000], ids=["empty", "newline", "blank", "long"]
)
def test_a_file_that_holds_no_record_does_not_pass(tmp_path: Path, content: bytes) -> None:
    records = named(tmp_path, content)
    assert len(records) == 1
    verdict = judge(records, named=True).verdict
    assert verdict.exit_code == 14
    assert [item.code for item in verdict.findings] == ["bundle-malformed"]


def test_every_line_of_a_file_is_a_record(tmp_path: Path) -> None:
    assert named(tmp_path, b"\n".join(LINES)) == LINES


def test_a_line_that_is_no_bundle_is_not_left_out(tmp_path: Path) -> None:
    records = named(tmp_path, b"\n".join([*LINES, b"junk"]))
    assert judge(records, named=True).verdict.exit_code == 14


def test_a_bundle_over_several_lines_is_one_record(tmp_path: Path) -> None:
    spread = LINES[0].replace(b",", b",\n")
    assert named(tmp_path, spread) == [spread]
