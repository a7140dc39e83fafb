from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import tracemalloc
from pathlib import Path

import pytest

from agentprov.formats.exchange import decode, encode
from agentprov.record.gateway import exchange as exchange_module
from agentprov.record.gateway.dialects import answer
from agentprov.record.gateway.dialects import body as body_module
from support.model_endpoint import ModelEndpoint, Say, Shell, Write
from support.wire_bodies import KEY, body, observe, stream

SECRET = "sk-planted-5f2a9c"


def test_an_exchange_knows_where_and_when_it_was() -> None:
    exchange = observe("anthropic", body("anthropic.sse"), answer_headers=[("Request-Id", "r-1")])
    assert (exchange.number, exchange.provider, exchange.host) == (7, "example", "api.example.com")
    assert exchange.started == "2026-11-24T10:00:00.000Z"
    assert exchange.finished == "2026-11-24T10:00:01.000Z"
    assert (exchange.status, exchange.request_id) == (200, "r-1")


def test_requested_and_served_are_never_copies_of_each_other() -> None:
    exchange = observe("chat", stream({"choices": []}), asked={"model": "asked"})
    assert (exchange.requested, exchange.served) == ("asked", None)
    exchange = observe("chat", body("chat.sse"), asked={"messages": []})
    assert (exchange.requested, exchange.served) == (None, "lab-served-2026-11-01")


def test_bodies_have_keyed_digests_of_their_bytes_as_sent() -> None:
    exchange = observe("google", body("google.sse"), asked=b'{"contents": []}')

    def mac(data: bytes) -> str:
        return hmac.new(KEY, data, hashlib.sha256).hexdigest()

    assert exchange.request_mac == mac(b'{"contents": []}')
    assert exchange.answer_mac == mac(body("google.sse"))


@pytest.mark.parametrize(
    ("status", "sent", "why"),
    [
        (
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": SECRET}},
            "status 529; overloaded_error",
        ),
        (401, {"error": {"code": "invalid_api_key", "message": SECRET}}, "invalid_api_key"),
        (400, {"error": SECRET + " sentence"}, "status 400; error"),
        (500, None, "status 500"),
    ],
)
def test_an_error_has_its_status_and_code_and_never_the_providers_sentence(
    status: int, sent: object, why: str
) -> None:
    raw = json.dumps(sent).encode() if sent else b"<html>" + SECRET.encode()
    for dialect in ("anthropic", "responses", "chat", "google"):
        exchange = observe(dialect, raw, status=status)
        assert exchange.status == status
        assert not exchange.complete
        assert why in (exchange.why or "")
        assert SECRET not in repr(exchange)


def test_an_answer_of_an_error_status_is_never_complete() -> None:
    assert not observe("anthropic", body("anthropic.sse"), status=500).complete


def test_without_an_answer_the_request_still_counts() -> None:
    exchange = observe("anthropic", None, asked={"model": "m-1"}, cut=True)
    assert (exchange.status, exchange.complete) == (0, False)
    assert (exchange.requested, exchange.why) == ("m-1", "no answer")


def test_an_answer_without_a_body_is_no_answer() -> None:
    exchange = observe("anthropic", [])
    assert (exchange.complete, exchange.why) == (False, "an answer without a body")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "image/png"])
def test_the_body_tells_what_it_is_and_not_the_content_type(content_type: str) -> None:
    header = [("Content-Type", content_type)]
    assert observe("chat", body("chat.sse"), answer_headers=header).complete
    header = [("Content-Type", "text/event-stream")]
    assert observe("chat", body("chat.json"), answer_headers=header).complete


def test_marks_and_blanks_before_a_body_do_not_matter() -> None:
    for before in (b"\xef\xbb\xbf", b"\r\n", b" \n \n" * 50):
        assert observe("chat", before + body("chat.json")).complete
        assert observe("chat", before + body("chat.sse")).complete


def test_a_page_of_html_is_no_answer() -> None:
    exchange = observe("chat", b"<!doctype html>\n\n<p>Sign in</p>\n\n")
    assert (exchange.complete, exchange.why) == (False, "no event in the answer")


def test_credentials_are_in_no_part_of_an_exchange() -> None:
    exchange = observe(
        "anthropic",
        body("anthropic.sse"),
        headers=[
            ("Authorization", f"Bearer {SECRET}"),
            ("x-api-key", SECRET),
            ("Cookie", SECRET),
            ("x-claude-code-agent-id", SECRET),
        ],
        answer_headers=[("Set-Cookie", SECRET)],
        asked={"model": "m", "messages": [{"content": SECRET}], "stop_sequences": [SECRET]},
    )
    assert SECRET not in repr(exchange)


def test_a_request_larger_than_is_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "MAX_REQUEST_BYTES", 1000)
    large = json.dumps({"model": "m", "messages": ["x" * 2000]}).encode()
    exchange = observe("anthropic", body("anthropic.sse"), asked=large)
    assert exchange.complete
    assert (exchange.requested, exchange.why) == (None, "request: larger than is read")
    assert exchange.request_mac == hmac.new(KEY, large, hashlib.sha256).hexdigest()


def test_an_answer_may_end_before_its_request_does() -> None:
    from agentprov.record.gateway.tap import TapContext, tap_for

    emitted = []
    context = TapContext(
        "h", "p", KEY, lambda: "2026-11-24T10:00:00.000Z", lambda: 1, emitted.append, print
    )
    tap = tap_for("POST", "/v1/messages", [], context)
    assert tap is not None
    tap.request_head("POST", "/v1/messages", [])
    tap.request_body(b'{"model": "m"')
    tap.response_head(200, [])
    tap.response_body(body("anthropic.sse"))
    tap.response_end(False)
    assert emitted[0].complete
    assert emitted[0].why == "request: not whole"


def test_a_huge_stream_is_read_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "MAX_CHARACTERS", 100_000)
    start = stream(
        {"type": "message_start", "message": {"id": "i", "model": "m", "usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
    )
    text = {"type": "text_delta", "text": "x" * 1000}
    piece = stream({"type": "content_block_delta", "index": 0, "delta": text}) * 20
    tracemalloc.start()
    try:
        exchange = observe("anthropic", [start, *[piece] * 1000], cut=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert exchange.why == "more text than is kept"
    assert not exchange.complete
    assert len(exchange.texts[0]) <= 100_000
    assert peak < 4_000_000


def test_a_huge_event_and_a_huge_plain_body_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "MAX_PLAIN_BYTES", 100_000)
    tracemalloc.start()
    try:
        plain = observe("chat", [b'{"x": "', *[b"y" * 1000] * 2000])
        event = observe("chat", [b"data: ", *[b"y" * 65536] * 600])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert plain.why == "answer larger than is read"
    assert "an event larger than is read" in (event.why or "")
    assert peak < 40_000_000


def test_text_that_no_drop_can_hold_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "MAX_ENCODED_BYTES", 3000)
    exchange = observe("anthropic", body("anthropic.sse"))
    assert exchange.complete
    monkeypatch.setattr(exchange_module, "MAX_ENCODED_BYTES", 300)
    exchange = observe("anthropic", body("anthropic.sse"))
    assert (exchange.complete, exchange.texts, exchange.tool_calls) == (False, (), ())
    assert exchange.why == "more text than is kept"
    assert exchange.served is not None


@pytest.mark.parametrize(
    "raw",
    [
        b"data: " + b"[" * 50_000 + b"\n\n",
        b"data: " + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"\n\n",
        b'data: {"type": "message_start", "message": {"id": 1e999, "model": 5}}\n\n',
        b'data: {"usage": {"prompt_tokens": ' + b"9" * 5000 + b"}}\n\n",
        b"data: null\n\ndata: 7\n\ndata: []\n\n",
        b'data: {"choices": {"a": 1}, "candidates": 7, "type": ["x"], "response": 3}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [[], {"index": "0"}]}}]}\n\n',
        b'{"content": [[[]]], "choices": [7], "output": {"a": 1}, "type": "message"}',
        b"[1, 2]",
        b"[" * 50_000,
        b"{",
        b"\x00\xff\xfe",
        b'{"type": "message", "usage": {"input_tokens": -5}, "model": {"x": 1}, "id": []}',
    ],
    ids=range(13),
)
def test_hostile_bodies_give_an_exchange_that_is_not_trusted(raw: bytes) -> None:
    for dialect in ("anthropic", "responses", "chat", "google"):
        exchange = observe(dialect, raw)
        assert not exchange.complete
        assert exchange.why
        assert decode(encode(exchange)) == exchange


@pytest.mark.parametrize(
    ("path", "dialect"), [("/v1/messages?beta=true", "anthropic"), ("/v1/responses", "responses")]
)
def test_what_the_scripted_endpoint_answers_is_read(
    path: str, dialect: str, tmp_path: Path
) -> None:
    script = [(Write("a.py", "ONE = 'first'\n"), Shell("ls")), Say("bye")]
    with ModelEndpoint(script, root=tmp_path, served="served-1") as endpoint:
        connection = http.client.HTTPConnection(endpoint.url.removeprefix("http://"), timeout=10)
        request = json.dumps({"model": "asked-1", "messages": [], "tools": [{"name": "Write"}]})
        connection.request("POST", path, request, {"Content-Type": "application/json"})
        response = connection.getresponse()
        pieces = []
        while piece := response.read1(50):
            pieces.append(piece)
        headers = response.getheaders()
        connection.close()
    exchange = observe(dialect, pieces, asked=request.encode(), answer_headers=headers)
    assert exchange.complete and exchange.why is None
    assert (exchange.requested, exchange.served) == ("asked-1", "served-1")
    assert exchange.request_id == "req_script_1"
    write, shell = exchange.tool_calls
    assert "ONE = 'first'" in write.arguments
    assert "ls" in shell.arguments
