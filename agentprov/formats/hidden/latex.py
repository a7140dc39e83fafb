"""Finds LaTeX that typesets nothing to be seen: white, transparent, phantom or of no size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from agentprov.formats.hidden.finding import Severity, Spot
from agentprov.formats.hidden.prose import grade_aside, words

_UNSEEN = re.compile(
    r"\\(?:(?P<phantom>[vh]?phantom|(?:text)?transparent\{0*(?:\.0\d*)?\}|opacity\{0*(?:\.0\d*)?\}"
    r"|scalebox\{0*(?:\.0\d*)?\}|resizebox\{0[a-z]*\}\{[^{}]{0,20}\})"
    r"|(?P<colour>(?:text)?color\s{0,4}(?:\[[^\]\n]{0,20}\]\s{0,4})?\{\s{0,4}"
    r"(?:white|transparent|\#?f{3}(?:f{3})?|1(?:\.0*)?\s?,\s?1(?:\.0*)?\s?,\s?1(?:\.0*)?|255\s?,\s?255\s?,\s?255)"
    r"\s{0,4}\})"
    r"|(?P<away>(?:hspace\*?|vspace\*?|kern|raisebox|mspace)\s?\{?-?\d{3,}[a-z.]{0,3}\}?)"
    r"|(?P<skipped>begin\{comment\}|iffalse(?![a-z]))"
    r"|(?P<size>fontsize\{0*\.?0+[a-z]*\}\{[^{}]{0,20}\}(?:\\selectfont)?)"
    r"|(?P<aside>tooltip|mathtip|texttip|class|cssId|data|href))",
    re.IGNORECASE,
)
_REACH = 4000


def latex_spots(masked: str, visible: Set[str]) -> Iterator[Spot]:
    """Give the arguments of commands that hide them; `masked` is the source without its code."""
    if "\\" not in masked:
        return
    for match in _UNSEEN.finditer(masked):
        end = _argument_end(masked, match.end())
        inner = masked[match.end() : end].strip().strip("{}").strip()
        said = words(inner)
        if not said:
            continue
        aside = match["aside"] is not None
        if aside and grade_aside(inner, visible, 5) == "note":
            continue
        # A phantom of one symbol or word aligns formulas.
        severity: Severity = "note" if len(said) < 2 and not aside else "error"
        yield Spot(
            "hidden-text/latex", severity, match.start(), max(end, match.end()), inner,
            "LaTeX that typesets nothing to be seen",
        )  # fmt: skip


def _argument_end(text: str, start: int) -> int:
    """Find where what a command applies to ends: its group, or the group that it stands in."""
    while start < len(text) and text[start] in " \t":
        start += 1
    own = text[start : start + 1] == "{"
    depth = 0
    for place in range(start, min(len(text), start + _REACH)):
        char = text[place]
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth < 0 or (own and depth == 0):
                return place + 1
        elif depth == 0 and (char == "$" or text.startswith(("\\)", "\\]", "\n\n"), place)):
            return place
    return min(len(text), start + _REACH)
