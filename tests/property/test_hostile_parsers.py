"""Bytes of strangers, bent in every way that comes to mind: a value or a typed error, always."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.hostile_parsers import PARSERS, run

SLOW = frozenset({"keyless", "timestamp", "timestamp-chain", "sigstore-root", "trust", "note"})
# What parsers stumble over: ends, signs, digits that are none, brackets, encodings, lengths.
PIECES = st.sampled_from(
    [
        b"", b"\0", b"\n", b"\r", b" ", b"--", b"-", b"9" * 5000, b"1e999", b"NaN", b"\xff",
        b"\xef\xbb\xbf", "\u00b2".encode(), "\u0661".encode(), b"\\ud800", b"[" * 3000, b"{", b"}",
        b'"', b"\x7f\xff\xff\xff", b"\x30\x80", b"&a", b"*a", b"!!python/none", b"- ", b": ", b"#",
        b"null", b"true", b"=" * 4, b"%", b"2026-02-30T00:00:00Z", b"..", b"\x1b[2J",
    ]
)  # fmt: skip
EDITS = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.integers(0, 12), PIECES | st.binary(max_size=6)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_a_good_sample_is_looked_at_to_its_end(name: str) -> None:
    run(name, PARSERS[name].sample)
    # A sample that is refused at its first byte would make the next test show nothing.
    if name not in ("exchange", "commit-signature", "timestamp", "timestamp-chain", "keyless"):
        assert run(name, PARSERS[name].sample) is not None


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_bent_bytes_give_a_value_or_a_typed_error(name: str) -> None:
    @settings(
        max_examples=60 if name in SLOW else 250,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(EDITS)
    def bend(edits: list[tuple[int, int, bytes]]) -> None:
        data = PARSERS[name].sample
        for where, removed, piece in edits:
            at = where % (len(data) + 1)
            data = data[:at] + piece + data[at + removed :]
        run(name, data)

    bend()


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_any_bytes_give_a_value_or_a_typed_error(name: str) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.binary(max_size=200))
    def throw(data: bytes) -> None:
        run(name, data)

    throw()
