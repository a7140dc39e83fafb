"""Finds words that look like others: known names in other letters, and words of mixed scripts.

Skeletons are those of Unicode Technical Standard 39. Names are compared with the names that are
known here and with nothing else: in a text of one script, letters that have look-alikes elsewhere
mean nothing. The tables are glyphguard's; it is imported only for text outside ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from agentprov.formats.hidden.finding import Severity, Spot

_TOKEN = re.compile(r"\w(?:[\w./@:+#~\u00ad\u200b-\u200d\u2060-]{0,254}\w)?")
_PART = re.compile(r"[^/:@]+")
_FOLDS = re.compile("[01IlOm]|rn")
_WORD = re.compile("(?:[^\\W\\d_]|[\u24b6-\u24e9\U0001f130-\U0001f149])+")
_PUNYCODE = re.compile(r"(?<![A-Za-z0-9])xn--([a-z0-9-]{1,59})", re.IGNORECASE)
# Look-alikes of ``! | ; : / .`` behind Latin letters, as code would have them.
_MARKS = re.compile(
    "(?<=[A-Za-z0-9_)\\]\"'])([\u01c3\u01c0\u037e\u2024\u2215\u29f8\ua789\u2236\u0589\u05c3])(?![0-9])"
)
_SHORTEST = 4
_LETTERS = frozenset({"Latin", "Cyrillic", "Greek", "Armenian", "Cherokee", "Coptic", "Lisu"})
# How UTS 39 folds ASCII letters and digits into each other.
_ASCII = str.maketrans({"0": "O", "1": "l", "I": "l", "m": "rn"})


def lookalike_spots(text: str, known: Iterable[str] = ()) -> Iterator[Spot]:
    """Give names that look like a known one without being it, and words of mixed scripts.

    `known` are names that matter here: paths, agents, models, signers, servers, packages.
    """
    names = _Known(known)
    taken: set[tuple[int, int]] = set()
    if names:
        answers: dict[str, tuple[int, int, str] | None] = {}
        for match in _TOKEN.finditer(text):
            token = match[0]
            if token not in answers:
                answers[token] = names.inside(token)
            answer = answers[token]
            if answer is None:
                continue
            start, end = match.start() + answer[0], match.start() + answer[1]
            name = answer[2]
            taken.add((start, end))
            yield Spot(
                "hidden-text/lookalike", _severity(text[start:end], name), start, end, name,
                f"a name that looks like {name} and is another",
            )  # fmt: skip
    if not text.isascii():
        yield from _mixed(text, taken)
        yield from _marks(text)
    for match in _PUNYCODE.finditer(text):
        shown = _punycode(match[1])
        if shown and skeleton(shown).isascii():
            yield Spot(
                "hidden-text/lookalike", "warning", match.start(), match.end(), skeleton(shown),
                "a host name that browsers show in other letters, which look like Latin ones",
            )  # fmt: skip


def _punycode(label: str) -> str:
    try:
        return label.encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return ""


def _marks(text: str) -> Iterator[Spot]:
    """Find letters and signs that pass for the punctuation of code: a click letter for ``!``."""
    for match in _MARKS.finditer(text):
        start, end = match.start(1), match.end(1)
        yield Spot(
            "hidden-text/lookalike", "warning", start, end, skeleton(match[1]),
            f"a sign that looks like {skeleton(match[1])} and is another",
        )  # fmt: skip


def _severity(token: str, name: str) -> Severity:
    if not token.isascii():
        return "error"
    # Words that differ in rn and m alone are often just words.
    return "note" if token.replace("rn", "m") == name.replace("rn", "m") else "warning"


class _Known:
    def __init__(self, names: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._skeletons: dict[str, str] = {}
        for name in names:
            for part in {name, name.rsplit("/", 1)[-1]}:
                if len(part) >= _SHORTEST:
                    self._names.add(part)
                    self._skeletons.setdefault(skeleton(part), part)

    def __bool__(self) -> bool:
        return bool(self._names)

    def inside(self, token: str) -> tuple[int, int, str] | None:
        """Give the part of a token that passes for a known name, and that name."""
        # What folds in ASCII holds one of these; anything else can only be equal.
        if token.isascii() and not _FOLDS.search(token):
            return None
        name = self._resembled(token)
        if name is not None:
            return 0, len(token), name
        for part in _PART.finditer(token):
            name = self._resembled(part[0]) if len(part[0]) < len(token) else None
            if name is not None:
                return part.start(), part.end(), name
        return None

    def _resembled(self, token: str) -> str | None:
        if len(token) < _SHORTEST - 1 or token in self._names:
            return None
        return self._skeletons.get(skeleton(token))


class _Prototypes(dict[int, str | int]):
    """Remembers what each character looks like, in the form that str.translate takes."""

    def __missing__(self, code: int) -> str | int:
        from glyphguard.confusables import prototype
        from glyphguard.ucd import is_default_ignorable

        char = chr(code)
        if char.isascii():
            found: str | int = char.translate(_ASCII)
        elif is_default_ignorable(code):
            found = ""
        else:
            # Styled letters first become the plain ones.
            found = "".join(
                _fold_ascii(prototype(part)) for part in unicodedata.normalize("NFKD", char)
            )
        self[code] = found
        return found


def _fold_ascii(text: str) -> str:
    return text.translate(_ASCII) if text.isascii() else text


_PROTOTYPES = _Prototypes()


def skeleton(text: str) -> str:
    """Give what a text looks like: equal for texts that can be taken for each other."""
    if text.isascii():
        return text.translate(_ASCII)
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).translate(_PROTOTYPES))


def _mixed(text: str, taken: set[tuple[int, int]]) -> Iterator[Spot]:
    from glyphguard.ucd import script

    found = [match for match in _WORD.finditer(text) if not match[0].isascii()]
    scripts = {match[0]: [script(ord(char)) for char in match[0]] for match in found}
    # A script that has words of its own in this text is written in it.
    native = {
        kinds[0]
        for word, kinds in scripts.items()
        if len(set(kinds)) == 1 and not skeleton(word).isascii()
    }
    for match in found:
        if any(start <= match.start() and match.end() <= end for start, end in taken):
            continue
        word = match[0]
        verdict = _judge(word, scripts[word], native, text)
        if verdict is not None:
            severity, message = verdict
            yield Spot(
                "hidden-text/mixed-script", severity, match.start(), match.end(),
                skeleton(word), message,
            )  # fmt: skip


def _judge(word: str, kinds: list[str], native: set[str], text: str) -> tuple[Severity, str] | None:
    folded = skeleton(word)
    if not folded.isascii() or len(word) < 3 or not folded.isalpha():
        return None
    used = {kind for kind in kinds if kind not in ("Common", "Inherited")}
    if used <= {"Latin"} or not used:
        return _styled(word, text)
    if not used <= _LETTERS:
        return None
    if len(used) == 1:
        if used & native or len(word) < _SHORTEST:
            return None
        return "warning", "a word of another script that looks like a Latin one"
    # An abbreviation in Latin capitals with a native ending is how many languages inflect.
    stem = [char for char, kind in zip(word, kinds, strict=True) if kind == "Latin"]
    ending = kinds == ["Latin"] * len(stem) + kinds[len(stem) :]
    if ending and native & used and len(stem) >= 2 and all(char.isupper() for char in stem):
        return "note", "letters of several scripts in one word"
    return "error", "letters of several scripts in one word, which look like one"


def _styled(word: str, text: str) -> tuple[Severity, str] | None:
    """Judge letters of mathematical or other styles that spell a word."""
    styled = [char for char in word if not char.isascii()]
    if len(styled) < _SHORTEST or any(unicodedata.normalize("NFD", c) != c for c in styled):
        return None
    if not all(unicodedata.normalize("NFKC", char).isascii() for char in styled):
        return None
    if all("\uff00" <= char <= "\uffef" for char in styled) and re.search(
        "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]", text
    ):
        return None
    return "warning", "a word in styled letters, which programs read as other characters"
