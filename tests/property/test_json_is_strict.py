"""The strict reader against the parsers' usual sins, and against itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentprov.errors import MalformedInput
from agentprov.formats import bundle, canonical, statement

SAFE = 2**53 - 1
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_canonical_json_reads_back_to_the_same_value_and_bytes(value: Any) -> None:
    data = canonical.encode(value)
    read = canonical.parse(data)
    assert read == value
    assert canonical.encode(read) == data


@given(VALUES)
def test_spelling_does_not_change_the_canonical_bytes(value: Any) -> None:
    spelled = json.dumps(value, indent=2, ensure_ascii=True).encode()
    assert canonical.encode(canonical.parse(spelled)) == canonical.encode(value)


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_malformed_and_nothing_else(data: bytes) -> None:
    for parse in (canonical.parse, bundle.parse, statement.parse):
        try:
            parse(data)
        except MalformedInput:
            continue
        assert parse is canonical.parse


@given(VALUES)
def test_any_json_is_a_statement_or_malformed_and_nothing_else(value: Any) -> None:
    for parse in (bundle.parse, statement.parse):
        with pytest.raises(MalformedInput):
            parse(canonical.encode(value))


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"x":{"a":1,"\\u0061":2}}',
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[9007199254740992]",
        b"[-9007199254740992]",
        b"[1" + b"0" * 5000 + b"]",
        b"[-0]",
        b"[1e400]",
        b"[-1e400]",
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        b'["\xff"]',
        b'["\xed\xa0\x80"]',
        b'["\\ud800"]',
        b'{"\\udc00":1}',
        b"{} {}",
        b"{},",
        b"[1,]",
        b"{'a':1}",
        b'["a\nb"]',
        b"",
        b"[" * 100_000,
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
    ],
    ids=range(27),
)
def test_what_parsers_disagree_about_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedInput):
        canonical.parse(data)


def test_the_depth_that_is_allowed_is_allowed() -> None:
    assert canonical.parse(b"[" * 64 + b"]" * 64)
    assert canonical.parse(b'["' + b"[" * 1000 + b'"]') == ["[" * 1000]


def depth_of(text: str) -> int:
    """Count brackets one character after another, outside of strings."""
    depth = deepest = 0
    inside = escaped = False
    for char in text:
        if inside:
            inside, escaped = escaped or char != '"', not escaped and char == "\\"
        elif char == '"':
            inside = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


@settings(max_examples=300)
@given(st.text(alphabet='[]{}"\\a\n\u00e9', min_size=60, max_size=220), st.integers(0, 70))
def test_depth_is_counted_outside_of_strings_only(text: str, more: int) -> None:
    text = "[" * more + text
    try:
        canonical.parse(text.encode())
        refused = False
    except MalformedInput as error:
        refused = "nested deeper" in error.message
    assert refused is (depth_of(text) > canonical.MAX_DEPTH)


@pytest.mark.parametrize("value", [0.5, {"a": [1.0]}, "\ud800", {"\udc00": 1}, 2**53, {1: 2}])
def test_what_cannot_be_signed_cannot_be_written(value: Any) -> None:
    with pytest.raises(MalformedInput):
        canonical.encode(value)
