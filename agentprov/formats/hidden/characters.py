"""Finds characters that show nothing, or move what is shown, and decodes what they carry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from agentprov.formats.hidden.finding import Places, Severity, Spot
from agentprov.formats.unseen import (
    HIDDEN,
    JOINING,
    RTL,
    carried,
    escape_all,
    hidden_characters,
    kind_of,
)

_MESSAGES = {
    "bidi": "characters that reorder what is shown",
    "blank-code": "a run of mixed blanks, which can carry bits",
    "bom": "a byte order mark, which shows nothing",
    "control": "control characters, which can overwrite what is shown",
    "filler": "characters that look like empty space",
    "invisible": "characters that show nothing",
    "private-use": "characters without a public meaning",
    "soft-hyphen": "soft hyphens, which show nothing inside a line",
    "tag": "tag characters: invisible, read by models as plain letters",
    "variation-selector": "variation selectors with nothing to vary",
    "zero-width": "characters without width",
}
# Thai, Lao, Burmese and Khmer mark the ends of words with U+200B.
_UNSPACED = re.compile("[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff]")
_ISOLATES = "\u2066\u2067\u2068"
_EMBEDDINGS = "\u202a\u202b"
_BLANKS = re.compile("(?<=[^\\s])[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]{16,4000}")


def character_spots(text: str, places: Places, prose: str | None) -> Iterator[Spot]:
    """Give the unseen characters of a text, those of one kind on one line as one spot.

    `prose` is the text with its code blanked out, None where all of it is code. In prose, balanced
    isolates and embeddings on a line with right-to-left letters are how such text is written, and
    a note; in code they are how code is made to read differently.
    """
    groups: dict[tuple[int, str], list[int]] = {}
    for place in hidden_characters(text):
        line, _ = places.at(place)
        groups.setdefault((line, kind_of(text[place], place)), []).append(place)
    for (line, kind), found in groups.items():
        start, end = places.span(line)
        severity, kind = _grade(text, start, end, kind, found, prose)
        yield _spot(text, kind, severity, found, text[start:end])
    yield from _blank_codes(text)


def _grade(
    text: str, start: int, end: int, kind: str, found: list[int], prose: str | None
) -> tuple[Severity, str]:
    if kind == "bom-at-start":
        return "note", "bom"
    if kind == "control" and not text[start:end].strip("\x0c\r\n"):
        # A page break alone on its line, as old sources have it.
        return "note", kind
    if kind == "private-use":
        return "note", kind
    if kind == "bidi-mark":
        # The Arabic letter mark lies among the letters that it would excuse.
        letters = text[start:end].replace("\u061c", "")
        return ("note" if RTL.search(letters) else "error"), "bidi"
    if kind == "bidi":
        honest = (
            prose is not None
            and all(prose[place] == text[place] for place in found)
            and RTL.search(text[start:end].replace("\u061c", ""))
            and _balanced(text[place] for place in found)
        )
        return ("note" if honest else "error"), kind
    if kind == "zero-width" and all(_between_letters(text, place) for place in found):
        return "note", kind
    return "error", kind


def _balanced(controls: Iterator[str]) -> bool:
    """Say whether isolates and embeddings close in order and nothing is overridden."""
    stack: list[str] = []
    for control in controls:
        if control in _ISOLATES:
            stack.append("\u2069")
        elif control in _EMBEDDINGS:
            stack.append("\u202c")
        elif not stack or stack.pop() != control:
            return False
    return not stack


def _between_letters(text: str, place: int) -> bool:
    """Say whether a break or joiner stands beside a letter of a script that has a use for it.

    Persian joins its endings to Latin words; Thai breaks before and after them.
    """
    before, after = text[max(place - 1, 0) : place], text[place + 1 : place + 2]
    if not before or not after or HIDDEN.match(before) or HIDDEN.match(after):
        return False
    if text[place] == "\u200b":
        return _UNSPACED.match(before) is not None or _UNSPACED.match(after) is not None
    return text[place] in "\u200c\u200d" and (JOINING(before) or JOINING(after))


def _spot(text: str, kind: str, severity: Severity, found: list[int], line: str) -> Spot:
    raw = "".join(text[place] for place in found)
    return Spot(
        f"hidden-text/{kind}", severity, found[0], found[-1] + 1, _read(kind, raw),
        _MESSAGES[kind], line,
    )  # fmt: skip


def _blank_codes(text: str) -> Iterator[Spot]:
    """Find blanks that change kind again and again after text: padding has no reason to."""
    for match in _BLANKS.finditer(text):
        run = match[0]
        changes = sum(a != b for a, b in pairwise(run))
        if changes >= 5:
            shown = bits(run) or escape_all(run)
            yield Spot(
                "hidden-text/blank-code", "error", match.start(), match.end(), shown,
                _MESSAGES["blank-code"],
            )  # fmt: skip


def _read(kind: str, raw: str) -> str:
    return (bits(raw) if kind == "zero-width" else "") or carried(kind, raw)


def bits(raw: str) -> str:
    """Read two kinds of character as bits, 8 or 7 a letter; of the readings the most wordlike."""
    symbols = sorted(set(raw))
    if len(raw) < 16 or len(symbols) > 3:
        return ""
    best, most = "", 0
    for zero, one in ((a, b) for a in symbols for b in symbols if a != b):
        digits = "".join("0" if char == zero else "1" for char in raw if char in (zero, one))
        for width in (8, 7):
            groups = [digits[i : i + width] for i in range(0, len(digits) - width + 1, width)]
            said = "".join(chr(int(group, 2)) for group in groups)
            likely = sum(char.isalnum() or char in " .,:/" for char in said)
            if len(said) > 1 and said.isascii() and said.isprintable() and likely > most:
                best, most = said, likely
    return best
