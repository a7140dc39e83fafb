"""JSON as it comes over the wire: read fast, refused when it is not JSON.

Unlike `formats.canonical`, which reads what is signed, this reader takes what a JavaScript or
Rust client would take: duplicate keys (the last wins) and numbers of any size. It refuses NaN,
Infinity and nesting that the interpreter's stack does not hold. Everything here raises
MalformedInput and nothing else, in words that quote nothing of the input.
"""

from __future__ import annotations

import json
import re
from typing import Any

from agentprov.errors import MalformedInput

MAX_COUNT = 2**53 - 1
_WORD_LENGTH = 256
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:/@+=~-]{1,256}")


def _refuse(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def loads(text: str) -> Any:
    """Read one JSON value that fills `text`."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise MalformedInput("malformed JSON") from error


def loads_object(text: str) -> dict[str, Any]:
    """Read one JSON object that fills `text`."""
    try:
        # Twice as fast as `decode` for what has no white space around it, as events have none.
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        value, end = None, -1
    if end != len(text):
        value = loads(text)
    if not isinstance(value, dict):
        raise MalformedInput("malformed JSON: not an object")
    return value


def dumps(value: Any) -> str:
    """Write a value as compact JSON text."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise MalformedInput("JSON that cannot be written again") from error


def member(value: Any, *path: str) -> Any:
    """Give the member at a path of names; None where any of it is missing."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def objects(value: Any) -> list[dict[str, Any]]:
    """Give the objects of a list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """Give text, or nothing for anything else."""
    return value if isinstance(value, str) else ""


def count(value: Any) -> int:
    """Give a number of tokens; 0 for anything that is not one."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT:
        return value
    return 0


def index(value: Any) -> int:
    """Give a place in a list that the answer numbers itself; raises MalformedInput."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 100_000:
        return value
    raise MalformedInput("a piece of the answer without its place")


def word(value: Any) -> str | None:
    """Give a name such as a model's, printable and of bounded length, or None."""
    if not isinstance(value, str) or not value or len(value) > _WORD_LENGTH:
        return None
    return value if value.isprintable() else None


def identifier(value: Any) -> str | None:
    """Give an id of plain characters, or None."""
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None


def code(value: Any) -> str | None:
    """Give an error code; None for sentences, which may quote a key."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def whole_characters(value: str) -> str:
    """Pair up surrogates that came in two pieces; a lone one becomes U+FFFD, as in a file."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value
