"""Reads Markdown as a renderer does, and reports source that the result does not show.

The tokens are markdown-it's (CommonMark, with tables and strike-through). Besides what it finds,
a reading gives the source with its code blanked out, of the same length, for searches that must
not look into code, and the words that are shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from agentprov.formats.hidden.finding import Places, Severity, Spot
from agentprov.formats.hidden.prose import grade_aside, is_marker, words

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# Characters at which the parser stops; each costs it up to 20 microseconds.
_ACTIVE = re.compile(r"[\n!#$%&*+:<=>@\[\\\]^_`{}~|-]")
MAX_ACTIVE = 40_000

_FRONT_MATTER = re.compile(
    r"\A\ufeff?(?P<fence>---|\+\+\+)[ \t]*\r?\n"
    r"(?P<body>(?:(?!(?:---|\.\.\.|\+\+\+)[ \t]*\r?$).*\n){0,400}?)"
    r"(?P<end>---|\.\.\.|\+\+\+)[ \t]*\r?$",
    re.MULTILINE,
)
_KEY = re.compile(r"\s*(?:[\w\"'.-]+\s*[:=]|#|\[|\{|$)")
_FOOTNOTE = re.compile(r"^[ \t>]{0,12}\[\^([^\]\s\[]{1,80})\]:[ \t]*", re.MULTILINE)
_FOOTNOTE_USE = re.compile(r"\[\^([^\]\s\[]{1,80})\](?!:)")
_INFO_ATTRIBUTE = re.compile(r"\{[^{}]*\}|[\w-]+=(\"[^\"]*\"|'[^']*'|\S+)")
_BLANKED = re.compile(r"[^\n]")
_LEAVES = frozenset({"blockquote_open", "bullet_list_open", "ordered_list_open", "list_item_open"})
_COMMENT_TARGETS = frozenset({"", "#", "%23"})
_COMMENT_LABELS = frozenset({"//", "COMMENT", "_", "#", "-", "%", "NOTE"})


@dataclass(frozen=True)
class Reading:
    """What a reading of Markdown gives; `masked` is as long as the source."""

    spots: tuple[Spot, ...]
    masked: str
    visible: frozenset[str]


def read(text: str, places: Places) -> Reading:
    """Read a Markdown text; one with more than MAX_ACTIVE marks is not parsed, and this is said."""
    marks = sum(1 for _ in _ACTIVE.finditer(text))
    if marks > MAX_ACTIVE:
        spot = Spot(
            "hidden-text/not-searched", "error", 0, min(len(text), 1), "",
            f"{marks} marks are more than {MAX_ACTIVE}: how this renders was not looked at",
        )  # fmt: skip
        return Reading((spot,), text, frozenset(words(text[:200_000])))
    return _Reader(text, places).reading()


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"store_labels": True}).enable(["table", "strikethrough"])


class _Reader:
    def __init__(self, text: str, places: Places) -> None:
        self.text = text
        self.places = places
        self.masks: list[tuple[int, int]] = []
        self.visible: list[str] = []
        self.used: set[str] = set()
        self.covered: set[int] = set()
        self.asides: list[tuple[str, int, int, str, int, str]] = []
        self.spots: list[Spot] = []

    def reading(self) -> Reading:
        source, front = self._front_matter()
        # For the parser a lone CR ends a line; for everything else here it does not.
        source = re.sub(r"\r(?!\n)", " ", source)
        environment: dict[str, Any] = {}
        tokens = _parser().parse(source, environment)
        self._blocks(tokens)
        shown = frozenset(word for text in self.visible for word in words(text))
        masked = self._masked()
        self.spots += front
        self.spots += self._graded(shown)
        self.spots += self._definitions(environment, shown)
        self.spots += self._footnotes(masked)
        self.spots += self._uncovered(source)
        return Reading(tuple(self.spots), masked, shown)

    def _span(self, lines: Sequence[int]) -> tuple[int, int]:
        return self.places.offset(lines[0]), self.places.offset(lines[1])

    def _masked(self) -> str:
        pieces, last = [], 0
        for start, end in sorted(self.masks):
            if end > last:
                start = max(start, last)
                pieces += [self.text[last:start], _BLANKED.sub(" ", self.text[start:end])]
                last = end
        return "".join([*pieces, self.text[last:]])

    # Front matter

    def _front_matter(self) -> tuple[str, list[Spot]]:
        match = _FRONT_MATTER.match(self.text)
        if match is None or not match["body"].strip() or not _KEY.match(match["body"]):
            return self.text, []
        spots = [
            Spot(
                "hidden-text/front-matter", "note", match.start("fence"), match.end(),
                match["body"].strip(), "front matter: read by tools and models, not shown",
            )
        ]  # fmt: skip
        self.covered.update(range(match[0].count("\n") + 1))
        for line in re.finditer(r"#[ \t]*(.{1,4000})$", match["body"], re.MULTILINE):
            before = match["body"][: line.start()].rpartition("\n")[2]
            comment = (
                (not before or before[-1] in " \t") and "'" not in before and '"' not in before
            )
            if comment and len(words(line[1])) > 5:
                start = match.start("body") + line.start()
                spots.append(
                    Spot(
                        "hidden-text/front-matter-comment", "warning", start, start + len(line[0]),
                        line[1].strip(), "a comment in front matter: only a model reads it",
                    )
                )  # fmt: skip
        return _BLANKED.sub(" ", match[0]) + self.text[match.end() :], spots

    # Blocks

    def _blocks(self, tokens: Sequence[Token]) -> None:
        groups: dict[tuple[int, int], list[Token]] = {}
        row: tuple[int, int] | None = None
        rows: set[tuple[int, int]] = set()
        for token in tokens:
            if token.map and token.type not in _LEAVES:
                self.covered.update(range(*token.map))
            if token.type == "tr_open" and token.map:
                row = (token.map[0], token.map[1])
            elif token.type == "tr_close":
                row = None
            elif token.type in ("fence", "code_block") and token.map:
                self._code(token, token.map)
            elif token.type == "html_block":
                self.visible.append(re.sub(r"<[^<>]*>", " ", token.content))
            elif token.type == "inline" and token.map:
                lines = row or (token.map[0], token.map[1])
                groups.setdefault(lines, []).append(token)
                if row is not None:
                    rows.add(row)
        for lines, members in groups.items():
            self._inline(lines, members)
            if lines in rows:
                self._row(lines, members)

    def _code(self, token: Token, lines: Sequence[int]) -> None:
        start, end = self._span(lines)
        self.visible.append(re.sub(r"(?m)^\s*%%.*$", "", token.content))
        if token.type == "code_block":
            self.masks.append((start, end))
            return
        first = self.places.offset(lines[0] + 1)
        language, _, rest = token.info.strip().partition(" ")
        # Some hosts typeset these instead of showing their source.
        if language != "math":
            self.masks.append((first, max(first, end)))
        if language == "mermaid":
            for line in re.finditer(
                r"^[ \t>]*%%(?!\{)[ \t]*(.{1,4000})$", self.text[first:end], re.MULTILINE
            ):
                at = first + line.start(1)
                self.asides.append(
                    (
                        "diagram-comment",
                        at,
                        at + len(line[1]),
                        line[1],
                        5,
                        "a comment in a diagram: a renderer draws none of it",
                    )
                )
        rest = rest.strip()
        if not rest:
            return
        at = max(self.text.find(rest[:40], start, first), start)
        plain = " ".join(_INFO_ATTRIBUTE.sub(" ", rest).split())
        quoted = max(
            (match[1] or "" for match in _INFO_ATTRIBUTE.finditer(rest)), key=len, default=""
        )
        said, most = (plain, 3) if words(plain) else (quoted.strip("\"'"), 5)
        if words(plain) or len(words(said)) > most:
            message = "the rest of a fence's info string: a renderer does not show it"
            self.asides.append(("fence-info", at, at + len(rest), said, most, message))

    def _inline(self, lines: tuple[int, int], members: Iterable[Token]) -> None:
        start, end = self._span(lines)
        children = [child for member in members for child in member.children or ()]
        codes = [child.content for child in _all(children) if child.type == "code_inline"]
        self._mask_code(start, end, codes)
        cursor = start
        for index, child in enumerate(children):
            if child.type in ("text", "code_inline"):
                self.visible.append(child.content)
            elif child.type == "image":
                cursor = self._image(child, cursor, start, end)
            elif child.type == "link_open":
                cursor = self._link(children, index, cursor, start, end)

    def _mask_code(self, start: int, end: int, codes: list[str]) -> None:
        """Blank out code spans, if ours are the parser's; else none, and too much is reported."""
        if not codes:
            return
        found = list(_code_spans(self.text, start, end))
        squeezed = [_squeeze(self.text[a:b]) for a, b in found]
        if squeezed == [_squeeze(code) for code in codes]:
            self.masks += found
            return
        # A span may stand where a tag hides a backtick; match what can be matched in order.
        wanted = iter(map(_squeeze, codes))
        target = next(wanted, None)
        for place, code in zip(found, squeezed, strict=True):
            if code == target:
                self.masks.append(place)
                target = next(wanted, None)

    def _image(self, token: Token, cursor: int, start: int, end: int) -> int:
        self._label_used(token)
        at = self.text.find("![", cursor, end)
        cursor = at + 2 if at >= 0 else cursor
        for child in token.children or ():
            if child.type == "image":
                cursor = self._image(child, cursor, start, end)
        alt = "".join(child.content for child in _all(token.children or ()))
        if len(words(alt)) >= 3:
            where = self._locate(alt, cursor, end)
            self.asides.append(
                ("alt-text", where, min(where + len(alt), end), alt, 7,
                 "an alternative text: shown only where the image is not")
            )  # fmt: skip
        return self._title(token, cursor, end)

    def _link(
        self, children: Sequence[Token], index: int, cursor: int, start: int, end: int
    ) -> int:
        token = children[index]
        self._label_used(token)
        depth, content = 0, []
        for child in children[index + 1 :]:
            depth += child.nesting
            if child.type == "link_close" and depth < 0:
                break
            content.append(child)
        seen = any(
            child.type == "image" or (child.type != "html_inline" and child.content.strip())
            for child in content
        )
        if not seen:
            at = self.text.find("[", cursor, end)
            at = at if at >= 0 else start
            target = str(token.attrGet("href") or "")
            self.spots.append(
                Spot("hidden-text/empty-link", "error" if len(target) > 1 else "note", at, end,
                     unquote(target), "a link with nothing to be seen")
            )  # fmt: skip
        return self._target(token, cursor, start, end)

    def _target(self, token: Token, cursor: int, start: int, end: int) -> int:
        """Look at where a link leads: an address with spaces in it is a sentence."""
        target = unquote(str(token.attrGet("href") or ""))
        if not token.meta.get("label") and " " in target and len(words(target)) > 5:
            at = self.text.find(target[:40], start, end)
            where = at if at >= 0 else cursor
            self.spots.append(
                Spot("hidden-text/link-target", "error" if at >= 0 else "note", where,
                     max(where + 1, min(where + len(target), end)), target,
                     "a link's address that reads as a sentence")
            )  # fmt: skip
        return self._title(token, cursor, end)

    def _title(self, token: Token, cursor: int, end: int) -> int:
        title = token.attrGet("title")
        if not title or token.meta.get("label"):
            return cursor
        where = self._locate(str(title), cursor, end)
        stop = min(where + len(str(title)), end)
        self.asides.append(
            ("title", where, stop, str(title), 5, "a title: shown only under the pointer")
        )
        return stop

    def _label_used(self, token: Token) -> None:
        label = token.meta.get("label") if token.meta else None
        if label:
            self.used.add(label)

    def _locate(self, said: str, cursor: int, end: int) -> int:
        for length in (40, 12):
            at = self.text.find(said.split("\n")[0][:length], cursor, end)
            if at >= 0:
                return at
        return cursor

    def _row(self, lines: tuple[int, int], members: Iterable[Token]) -> None:
        """Find cells beyond the last column: a renderer drops them."""
        start, end = self._span(lines)
        left = Counter(word for member in members for word in words(member.content))
        for match in re.finditer(r"[^|]+", self.text[start:end]):
            surplus = Counter(words(match[0])) - left
            left -= Counter(words(match[0]))
            if surplus:
                where = start + match.start() + len(match[0]) - len(match[0].lstrip())
                self.spots.append(
                    Spot("hidden-text/unrendered", "error", where, end,
                         self.text[where:end].strip(),
                         "cells beyond the last column of a table: a renderer drops them")
                )  # fmt: skip
                return

    # What is left

    def _graded(self, shown: Set[str]) -> Iterator[Spot]:
        for kind, start, end, said, most, message in self.asides:
            severity = grade_aside(said, shown, most)
            yield Spot(f"hidden-text/{kind}", severity, start, max(end, start + 1), said, message)

    def _definitions(self, environment: Mapping[str, Any], shown: Set[str]) -> Iterator[Spot]:
        known = [
            (label, item, label in self.used)
            for label, item in environment.get("references", {}).items()
        ]
        known += [
            (str(item.get("label", "")), item, False)
            for item in environment.get("duplicate_refs", [])
        ]
        for label, item, used in known:
            lines = item["map"]
            self.covered.update(range(*lines))
            start, end = self._span(lines)
            at = max(self.text.find("[", start, end), start)
            severity = _grade_definition(label, item, used, shown)
            if severity is None:
                continue
            title = item.get("title") or ""
            yield Spot(
                "hidden-text/markdown-definition", severity, at, max(at + 1, end),
                title or self.text[at:end].strip(),
                "the title of a reference definition: shown only under the pointer" if used
                else "a Markdown reference definition that nothing shows",
            )  # fmt: skip

    def _footnotes(self, masked: str) -> Iterator[Spot]:
        used = {match[1].lower() for match in _FOOTNOTE_USE.finditer(masked)}
        for match in _FOOTNOTE.finditer(masked):
            if match[1].lower() in used:
                continue
            stop = masked.find("\n\n", match.end())
            end = stop if stop >= 0 else len(masked)
            start = match.start() + len(match[0]) - len(match[0].lstrip(" \t>"))
            yield Spot(
                "hidden-text/footnote", "error", start, end, self.text[match.end() : end].strip(),
                "a footnote that nothing refers to: a renderer drops it",
            )  # fmt: skip

    def _uncovered(self, source: str) -> Iterator[Spot]:
        """Find lines that became no part of any block: whatever dropped them, they are unseen."""
        index, count = 0, len(self.places.starts)
        while index < count:
            start, end = self._span((index, index + 1))
            if index in self.covered or not words(source[start:end]):
                index += 1
                continue
            last = index
            while (
                last + 1 < count
                and last + 1 not in self.covered
                and source[slice(*self._span((last + 1, last + 2)))].strip()
            ):
                last += 1
            _, end = self._span((index, last + 1))
            yield Spot(
                "hidden-text/unrendered", "error", start, end, self.text[start:end].strip(),
                "lines that a renderer drops",
            )  # fmt: skip
            index = last + 1


def _grade_definition(
    label: str, item: Mapping[str, Any], used: bool, shown: Set[str]
) -> Severity | None:
    title, target = item.get("title") or "", item.get("href", "")
    if used:
        return grade_aside(title, shown, 5) if title else None
    comment = target in _COMMENT_TARGETS or label.upper() in _COMMENT_LABELS
    said = title or (unquote(target) if "%20" in target or comment else "")
    said = "" if said in _COMMENT_TARGETS else said
    if comment and not words(f"{said} {label}"):
        return None
    if is_marker(said) or (not said and len(words(label)) <= 3):
        return "note"
    return "error"


def _all(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or ())


def _squeeze(code: str) -> str:
    return re.sub(r"[\s>|\\]", "", code)


def _code_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Give the insides of code spans in a stretch: backticks closed by as many backticks."""
    runs = [match.span() for match in re.compile("`+").finditer(text, start, end)]
    nexts: dict[int, list[int]] = {}
    for index, (a, b) in enumerate(runs):
        nexts.setdefault(b - a, []).append(index)
    position = dict.fromkeys(nexts, 0)
    index = 0
    while index < len(runs):
        a, b = runs[index]
        escaped = 0
        while a - escaped - 1 >= start and text[a - escaped - 1] == "\\":
            escaped += 1
        if escaped % 2:
            a += 1
        same = nexts.get(b - a, [])
        at = position.get(b - a, 0)
        while at < len(same) and same[at] <= index:
            at += 1
        if b > a:
            position[b - a] = at
        if b == a or at >= len(same):
            index += 1
            continue
        yield b, runs[same[at]][0]
        index = same[at] + 1
