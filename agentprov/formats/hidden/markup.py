"""Finds HTML that a renderer drops or hides: comments, declarations, elements, attributes.

Works on the source with its code blanked out, so that places are exact; otherwise it reports
rather than guess what one renderer would do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from html import unescape

from agentprov.formats.hidden.finding import Severity, Spot
from agentprov.formats.hidden.prose import grade_aside, is_marker, words
from agentprov.formats.hidden.style import hiding

_OPENER = re.compile(r"(?<!\\)<(?:!--|\?|!\[CDATA\[|![A-Za-z])")
_TAG = re.compile(
    r"<([A-Za-z][A-Za-z0-9:-]{0,40})((?:[^\"'<>]|\"[^\"]{0,2000}+\"|'[^']{0,2000}+'){0,2000}+)>"
)
_START = re.compile(r"(?<!\\)<[A-Za-z]")
_UNSEEN = frozenset(
    {
        "script", "style", "template", "noscript", "noembed", "noframes", "title", "datalist",
        "head", "canvas", "audio", "video", "object", "iframe", "desc", "metadata", "param", "rp",
        "annotation", "annotation-xml",
    }
)  # fmt: skip
_UNSEEN_CLASSES = frozenset(
    {
        "hidden",
        "d-none",
        "invisible",
        "sr-only",
        "visually-hidden",
        "visuallyhidden",
        "display-none",
    }
)
_EMPTY = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "wbr"}
)
_ATTRIBUTE = re.compile(
    r"([A-Za-z_:@][\w:.@-]{0,60})(?:\s{0,40}=\s{0,40}(\"[^\"]*\"|'[^']*'|[^\s\"'>]+))?"
)
_MECHANICAL = frozenset(
    {
        "class", "id", "style", "href", "src", "srcset", "rel", "target", "type", "width", "height",
        "align", "valign", "name", "lang", "dir", "viewbox", "d", "fill", "points", "transform",
        "sizes", "media", "color", "bgcolor", "face", "size", "border", "colspan", "rowspan",
        "font-family",
    }
)  # fmt: skip
# Failed readings of a tag that are paid for; more of them is no document.
_MANY = 2000
_REACH = 8000


def markup_spots(masked: str, visible: Set[str]) -> Iterator[Spot]:
    """Give what HTML in a source hides; `visible` are the words that are shown."""
    dropped: list[tuple[int, int]] = []
    yield from _comments(masked, dropped)
    yield from _tags(_without(masked, dropped), visible)


def _comments(text: str, dropped: list[tuple[int, int]]) -> Iterator[Spot]:
    place = 0
    while (opener := _OPENER.search(text, place)) is not None:
        start, mark = opener.span()
        if opener[0] == "<!--":
            kind, closer, at = "hidden-text/html-comment", "-->", start + 2
        else:
            kind, at = "hidden-text/html-declaration", mark
            closer = {"<?": "?>", "<![CDATA[": "]]>"}.get(opener[0], ">")
        found = text.find(closer, at)
        end = len(text) if found < 0 else found + len(closer)
        raw = text[start:end]
        inner = raw[len(opener[0]) :].removesuffix(closer).strip()
        if opener[0].startswith("<!") and opener[0][-1].isalpha():
            inner = opener[0][-1] + inner
        dropped.append((start, end))
        place = end
        if raw in ("<!-->", "<!--->") or not inner or inner.lower() == "doctype html":
            continue
        severity: Severity = "error"
        if opener[0] == "<!--" and found >= 0 and is_marker(inner):
            severity = "note"
        what = "an HTML comment" if kind.endswith("comment") else "an HTML declaration"
        yield Spot(
            kind, severity, start, end, inner, f"{what}: a renderer drops it, a model reads it"
        )


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    pieces, last = [], 0
    for start, end in spans:
        pieces += [text[last:start], re.sub(r"[^\n]", " ", text[start:end])]
        last = end
    return "".join([*pieces, text[last:]])


def _tags(text: str, visible: Set[str]) -> Iterator[Spot]:
    place = covered = failed = 0
    while (opening := _START.search(text, place)) is not None:
        match = _TAG.match(text, opening.start())
        if match is None:
            place = opening.end()
            failed += 1
            if failed > _MANY:
                yield Spot(
                    "hidden-text/not-searched", "error", opening.start(), len(text), "",
                    "more unfinished HTML than is read: from here tags were not searched",
                )  # fmt: skip
                return
            continue
        place = match.end()
        if match.start() < covered:
            continue
        name, attributes = match[1].lower(), _attributes(match[2])
        why = _why_unseen(name, attributes)
        if why:
            start, inner_end, end = _extent(text, match, name)
            inner = text[start:inner_end].strip()
            shown = inner or attributes.get("value", "") or attributes.get("content", "")
            if inner_end > start and not re.search(r"\w", inner):
                continue
            covered = end
            yield Spot(
                "hidden-text/html-hidden", "error", match.start(), end, shown or match[0], why
            )
        elif name == "details":
            start, inner_end, end = _extent(text, match, name)
            yield Spot(
                "hidden-text/details", "note", match.start(), end, text[start:inner_end].strip(),
                "<details>: shown only to whom opens it",
            )  # fmt: skip
        yield from _asides(match, attributes, visible)


def _attributes(source: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(source):
        value = match[2] or ""
        if value[:1] in "\"'" and value:
            value = value[1:-1]
        found.setdefault(match[1].lower(), unescape(value))
    return found


def _why_unseen(name: str, attributes: dict[str, str]) -> str | None:
    if name in _UNSEEN:
        return f"<{name}>: a renderer shows none of its text"
    if "hidden" in attributes:
        return f"<{name} hidden>: a renderer shows none of its text"
    if name == "dialog" and "open" not in attributes:
        return "<dialog> that is not open: a renderer shows none of its text"
    if name == "meta" and len(words(attributes.get("content", ""))) > 3:
        return "<meta>: a renderer shows nothing of it"
    if name == "input" and attributes.get("type", "").lower() == "hidden":
        return "<input type=hidden>: a renderer shows nothing of it"
    unseen = _UNSEEN_CLASSES & set(attributes.get("class", "").lower().split())
    if unseen:
        return f"<{name} class={min(unseen)}>: a class that hides, by its usual meaning"
    why = hiding(attributes.get("style", ""), attributes)
    return f"<{name}> with {why}: a renderer shows none of its text" if why else None


def _extent(text: str, match: re.Match[str], name: str) -> tuple[int, int, int]:
    """Give where an element's content starts and ends, and where the element ends."""
    start = match.end()
    if name in _EMPTY or match[2].rstrip().endswith("/"):
        return start, start, start
    closer = re.compile(rf"</{re.escape(name)}\s{{0,40}}>", re.IGNORECASE)
    close = closer.search(text, start, start + _REACH)
    if close is not None:
        return start, close.start(), close.end()
    blank = text.find("\n\n", start, start + _REACH)
    end = blank if blank >= 0 else min(len(text), start + _REACH)
    return start, end, end


def _asides(match: re.Match[str], attributes: dict[str, str], visible: Set[str]) -> Iterator[Spot]:
    for name, value in attributes.items():
        if name in _MECHANICAL or len(words(value)) < 3:
            continue
        severity = grade_aside(value, visible, 7 if name == "alt" else 5)
        at = match[0].find(value.split("&")[0][:40])
        start = match.start() + max(at, 0)
        yield Spot(
            "hidden-text/attribute", severity, start, match.end(), value,
            f"the attribute {name}: a renderer does not show it in the text",
        )  # fmt: skip
