from __future__ import annotations

import json
from typing import Any

import pytest

from agentprov.formats.exchange import Exchange
from support.wire_bodies import body, observe, stream

CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "g-1"}}
PATCH = {"type": "custom_tool_call", "call_id": "call_1", "name": "apply_patch"}


def item(kind: str, index: int = 0, **content: Any) -> dict[str, Any]:
    return {"type": f"response.output_item.{kind}", "output_index": index, "item": content}


def piece(text: str, index: int = 0) -> dict[str, Any]:
    kind = "response.custom_tool_call_input.delta"
    return {"type": kind, "output_index": index, "delta": text}


def completed(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "model": "g-1", "output": list(output), **more}
    return {"type": "response.completed", "response": response}


def seen(*events: dict[str, Any]) -> Exchange:
    return observe("responses", stream(*events))


def test_a_streamed_response_is_put_together_although_its_items_come_in_turns() -> None:
    exchange = observe("responses", body("responses.sse"))
    assert exchange.complete and exchange.why is None
    assert exchange.dialect == "openai-responses"
    assert exchange.served == "gpt-6.1-sol-2026-10-20"
    assert exchange.response_id == "resp_0af1"
    assert (exchange.input_tokens, exchange.output_tokens) == (5120, 240)
    assert exchange.texts == ("Writing the file now.",)
    patch, command, mcp = exchange.tool_calls
    assert (patch.id, patch.name) == ("call_patch", "apply_patch")
    assert patch.arguments.splitlines()[2] == "+def area(r):"
    assert json.loads(command.arguments)["workdir"] == "/repo"
    assert (mcp.name, mcp.arguments) == ("mcp__labnotes__add", '{"a":2,"b":3}')


def test_a_response_in_one_piece_says_the_same_things() -> None:
    exchange = observe("responses", body("responses.json"))
    assert exchange.complete
    assert [c.id for c in exchange.tool_calls] == ["call_patch", "call_cmd"]
    assert (exchange.input_tokens, exchange.output_tokens) == (31, 8)


def test_items_that_only_the_final_response_lists_count() -> None:
    done = {**PATCH, "input": "*** Begin Patch\n"}
    exchange = seen(CREATED, completed(done))
    assert [c.arguments for c in exchange.tool_calls] == ["*** Begin Patch\n"]
    assert exchange.complete


def test_an_item_that_was_never_announced_counts() -> None:
    exchange = seen(CREATED, item("done", **PATCH, input="x"), completed())
    assert [c.arguments for c in exchange.tool_calls] == ["x"]


@pytest.mark.parametrize(
    "events",
    [
        (item("added", **PATCH), piece("good"), item("done", **PATCH, input="evil"), completed()),
        (item("done", **PATCH, input="good"), completed({**PATCH, "input": "evil"})),
        (
            item("added", **PATCH),
            piece("good"),
            {"type": "response.custom_tool_call_input.done", "output_index": 0, "input": "evil"},
            item("done", **PATCH, input="good"),
            completed(),
        ),
    ],
)
def test_pieces_that_add_up_to_something_else_take_the_trust_away(
    events: tuple[dict[str, Any], ...],
) -> None:
    exchange = seen(CREATED, *events)
    assert not exchange.complete
    assert exchange.why == "pieces and whole of an item differ"


@pytest.mark.parametrize(
    "events",
    [
        (piece("x"), completed()),
        (item("added", **PATCH), item("added", **PATCH), completed()),
        (item("done", **PATCH, input="a"), item("done", **PATCH, input="a"), completed()),
        (item("added", **PATCH), item("done", type="message"), completed()),
        (item("added", **PATCH), item("done", **{**PATCH, "name": 7}, input=""), completed()),
        (completed(), item("added", **PATCH)),
        ({"type": "response.completed"},),
        ({"type": "response.output_item.done"}, completed()),
    ],
)
def test_events_that_make_no_sense_take_the_trust_away(events: tuple[dict[str, Any], ...]) -> None:
    exchange = seen(CREATED, *events)
    assert not exchange.complete
    assert exchange.why


def test_two_models_in_one_answer_take_the_trust_away() -> None:
    exchange = seen(CREATED, completed(model="g-2"))
    assert (exchange.complete, exchange.why) == (False, "the answer names two models")


def test_a_header_with_another_model_is_remarked_and_changes_nothing() -> None:
    exchange = observe(
        "responses", stream(CREATED, completed()), answer_headers=[("OpenAI-Model", "g-9")]
    )
    assert exchange.complete
    assert exchange.served == "g-1"
    assert exchange.why == "a header of the answer names another model"


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (
            {
                "type": "response.incomplete",
                "response": {"incomplete_details": {"reason": "max_output_tokens"}},
            },
            "incomplete: max_output_tokens",
        ),
        (
            {
                "type": "response.failed",
                "response": {"error": {"code": "server_error", "message": "sk-1 failed"}},
            },
            "failed: server_error",
        ),
        (
            {"type": "error", "code": "rate_limit_exceeded", "message": "slow down, sk-1"},
            "error event: rate_limit_exceeded",
        ),
    ],
)
def test_other_ends_are_no_completion(event: dict[str, Any], why: str) -> None:
    exchange = seen(CREATED, item("done", **PATCH, input="x"), event)
    assert (exchange.complete, exchange.why) == (False, why)
    assert len(exchange.tool_calls) == 1


def test_calls_of_other_kinds_are_kept_if_the_agent_has_to_answer_them() -> None:
    shell = {"type": "local_shell_call", "call_id": "c1", "action": {"command": ["ls"]}}
    search = {"type": "web_search_call", "id": "ws_1", "action": {"query": "x"}}
    exchange = seen(CREATED, item("done", **shell), item("done", 1, **search), completed())
    assert [(c.name, c.arguments) for c in exchange.tool_calls] == [
        ("local_shell", '{"command":["ls"]}')
    ]


def test_a_cut_at_any_event_is_incomplete() -> None:
    parts = body("responses.sse").split(b"\n\n")[:-1]
    for number in range(len(parts)):
        exchange = observe("responses", b"\n\n".join(parts[:number]) + b"\n\n", cut=True)
        assert not exchange.complete
        assert exchange.why
        for call in exchange.tool_calls:
            assert call.arguments.endswith(("}", "*** End Patch\n"))
