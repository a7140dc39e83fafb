"""Runs of like events: read at once or one by one, damaged or not, the exchange is the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentprov.record.gateway.dialects import answer, runs, wire_json
from support.wire_bodies import observe, stream

Event = dict[str, Any]
DIALECTS = ("anthropic", "responses", "chat", "google")


def anthropic(texts: list[str], inputs: list[str]) -> list[Event]:
    message = {"id": "msg_1", "model": "m-1", "usage": {}}
    block = {"type": "tool_use", "id": "t_1", "name": "Write", "input": {}}
    delta = "content_block_delta"
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
        *[
            {"type": delta, "index": 0, "delta": {"type": "thinking_delta", "thinking": text}}
            for text in texts
        ],
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        *[
            {"type": delta, "index": 1, "delta": {"type": "text_delta", "text": text}}
            for text in texts
        ],
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": block},
        *[
            {"type": delta, "index": 2, "delta": {"type": "input_json_delta", "partial_json": text}}
            for text in inputs
        ],
        {"type": "content_block_stop", "index": 2},
        {"type": "message_stop"},
    ]


def responses(texts: list[str], inputs: list[str]) -> list[Event]:
    call = {"type": "function_call", "call_id": "c", "name": "write"}
    parts = [{"type": "output_text", "text": "".join(texts)}]
    message = {"type": "message", "content": parts}
    text, arguments = "response.output_text.delta", "response.function_call_arguments.delta"
    reasoning = "response.reasoning_text.delta"
    events: list[Event] = [
        {"type": "response.created", "response": {"id": "r_1", "model": "m-1"}},
        *[{"type": reasoning, "output_index": 9, "delta": text} for text in texts],
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}},
        *[{"type": text, "output_index": 0, "delta": t, "logprobs": []} for t in texts],
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.output_item.added", "output_index": 1, "item": call},
        *[{"type": arguments, "output_index": 1, "delta": t} for t in inputs],
        {
            "type": "response.output_item.done",
            "output_index": 1,
            "item": {**call, "arguments": "".join(inputs)},
        },
        {"type": "response.completed", "response": {"id": "r_1", "model": "m-1"}},
    ]
    return [
        {"type": event.pop("type"), "sequence_number": number, **event, "obfuscation": "x" * number}
        for number, event in enumerate(events)
    ]


def chat(texts: list[str], inputs: list[str]) -> list[Event]:
    function = {"name": "write", "arguments": ""}
    opening = {"index": 0, "id": "c", "type": "function", "function": function}
    deltas: list[Event] = [
        {"role": "assistant", "content": ""},
        *[{"content": None, "reasoning_content": text} for text in texts],
        *[{"content": text, "tool_calls": None} for text in texts],
        {"tool_calls": [opening]},
        *[{"tool_calls": [{"index": 0, "function": {"arguments": text}}]} for text in inputs],
    ]
    ends = [None] * (len(deltas) - 1) + ["tool_calls"]
    return [
        {
            "id": "c_1",
            "created": 1_795_300_000 + number,
            "model": "m-1",
            "choices": [{"index": 0, "delta": delta, "finish_reason": end}],
            "usage": {"prompt_tokens": 5, "completion_tokens": number},
            "obfuscation": "y" * (number % 9),
        }
        for number, (delta, end) in enumerate(zip(deltas, ends, strict=True))
    ]


def google(texts: list[str], inputs: list[str]) -> list[Event]:
    parts: list[Event] = [
        *[{"text": text, "thought": True} for text in texts],
        *[{"text": text} for text in texts],
        *[{"functionCall": {"name": "write", "args": {"a": text}}} for text in inputs[:3]],
    ]
    found = [
        {
            "candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": number},
            "modelVersion": "m-1",
        }
        for number, part in enumerate(parts)
    ]
    found.append({"candidates": [{"index": 0, "finishReason": "STOP"}], "modelVersion": "m-1"})
    return found


MAKERS = {"anthropic": anthropic, "responses": responses, "chat": chat, "google": google}
TEXT = st.text(
    st.sampled_from(["a", "Z", " ", '"', "\\", "\n", "\x01", "}", ",", "é", "✓", "😀", "\u2028"]),
    max_size=6,
)
TEXTS = st.lists(TEXT, min_size=1, max_size=12)
# What looks like the event beside it and is not the same.
DAMAGE: list[tuple[str, str]] = [
    ('"delta"', '"Delta"'),
    ('"delta":', '"delta":"b","delta":'),
    ('"text":', '"text":"twice","text":'),
    ('"content":', '"content":"twice","content":'),
    ("}\n", ',"delta":{"type":"text_delta","text":"last"}}\n'),
    ('"index": 1', '"index": 7'),
    ('"output_index": 0', '"output_index": 5'),
    ('"finish_reason": null', '"finish_reason": "stop"'),
    ('"role": "model"}, "index": 0', '"role": "model"}, "index": 0, "finishReason": "STOP"'),
    ('"model": "m-1"', '"model": "m-2"'),
    ('"modelVersion": "m-1"', '"modelVersion": "m-2"'),
    ('"completion_tokens": ', '"completion_tokens": 1'),
    ('"candidatesTokenCount": ', '"candidatesTokenCount": -'),
    ('"sequence_number": ', '"sequence_number": 0'),
    ("Z", "\\x"),
    ("Z", "\\ud83d"),
    ("Z", "\t"),
    ("Z", '"'),
    ("Z", "\\"),
    ('"', "'"),
    ("\n\n", "\n"),
    ("\n\n", "\n\n\n"),
    ("data: ", "data:"),
    ("data: ", ": comment\ndata: "),
    ("event: ", "event:"),
    ("null", "NaN"),
]


def split(raw: bytes) -> list[bytes]:
    """One event at a time: nothing follows that could be read along with it."""
    *events, rest = raw.split(b"\n\n")
    return [*(event + b"\n\n" for event in events), *([rest] if rest else [])]


def written(dialect: str, texts: list[str], inputs: list[str], plain: bool) -> list[str]:
    events = MAKERS[dialect](texts, inputs)
    raw = [stream(event).decode() for event in events]
    if plain:
        raw = [
            stream(event).decode().partition("data: ")[0]
            + "data: "
            + json.dumps(event, ensure_ascii=False, separators=(",", ":"))
            + "\n\n"
            for event in events
        ]
    return [*raw, "data: [DONE]\n\n"] if dialect == "chat" else raw


@pytest.fixture(autouse=True)
def learn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "WORTH_LEARNING", 0)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(
    texts=TEXTS,
    inputs=TEXTS,
    plain=st.booleans(),
    damages=st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 8), st.sampled_from(DAMAGE)), max_size=3
    ),
)
@settings(max_examples=400, deadline=None)
def test_a_run_says_what_its_events_say_one_by_one(
    dialect: str,
    texts: list[str],
    inputs: list[str],
    plain: bool,
    damages: list[tuple[int, int, tuple[str, str]]],
) -> None:
    events = written(dialect, texts, inputs, plain)
    for place, count, (old, new) in damages:
        first = place % len(events)
        if plain and old.startswith('"'):
            old, new = old.replace(": ", ":").replace(", ", ","), new.replace(": ", ":")
        for number in range(first, min(first + count, len(events))):
            events[number] = events[number].replace(old, new, 1)
    raw = "".join(events).encode("utf-8", "surrogatepass")
    if not raw.endswith(b"\n\n"):
        raw += b"\n\n"
    assert observe(dialect, raw) == observe(dialect, split(raw))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_long_answer_is_not_parsed_event_by_event(
    dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    loads = wire_json.loads_object

    def counted(text: str) -> Any:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr(wire_json, "loads_object", counted)
    monkeypatch.setattr(runs, "WORTH_LEARNING", 4096)
    texts = [f'piece "{number}"\n' for number in range(400)]
    exchange = observe(dialect, "".join(written(dialect, texts, texts, True)).encode())
    assert exchange.complete
    assert "".join(texts) in exchange.texts
    if dialect != "google":
        assert exchange.tool_calls[0].arguments == "".join(texts)
    assert len(parsed) < 60


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_run_that_says_more_than_is_kept_ends_where_single_events_end(
    dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "MAX_CHARACTERS", 100)
    raw = "".join(written(dialect, ["seven__"] * 30, ["x"], True)).encode()
    looked = []
    look = runs.Runs.pass_over

    def counted(self: runs.Runs, *given: Any) -> int:
        looked.append(self._form)
        return look(self, *given)

    monkeypatch.setattr(runs.Runs, "pass_over", counted)
    exchange = observe(dialect, raw)
    # It does not look for the rest of the run again and again.
    assert looked[-1] is None
    assert exchange == observe(dialect, split(raw))
    assert not exchange.complete and "more text than is kept" in (exchange.why or "")


def test_forms_that_change_all_the_time_are_learnt_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learnt = []
    learn = runs._learn
    monkeypatch.setattr(runs, "_learn", lambda *given: learnt.append(1) or learn(*given))
    events = anthropic(["a"], ["b"])
    texts = [event for event in events if event.get("index") == 1 and "delta" in event]
    odd = [{**texts[0], f"n{number}": 1} for number in range(300)]
    at = events.index(texts[0])
    raw = stream(*events[:at], *odd, *events[at:])
    assert observe("anthropic", raw).texts == ("a" * 301,)
    assert len(learnt) <= runs.MAX_LEARNT


def test_pieces_after_the_end_are_refused_in_a_run_too() -> None:
    events = google(["a", "b", "c", "d"], [])
    for event in events[4:8]:
        event["candidates"][0]["finishReason"] = "STOP"
    raw = stream(*events)
    exchange = observe("google", raw)
    assert exchange == observe("google", split(raw))
    assert exchange.texts == ("a",)
    assert not exchange.complete
