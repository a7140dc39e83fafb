"""Which characters a reader would not see, and how they are written so that they are seen.

All tables stand in this file, so that the answer never depends on the Unicode version of the
interpreter: what a signer was shown is made of it (`presentation`), and a change of any table is a
new version there. docs/spec/presentation.md is the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

# Cc, Cf, Zl, Zp, default-ignorable and blank-looking code points; tab and newline are shown.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2"
    "\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ue000-\uf8ff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_HIDDEN_OR_ESCAPE = re.compile(rf"{HIDDEN.pattern}|<(?=U\+)")


def _class(ranges: str) -> Callable[[str], bool]:
    pattern = re.compile(f"[{ranges}]")
    return lambda char: bool(char) and pattern.match(char) is not None


JOINING = _class(
    "\u0600-\u07ff\u0840-\u085f\u0860-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1aff"
    "\u1b00-\u1c4f\u1cd0-\u1cff\ua800-\ua82f\ua840-\ua87f\ua880-\ua8ff\ua980-\uaaff\uabc0-\uabff"
    "\ufb50-\ufdff\ufe70-\ufefc\U00010d00-\U00010d3f\U00011000-\U00011fff\U0001e900-\U0001e95f"
)
_EMOJI = _class(
    "\xa9\xae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf"
    "\u27c0-\u27ff\u2934\u2935\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_KEYCAP = _class("0-9#*")
_IDEOGRAPH = _class("\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff")
_STANDARD_VARIANT = _class("\u2200-\u22ff\u1000-\u109f\ua840-\ua877\u3000-\u303f\uff01-\uff60")
_JAMO = _class("\u1100-\u115e\u1161-\u11ff\ua960-\ua97f\ud7b0-\ud7ff")
RTL = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_FLAG = re.compile("\U0001f3f4((?:[\U000e0020-\U000e007e])+)\U000e007f")
_REAL_FLAGS = frozenset({"gbeng", "gbsct", "gbwls"})


def shown_raw(text: str, at: int) -> bool:
    """Say whether a normally hidden character is doing honest work at this place.

    True for what writing systems and emoji need: joiners between letters that join, variation
    selectors on what has variants, the three flags made of tag characters, CR before LF, old
    Hangul fillers, Mongolian selectors, braille blanks in braille.
    """
    char = text[at]
    before = text[at - 1] if at else ""
    after = text[at + 1] if at + 1 < len(text) else ""
    if char == "\r":
        return after == "\n"
    if char in "\u200c\u200d" and JOINING(before) and not HIDDEN.match(after):
        return not (after.isascii() and after.isalnum())
    if char == "\u200d":
        joins = _EMOJI(before) or (before in "\ufe0f\U000e007f" and before != "")
        return joins and _EMOJI(after)
    if "\ufe00" <= char <= "\ufe0f":
        if char >= "\ufe0e":
            return _EMOJI(before) or (_KEYCAP(before) and after == "\u20e3")
        return char <= "\ufe02" and (_IDEOGRAPH(before) or _STANDARD_VARIANT(before))
    if "\U000e0100" <= char <= "\U000e011f":
        return _IDEOGRAPH(before)
    if "\U000e0020" <= char <= "\U000e007f":
        return _in_flag(text, at)
    if char in "\u115f\u1160":
        return _JAMO(before) or _JAMO(after)
    if "\u180b" <= char <= "\u180f":
        return "\u1820" <= before <= "\u18aa"
    if char in "\u17b4\u17b5":
        return "\u1780" <= before <= "\u17dd"
    if char == "\u2800":
        return "\u2801" <= before <= "\u28ff" or "\u2801" <= after <= "\u28ff"
    return "\u0600" <= char <= "\u0605" or char in "\u06dd\u070f\u0890\u0891\u08e2"


def _in_flag(text: str, at: int) -> bool:
    start = text.rfind("\U0001f3f4", max(0, at - 8), at)
    if start < 0:
        return False
    flag = _FLAG.match(text, start)
    return flag is not None and at < flag.end() and untag(flag[1]) in _REAL_FLAGS


def hidden_characters(text: str) -> Iterator[int]:
    """Give the places of the characters that would not be seen, in order."""
    for match in HIDDEN.finditer(text):
        if not shown_raw(text, match.start()):
            yield match.start()


def kind_of(char: str, place: int) -> str:
    """Name what kind of unseen character stands at a place of a text."""
    if char == "\ufeff":
        return "bom" if place else "bom-at-start"
    if char in "\u200b\u200c\u200d\u2060\u180e":
        return "zero-width"
    if "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069":
        return "bidi"
    if char in "\u200e\u200f\u061c":
        return "bidi-mark"
    if "\U000e0000" <= char <= "\U000e007f":
        return "tag"
    if "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return "variation-selector"
    if char == "\xad":
        return "soft-hyphen"
    if char < "\xa0" or char in "\u2028\u2029":
        return "control"
    if char in "\u115f\u1160\u3164\uffa0\u2800":
        return "filler"
    if "\ue000" <= char <= "\uf8ff" or (char >= "\U000f0000" and ord(char) & 0xFFFE != 0xFFFE):
        return "private-use"
    return "invisible"


def carried(kind: str, raw: str) -> str:
    """Read what unseen characters of one kind carry: letters, bytes, bits, or just their names."""
    if kind == "tag":
        return untag(raw)
    if kind == "variation-selector":
        values = bytes(_selector_value(char) for char in raw)
        return _printable(values.decode("utf-8", "replace")) or escape_all(raw)
    if kind == "zero-width":
        return _decode_bits(raw) or escape_all(raw)
    return escape_all(raw)


def untag(raw: str) -> str:
    """Read tag characters as the ASCII that they mirror."""
    return "".join(
        chr(ord(char) - 0xE0000) if 0xE0020 <= ord(char) < 0xE007F else escape(char) for char in raw
    )


def _selector_value(char: str) -> int:
    code = ord(char)
    return code - 0xFE00 if code < 0xE0100 else code - 0xE0100 + 16


def _decode_bits(raw: str) -> str:
    """Read two kinds of zero-width character as bits, most significant first, 8 or 7 a letter."""
    symbols = sorted(set(raw))
    if len(raw) < 16 or len(symbols) > 3:
        return ""
    pairs = [(a, b) for a in symbols for b in symbols if a != b]
    for zero, one in pairs:
        bits = "".join("0" if char == zero else "1" for char in raw if char in (zero, one))
        for width in (8, 7):
            codes = [int(bits[i : i + width], 2) for i in range(0, len(bits) - width + 1, width)]
            text = _printable("".join(map(chr, codes)))
            if len(text) > 1 and text.isascii():
                return text
    return ""


def _printable(text: str) -> str:
    odd = HIDDEN.search(text) is not None or "\ufffd" in text
    return "" if odd else text


def escape(char: str) -> str:
    """Write one character as ``<U+200B>``."""
    return f"<U+{ord(char):04X}>"


def escape_all(raw: str) -> str:
    """Write every character as its code point."""
    return "".join(map(escape, raw))


def escape_unseen(text: str) -> str:
    """Make a text safe to print: what would not be seen becomes ``<U+XXXX>``.

    Newlines, tabs and CR before LF stay. ``<U+`` that stands in the text itself becomes
    ``<U+003C>U+``, so that nobody can write an escape that is not one.
    """
    pieces: list[str] = []
    last = 0
    for match in _HIDDEN_OR_ESCAPE.finditer(text):
        place = match.start()
        if text[place] != "<" and shown_raw(text, place):
            continue
        pieces.append(text[last:place])
        pieces.append(escape(text[place]))
        last = place + 1
    return "".join([*pieces, text[last:]])
