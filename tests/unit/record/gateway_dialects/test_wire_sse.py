from __future__ import annotations

from agentprov.record.gateway.dialects.sse import Event, EventStream
from support.wire_bodies import events_of


def parse(*pieces: bytes) -> list[Event]:
    stream = EventStream()
    return [event for piece in pieces for event in events_of(stream, piece)]


def test_an_event_has_its_name_and_its_data() -> None:
    assert parse(b'event: ping\ndata: {"a": 1}\n\n') == [Event("ping", '{"a": 1}')]
    assert parse(b"data: [DONE]\n\n") == [Event(None, "[DONE]")]


def test_data_lines_are_joined_and_one_blank_after_the_colon_goes() -> None:
    assert parse(b"data:  two\ndata:blanks\ndata\n\n") == [Event(None, " two\nblanks\n")]


def test_comments_ids_retries_and_events_without_data_are_no_events() -> None:
    raw = b": keep-alive\n\nid: 7\nretry: 10\nevent: named\n\nunknown: x\n\ndata: y\nid: 8\n\n"
    assert parse(raw) == [Event(None, "y")]


def test_all_three_line_ends_are_read_wherever_they_are_split() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        raw = end.join([b"event: a", b"data: 1", b"data: 2", b"", b"data: 3", b"", b""])
        assert parse(raw + b":") == [Event("a", "1\n2"), Event(None, "3")]
        single = [raw[i : i + 1] for i in range(len(raw))]
        assert parse(*single, b":") == [Event("a", "1\n2"), Event(None, "3")]


def test_an_event_that_the_end_cuts_off_is_no_event() -> None:
    assert parse(b"data: whole\n\ndata: cut\n") == [Event(None, "whole")]


def test_characters_split_between_pieces_come_out_whole() -> None:
    raw = "data: räd ✓ 😀\n\n".encode()
    assert parse(*[raw[i : i + 1] for i in range(len(raw))]) == [Event(None, "räd ✓ 😀")]


def test_what_is_not_utf_8_is_replaced_as_clients_do() -> None:
    assert parse(b"data: a\xffb\n\n") == [Event(None, "a�b")]


def test_an_oversized_event_is_left_out_and_counted_and_the_next_is_read() -> None:
    stream = EventStream(max_event_bytes=100)
    found = []
    for piece in (b"data: 1\n\n", b"data: " + b"x" * 90, b"x" * 90, b"x\n", b"\ndata: 2\n\n"):
        found += events_of(stream, piece)
    assert found == [Event(None, "1"), Event(None, "2")]
    assert stream.oversized == 1
