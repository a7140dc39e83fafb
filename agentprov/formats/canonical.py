"""The one JSON that we hash and sign (RFC 8785), and the strict reader of everybody else's.

`encode` writes; `parse` reads. Reading is strict I-JSON (RFC 7493): UTF-8 without a byte order
mark, no duplicate keys, no NaN or Infinity nor numbers that become it, integers within
+-(2**53 - 1) and no -0, no lone surrogates, bounded depth and size. What is read
is never re-encoded on the way to a signature check.
"""

from __future__ import annotations

import json
import re
from math import isinf
from typing import Any

from agentprov.errors import MalformedInput

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1

# Whole strings are passed at once; possessive, so that none is looked at twice or remembered.
_STRUCTURE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]', re.DOTALL)


def encode(value: Any) -> bytes:
    """Encode a value as canonical JSON (RFC 8785).

    Raises MalformedInput for what signed JSON of ours may not hold: floats, integers out of the
    interoperable range, lone surrogates, keys that are not text.
    """
    import rfc8785

    _refuse_floats(value)
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise MalformedInput(f"cannot be written as canonical JSON: {error}") from error


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise MalformedInput(
            "signed JSON holds no floating point numbers", hint="write decimal numbers as strings"
        )
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)


def parse(data: bytes, *, what: str = "JSON", max_bytes: int = MAX_BYTES) -> Any:
    """Parse strict I-JSON from bytes.

    `what` names the thing in errors. Floats are read (other producers use them); whether a field
    may be one is the schema's business. Raises MalformedInput and nothing else.
    """
    if len(data) > max_bytes:
        raise MalformedInput(f"{what}: {len(data)} bytes is more than the {max_bytes} allowed")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedInput(f"{what}: not UTF-8: {error.reason} at byte {error.start}") from error
    if text.startswith("\ufeff"):
        raise MalformedInput(f"{what}: starts with a byte order mark")
    _bound_depth(text, what)
    try:
        value = _STRICT.decode(text)
    except MalformedInput as error:
        raise MalformedInput(f"{what}: {error.message}") from error
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"{what}: {error}") from error
    if "\\u" in text:
        _refuse_surrogates(value, what)
    return value


def _bound_depth(text: str, what: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRUCTURE.finditer(text):
        char = match[0]
        if char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MalformedInput(f"{what}: nested deeper than {MAX_DEPTH}")
        elif char in "]}":
            depth -= 1
        elif char == '"':
            # A string without an end: nothing nests in what follows, and it is no JSON.
            return


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedInput(f"duplicate key {key!r}")
            seen.add(key)
    return value


def _no_constant(name: str) -> Any:
    raise MalformedInput(f"{name} is not JSON")


def _bounded_int(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise MalformedInput("integer outside the interoperable range")
    if digits == "-0":
        # An integer to some parsers, a negative fraction to others.
        raise MalformedInput("-0 is no integer")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise MalformedInput("number outside the interoperable range")
    return number


_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_constant=_no_constant,
    parse_int=_bounded_int,
    parse_float=_finite,
)


def _refuse_surrogates(value: Any, what: str) -> None:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise MalformedInput(f"{what}: lone surrogate in a string") from error
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_surrogates(key, what)
            _refuse_surrogates(item, what)
    elif isinstance(value, list):
        for item in value:
            _refuse_surrogates(item, what)
