from __future__ import annotations

import json
from typing import Any

import pytest

from agentprov.formats.exchange import Exchange
from support.wire_bodies import body, observe, stream

START = {"type": "message_start", "message": {"id": "msg_1", "model": "m-1", "usage": {}}}
STOP = {"type": "message_stop"}
TEXT = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
END = {"type": "content_block_stop", "index": 0}


def delta(index: int, **content: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": content}


def tool(index: int, name: str = "Write", **more: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}, **more}
    return {"type": "content_block_start", "index": index, "content_block": block}


def seen(*events: dict[str, Any], cut: bool = False) -> Exchange:
    return observe("anthropic", stream(*events), cut=cut)


def test_a_streamed_message_is_put_together() -> None:
    exchange = observe("anthropic", body("anthropic.sse"))
    assert exchange.complete and exchange.why is None
    assert exchange.dialect == "anthropic"
    assert exchange.served == "claude-opus-5-5-20261001"
    assert exchange.response_id == "msg_01XqPz7"
    assert exchange.texts == ("I'll write the module,\nthen commit it — both at once.",)
    assert [(c.id, c.name) for c in exchange.tool_calls] == [
        ("toolu_01Wr", "Write"),
        ("toolu_01Ba", "Bash"),
    ]
    written = json.loads(exchange.tool_calls[0].arguments)
    assert written["content"] == "def area(r):\n    return 3.14159 * r ** 2  # rädius ✓\n"


def test_cached_tokens_count_as_input() -> None:
    exchange = observe("anthropic", body("anthropic.sse"))
    assert (exchange.input_tokens, exchange.output_tokens) == (412 + 1200 + 30000, 187)


def test_a_message_in_one_piece_says_the_same_things() -> None:
    exchange = observe("anthropic", body("anthropic.json"))
    assert exchange.complete
    assert (exchange.served, exchange.texts) == ("claude-haiku-5-5", ("Two steps.",))
    assert json.loads(exchange.tool_calls[0].arguments)["content"] == "A = 'first line'\n"
    assert (exchange.input_tokens, exchange.output_tokens) == (25, 9)


def test_two_calls_in_turns_do_not_mix() -> None:
    exchange = seen(
        START,
        tool(0),
        tool(1, "Edit"),
        delta(1, type="input_json_delta", partial_json='{"b":'),
        delta(0, type="input_json_delta", partial_json='{"a":'),
        delta(1, type="input_json_delta", partial_json="2}"),
        {"type": "content_block_stop", "index": 1},
        delta(0, type="input_json_delta", partial_json="1}"),
        END,
        STOP,
    )
    assert [c.arguments for c in exchange.tool_calls] == ['{"a":1}', '{"b":2}']
    assert exchange.complete


def test_a_call_without_pieces_has_the_input_it_began_with() -> None:
    exchange = seen(START, tool(0, input={"x": 1}), END, tool(1), dict(END, index=1), STOP)
    assert [c.arguments for c in exchange.tool_calls] == ['{"x":1}', "{}"]


def test_unknown_events_blocks_and_pieces_are_passed_over() -> None:
    exchange = seen(
        START,
        {"type": "weather_report", "sunny": True},
        {**TEXT, "content_block": {"type": "server_tool_use", "name": "web_search", "input": {}}},
        delta(0, type="input_json_delta", partial_json="{}"),
        delta(0, type="glitter_delta", glitter="*"),
        END,
        STOP,
    )
    assert exchange.complete
    assert exchange.tool_calls == exchange.texts == ()


def test_a_cut_at_any_event_is_incomplete_and_keeps_only_finished_calls() -> None:
    whole = body("anthropic.sse")
    parts = whole.split(b"\n\n")[:-1]
    finished = {0, 1, 2}
    for number in range(len(parts)):
        exchange = observe("anthropic", b"\n\n".join(parts[:number]) + b"\n\n", cut=True)
        assert not exchange.complete
        assert exchange.why is not None
        assert len(exchange.tool_calls) in finished
        for call in exchange.tool_calls:
            json.loads(call.arguments)
    assert observe("anthropic", whole, cut=True).complete


def test_a_stream_that_just_ends_is_incomplete() -> None:
    exchange = seen(START, TEXT, END)
    assert (exchange.complete, exchange.why) == (False, "no end of the answer")


def test_an_error_event_is_told_by_its_code_and_takes_the_trust_away() -> None:
    error = {"type": "overloaded_error", "message": "your key sk-secret-1 is busy"}
    exchange = seen(START, TEXT, END, {"type": "error", "error": error}, STOP)
    assert not exchange.complete
    assert exchange.why == "error event: overloaded_error"


@pytest.mark.parametrize(
    "events",
    [
        (START, START, STOP),
        (START, delta(0, type="text_delta", text="x"), STOP),
        (START, TEXT, TEXT, END, STOP),
        (START, TEXT, END, delta(0, type="text_delta", text="x"), STOP),
        (START, TEXT, STOP),
        (START, TEXT, delta(0, type="input_json_delta", partial_json="x"), END, STOP),
        (START, dict(TEXT, index=-1), STOP),
        (START, dict(TEXT, index=True), STOP),
        (START, dict(TEXT, content_block=None), STOP),
        (START, tool(0, name="x" * 1000), END, STOP),
        (START, STOP, TEXT, END),
        (STOP,),
        ({"type": "message_start"}, STOP),
    ],
)
def test_events_that_make_no_sense_take_the_trust_away(events: tuple[dict[str, Any], ...]) -> None:
    exchange = seen(*events)
    assert not exchange.complete
    assert exchange.why


def test_one_malformed_event_takes_the_trust_away_and_the_rest_is_read() -> None:
    raw = body("anthropic.sse").replace(b'"c2lnbmF0dXJl"', b'"c2lnb" mF0dXJl"')
    exchange = observe("anthropic", raw)
    assert (exchange.complete, exchange.why) == (False, "malformed JSON")
    assert len(exchange.tool_calls) == 2


def test_an_event_named_otherwise_than_its_data_takes_the_trust_away() -> None:
    raw = body("anthropic.sse").replace(b"event: ping", b"event: message_stop")
    exchange = observe("anthropic", raw)
    assert not exchange.complete
    assert exchange.why == "an event that is named otherwise than its data"
