"""Keyed digests of the lines that stood in a request, for telling what a model echoed.

A line counts without the white space around it, and only if it is distinctive. Lines are found
wherever text stands in a request: messages, tool results, tool arguments, system prompts, tool
descriptions; also as agents show files (line numbers, diff signs, JSON inside of text).
Finding too many is harmless: it makes fewer lines the model's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats.exchange import line_mac
from agentprov.record.gateway.dialects import wire_json

DISTINCTIVE_BYTES = 8
MAX_LINES = 200_000
_MAX_LINE_CHARACTERS = 64 * 1024
_MAX_NESTED = 3
_MAX_REMEMBERED = 1_000_000
_SHOWN = re.compile(r"\s*(?:[^\s:]{1,300}[:-])?\d{1,9}(?:→|\t|[:|.)-])")
_DIFF_SIGN = re.compile(r"[+>|-]\s?")
_ESCAPES = (("\\n", "\n"), ("\\t", "\t"), ('\\"', '"'), ("\\\\", "\\"))


def line_digest(key: bytes, line: str) -> str | None:
    """Give the keyed digest of one line (`line_mac`); None when it is not distinctive.

    Distinctive: at least 8 bytes of UTF-8 without the white space around them.
    """
    line = line.strip()
    if len(line) < DISTINCTIVE_BYTES and len(line.encode("utf-8", "replace")) < DISTINCTIVE_BYTES:
        return None
    return line_mac(key, line)


class LineMemory:
    """Remembers, for one session, which texts and lines earlier requests held.

    Agents send the whole conversation each time. Only what is new in a request is digested and
    kept, so that a session of n turns costs n and not n squared.
    """

    def __init__(self) -> None:
        self._texts: set[int] = set()
        self._digests: set[str] = set()

    def new_lines(self, key: bytes, request: Any) -> tuple[tuple[str, ...], bool]:
        """Give the digests that no earlier request had, in order, and whether they are all.

        Only MAX_LINES lines of one request are looked at.
        """
        if len(self._digests) + len(self._texts) > _MAX_REMEMBERED:
            self._texts.clear()
            self._digests.clear()
        found: dict[str, None] = {}
        looked_at = 0
        for text in texts_of(request):
            # A collision of hashes in one process's secret seed would only lose an echo.
            mark = hash(text)
            if mark in self._texts:
                continue
            self._texts.add(mark)
            for line in lines_of(text):
                looked_at += 1
                if looked_at > MAX_LINES:
                    self._texts.discard(mark)
                    self._digests.update(found)
                    return tuple(found), False
                digest = line_digest(key, line)
                if digest is not None and digest not in self._digests:
                    found[digest] = None
        self._digests.update(found)
        return tuple(found), True


@lru_cache(maxsize=4)
def memory_of(key: bytes) -> LineMemory:
    """Give the memory of the session that has this key, in this process."""
    del key
    return LineMemory()


def texts_of(value: Any, nested: int = _MAX_NESTED) -> Iterator[str]:
    """Give every text in a JSON value, and the texts in JSON that stands in a text."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
            if nested and item[:1] in ("{", "[") and '"' in item:
                try:
                    inner = wire_json.loads(item)
                except MalformedInput:
                    continue
                yield from texts_of(inner, nested - 1)
        elif isinstance(item, dict):
            waiting.extend(reversed(item.values()))
        elif isinstance(item, list):
            waiting.extend(reversed(item))


def lines_of(text: str) -> Iterator[str]:
    """Give the lines of a text, and each once more without what agents put in front of it."""
    yield from _shown_lines(text)
    if "\\n" in text:
        for escaped, plain in _ESCAPES:
            text = text.replace(escaped, plain)
        yield from _shown_lines(text)


def _shown_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if len(line) > _MAX_LINE_CHARACTERS:
            continue
        yield line
        shown = _SHOWN.match(line)
        if shown is not None:
            yield line[shown.end() :]
        sign = _DIFF_SIGN.match(line)
        if sign is not None:
            yield line[sign.end() :]
