"""Frames between relay and reader arrive as they were sent, however the pipe splits them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprov.errors import MalformedInput
from agentprov.record.gateway.frames import (
    Beginning,
    Decoder,
    Frame,
    Kind,
    decode_answer,
    decode_beginning,
    encode,
    encode_answer,
    encode_beginning,
)

FRAMES = st.builds(
    Frame,
    st.sampled_from(Kind),
    st.integers(0, 2**63),
    st.integers(0, 2**63),
    st.binary(max_size=100),
)


@given(st.lists(FRAMES, max_size=6), st.integers(1, 40))
def test_frames_survive_any_split(sent: list[Frame], step: int) -> None:
    data = b"".join(map(encode, sent))
    decoder, got = Decoder(), list[Frame]()
    for start in range(0, len(data), step):
        got += decoder.feed(data[start : start + step])
    assert got == sent


def test_heads_keep_every_byte_of_their_fields() -> None:
    headers = [(b"X-Odd", bytes(range(128, 256))), (b"x-odd", b"")]
    asked = Beginning("POST", "/v1?a=\xff", headers, "h:1", "model")
    assert decode_beginning(encode_beginning(asked)) == asked
    assert decode_answer(encode_answer(529, headers)) == (529, headers)


@pytest.mark.parametrize("data", [b"\x09" + b"\0" * 20, b"\x01" + b"\0" * 16 + b"\xff" * 4])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedInput):
        list(Decoder().feed(data))
