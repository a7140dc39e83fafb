"""As much DER as a timestamp authority and a certificate need: write values, read one back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

SEQUENCE, SET, INTEGER, OCTETS, OID, NULL, BOOLEAN, UTF8 = 0x30, 0x31, 2, 4, 6, 5, 1, 12
GENERALIZED_TIME, UTC_TIME = 0x18, 0x17


def tlv(tag: int, content: bytes) -> bytes:
    """Write one value: tag, length, content."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 128 | len(length)]) + length + content


def sequence(*items: bytes) -> bytes:
    return tlv(SEQUENCE, b"".join(items))


def set_of(items: Iterable[bytes]) -> bytes:
    """Write a SET OF; DER wants its members sorted by their encoding."""
    return tlv(SET, b"".join(sorted(items)))


def integer(value: int) -> bytes:
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value: bytes) -> bytes:
    return tlv(OCTETS, value)


def utf8(value: str) -> bytes:
    return tlv(UTF8, value.encode())


def explicit(number: int, content: bytes) -> bytes:
    return tlv(0xA0 | number, content)


def oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    out = bytearray([first * 40 + second])
    for number in rest:
        groups = [number & 127]
        while number := number >> 7:
            groups.append(128 | number & 127)
        out += bytes(reversed(groups))
    return tlv(OID, bytes(out))


def generalized_time(moment: datetime) -> bytes:
    return tlv(GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


def utc_time(moment: datetime) -> bytes:
    return tlv(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())


def read(data: bytes) -> tuple[int, bytes, bytes]:
    """Read one value: tag, content, and what stands behind it. Raises ValueError."""
    if len(data) < 2:
        raise ValueError("not DER: too short")
    size, at = data[1], 2
    if size & 128:
        count = size & 127
        size, at = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    if len(data) < at + size:
        raise ValueError("not DER: cut off")
    return data[0], data[at : at + size], data[at + size :]


def members(content: bytes) -> list[tuple[int, bytes]]:
    """Read the members of a SEQUENCE's content as (tag, content)."""
    found = []
    while content:
        tag, inner, content = read(content)
        found.append((tag, inner))
    return found
