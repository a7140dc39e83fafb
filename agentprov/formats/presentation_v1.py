"""Version 1 of the presentation, kept so that its digests can be made again.

Version 1 put the list of what it found into the shown text, so its outcome needs the same search
for ever. Nothing here serves new signatures (`presentation`, `hidden`), and nothing may change.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from html import unescape
from typing import Literal

from agentprov.formats.unseen import RTL, carried, escape_unseen, hidden_characters, kind_of

_Severity = Literal["error", "warning", "note"]
_MAX_DECODED = 2000


@dataclass(frozen=True)
class _Finding:
    """Something hidden: where, what kind, and the text that it hides.

    Lines are 1-based and inclusive. `text` is the decoded payload (or the hidden source itself),
    unescaped and cut at _MAX_DECODED characters. `id` is stable for the same bytes at the same
    line: ``KIND:LINE:DIGEST``, safe to type in a shell.
    """

    id: str
    kind: str
    severity: _Severity
    start: int
    end: int
    text: str
    message: str


@dataclass(frozen=True)
class _Lines:
    """Where the lines of a text start; answers which line a place is on."""

    starts: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> _Lines:
        """Index a text; only LF ends a line."""
        return cls((0, *(match.end() for match in re.finditer("\n", text))))

    def at(self, place: int) -> int:
        """Give the 1-based line of a place."""
        return bisect_right(self.starts, place)


def shown(plan: bytes, source: str) -> str:
    """Give the shown text of version 1 for a plan's bytes and the same as text."""
    return "".join(f"{line}\n" for line in _shown_lines(plan, source, _scan(source)))


def _shown_lines(plan: bytes, source: str, findings: list[_Finding]) -> Iterator[str]:
    shown = _lines(source)
    ends_with_newline = shown[-1] == ""
    if ends_with_newline:
        shown.pop()
    yield "agentprov presentation 1"
    yield f"sha256 {sha256(plan).hexdigest()}, {len(plan)} bytes, {len(shown)} lines"
    for number, line in enumerate(shown, 1):
        yield f"{number:>6} | {line}"
    if not ends_with_newline:
        yield "       \\ no newline at the end"
    yield f"findings: {len(findings)}"
    for finding in findings:
        where = f"line {finding.start}"
        if finding.end != finding.start:
            where = f"lines {finding.start}-{finding.end}"
        yield f"! {finding.id} ({finding.severity}, {where}): {finding.message}"
        for line in _lines(finding.text):
            yield f"       > {line}"


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in escape_unseen(text).split("\n")]


def _scan(text: str) -> list[_Finding]:
    lines = _Lines.of(text)
    found = [*_character_findings(text, lines), *_markup_findings(text, lines)]
    return sorted(found, key=lambda finding: (finding.start, finding.kind, finding.id))


def _make(
    kind: str, severity: _Severity, span: tuple[int, int], raw: str, decoded: str, message: str
) -> _Finding:
    """Make a finding; its id comes from the kind, the first line and the hidden source."""
    digest = sha256(raw.encode("utf-8")).hexdigest()[:12]
    text = decoded if len(decoded) <= _MAX_DECODED else decoded[:_MAX_DECODED] + "\u2026"
    return _Finding(f"{kind}:{span[0]}:{digest}", kind, severity, span[0], span[1], text, message)


def _character_findings(text: str, lines: _Lines) -> Iterator[_Finding]:
    groups: dict[tuple[int, str], list[int]] = {}
    for place in hidden_characters(text):
        groups.setdefault((lines.at(place), kind_of(text[place], place)), []).append(place)
    for (line, kind), places in groups.items():
        raw = "".join(text[place] for place in places)
        severity: _Severity = "error"
        if kind == "bom-at-start":
            kind, severity = "bom", "note"
        elif kind in ("bidi-mark", "private-use"):
            start = lines.starts[line - 1]
            end = lines.starts[line] if line < len(lines.starts) else len(text)
            honest = kind == "private-use" or RTL.search(text, start, end) is not None
            kind, severity = kind.replace("-mark", ""), "note" if honest else "error"
        yield _make(
            f"hidden-text/{kind}", severity, (line, line), raw, carried(kind, raw), _MESSAGES[kind]
        )


_MESSAGES = {
    "bidi": "characters that reorder what is shown",
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


def _markup_findings(text: str, lines: _Lines) -> Iterator[_Finding]:
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


def _comments(
    text: str, lines: _Lines, shown: _Fences
) -> Iterator[tuple[_Finding, tuple[int, int]]]:
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
            yield _make(kind, severity, span, raw, inner, message), (start, end)
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
    text: str, lines: _Lines, shown: _Fences, match: re.Match[str], why: str
) -> tuple[_Finding, int]:
    closer = re.compile(rf"</{re.escape(match[1])}\s*>", re.IGNORECASE)
    close = closer.search(text, match.end(), match.end() + 4_000)
    blank = text.find("\n\n", match.end())
    inner_end = close.start() if close else (blank if blank >= 0 else len(text))
    end = close.end() if close else inner_end
    inner = text[match.end() : inner_end].strip()
    finding = _make(
        "hidden-text/html-hidden",
        shown.severity(match.start(), end),
        (lines.at(match.start()), lines.at(max(match.start(), end - 1))),
        text[match.start() : end],
        inner or match[0],
        why,
    )
    return finding, end


def _definition(
    text: str, lines: _Lines, shown: _Fences, match: re.Match[str], references: set[str]
) -> Iterator[_Finding]:
    label, target, title = match[1].strip(), match[2], match[3]
    comment = target in ("#", "<>", "<#>") or label in ("//", "comment", "_")
    unused = _label(label) not in references
    if not comment and not (unused and (title is not None or len(label.split()) > 3)):
        return
    place = match.start() + len(match[0]) - len(match[0].lstrip(" \t>*+-0123456789.)"))
    hidden = title[1:-1] if title else f"[{label}]: {target}"
    yield _make(
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
    def of(cls, text: str, lines: _Lines) -> _Fences:
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

    def severity(self, start: int, end: int) -> _Severity:
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
