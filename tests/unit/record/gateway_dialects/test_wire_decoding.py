from __future__ import annotations

import gzip
import importlib
import random
import sys
import types
import zlib

import pytest

from agentprov.errors import MalformedInput
from agentprov.record.gateway.dialects import decoding
from support.wire_bodies import body, observe

PLAIN = b"".join(b"data: line %d of an answer\n\n" % n for n in range(40_000))


def decode(coding: str, data: bytes, size: int) -> bytes:
    decoder = decoding.decoder_for(coding)
    assert decoder is not None
    out = []
    for start in range(0, len(data), size):
        for piece in decoder.decode(data[start : start + size]):
            assert len(piece) <= decoding.PIECE
            out.append(piece)
    return b"".join(out)


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


@pytest.mark.parametrize("size", [1, 4096, 10**9])
@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", zipped(PLAIN)),
        ("x-gzip", zipped(PLAIN[:1000]) + zipped(PLAIN[1000:])),
        ("GZip", zipped(PLAIN) + b"\0\0\0"),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", raw_deflate(PLAIN)),
        ("deflate, gzip", zipped(zlib.compress(PLAIN))),
        ("identity, gzip", zipped(PLAIN)),
    ],
    ids=["gzip", "members", "padded", "zlib", "raw", "chain", "identity"],
)
def test_gzip_and_deflate_are_decoded_however_they_are_split(
    coding: str, data: bytes, size: int
) -> None:
    assert decode(coding, data, size) == PLAIN


def test_what_is_not_encoded_needs_no_decoder() -> None:
    assert decoding.decoder_for("") is None
    assert decoding.decoder_for("identity") is None


def test_each_flushed_piece_of_gzip_comes_out_at_once() -> None:
    squeezer = zlib.compressobj(wbits=31)
    decoder = decoding.decoder_for("gzip")
    assert decoder is not None
    for n in range(20):
        event = b"data: %d\n\n" % n
        sent = squeezer.compress(event) + squeezer.flush(zlib.Z_SYNC_FLUSH)
        assert b"".join(decoder.decode(sent)) == event


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", b"this is no gzip"),
        ("gzip", zipped(PLAIN)[:50] + b"\xff" * 50),
        ("deflate", b"\x78\x9c" + b"\xff" * 50),
    ],
    ids=["not-gzip", "gzip", "deflate"],
)
def test_damage_is_told_and_quotes_nothing(coding: str, data: bytes) -> None:
    with pytest.raises(MalformedInput, match=f"^damaged {coding} body$"):
        decode(coding, data, 10)


def test_a_bomb_stops_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_DECODED_BYTES", 1_000_000)
    bomb = gzip.compress(bytes(50_000_000))
    decoder = decoding.decoder_for("gzip")
    assert decoder is not None
    pieces: list[bytes] = []
    with pytest.raises(MalformedInput, match="more than a model says"):
        pieces.extend(decoder.decode(bomb))
    assert sum(map(len, pieces)) == 1_000_000


@pytest.mark.parametrize("coding", ["rot13", "gzip, gzip, gzip, gzip"])
def test_other_codings_are_refused(coding: str) -> None:
    with pytest.raises(MalformedInput):
        decoding.decoder_for(coding)


@pytest.mark.parametrize(
    ("coding", "modules"),
    [("br", ["brotli"]), ("zstd", ["compression.zstd", "zstandard"])],
)
def test_without_a_decoder_the_exchange_counts_and_says_why(
    coding: str, modules: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)
    exchange = observe("anthropic", b"\x0b\x02\x80", answer_headers=[("Content-Encoding", coding)])
    assert exchange.why == f"{coding} not decodable here"
    assert not exchange.complete
    assert exchange.status == 200


def test_an_old_brotli_that_cannot_bound_its_output_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = types.SimpleNamespace(Decompressor=object)
    monkeypatch.setitem(sys.modules, "brotli", old)
    with pytest.raises(MalformedInput, match="br not decodable here"):
        decoding.decoder_for("br")


def test_brotli_is_decoded_where_the_package_is() -> None:
    brotli = pytest.importorskip("brotli", reason="the package brotli is not installed")
    data = brotli.compress(PLAIN, quality=4)
    for size in (7, 4096, 10**9):
        assert decode("br", data, size) == PLAIN
    with pytest.raises(MalformedInput, match="damaged br body"):
        decode("br", b"\xff" * 600, 100)


def test_zstd_is_decoded_where_a_decoder_is() -> None:
    for name, compress in (("compression.zstd", "compress"), ("zstandard", "compress")):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        squeeze = getattr(module, compress)
        data = squeeze(PLAIN[:5000]) + squeeze(PLAIN[5000:])
        for size in (7, 4096, 10**9):
            assert decode("zstd", data, size) == PLAIN
        with pytest.raises(MalformedInput, match="damaged zstd body"):
            decode("zstd", b"\xff" * 600, 100)
        return
    pytest.skip("neither Python 3.14 nor the package zstandard")


def test_gzip_of_a_whole_answer_gives_the_same_exchange_but_for_the_digest() -> None:
    plain = observe("anthropic", body("anthropic.sse"))
    sent = gzip.compress(body("anthropic.sse"))
    cuts = random.Random(1)
    pieces, rest = [], sent
    while rest:
        size = cuts.randint(1, 60)
        pieces.append(rest[:size])
        rest = rest[size:]
    squeezed = observe("anthropic", pieces, answer_headers=[("content-encoding", "gzip")])
    assert squeezed.tool_calls == plain.tool_calls
    assert squeezed.complete
    assert squeezed.answer_mac != plain.answer_mac


def test_a_brotli_bomb_comes_in_bounded_pieces_too() -> None:
    brotli = pytest.importorskip("brotli", reason="the package brotli is not installed")
    bomb = brotli.compress(bytes(20_000_000), quality=5)
    assert decode("br", bomb, len(bomb)) == bytes(20_000_000)
