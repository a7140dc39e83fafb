"""Finds text pushed out of the window: far to the right of its line, or far below the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentprov.formats.hidden.finding import Places, Spot

FAR_RIGHT = 120
FAR_DOWN = 30
# Blanks of any width; a tab counts for eight.
_BLANK = " \t\x0b\x0c\xa0\u1680\u2000-\u200b\u202f\u205f\u2800\u3000\u3164\u115f\u1160\ufeff"
_RUN = re.compile(rf"(?<![{_BLANK}])[{_BLANK}]{{10,}}+(?=[^\s{_BLANK}])")
_WRITTEN = re.compile(
    r"(?:[ \t]?&(?:nbsp|emsp|ensp|#160|#8195|#xa0);){20,}+(?=[ \t]?[^\s&])", re.IGNORECASE
)
_EMPTY = re.compile(
    rf"(?:[{_BLANK}\r\\>]|&(?:nbsp|emsp|ensp|thinsp|#160|#xa0|#x200b|#8203);|</?(?:br|p)[ /]*>)*",
    re.IGNORECASE,
)


def layout_spots(text: str, places: Places) -> Iterator[Spot]:
    """Give text behind at least FAR_RIGHT blank columns or FAR_DOWN blank lines."""
    yield from _far_right(text, places)
    yield from _far_down(text, places)


def _far_right(text: str, places: Places) -> Iterator[Spot]:
    for match in _RUN.finditer(text):
        width = sum(8 if char == "\t" else 1 for char in match[0])
        if width < FAR_RIGHT:
            continue
        line, column = places.at(match.end())
        if text[match.end()] == "|" and _in_column(text, places, line, column):
            continue
        _, end = places.span(line)
        yield Spot(
            "hidden-text/far-right", "error", match.end(), end,
            text[match.end() : end].strip(),
            f"text behind {width} blank columns, outside the window",
        )  # fmt: skip

    for match in _WRITTEN.finditer(text):
        _, end = places.span(places.at(match.end())[0])
        yield Spot(
            "hidden-text/far-right", "error", match.end(), end, text[match.end() : end].strip(),
            "text behind a row of written blanks, outside the window",
        )  # fmt: skip


def _in_column(text: str, places: Places, line: int, column: int) -> bool:
    """Say whether a bar stands under or over another bar, as in a table with padded cells."""
    for other in (line - 1, line + 1):
        if 1 <= other <= len(places.starts):
            start, end = places.span(other)
            place = start + column - 1
            if place < end and text[place] in "|+":
                return True
    return False


def _far_down(text: str, places: Places) -> Iterator[Spot]:
    if len(places.starts) <= FAR_DOWN:
        return
    empty = 0
    for index in range(len(places.starts)):
        start, end = places.span(index + 1)
        if end - start <= 3:
            # A dot or a bar on a line of its own pushes down as well as nothing does.
            blank = not any(char.isalnum() for char in text[start:end])
        elif text[start].isalnum():
            blank = False
        else:
            blank = _EMPTY.fullmatch(text, start, end - (text[end - 1] == "\n")) is not None
        if blank:
            empty += 1
            continue
        if empty >= FAR_DOWN and index > empty:
            stop = min(places.offset(index + 20), len(text))
            yield Spot(
                "hidden-text/far-down", "error", start, stop, text[start:stop].strip(),
                f"text behind {empty} blank lines, below the window",
                text[start:end],
            )  # fmt: skip
        empty = 0
