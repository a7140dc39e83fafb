from __future__ import annotations

import pytest

from agentprov.errors import ConfigurationInvalid
from agentprov.flows.strict_yaml import MAX_BYTES, MAX_DEPTH, parse


def test_plain_yaml_is_read() -> None:
    text = b"# c\na: 1\nb: [x, 'y']\nc: {d: null, e: true}\n"
    assert parse(text, source="f") == {"a": 1, "b": ["x", "y"], "c": {"d": None, "e": True}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a: 1\na: 2\n", "line 2, column 1: the key 'a' stands twice"),
        (b"x:\n  - {k: 1, k: 2}\n", "stands twice"),
        (b"a: &x 1\nb: *x\n", "anchors and aliases"),
        (b"a: &x 1\n", "anchors and aliases"),
        (b"<<: {a: 1}\n", "plain text"),
        (b"1: a\n", "plain text"),
        (b"? [a]\n: b\n", "plain text"),
        (b"a: !!python/object:os.system x\n", "f: line 1"),
        (b"a: !x y\n", "f: line 1"),
        (b"a: 1\n---\nb: 2\n", "f: line 2"),
        (b"a: [\n", "f: line"),
        (b"a: \x07\n", "f: "),
        (b"\xff", "not UTF-8"),
        (b"a" * (MAX_BYTES + 1), "larger than"),
        (b"[" * 50_000, "nested deeper"),
        (b"- " * (MAX_DEPTH + 1) + b"x", "nested deeper"),
    ],
    ids=range(16),
)
def test_anything_surprising_is_refused_with_its_place(data: bytes, words: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=words):
        parse(data, source="f")


def test_a_time_stays_the_text_that_was_written() -> None:
    assert parse(b"a: 2026-11-24T10:00:00Z\n", source="f") == {"a": "2026-11-24T10:00:00Z"}
    assert parse(b"a: 2026-99-99\n", source="f") == {"a": "2026-99-99"}
