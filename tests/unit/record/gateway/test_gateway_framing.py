"""Framing: where a message ends, whatever the splits; nothing ambiguous comes in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprov.errors import MalformedInput
from agentprov.record.gateway.framing import (
    MAX_HEAD,
    Body,
    head_length,
    parse_request,
    parse_response,
    request_body,
    response_body,
)

_HEAD = b"POST /s/0/v1?a=b HTTP/1.1\r\nHoST:  127.0.0.1:9 \r\nX-Odd:\ta \xff\r\nx-odd: b\r\n\r\n"


def _splits(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


def _feed_all(body: Body, pieces: list[bytes]) -> tuple[int, bytes]:
    used, content = 0, b""
    for piece in pieces:
        taken, parts = body.feed(piece)
        used += taken
        content += b"".join(parts)
        if body.done:
            break
    return used, content


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=60), max_size=8),
    extension=st.sampled_from([b"", b";name=value", b" ;x"]),
    trailers=st.sampled_from([b"", b"Digest: abc\r\n", b"A: b\r\nC: d\r\n"]),
    after=st.binary(max_size=20),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
)
def test_a_chunked_body_ends_at_the_same_byte_however_it_is_split(
    chunks: list[bytes], extension: bytes, trailers: bytes, after: bytes, cuts: list[int]
) -> None:
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(c), extension, c) for c in chunks)
    framed += b"0\r\n" + trailers + b"\r\n"
    body = Body("chunked")
    used, content = _feed_all(body, _splits(framed + after, cuts))
    assert body.done
    assert used == len(framed)
    assert content == b"".join(chunks)


@given(
    content=st.binary(max_size=200),
    after=st.binary(max_size=20),
    cuts=st.lists(st.integers(0, 500), max_size=8),
)
def test_a_body_of_known_length_takes_exactly_its_bytes(
    content: bytes, after: bytes, cuts: list[int]
) -> None:
    body = Body("length", len(content))
    used, seen = _feed_all(body, _splits(content + after, cuts))
    assert body.done
    assert (used if content else 0, seen) == (len(content), content)


@given(st.binary(max_size=300), st.lists(st.integers(0, 500), max_size=8))
def test_no_bytes_make_the_chunk_reader_fail_in_an_unknown_way(
    data: bytes, cuts: list[int]
) -> None:
    body = Body("chunked")
    for piece in _splits(data, cuts):
        try:
            used, _ = body.feed(piece)
        except MalformedInput:
            return
        assert body.done or used == len(piece)


@pytest.mark.parametrize(
    "wrong", [b"g\r\n", b"5\r\nabcdeX", b"-1\r\n", b"\r\n", b"1" * 17 + b"\r\n", b"a" * 20_000]
)
def test_what_is_no_chunk_is_refused(wrong: bytes) -> None:
    with pytest.raises(MalformedInput):
        Body("chunked").feed(wrong + b"\r\n")


@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_a_head_is_found_however_it_arrives(cuts: list[int]) -> None:
    held, seen, found = b"", 0, 0
    for piece in _splits(_HEAD + b"body", cuts):
        held += piece
        found = head_length(held, seen)
        if found:
            break
        seen = len(held)
    assert found == len(_HEAD)


def test_only_target_and_host_change_in_a_head_that_is_passed_on() -> None:
    head = parse_request(_HEAD)
    assert head.addressed(b"/v1?a=b", b"api.example") == _HEAD.replace(
        b"/s/0/v1?a=b", b"/v1?a=b"
    ).replace(b"127.0.0.1:9", b"api.example")
    assert head.values(b"x-odd") == [b"a \xff", b"b"]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedInput):
        parse_request(raw)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"Content-Length: +1\r\n",
        b"Content-Length: 1, 1\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_a_request_with_two_framings_is_refused(fields: bytes) -> None:
    head = parse_request(b"POST / HTTP/1.1\r\n" + fields + b"\r\n")
    with pytest.raises(MalformedInput):
        request_body(head)


@pytest.mark.parametrize(
    ("fields", "method", "status", "kind", "done"),
    [
        (b"Content-Length: 5\r\n", b"POST", 200, "length", False),
        (b"Content-Length: 5\r\n", b"HEAD", 200, "length", True),
        (b"Content-Length: 5\r\n", b"GET", 304, "length", True),
        (b"", b"DELETE", 204, "length", True),
        (b"", b"POST", 200, "until-close", False),
        (b"Transfer-Encoding: gzip, Chunked\r\n", b"POST", 529, "chunked", False),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"POST", 200, "chunked", False),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", b"POST", 200, "until-close", False),
        (b"Content-Length: 3\r\nContent-Length: 3\r\n", b"POST", 200, "length", False),
    ],
)
def test_the_framing_of_an_answer_follows_method_status_and_fields(
    fields: bytes, method: bytes, status: int, kind: str, done: bool
) -> None:
    head = parse_response(b"HTTP/1.1 %d x\r\n%s\r\n" % (status, fields))
    body = response_body(head, method)
    assert (body.kind, body.done) == (kind, done)


def test_an_answer_is_read_leniently() -> None:
    head = parse_response(b"HTTP/1.1 200\nA: b\n  c\nno field\n\n")
    assert (head.status, head.headers) == (200, [(b"A", b"b c")])
    with pytest.raises(MalformedInput):
        parse_response(b"ICY 200 OK\r\n\r\n")


def test_a_head_that_never_ends_is_given_up() -> None:
    assert head_length(b"a" * MAX_HEAD) == 0
    with pytest.raises(MalformedInput):
        head_length(b"a" * (MAX_HEAD + 1))
