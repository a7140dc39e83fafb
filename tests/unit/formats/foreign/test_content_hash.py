"""Hashes of lines, as Agent Trace records carry them."""

from __future__ import annotations

import hashlib

import pytest

from agentprov.formats.foreign import content_hash


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"", 0),
        (b"hello", 0x248BFA47),
        (b"hello, world", 0x149BBB7F),
        (b"The quick brown fox jumps over the lazy dog", 0x2E4FF723),
    ],
)
def test_murmur3_gives_the_published_values(text: bytes, value: int) -> None:
    assert content_hash.murmur3(text) == value


def test_lines_are_hashed_joined_with_or_without_a_last_line_end() -> None:
    lines = [b"def f():", b"    return 1"]
    for text in (b"\n".join(lines), b"\n".join(lines) + b"\n"):
        digest = hashlib.sha256(text).hexdigest()
        assert content_hash.matches(f"sha256:{digest}", lines)
        assert content_hash.matches(f"sha256:{digest.upper()}", lines)
        assert content_hash.matches(f"murmur3:{content_hash.murmur3(text):08x}", lines)
        assert not content_hash.matches(f"sha256:{digest}", lines[:1])
    crlf = [line + b"\r" for line in lines]
    assert content_hash.matches(content_hash.of(lines), crlf)
    assert not content_hash.matches(content_hash.of(crlf), lines)


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:zz", "md5:" + "0" * 32, "murmur3:1", "00000000"]
)
def test_a_hash_that_cannot_be_computed_here_is_not_known(text: str) -> None:
    assert not content_hash.known(text)
