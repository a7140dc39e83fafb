from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from agentprov.record.agents import reading
from agentprov.record.agents.command_line import (
    options_of,
    program_name,
    values_of,
    without_option,
)
from agentprov.record.agents.settings_text import lay_over, read_commented


def test_lines_that_are_too_long_or_not_objects_are_skipped_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_LINE", 64)
    path = tmp_path / "x.jsonl"
    long = b'{"n": "' + b"x" * 500 + b'"}\n'
    path.write_bytes(b'{"n": 1}\n' + long + b'[1]\n\n{"n": 2}\n\xff\n{}\n{"n": 3}\n{"n": 4')
    assert [line["n"] for line in reading.json_lines(path)] == [1, 2, 3]


def test_the_tail_of_a_line_that_is_too_long_is_no_line_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_LINE", 16)
    path = tmp_path / "x.jsonl"
    path.write_bytes(b" " * 16 + b'{"forged": 1}\n{"n": 2}\n')
    assert list(reading.json_lines(path)) == [{"n": 2}]


def test_reading_stops_after_a_bounded_number_of_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_FILE", 100)
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"n": 1}\n' * 1000)
    assert len(list(reading.json_lines(path))) == 12


def test_a_special_file_is_never_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, tmp_path / "missing", tmp_path / "nul\0"):
        assert list(reading.json_lines(path)) == []
        assert reading.small_file(path) is None
        assert reading.json_file(path) == {}


def test_a_settings_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"x" * 11)
    assert reading.small_file(path, 10) is None
    assert reading.small_file(path, 11) == b"x" * 11


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"),
        ("2026-01-02T05:04:05.25+02:00", "2026-01-02T03:04:05.250000Z"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000000Z"),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday", None),
        ("9" * 100, None),
        (7, None),
        (None, None),
    ],
)
def test_times_are_read_or_left_alone(value: object, expected: str | None) -> None:
    found = reading.moment(value)
    assert (reading.stamp(found) if found else None) == expected


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("/a/../b", None, "/b"),
        ("x/./y", "/base", "/base/x/y"),
        ("x", "relative", None),
        ("x", None, None),
        ("", "/base", None),
        ("a\0b", "/base", None),
        (7, "/base", None),
        ("\ud800", "/base", None),
    ],
)
def test_paths_become_absolute_or_nothing(
    path: object, folder: object, expected: str | None
) -> None:
    assert reading.absolute(path, folder) == expected


def test_a_folder_does_not_hold_its_namesakes_and_holds_itself_through_links(
    tmp_path: Path,
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    assert reading.within(str(real), link)
    assert reading.within(str(link / "x"), link)
    assert reading.within(str(real / "x"), link)
    assert not reading.within(str(real) + "-two", link)


@pytest.mark.parametrize("value", [True, -1, 2**60, 1.5, "3", None])
def test_counts_that_are_none_are_nought(value: object) -> None:
    assert reading.count(value) == 0


def test_words_of_a_command_line_are_told_from_options_and_values() -> None:
    words = ("--a", "1", "--b=2", "-c", "--", "--a", "3")
    assert values_of(words, "--a", "--b") == ["1", "2"]
    assert options_of(words) == {"--a", "--b", "-c"}
    assert program_name("C:\\Program Files\\Codex.CMD") == "codex"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a": 1, /* , } */ "b": [1, 2,], // end\n}', {"a": 1, "b": [1, 2]}),
        ('{"a": "// no /* comment, }"}', {"a": "// no /* comment, }"}),
        ('{"a": "x\\"//", "b": 1}', {"a": 'x"//', "b": 1}),
        ("[1]", {}),
        ('{"a": 1', {}),
        ("", {}),
    ],
)
def test_settings_may_have_comments_and_trailing_commas(content: str, expected: object) -> None:
    assert read_commented(content) == expected


@pytest.mark.parametrize("part", ["/*", '"', '\\"', "/", ",", ", ", "//", "{"])
def test_hostile_settings_take_no_time_without_bounds(part: str) -> None:
    start = time.process_time()
    for opening in ("", '"', "/*"):
        assert read_commented(opening + part * 200_000) == {}
    assert time.process_time() - start < 3


def test_settings_of_higher_rank_win_key_by_key() -> None:
    below: dict[str, object] = {"a": {"x": 1, "y": 1}, "b": 1, "c": [1]}
    lay_over(below, {"a": {"y": 2}, "b": {"z": 3}, "c": [2]})
    assert below == {"a": {"x": 1, "y": 2}, "b": {"z": 3}, "c": [2]}


def test_settings_nested_beyond_reason_are_merged_all_the_same() -> None:
    deep = json.loads('{"a":' * 900 + "1" + "}" * 900)
    below: dict[str, object] = {"a": {"a": {"b": 1}}}
    lay_over(below, deep)
    merged = below["a"]
    assert isinstance(merged, dict)
    assert merged["a"]["b"] == 1


def test_an_option_is_taken_out_with_its_value_wherever_it_stands() -> None:
    words = ["--x", "1", "a", "--x=2", "--xy", "--x", "--", "--x", "3"]
    assert without_option(words, "--x") == ["a", "--xy", "--", "--x", "3"]
    assert without_option(["--x"], "--x") == []
