"""Hashes of lines as Agent Trace records carry them: ``algorithm:hex`` over the lines' text.

The specification does not say which bytes are hashed. Lines joined with ``\\n`` are taken, with
and without a last one, and as they stand with ``\\r\\n``; a hash that fits none of them is one that
differs. murmur3 has 32 bits: it finds lines again, and it proves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

_LENGTHS = {"sha256": 64, "sha1": 40, "murmur3": 8}


def of(lines: Sequence[bytes]) -> str:
    """Give the hash that we write: SHA-256 of the lines joined with ``\\n``."""
    return "sha256:" + hashlib.sha256(b"\n".join(lines)).hexdigest()


def known(content_hash: str) -> bool:
    """Say whether this is a hash of an algorithm that can be computed here."""
    algorithm, _, digest = content_hash.partition(":")
    return (
        len(digest) == _LENGTHS.get(algorithm)
        and digest.isascii()
        and all(character in "0123456789abcdefABCDEF" for character in digest)
    )


def matches(content_hash: str, lines: Sequence[bytes]) -> bool:
    """Say whether a hash is that of these lines (without their line ends)."""
    algorithm, _, digest = content_hash.partition(":")
    wanted = digest.lower()
    return any(_digest(algorithm, text) == wanted for text in _texts(lines))


def _texts(lines: Sequence[bytes]) -> Iterator[bytes]:
    joined = b"\n".join(lines)
    yield joined
    yield joined + b"\n"
    if b"\r" in joined:
        bare = b"\n".join(line.removesuffix(b"\r") for line in lines)
        yield bare
        yield bare + b"\n"


def _digest(algorithm: str, text: bytes) -> str:
    if algorithm == "murmur3":
        return f"{murmur3(text):08x}"
    return hashlib.new(algorithm, text, usedforsecurity=False).hexdigest()


def murmur3(data: bytes, seed: int = 0) -> int:
    """Give MurmurHash3 for x86 in 32 bits (public domain, Austin Appleby)."""
    state = seed
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        state ^= _scrambled(int.from_bytes(data[at : at + 4], "little"))
        state = (_rotated(state, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    if whole < len(data):
        state ^= _scrambled(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    state = ((state ^ (state >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    state = ((state ^ (state >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return state ^ (state >> 16)


def _scrambled(block: int) -> int:
    return (_rotated((block * 0xCC9E2D51) & 0xFFFFFFFF, 15) * 0x1B873593) & 0xFFFFFFFF


def _rotated(number: int, by: int) -> int:
    return ((number << by) | (number >> (32 - by))) & 0xFFFFFFFF
