from __future__ import annotations

import json
from typing import Any

import pytest

from agentprov.formats.exchange import Exchange
from support.wire_bodies import body, observe, stream

DONE = b"data: [DONE]\n\n"


def chunk(finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "model": "lab-1", "choices": [choice]}


def call(arguments: str | None, **more: Any) -> dict[str, Any]:
    function = {name: more.pop(name) for name in ("name",) if name in more}
    return {**more, "function": {**function, "arguments": arguments}}


def seen(*events: dict[str, Any], tail: bytes = DONE) -> Exchange:
    return observe("chat", stream(*events) + tail)


def test_a_streamed_completion_is_put_together() -> None:
    exchange = observe("chat", body("chat.sse"))
    assert exchange.complete and exchange.why is None
    assert exchange.dialect == "openai-chat"
    assert (exchange.served, exchange.response_id) == ("lab-served-2026-11-01", "chatcmpl-9Zk")
    assert (exchange.input_tokens, exchange.output_tokens) == (900, 55)
    assert exchange.texts == ("Here it comes.",)
    write, shell = exchange.tool_calls
    assert (write.id, write.name) == ("call_a1", "write")
    assert json.loads(write.arguments)["content"].endswith("# rädius ✓\n")
    assert json.loads(shell.arguments) == {"command": "ls -la"}


def test_a_completion_in_one_piece_says_the_same_things() -> None:
    exchange = observe("chat", body("chat.json"))
    assert exchange.complete
    assert exchange.texts == ("Done in one go.",)
    assert [c.id for c in exchange.tool_calls] == ["call_w"]


@pytest.mark.parametrize(
    ("events", "tail"),
    [
        ((chunk(content="x"),), DONE),
        ((chunk(content="x"), chunk("stop")), b""),
        ((chunk("stop"), chunk(index=1, content="x")), DONE),
        ((), DONE),
    ],
)
def test_it_takes_both_a_finish_reason_and_the_end_mark(
    events: tuple[dict[str, Any], ...], tail: bytes
) -> None:
    assert not seen(*events, tail=tail).complete


def test_calls_are_told_apart_by_number_then_by_id() -> None:
    numbered = seen(
        chunk(tool_calls=[call('{"a":', index=0, id="c0", name="x")]),
        chunk(tool_calls=[call('{"b":', index=1, id="c1", name="y")]),
        chunk(tool_calls=[call("1}", index=0, id="c0"), call("2}", index=1)]),
        chunk("tool_calls"),
    )
    assert [c.arguments for c in numbered.tool_calls] == ['{"a":1}', '{"b":2}']
    for place in ({}, {"index": 0}):
        unnumbered = seen(
            chunk(tool_calls=[call('{"a":1}', id="c0", name="x", **place)]),
            chunk(tool_calls=[call('{"b":2}', id="c1", name="y", **place)]),
            chunk("tool_calls"),
        )
        assert [(c.id, c.arguments) for c in unnumbered.tool_calls] == [
            ("c0", '{"a":1}'),
            ("c1", '{"b":2}'),
        ]


def test_other_shapes_of_content_and_calls_are_read() -> None:
    custom = {"index": 1, "id": "c1", "custom": {"name": "patch", "input": "free text"}}
    exchange = seen(
        chunk(content=[{"type": "thinking", "thinking": []}, {"type": "text", "text": "parts"}]),
        chunk(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": {"a": 1}}}, custom]),
        chunk("tool_calls"),
    )
    assert exchange.texts == ("parts",)
    assert [(c.name, c.arguments) for c in exchange.tool_calls] == [
        ("f", '{"a":1}'),
        ("patch", "free text"),
    ]


def test_the_old_function_call_is_read() -> None:
    exchange = seen(
        chunk(function_call={"name": "f", "arguments": "{"}),
        chunk(function_call={"arguments": "}"}),
        chunk("function_call"),
    )
    assert [(c.name, c.arguments) for c in exchange.tool_calls] == [("f", "{}")]


def test_a_cut_leaves_out_the_call_that_was_being_written() -> None:
    parts = body("chat.sse").split(b"\n\n")[:-1]
    for number in range(len(parts)):
        exchange = observe("chat", b"\n\n".join(parts[:number]) + b"\n\n", cut=True)
        assert not exchange.complete
        for one in exchange.tool_calls:
            json.loads(one.arguments)


@pytest.mark.parametrize(
    ("events", "tail", "why"),
    [
        ((chunk("stop"), {"error": {"code": "boom"}}), DONE, "error event: boom"),
        ((chunk("stop"),), DONE + stream(chunk(content="late")), "goes on after its end"),
        ((chunk(tool_calls=[call("{}", index=0)]), chunk("stop")), DONE, "without a name"),
        ((chunk("stop", index=-3),), DONE, "without its place"),
        ((chunk("stop"),), b"data: {nonsense}\n\n" + DONE, "malformed JSON"),
    ],
)
def test_what_makes_no_sense_takes_the_trust_away(
    events: tuple[dict[str, Any], ...], tail: bytes, why: str
) -> None:
    exchange = seen(*events, tail=tail)
    assert not exchange.complete
    assert why in (exchange.why or "")


def test_halves_of_a_character_in_two_pieces_are_put_together() -> None:
    raw = stream(chunk(content="\ud83d"), chunk(content="\ude00 and \ud83d"), chunk("stop")) + DONE
    assert observe("chat", raw).texts == ("😀 and �",)
