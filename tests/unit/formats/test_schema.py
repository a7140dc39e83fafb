from __future__ import annotations

from typing import Any

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats import schema

POINT = schema.members(
    {"x": schema.integer(most=10)}, {"tags": schema.array(schema.text(most=3), most=2)}
)


def refused(check: schema.Check, value: Any) -> str:
    with pytest.raises(MalformedInput) as caught:
        schema.require(check, value, "thing")
    return caught.value.message


def test_a_good_value_passes_in_silence() -> None:
    schema.require(POINT, {"x": 3, "tags": ["a", "b"]}, "thing")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"x": 11}, "thing at /x: "),
        ({"x": 1, "tags": ["a", 5]}, "thing at /tags/1: "),
        ({"x": 1, "tags": ["a", "b", "c"]}, "thing at /tags: "),
        ({"x": 1, "y": 2}, "thing at /y: "),
        ({"x": 1, "a/b~c": 2}, "thing at /a~1b~0c: "),
        ({}, "thing: lacks x"),
        ([], "thing: must be an object"),
    ],
)
def test_an_error_names_the_exact_place(value: Any, place: str) -> None:
    assert refused(POINT, value).startswith(place)


def test_unknown_members_pass_only_where_the_policy_says_so() -> None:
    lenient = schema.members({}, {"x": schema.integer()}, unknown="ignore")
    schema.require(lenient, {"new": [1]}, "thing")
    assert "/new" in refused(schema.members({}, {"x": schema.integer()}), {"new": [1]})


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1, 2**53])
def test_only_whole_numbers_in_range_are_numbers(value: Any) -> None:
    refused(schema.integer(), value)


@pytest.mark.parametrize(
    "value", ["2026-11-24T10:00:00Z", "2026-02-28T23:59:59.123456789Z", "2024-02-29T00:00:00Z"]
)
def test_utc_times_are_times(value: str) -> None:
    schema.require(schema.time, value, "t")


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-24T10:00:00+00:00",
        "2026-11-24 10:00:00Z",
        "2026-11-24T10:00:00z",
        "2026-02-30T10:00:00Z",
        "2025-02-29T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T23:59:60Z",
        "2026-11-24T10:00:00Z\n",
        "\u0662026-11-24T10:00:00Z",
        "0000-01-01T00:00:00Z",
        20261124,
    ],
)
def test_other_spellings_and_impossible_dates_are_not(value: Any) -> None:
    refused(schema.time, value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"sha256": "AB" * 32},
        {"sha256": "ab" * 31},
        {"sha256": "ab" * 32 + "\n"},
        {"sha1": "ab" * 32},
        {"gitCommit": "ab" * 21},
        {"sha256": 5},
        {"new alg": "ab" * 32},
        {f"a{number}": "ab" * 32 for number in range(33)},
        "ab" * 32,
    ],
)
def test_digest_sets_hold_lower_case_hex_of_the_right_length(value: Any) -> None:
    refused(schema.digest_set, value)


def test_digest_sets_are_open_for_algorithms_still_to_come() -> None:
    schema.require(schema.digest_set, {"gitCommit": "ab" * 20, "k12_256": "cd" * 32}, "d")


@pytest.mark.parametrize(
    "value",
    [
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        "",
        ".",
        "./a",
        ".git/config",
        "a/.GIT/hooks/x",
        "a\0b",
        "%bytes:",
        "%bytes:a",
        "%bytes:%4",
        "%bytes:%e",
        "%bytes:%E9",
        "%bytes:\u00e9",
        "x" * 13_000,
        7,
    ],
)
def test_paths_that_git_cannot_hold_are_refused(value: Any) -> None:
    refused(schema.path, value)


@pytest.mark.parametrize(
    "value",
    ["a", "a/b.c", "C:\\x", "a b", "new\nline", "%bytes:%e9", ".gitignore", "x/.gitmodules"],
)
def test_odd_paths_that_git_can_hold_are_paths(value: str) -> None:
    schema.require(schema.path, value, "path")


@pytest.mark.parametrize("value", ["0", "-1.50", "0.90", "12345678901234567890"])
def test_decimals_are_text(value: str) -> None:
    schema.require(schema.decimal, value, "d")


@pytest.mark.parametrize("value", [0.9, "1e3", "01", ".5", "1.", "NaN", "", "+1"])
def test_other_numbers_are_no_decimals(value: Any) -> None:
    refused(schema.decimal, value)


@pytest.mark.parametrize("value", ["x", "a b:c", "pkg:\u0430", "pkg:a b", "http:", 5])
def test_only_absolute_ascii_uris_are_uris(value: Any) -> None:
    refused(schema.uri, value)
