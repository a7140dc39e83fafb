"""What a search for hidden text gives: places in the source, graded and decoded."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
MAX_TEXT = 2000


@dataclass(frozen=True)
class Finding:
    """Something hidden: where, what kind, and the text that it hides.

    Lines and columns are 1-based; columns count code points; the end is inclusive. `text` is the
    decoded payload (or the hidden source itself), unescaped and cut at MAX_TEXT characters. `id`
    is ``KIND:DIGEST``, with ``-N`` after it for the Nth of several that are alike; it depends on
    what is hidden and not on the line, and is safe to type in a shell.
    """

    id: str
    kind: str
    severity: Severity
    line: int
    column: int
    end_line: int
    end_column: int
    text: str
    message: str

    @property
    def where(self) -> str:
        """Give the place for people: ``line 3, column 7``, or ``lines 3-5``."""
        if self.end_line != self.line:
            return f"lines {self.line}-{self.end_line}, from column {self.column}"
        return f"line {self.line}, column {self.column}"


class Spot(NamedTuple):
    """A finding as a scanner makes it: a stretch of the source, end exclusive.

    `identity` is what the id is made of, by default the stretch itself; a scanner whose stretch
    is the same wherever it stands (one invisible character) gives the whole line.
    """

    kind: str
    severity: Severity
    start: int
    end: int
    text: str
    message: str
    identity: str | None = None


class Places:
    """Where the lines of a text start; only LF ends a line."""

    def __init__(self, text: str) -> None:
        self.length = len(text)
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def at(self, place: int) -> tuple[int, int]:
        """Give the 1-based line and column of an offset."""
        line = bisect_right(self.starts, place)
        return line, place - self.starts[line - 1] + 1

    def span(self, line: int) -> tuple[int, int]:
        """Give the offsets of a 1-based line, with its LF."""
        end = self.starts[line] if line < len(self.starts) else self.length
        return self.starts[line - 1], end

    def offset(self, index: int) -> int:
        """Give the offset where the line with this 0-based index starts, or the end."""
        return self.starts[index] if index < len(self.starts) else self.length


def settle(text: str, places: Places, spots: Iterable[Spot]) -> list[Finding]:
    """Turn spots into findings in the order of the source, each with an id of its own."""
    findings: list[Finding] = []
    seen: Counter[str] = Counter()
    ordered = sorted(spots, key=lambda spot: (spot.start, spot.kind, spot.end))
    for spot in dict.fromkeys(ordered):
        source = text[spot.start : spot.end] if spot.identity is None else spot.identity
        digest = sha256(f"{spot.text}\0{source}".encode("utf-8", "surrogatepass")).hexdigest()
        name = f"{spot.kind}:{digest[:12]}"
        seen[name] += 1
        if seen[name] > 1:
            name = f"{name}-{seen[name]}"
        line, column = places.at(spot.start)
        end_line, end_column = places.at(max(spot.start, spot.end - 1))
        shown = spot.text if len(spot.text) <= MAX_TEXT else spot.text[:MAX_TEXT] + "\u2026"
        findings.append(
            Finding(
                name, spot.kind, spot.severity, line, column, end_line, end_column, shown,
                spot.message,
            )
        )  # fmt: skip
    return findings
