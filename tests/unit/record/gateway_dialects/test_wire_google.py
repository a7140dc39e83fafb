from __future__ import annotations

import json
from typing import Any

import pytest

from support.wire_bodies import body, observe, stream


def piece(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gem-1", **more}


@pytest.mark.parametrize("name", ["google.sse", "google-list.json"])
def test_an_answer_in_pieces_is_put_together(name: str) -> None:
    exchange = observe("google", body(name))
    assert exchange.complete and exchange.why is None
    assert exchange.dialect == "google"
    assert (exchange.served, exchange.response_id) == ("gemini-9-pro-002", "cmVzcA")
    assert (exchange.input_tokens, exchange.output_tokens) == (700, 55)
    assert exchange.texts == ("First the file.",)
    write, shell = exchange.tool_calls
    assert (write.id, write.name) == ("fc-1", "write_file")
    assert json.loads(write.arguments)["content"].endswith("# rädius ✓\n")
    assert shell.name == "run_shell_command"


def test_an_answer_in_one_piece_is_read() -> None:
    exchange = observe("google", body("google.json"))
    assert exchange.complete
    assert exchange.texts == ('{"model_choice": "pro"}',)


def test_the_path_names_the_model_that_was_asked_for() -> None:
    exchange = observe("google", body("google.sse"), asked={"contents": [], "model": "other"})
    assert exchange.requested == "gemini-9-pro"


def test_the_envelope_of_the_login_service_is_opened() -> None:
    asked = {"model": "gem-login", "request": {"contents": [], "generationConfig": {"topK": 5}}}
    raw = stream({"response": piece({"text": "hi"}, finish="STOP"), "traceId": "t"})
    exchange = observe("google", raw, asked=asked, path="/v1internal:streamGenerateContent?alt=sse")
    assert exchange.complete
    assert (exchange.requested, exchange.served) == ("gem-login", "gem-1")
    assert exchange.parameters == (("generationConfig.topK", "5"),)


def test_a_connection_that_breaks_after_the_finish_reason_still_counts_as_cut() -> None:
    assert not observe("google", body("google.sse"), cut=True).complete


def test_a_cut_at_any_event_is_incomplete() -> None:
    parts = body("google.sse").split(b"\r\n\r\n")[:-1]
    for number in range(len(parts)):
        exchange = observe("google", b"\r\n\r\n".join(parts[:number]) + b"\r\n\r\n", cut=True)
        assert not exchange.complete
        assert exchange.why


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (({"promptFeedback": {"blockReason": "SAFETY"}},), "blocked: SAFETY"),
        (
            ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x"}},),
            "error event: RESOURCE_EXHAUSTED",
        ),
        (
            (piece({"text": "a"}, finish="STOP"), piece({"text": "b"})),
            "the answer goes on after its end",
        ),
        (
            (piece({"functionCall": {"name": "f", "willContinue": True}}, finish="STOP"),),
            "arguments in pieces, which are not read in this dialect",
        ),
        ((piece({"text": "no end"}),), "no end of the answer"),
        ((piece({"functionCall": {"args": {}}}, finish="STOP"),), "a tool call without a name"),
    ],
)
def test_what_makes_no_sense_takes_the_trust_away(
    events: tuple[dict[str, Any], ...], why: str
) -> None:
    exchange = observe("google", stream(*events))
    assert not exchange.complete
    assert exchange.why == why
