"""What the relay tells the reader about the wire: one frame for each thing that happened.

A frame is a kind, the number of an exchange, the time its bytes came (ns since the epoch) and a
payload. Frames go through a pipe between two of our own processes and are never stored.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from agentprov.errors import MalformedInput
from agentprov.record.gateway.framing import Headers

_HEADER = struct.Struct(">BQQI")
MAX_PAYLOAD = 64 * 1024 * 1024


class Kind(IntEnum):
    """What happened."""

    BEGIN = 1
    ASKED = 2
    ASKED_ALL = 3
    ANSWER = 4
    ANSWERED = 5
    END = 6
    CUT = 7


@dataclass(frozen=True)
class Frame:
    """One thing that happened on the wire."""

    kind: Kind
    number: int
    at_ns: int
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """Write a frame."""
    header = _HEADER.pack(frame.kind, frame.number, frame.at_ns, len(frame.payload))
    return header + frame.payload


class Decoder:
    """Reads frames from bytes that split anywhere."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes; give the frames that they complete. Raises MalformedInput."""
        self._held += data
        at = 0
        while len(self._held) - at >= _HEADER.size:
            kind, number, at_ns, length = _HEADER.unpack_from(self._held, at)
            end = at + _HEADER.size + length
            if length > MAX_PAYLOAD or kind not in Kind.__members__.values():
                raise MalformedInput("not a frame")
            if len(self._held) < end:
                break
            yield Frame(Kind(kind), number, at_ns, bytes(self._held[at + _HEADER.size : end]))
            at = end
        del self._held[:at]


@dataclass(frozen=True)
class Beginning:
    """The payload of BEGIN: the request's head, and whose host it goes to."""

    method: str
    path: str
    headers: Headers
    host: str
    provider: str


def encode_beginning(beginning: Beginning) -> bytes:
    """Write the payload of a BEGIN frame."""
    return json.dumps(
        [
            beginning.method,
            beginning.path,
            _texts(beginning.headers),
            beginning.host,
            beginning.provider,
        ]
    ).encode()


def decode_beginning(payload: bytes) -> Beginning:
    """Read the payload of a BEGIN frame."""
    method, path, headers, host, provider = json.loads(payload)
    return Beginning(method, path, _headers(headers), host, provider)


def encode_answer(status: int, headers: Headers) -> bytes:
    """Write the payload of an ANSWER frame."""
    return json.dumps([status, _texts(headers)]).encode()


def decode_answer(payload: bytes) -> tuple[int, Headers]:
    """Read the payload of an ANSWER frame."""
    status, headers = json.loads(payload)
    return status, _headers(headers)


def _texts(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _headers(texts: list[list[str]]) -> Headers:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in texts]


__all__ = [
    "MAX_PAYLOAD",
    "Beginning",
    "Decoder",
    "Frame",
    "Kind",
    "decode_answer",
    "decode_beginning",
    "encode",
    "encode_answer",
    "encode_beginning",
]
