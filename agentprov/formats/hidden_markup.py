"""Finds markup that a renderer drops and a model reads: comments, hidden elements, dead links.

Plans are Markdown, and Markdown holds HTML. This is no Markdown parser: it over-reports rather
than guess what a renderer would do. The one exception is a fenced code block whose fence stands
at the very start of a line, outside HTML: that is shown by every renderer, so what it holds is a
note. Not looked for: see `hidden_text`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from html import unescape

from agentprov.formats.hidden_text import Finding, Lines, Severity, make

_OPENERS = re.compile(r"<!--|<\?|<!\[CDATA\[|<![A-Za-z]")
_TAG = re.compile(
    r"<([A-Za-z][A-Za-z0-9:-]{0,40})((?:[^\"'<>]|\"[^\"]{0,2000}+\"|'[^']{0,2000}+'){0,4000}+)>"
)
_UNSEEN_ELEMENTS = frozenset(
    {"script", "style", "template", "noscript", "title", "datalist", "noembed"}
)
_HIDDEN_ATTRIBUTE = re.compile(r"(?:^|[\s/\"'])hidden(?=[\s/=]|$)", re.IGNORECASE)
_HIDING_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0*\.?0+(?![.\d])"
    r"|font-size\s*:\s*0*\.?0+(?![.\d])|content-visibility\s*:\s*hidden",
    re.IGNORECASE,
)
_CSS_NOISE = re.compile(r"/\*.*?\*/|\\", re.DOTALL)
_DEFINITION = re.compile(
    r"^[ \t>*+\-0-9.)]{0,40}\[((?:[^\[\]\\]|\\.){1,999})\]:[ \t]*\n?[ \t]*(<[^<>\n]*>|[^\s<]\S*)"
    r"(?:[ \t]+|[ \t]*\n[ \t]*)?"
    r"(\"(?:[^\"\\\n]|\\.|\n(?![ \t]*\n)){0,4000}+\"|'(?:[^'\\\n]|\\.|\n(?![ \t]*\n)){0,4000}+'"
    r"|\((?:[^()\\\n]|\\.|\n(?![ \t]*\n)){0,4000}+\))?",
    re.MULTILINE,
)
_REFERENCE = re.compile(r"\[((?:[^\[\]\\]|\\.){1,999})\](?!:)")
_FENCE = re.compile(r"(`{3,})[^`\n]*$|(~{3,})[^\n]*$")
_FENCE_END = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*$")
_FENCE_LIKE = re.compile(r"[ \t>*+\-0-9.)]*(?:```|~~~)")
_LONG_HTML = (
    (re.compile(r" {0,3}<(?:script|pre|style|textarea)(?![A-Za-z0-9-])", re.IGNORECASE), "</"),
    (re.compile(r" {0,3}<!--"), "-->"),
    (re.compile(r" {0,3}<\?"), "?>"),
    (re.compile(r" {0,3}<!\[CDATA\["), "]]>"),
    (re.compile(r" {0,3}<![A-Za-z]"), ">"),
)


def markup_findings(text: str, lines: Lines) -> Iterator[Finding]:
    """Give what markup hides in a text; places inside surely shown code are notes."""
    shown = _Fences.of(text, lines)
    dropped: list[tuple[int, int]] = []
    for finding, span in _comments(text, lines, shown):
        dropped.append(span)
        yield finding
    starts = [start for start, _ in dropped]

    def inside_comment(place: int) -> bool:
        index = bisect_right(starts, place) - 1
        return index >= 0 and place < dropped[index][1]

    covered = 0
    for match in _TAG.finditer(text):
        if match.start() < covered or inside_comment(match.start()):
            continue
        why = _why_unseen(match[1].lower(), match[2])
        if why:
            finding, covered = _element(text, lines, shown, match, why)
            yield finding
    references: set[str] | None = None
    for match in _DEFINITION.finditer(text):
        if not inside_comment(match.start()):
            if references is None:
                references = {_label(found[1]) for found in _REFERENCE.finditer(text)}
            yield from _definition(text, lines, shown, match, references)


def _comments(text: str, lines: Lines, shown: _Fences) -> Iterator[tuple[Finding, tuple[int, int]]]:
    place = 0
    while (opener := _OPENERS.search(text, place)) is not None:
        start = opener.start()
        if opener[0] == "<!--":
            kind, closer = "hidden-text/html-comment", "-->"
            message = "an HTML comment: a renderer drops it, a model reads it"
        else:
            kind = "hidden-text/html-declaration"
            closer = {"<?": "?>", "<![CDATA[": "]]>"}.get(opener[0], ">")
            message = "an HTML declaration: a renderer drops it, a model reads it"
        at = text.find(closer, start + (2 if opener[0] == "<!--" else len(opener[0])))
        end = len(text) if at < 0 else at + len(closer)
        raw = text[start:end]
        inner = raw[len(opener[0]) :].removesuffix(closer).strip()
        if raw in ("<!-->", "<!--->"):
            inner = ""
        severity = shown.severity(start, end)
        span = (lines.at(start), lines.at(max(start, end - 1)))
        if inner or severity == "note":
            yield make(kind, severity, span, raw, inner, message), (start, end)
        place = end


def _why_unseen(name: str, attributes: str) -> str | None:
    if name in _UNSEEN_ELEMENTS:
        return f"<{name}>: a renderer shows none of its text"
    if not attributes:
        return None
    unquoted = re.sub(r"=\s*(?:\"[^\"]*\"|'[^']*')", "= ", attributes)
    if _HIDDEN_ATTRIBUTE.search(unquoted):
        return f"<{name} hidden>: a renderer shows none of its text"
    style = _HIDING_STYLE.search(_CSS_NOISE.sub("", unescape(attributes)))
    if style and "style" in attributes.lower():
        return f"<{name}> with {style[0].lower()}: a renderer shows none of its text"
    return None


def _element(
    text: str, lines: Lines, shown: _Fences, match: re.Match[str], why: str
) -> tuple[Finding, int]:
    closer = re.compile(rf"</{re.escape(match[1])}\s*>", re.IGNORECASE)
    close = closer.search(text, match.end(), match.end() + 4_000)
    blank = text.find("\n\n", match.end())
    inner_end = close.start() if close else (blank if blank >= 0 else len(text))
    end = close.end() if close else inner_end
    inner = text[match.end() : inner_end].strip()
    finding = make(
        "hidden-text/html-hidden",
        shown.severity(match.start(), end),
        (lines.at(match.start()), lines.at(max(match.start(), end - 1))),
        text[match.start() : end],
        inner or match[0],
        why,
    )
    return finding, end


def _definition(
    text: str, lines: Lines, shown: _Fences, match: re.Match[str], references: set[str]
) -> Iterator[Finding]:
    label, target, title = match[1].strip(), match[2], match[3]
    comment = target in ("#", "<>", "<#>") or label in ("//", "comment", "_")
    unused = _label(label) not in references
    if not comment and not (unused and (title is not None or len(label.split()) > 3)):
        return
    place = match.start() + len(match[0]) - len(match[0].lstrip(" \t>*+-0123456789.)"))
    hidden = title[1:-1] if title else f"[{label}]: {target}"
    yield make(
        "hidden-text/markdown-definition",
        shown.severity(place, match.end()),
        (lines.at(place), lines.at(max(place, match.end() - 1))),
        text[place : match.end()].strip(),
        hidden,
        "a Markdown reference definition that nothing shows",
    )


def _label(label: str) -> str:
    text = " ".join(label.split())
    return text.lower() if text.isascii() else text


class _Fences:
    """Knows which stretches of a text are code blocks that every renderer shows."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self._spans = spans
        self._starts = [start for start, _ in spans]

    @classmethod
    def of(cls, text: str, lines: Lines) -> _Fences:
        """Find fenced blocks that start in the first column, outside HTML.

        Stops at the first line that different renderers may read differently: a fence inside a
        list, a quotation or HTML, or HTML that stays open over blank lines. What comes after is
        then graded as if it were outside code.
        """
        spans: list[tuple[int, int]] = []
        fence, opened, maybe_html = "", 0, False
        for number, start in enumerate(lines.starts):
            end = lines.starts[number + 1] if number + 1 < len(lines.starts) else len(text)
            line = text[start:end].rstrip("\r\n")
            if fence:
                closing = _FENCE_END.match(line)
                if closing and closing[1][0] == fence[0] and len(closing[1]) >= len(fence):
                    spans.append((opened, end))
                    fence = ""
                continue
            maybe_html = bool(line.strip()) and (maybe_html or _starts_html(line))
            if _stays_html(line):
                break
            if _FENCE_LIKE.match(line):
                opening = _FENCE.match(line)
                if opening is None or maybe_html:
                    break
                fence, opened = opening[1] or opening[2], start
        if fence:
            spans.append((opened, len(text)))
        return cls(spans)

    def severity(self, start: int, end: int) -> Severity:
        """Grade a stretch: a note where it lies wholly inside shown code, else an error."""
        index = bisect_right(self._starts, start) - 1
        if index >= 0 and end <= self._spans[index][1]:
            return "note"
        return "error"


def _starts_html(line: str) -> bool:
    return line.lstrip(" ").startswith("<")


def _stays_html(line: str) -> bool:
    for opener, closer in _LONG_HTML:
        match = opener.match(line)
        if match is not None:
            return closer not in line[match.end() :]
    return False
