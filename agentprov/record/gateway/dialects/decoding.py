"""Takes the content coding off a body, piece by piece and in bounded memory.

gzip and deflate come with Python; br needs the package `brotli` (1.2 or newer), zstd Python 3.14
or the package `zstandard`. Without them the body is passed on as ever and the exchange says what
was not decodable here.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from agentprov.errors import MalformedInput

PIECE = 256 * 1024
MAX_DECODED_BYTES = 512 * 1024 * 1024
_MAX_CODINGS = 3
_SIP = 512
_MAX_WINDOW = 2**27


class Decoder(Protocol):
    """Decodes one body."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Give what a piece decodes to, in pieces of bounded size; raises MalformedInput."""
        ...


def decoder_for(content_encoding: str) -> Decoder | None:
    """Give the decoder for a Content-Encoding header; None when the body is not encoded.

    Raises MalformedInput with the words for the exchange when it cannot be decoded here.
    """
    codings = [c.strip().lower() for c in content_encoding.split(",") if c.strip()]
    codings = [c for c in codings if c != "identity"]
    if not codings:
        return None
    if len(codings) > _MAX_CODINGS:
        raise MalformedInput("more content codings than anybody uses")
    decoder: Decoder = _one(codings[-1])
    for coding in reversed(codings[:-1]):
        decoder = _Chain(decoder, _one(coding))
    return _Bounded(decoder)


def _one(coding: str) -> Decoder:
    if coding in ("gzip", "x-gzip"):
        return _Zlib("gzip", 31)
    if coding == "deflate":
        return _Zlib("deflate", 15)
    if coding == "br":
        return _brotli()
    if coding == "zstd":
        return _zstd()
    raise MalformedInput("content coding that is not known")


class _Bounded:
    def __init__(self, inner: Decoder) -> None:
        self._inner = inner
        self._left = MAX_DECODED_BYTES

    def decode(self, data: bytes) -> Iterator[bytes]:
        for piece in self._inner.decode(data):
            if len(piece) > self._left:
                yield piece[: self._left]
                raise MalformedInput("decodes to more than a model says")
            self._left -= len(piece)
            yield piece


class _Chain:
    def __init__(self, outer: Decoder, inner: Decoder) -> None:
        self._outer = outer
        self._inner = inner

    def decode(self, data: bytes) -> Iterator[bytes]:
        for piece in self._outer.decode(data):
            yield from self._inner.decode(piece)


class _Zlib:
    def __init__(self, name: str, window: int) -> None:
        self._name = name
        self._window = window
        self._object: Any = zlib.decompressobj(window)
        self._first = b""
        self._started = window != 15

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            yield from self._decode(data)
        except zlib.error as error:
            raise MalformedInput(f"damaged {self._name} body") from error

    def _decode(self, data: bytes) -> Iterator[bytes]:
        if not self._started:
            # "deflate" means zlib, yet some servers send it without the zlib header.
            self._first += data
            if len(self._first) < 2:
                return
            head = self._first[0] << 8 | self._first[1]
            if self._first[0] & 0x0F != 8 or head % 31:
                self._object = zlib.decompressobj(-15)
            data, self._started = self._first, True
        while data:
            if self._object.eof:
                if self._window != 31 or not data.strip(b"\0"):
                    return
                self._object = zlib.decompressobj(self._window)
            piece = self._object.decompress(data, PIECE)
            if piece:
                yield piece
            data = self._object.unconsumed_tail or self._object.unused_data
            if not piece and not self._object.eof:
                return
            if not data and len(piece) == PIECE:
                yield from self._rest()

    def _rest(self) -> Iterator[bytes]:
        while not self._object.eof:
            piece = self._object.decompress(b"", PIECE)
            if not piece:
                return
            yield piece


class _Brotli:
    def __init__(self, module: Any) -> None:
        self._object = module.Decompressor()
        self._error = module.error

    def decode(self, data: bytes) -> Iterator[bytes]:
        while not self._object.is_finished():
            try:
                piece = self._object.process(data, output_buffer_limit=PIECE)
            except self._error as error:
                raise MalformedInput("damaged br body") from error
            data = b""
            # The limit is one that the package may overstep by a block.
            for place in range(0, len(piece), PIECE):
                yield piece[place : place + PIECE]
            # It may accept more input while it still holds output.
            if not piece and self._object.can_accept_more_data():
                return


class _PackagedZstd:
    def __init__(self, module: Any) -> None:
        decompressor = module.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._object = decompressor.decompressobj(read_across_frames=True)
        self._error = module.ZstdError

    def decode(self, data: bytes) -> Iterator[bytes]:
        # This package does not bound its output; what one sip can become is bounded.
        for start in range(0, len(data), _SIP):
            try:
                piece = self._object.decompress(data[start : start + _SIP])
            except self._error as error:
                raise MalformedInput("damaged zstd body") from error
            for place in range(0, len(piece), PIECE):
                yield piece[place : place + PIECE]


class _StandardZstd:
    def __init__(self, module: Any) -> None:
        self._module = module
        self._object = module.ZstdDecompressor()

    def decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._object.eof:
                data = self._object.unused_data + data
                if not data:
                    return
                self._object = self._module.ZstdDecompressor()
            try:
                piece = self._object.decompress(data, PIECE)
            except self._module.ZstdError as error:
                raise MalformedInput("damaged zstd body") from error
            data = b""
            if piece:
                yield piece
            if not self._object.eof and (self._object.needs_input or not piece):
                return


def _brotli() -> Decoder:
    module = _optional("brotli")
    # Before 1.2 the package could not bound its output.
    if module is None or not hasattr(module.Decompressor, "can_accept_more_data"):
        raise MalformedInput("br not decodable here")
    return _Brotli(module)


def _zstd() -> Decoder:
    standard = _optional("compression.zstd")
    if standard is not None:
        return _StandardZstd(standard)
    package = _optional("zstandard")
    if package is None:
        raise MalformedInput("zstd not decodable here")
    return _PackagedZstd(package)


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
