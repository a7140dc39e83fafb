"""The line in which a note keeps a bundle: its signed payload as text that compresses.

``{"agentprov":1,"seal":"...","statement":"..."}``: `statement` is the payload, `seal` what
follows the payload in the bundle's line. In both, ``"`` is written ``'``, digests are written in
base64, and texts that most records hold are written as a mark: ``~`` and one character. `unpack`
gives back the bundle's line, byte for byte. Nothing is parsed and written again: what was signed
is carried as the text that it is. docs/spec/packed.md is the page.
"""

from __future__ import annotations

import binascii
import re

from agentprov.errors import MalformedInput
from agentprov.formats.canonical import MAX_BYTES
from agentprov.formats.packed_texts import GIT_ID, HALF, LATE, SHA256, TEXTS

_START = b'{"agentprov":1,'
# What stands around the two texts, between quotes.
_AROUND = [b"{", b"agentprov", b":1,", b"seal", b":", None, b",", b"statement", b":", None, b"}"]
_SEAL, _STATEMENT = 5, 9
_BUNDLE = re.compile(rb'\{"dsseEnvelope":\{"payload":"([A-Za-z0-9+/]++={0,2})(".*+)', re.DOTALL)
_NOT_IN_TEXT = bytes(range(32)) + b"\\"
_DIGEST = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")
_HALVES = re.compile(rb"~s([0-9a-f]{32})(?![0-9a-f])")
# Of the last character only four bits belong to a digest of 20 or 32 bytes, and two to one of 16;
# the rest must be zero.
_LAST = {
    GIT_ID: (b"=", frozenset(b"AEIMQUYcgkosw048")),
    SHA256: (b"=", frozenset(b"AEIMQUYcgkosw048")),
    HALF: (b"==", frozenset(b"AQgw")),
}
_GIT_ID, _SHA256 = b"~7", b"~8"
ESCAPE = b"~2"
"""Stands for a backslash: with one in it, a JSON text may spell a word in other letters."""
_GIT_DIGITS = 40
_SPECIAL = re.compile(rb"[~'\\\x22]|[0-9a-f]{32}")
_TELLING = 8
_ESCAPES = tuple((TEXTS[mark][0], b"~" + mark) for mark in (b"0", b"1", b"2"))
_MEANINGS = {mark[0]: meant for mark, meant in TEXTS.items()}
_LONGEST = max(len(text) + width for text, width in TEXTS.values())
# The longest first, so that none hides a longer one.
_SHORTENED = sorted(
    (
        (text.replace(b'"', b"'") + {0: b"", GIT_ID: _GIT_ID, SHA256: _SHA256}[width], b"~" + mark)
        for mark, (text, width) in TEXTS.items()
        if len(text) > 1 and mark not in LATE
    ),
    key=lambda item: (-len(item[0]), item),
)


def pack(line: bytes) -> bytes:
    """Give the form in which a bundle's line is stored.

    Any other line, and a bundle that would not come back byte for byte, is given back as it is.
    """
    found = _BUNDLE.fullmatch(line) if len(line) <= MAX_BYTES else None
    if found is None:
        return line
    try:
        payload = binascii.a2b_base64(found[1], strict_mode=True)
        (payload + found[2]).decode("utf-8")
    except ValueError:
        return line
    packed = b'%b"seal":"%b","statement":"%b"}' % (_START, _short(found[2]), _short(payload))
    try:
        return packed if unpack(packed) == line else line
    except MalformedInput:
        return line


def unpack(line: bytes) -> bytes:
    """Give the bundle's line that a packed line stands for; any other line as it is.

    Raises MalformedInput for a line that claims this form and does not keep to it, and for one
    that would grow beyond what a bundle may be. Reads nothing of what the bundle says.
    """
    if not line.startswith(_START):
        return line
    seal, statement = _texts(line)
    payload = binascii.b2a_base64(_long(statement), newline=False)
    return b'{"dsseEnvelope":{"payload":"%b%b' % (payload, _long(seal))


def is_packed(line: bytes) -> bool:
    """Say whether a line claims this form."""
    return line.startswith(_START)


def payload(line: bytes) -> bytes | None:
    """Give the payload of a packed line, and None for any other line.

    Raises MalformedInput as `unpack` does, but for what stands in the seal: that is not looked at.
    """
    return _long(_texts(line)[1]) if line.startswith(_START) else None


def sought(word: bytes) -> tuple[bytes, ...]:
    """Give texts of which a packed line holds one if its payload holds a word between quotes.

    So most lines need not be unpacked to see that they do not hold it. Empty where there are no
    such texts: a word can be spelled in more ways than are worth looking for.
    """
    digits = _DIGEST.search(word)
    if digits is not None:
        return (word, _short_digest(digits)[2:]) if len(word) == _GIT_DIGITS else ()
    if _SPECIAL.search(word):
        return ()
    # A mark may stand for the word's beginning with what is before it, or for its end.
    plain = word
    for text, _ in TEXTS.values():
        before, quote, _ = text.partition(b'"')
        if quote and before and word.endswith(before):
            plain = min(plain, plain.removesuffix(before), key=len)
    for text, _ in TEXTS.values():
        _, quote, after = text.rpartition(b'"')
        if quote and after and word.startswith(after):
            plain = min(plain, plain.removeprefix(after), key=len)
    whole = [b"~" + mark for mark, (text, _) in TEXTS.items() if b'"%b"' % word in text]
    return (plain, *whole) if len(plain) >= _TELLING else ()


def _texts(line: bytes) -> tuple[bytes, bytes]:
    parts: list[bytes | None] = [*line.split(b'"')]
    if len(parts) != len(_AROUND) or len(line.translate(None, _NOT_IN_TEXT)) != len(line):
        raise MalformedInput("stored line: not as packed lines are written")
    seal, statement = parts[_SEAL], parts[_STATEMENT]
    parts[_SEAL] = parts[_STATEMENT] = None
    if parts != _AROUND or seal is None or statement is None:
        raise MalformedInput("stored line: not as packed lines are written")
    return seal, statement


def _short(text: bytes) -> bytes:
    for meant, mark in _ESCAPES:
        text = text.replace(meant, mark)
    text = _DIGEST.sub(_short_digest, text.replace(b'"', b"'"))
    text = _by_marks(text)
    for written, mark in _LATER:
        text = text.replace(written, mark)
    # Behind the mark that the first round has put there.
    return _HALVES.sub(_short_half, text)


def _by_marks(text: bytes) -> bytes:
    for written, mark in _SHORTENED:
        text = text.replace(written, mark)
    return text


# As the other marks leave them.
_LATER = [
    (_by_marks(text.replace(b'"', b"'")) + (_GIT_ID if width else b""), b"~" + mark)
    for mark, (text, width) in ((bytes([one]), TEXTS[bytes([one])]) for one in LATE)
    if width != HALF
]


def _short_digest(found: re.Match[bytes]) -> bytes:
    digits = found[0]
    encoded = binascii.b2a_base64(binascii.a2b_hex(digits), newline=False).rstrip(b"=")
    return (_GIT_ID if len(encoded) == GIT_ID else _SHA256) + encoded


def _short_half(found: re.Match[bytes]) -> bytes:
    return b"~," + binascii.b2a_base64(binascii.a2b_hex(found[1]), newline=False).rstrip(b"=")


def _long(text: bytes) -> bytes:
    first, *marked = text.replace(b"'", b'"').split(b"~")
    if len(text) + len(marked) * _LONGEST > MAX_BYTES:
        raise MalformedInput("stored line: longer than a bundle may be")
    out = [first]
    try:
        for part in marked:
            meant, width = _MEANINGS[part[0]]
            out.append(meant)
            if width:
                padding, last = _LAST[width]
                if part[width] not in last:
                    raise MalformedInput("stored line: a digest with stray bits")
                encoded = part[1 : width + 1] + padding
                out.append(binascii.hexlify(binascii.a2b_base64(encoded, strict_mode=True)))
                out.append(part[width + 1 :])
            else:
                out.append(part[1:])
    except (KeyError, IndexError, binascii.Error):
        raise MalformedInput("stored line: a mark that means nothing") from None
    return b"".join(out)
