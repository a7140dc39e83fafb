"""Finds text written as bytes in another notation: base64, base32, hex, escapes, entities.

A stretch counts when it decodes to something that reads as text; a digest, a key or a signature
does not. What a payload decodes to is searched once more, two levels in all.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from agentprov.formats.hidden.finding import Severity, Spot
from agentprov.formats.hidden.prose import words
from agentprov.formats.unseen import hidden_characters

LEVELS = 2
# As much of one payload as is decoded; what is shown of it is less.
_REACH = 8 * 1024
_MANY = 100_000

_GAP = r"(?:[ \t>*#/|]{0,12}\r?\n[ \t>*#/|]{0,12})"


class _Notation(NamedTuple):
    name: str
    pattern: re.Pattern[str]
    decode: Callable[[str], bytes]


def _base64(run: str) -> bytes:
    run = re.sub(r"[^A-Za-z0-9+/_-]", "", run[:_REACH]).replace("-", "+").replace("_", "/")
    run = run[: len(run) - (len(run) % 4 == 1)]
    return base64.b64decode(run + "=" * (-len(run) % 4))


def _base32(run: str) -> bytes:
    run = re.sub(r"[^A-Z2-7]", "", run[:_REACH].upper())
    run = run[: len(run) - {1: 1, 3: 1, 6: 1}.get(len(run) % 8, 0)]
    return base64.b32decode(run + "=" * (-len(run) % 8))


def _hex(run: str) -> bytes:
    digits = re.sub(r"0[xX]|\\x|[^0-9A-Fa-f]", "", run[:_REACH])
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


def _binary(run: str) -> bytes:
    return bytes(int(group, 2) for group in re.findall(r"[01]{8}", run[:_REACH]))


def _decimal(run: str) -> bytes:
    codes = [int(code) for code in re.findall(r"\d+", run[:_REACH])]
    return "".join(map(chr, codes)).encode("utf-8")


def _escapes(run: str) -> bytes:
    codes = re.findall(r"[uU]\{?([0-9A-Fa-f]{4,8})", run[:_REACH])
    return "".join(chr(int(code, 16)) for code in codes).encode("utf-16", "surrogatepass")


def _percent(run: str) -> bytes:
    return unquote_to_bytes(run[:_REACH])


def _entities(run: str) -> bytes:
    return unescape(run[:_REACH]).encode("utf-8", "replace")


_NOTATIONS = (
    _Notation(
        "base64",
        re.compile(
            rf"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/_-]{{16,}}(?:{_GAP}[A-Za-z0-9+/_-]{{4,}})*+)={{0,2}}"
        ),
        _base64,
    ),
    _Notation(
        "base32",
        re.compile(
            rf"(?<![A-Za-z0-9])(?:[A-Z2-7]{{16,}}(?:{_GAP}[A-Z2-7]{{8,}})*+|[a-z2-7]{{16,}}+)={{0,6}}"
        ),
        _base32,
    ),
    _Notation(
        "hex",
        re.compile(
            rf"(?<![0-9A-Fa-f])(?:(?:0[xX]|\\x)?[0-9A-Fa-f]{{2}}(?:{_GAP}|[ ,:;=-]{{0,2}})){{12,}}+"
        ),
        _hex,
    ),
    _Notation("binary", re.compile(r"(?:[01]{8}[ ,_]{0,2}){8,}+"), _binary),
    _Notation("decimal", re.compile(r"(?<!\d)(?:\d{2,3}(?:[ ,;]{1,2}|(?!\d))){12,}+"), _decimal),
    _Notation(
        "escapes",
        re.compile(r"(?:\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}|\\u\{[0-9A-Fa-f]{4,6}\}){6,}+"),
        _escapes,
    ),
)
_PERCENT = re.compile(r"(?:[A-Za-z0-9._~+-]{0,64}%[0-9A-Fa-f]{2}){4,}+[A-Za-z0-9._~+-]{0,64}")
_NEEDLESS = re.compile(r"%(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])")
_NUMERIC = re.compile(r"(?:[\w.,!?'-]{0,3}?[ \t]?&#(?:\d{2,7}|[xX][0-9A-Fa-f]{2,6});){4,}+")
_INVISIBLE = re.compile(r"&(?:#(?:\d{1,7}|[xX][0-9A-Fa-f]{1,6})|[A-Za-z]{3,24});")
_DATA = re.compile(r"data:([\w.+-]{0,40}/?[\w.+-]{0,40})((?:;[\w=.+-]{1,40}){0,4}),", re.IGNORECASE)


class _Found(NamedTuple):
    start: int
    end: int
    name: str
    said: str


def encoded_spots(text: str) -> Iterator[Spot]:
    """Give the stretches of a text that decode to something that reads as text."""
    last: dict[str, int] = {}
    for found in _search(text, LEVELS):
        # What one notation has read is not read again in another, as digits are.
        if any(found.start < end for name, end in last.items() if name != found.name):
            continue
        last[found.name] = found.end
        # Two words are what manuals encode to show how it is done.
        severity: Severity = "error" if len(words(found.said)) > 2 else "note"
        yield Spot(
            "hidden-text/encoded", severity, found.start, found.end, found.said,
            f"text written as {found.name}",
        )  # fmt: skip
    yield from _entity_spots(text)


def _search(text: str, levels: int) -> Iterator[_Found]:
    for match in _DATA.finditer(text):
        found = _data_uri(text, match, levels)
        if found:
            yield found
    for notation in _NOTATIONS:
        for count, match in enumerate(notation.pattern.finditer(text)):
            if count > _MANY:
                yield _Found(
                    match.start(), len(text), notation.name,
                    f"more than {_MANY} stretches of {notation.name}: the rest was not decoded",
                )  # fmt: skip
                break
            found = _decode(notation, match, levels)
            if found:
                yield found
    for match in _PERCENT.finditer(text) if "%" in text else ():
        if len(_NEEDLESS.findall(match[0][:_REACH])) >= 4:
            said = _read(_percent(match[0]), 2, levels)
            if said:
                yield _Found(match.start(), match.end(), "percent escapes of plain letters", said)
    for match in _NUMERIC.finditer(text) if "&#" in text else ():
        said = _read(_entities(match[0]), 1, levels)
        if said:
            yield _Found(match.start(), match.end(), "numeric character references", said)


def _decode(notation: _Notation, match: re.Match[str], levels: int) -> _Found | None:
    for offset, piece in _pieces(notation.name, match[0]):
        try:
            said = _read(notation.decode(piece), 2, levels)
        except (ValueError, binascii.Error, OverflowError):
            continue
        if said:
            start = match.start() + offset
            return _Found(start, start + len(piece), notation.name, said)
    return None


def _read(content: bytes, least: int, levels: int) -> str:
    """Give what bytes say: as text, or as text that is itself written in a notation."""
    said = _readable(content, least)
    if levels < 2 or (not said and (len(content) < 16 or not content.isascii())):
        return said
    inner = next(_search(said or content.decode("ascii"), levels - 1), None)
    if inner is None:
        return said
    return f"{said}\n{inner.said}" if said else inner.said


def _pieces(name: str, run: str) -> Iterator[tuple[int, str]]:
    yield 0, run
    if name == "base64" and len(run) <= _REACH:
        # A path, a query or words joined by dashes may stand before a payload.
        if "/" in run or "_" in run or "-" in run:
            for part in re.finditer(r"[A-Za-z0-9+]{16,}", run):
                if part.start():
                    yield part.start(), part[0]
        # Text before the first line of a wrapped payload shifts all of it.
        for line in re.finditer(r"\n[ \t>*#/|]*", run):
            yield line.end(), run[line.end() :]
            break


def _data_uri(text: str, match: re.Match[str], levels: int) -> _Found | None:
    stop = re.compile(r"[\s\"'<>)\]]").search(text, match.end(), match.end() + _REACH)
    end = stop.start() if stop else min(len(text), match.end() + _REACH)
    body = text[match.end() : end]
    try:
        plain = unquote_to_bytes(body)
        content = _base64(plain.decode("ascii")) if "base64" in match[2].lower() else plain
    except (ValueError, binascii.Error):
        return None
    said = _read(re.sub(rb"</?[A-Za-z][^<>]{0,4000}>", b" ", content), 2, levels)
    return _Found(match.start(), end, "a data: URI", said) if said else None


def _readable(content: bytes, least: int) -> str:
    """Give the text of bytes that read as text of at least so many words; else nothing."""
    if len(content) < 4:
        return ""
    for encoding in ("utf-8", "utf-16-le", "utf-16"):
        if encoding == "utf-16-le" and content[1:40:2].strip(b"\0"):
            continue
        if encoding == "utf-16" and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            continue
        said = ""
        # A cut may split the last character; nothing else may be odd.
        for cut in range(4):
            try:
                said = content[: len(content) - cut].decode(encoding)
                break
            except UnicodeDecodeError as error:
                if error.start < len(content) - 4:
                    break
        if said and _reads(said, least):
            return said
    return ""


def _reads(said: str, least: int) -> bool:
    if any(char < " " and char not in "\t\n\r" for char in said) or "\x7f" in said:
        return False
    plain = sum(char.isalnum() or char.isspace() or char in ".,;:!?'\"()-/" for char in said)
    found = words(said)
    enough = len(found) >= least and len(said.split()) >= least
    # Words of a language have letters in a row; bytes that happen to be letters do not.
    return enough and plain >= 0.75 * len(said) and sum(map(len, found)) >= 0.45 * len(said)


def _entity_spots(text: str) -> Iterator[Spot]:
    """Find character references for characters that show nothing; names among them are notes."""
    if "&" not in text:
        return
    last = -1
    run: list[tuple[int, int, str]] = []
    for match in _INVISIBLE.finditer(text):
        char = unescape(match[0])
        if len(char) != 1 or char in "\r\n\xa0" or not any(True for _ in hidden_characters(char)):
            continue
        if run and match.start() != last:
            yield _entity_spot(run)
            run = []
        run.append((match.start(), match.end(), char))
        last = match.end()
    if run:
        yield _entity_spot(run)


def _entity_spot(run: list[tuple[int, int, str]]) -> Spot:
    from agentprov.formats.unseen import carried, kind_of

    raw = "".join(char for _, _, char in run)
    kind = kind_of(raw[0], 1)
    severity: Severity = "error" if len(run) > 3 or kind in ("bidi", "tag", "control") else "note"
    return Spot(
        "hidden-text/entity", severity, run[0][0], run[-1][1], carried(kind, raw),
        "character references for characters that show nothing",
    )  # fmt: skip
