"""Every byte of every stored record, changed one at a time, and random edits of signed JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentprov.errors import MalformedInput
from agentprov.formats import bundle, canonical
from support.story import HUMAN, PLAN_TEXT, RECORDER, Story, codes, judge, seal

TOLD = Story(files=Story().files[:1]).tell()
COMMIT = TOLD.commit()
LINES = TOLD.lines()


def meaning(line: bytes) -> bundle.Bundle | None:
    try:
        return bundle.parse(line)
    except MalformedInput:
        return None


def verdict_with(name: str, line: bytes) -> int:
    lines = {**LINES, name: line}
    return judge(lines, [COMMIT], named=True, plan=PLAN_TEXT).verdict.exit_code


def test_the_untouched_story_holds() -> None:
    assert judge(LINES, [COMMIT], named=True, plan=PLAN_TEXT).verdict.exit_code == 0


@pytest.mark.parametrize("name", list(LINES))
@pytest.mark.parametrize("flip", [0x01, 0x20], ids=["lowest bit", "case bit"])
def test_every_changed_byte_is_refused_or_changes_nothing(name: str, flip: int) -> None:
    line = LINES[name]
    original = bundle.parse(line)
    harmless = 0
    for index in range(len(line)):
        changed = line[:index] + bytes([line[index] ^ flip]) + line[index + 1 :]
        read = meaning(changed)
        if read == original:
            harmless += 1
            continue
        if read is None:
            # The judge says so at once; asking it for thousands of such lines shows nothing more.
            continue
        assert verdict_with(name, changed) in (11, 14, 17), index
    assert harmless == 0


@pytest.mark.parametrize("name", list(LINES))
def test_a_line_that_is_cut_anywhere_is_refused(name: str) -> None:
    line = LINES[name]
    assert all(meaning(line[:end]) is None for end in range(len(line)))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


STATEMENTS = {
    "plan": (TOLD.plan, HUMAN),
    "open": (TOLD.open, RECORDER),
    "generation": (TOLD.generation, RECORDER),
    "close": (TOLD.close, RECORDER),
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**53 - 1),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.just({"sha256": "0" * 64}),
    st.just("2020-01-01T00:00:00Z"),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(STATEMENTS)), st.data())
def test_a_signer_who_says_odd_things_never_breaks_the_judge(name: str, data: Any) -> None:
    statement, key = STATEMENTS[name]
    value = json.loads(statement.payload)
    path = data.draw(st.sampled_from(places(value)[1:]))
    parent = value
    for step in path[:-1]:
        parent = parent[step]
    if data.draw(st.booleans()):
        parent[path[-1]] = data.draw(ODD)
    else:
        del parent[path[-1]]
    payload = canonical.encode(value)
    judgement = judge({**LINES, name: seal(payload, key)}, [COMMIT], anchor=COMMIT.oid)
    if payload == statement.payload:
        assert judgement.verdict.exit_code == 0
    elif name != "close":
        # Another payload has another digest, so whatever stood on the old one misses it.
        assert judgement.verdict.exit_code != 0
        assert codes(judgement)
