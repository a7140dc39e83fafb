"""However the bytes of an answer are split, cut or damaged: the same Exchange, and no crash."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentprov.record.gateway.dialects.sse import EventStream
from support.wire_bodies import body, events_of, observe, pieces, stream

SAMPLES = [
    ("anthropic", "anthropic.sse"),
    ("anthropic", "anthropic.json"),
    ("responses", "responses.sse"),
    ("responses", "responses.json"),
    ("chat", "chat.sse"),
    ("chat", "chat.json"),
    ("google", "google.sse"),
    ("google", "google.json"),
    ("google", "google-list.json"),
]
CUTS = st.lists(st.integers(0, 12_000), max_size=40)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["text", "tool_use", "message", "function_call", "custom_tool_call"])
)
NAMES = st.sampled_from(
    [
        "type",
        "index",
        "delta",
        "content",
        "text",
        "id",
        "model",
        "usage",
        "tool_calls",
        "choices",
        "message",
        "content_block",
        "item",
        "output_index",
        "response",
        "output",
        "candidates",
        "parts",
        "functionCall",
        "args",
        "name",
        "arguments",
        "input",
        "error",
        "finish_reason",
        "call_id",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)
KINDS = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
        "response.created",
        "response.completed",
        "response.output_item.added",
        "response.output_item.done",
        "response.failed",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.done",
    ]
)
EVENTS = st.builds(
    lambda kind, members: {**members, "type": kind},
    KINDS,
    st.dictionaries(NAMES, VALUES, max_size=6),
)


@pytest.mark.parametrize(("dialect", "name"), SAMPLES)
@given(cuts=CUTS)
@settings(max_examples=60, deadline=None)
def test_every_split_gives_the_same_exchange(dialect: str, name: str, cuts: list[int]) -> None:
    raw = body(name)
    assert observe(dialect, pieces(raw, cuts)) == observe(dialect, raw)


@pytest.mark.parametrize(("dialect", "name"), SAMPLES)
def test_byte_by_byte_gives_the_same_exchange(dialect: str, name: str) -> None:
    raw = body(name)
    assert observe(dialect, pieces(raw, range(len(raw)))) == observe(dialect, raw)


@pytest.mark.parametrize(("dialect", "name"), SAMPLES)
@given(cuts=CUTS)
@settings(max_examples=15, deadline=None)
def test_every_split_of_gzip_gives_the_same_exchange(
    dialect: str, name: str, cuts: list[int]
) -> None:
    raw = gzip.compress(body(name), mtime=0)
    header = [("content-encoding", "gzip")]
    split = observe(dialect, pieces(raw, cuts), answer_headers=header)
    plain = observe(dialect, body(name))
    assert split.complete
    assert replace(split, answer_mac="") == replace(plain, answer_mac="")


@pytest.mark.parametrize(("dialect", "name"), SAMPLES)
@given(at=st.integers(0, 12_000), cuts=CUTS)
@settings(max_examples=60, deadline=None)
def test_a_cut_anywhere_is_never_complete_before_the_end(
    dialect: str, name: str, at: int, cuts: list[int]
) -> None:
    raw = body(name)
    short = raw[: at % len(raw)]
    exchange = observe(dialect, pieces(short, cuts), cut=True)
    assert exchange == observe(dialect, short, cut=True)
    assert not exchange.complete
    whole = observe(dialect, raw).tool_calls
    assert set(exchange.tool_calls) <= set(whole)


@pytest.mark.parametrize(("dialect", "name"), SAMPLES)
@given(at=st.integers(0, 12_000), change=st.binary(min_size=0, max_size=6), cuts=CUTS)
@settings(max_examples=80, deadline=None)
def test_damage_anywhere_breaks_nothing_and_does_not_depend_on_splits(
    dialect: str, name: str, at: int, change: bytes, cuts: list[int]
) -> None:
    raw = body(name)
    at %= len(raw)
    damaged = raw[:at] + change + raw[at + 1 :]
    exchange = observe(dialect, damaged)
    assert observe(dialect, pieces(damaged, cuts)) == exchange
    assert exchange.complete or exchange.why


@pytest.mark.parametrize("dialect", ["anthropic", "responses", "chat", "google"])
@given(events=st.lists(EVENTS, max_size=6), cuts=CUTS)
@settings(max_examples=150, deadline=None)
def test_any_events_give_an_exchange_that_can_be_kept(
    dialect: str, events: list[dict[str, Any]], cuts: list[int]
) -> None:
    raw = stream(*events)
    exchange = observe(dialect, pieces(raw, cuts))
    assert exchange.complete or exchange.why


@pytest.mark.parametrize("dialect", ["anthropic", "responses", "chat", "google"])
@given(asked=VALUES, answer=VALUES)
@settings(max_examples=150, deadline=None)
def test_any_request_and_plain_answer_give_an_exchange(
    dialect: str, asked: Any, answer: Any
) -> None:
    exchange = observe(dialect, json.dumps(answer).encode(), asked=json.dumps(asked).encode())
    assert exchange.complete or exchange.why


LINES = st.sampled_from(
    ["data: a", "data:b", "data", "event: n", "event:", ": c", "id: 1", "", "x"]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(lines=st.lists(st.tuples(LINES, ENDS), max_size=25), cuts=st.lists(st.integers(0, 300)))
@settings(deadline=None)
def test_any_event_stream_reads_as_the_standard_says(
    lines: list[tuple[str, str]], cuts: list[int]
) -> None:
    raw = "".join(line + end for line, end in lines)
    # Two ends that would read as one CRLF are no two lines; say what the text itself says.
    text = raw.replace("\r\n", "\n").replace("\r", "\n")
    expected = []
    name, data = "", []
    for line in text.split("\n")[:-1]:
        if not line:
            if data:
                expected.append((name or None, "\n".join(data)))
            name, data = "", []
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
    reader = EventStream()
    found = [event for piece in pieces(raw.encode(), cuts) for event in events_of(reader, piece)]
    # A carriage return at the very end may be half of an end of line; nothing follows to tell.
    if raw.endswith("\r"):
        found += events_of(reader, b":")
    assert [tuple(event) for event in found] == expected
