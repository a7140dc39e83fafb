"""Text that a model reads and a person does not see: one search for plans, instructions and code.

Pure: no file, no clock; the answer depends on the text and on the names given. Bounded: what is
too much to search is itself a finding. Which kinds there are, what each is graded and what is not
looked for stands in docs/spec/hidden-text.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

from agentprov.formats.hidden.finding import Finding, Places, Severity, Spot, settle

Syntax = Literal["markdown", "plain"]

# Characters that are searched, and places that are reported; all of it takes less than a second.
MAX_SEARCHED = 256 * 1024
MAX_SPOTS = 2000


def scan(text: str, *, syntax: Syntax = "markdown", known: Iterable[str] = ()) -> list[Finding]:
    """Find everything hidden in a text, in the order of the source.

    `syntax` is ``markdown`` for what is written for people and models (plans, instruction files),
    and ``plain`` for code and differences, where markup means nothing. `known` are names with
    which look-alikes are compared: paths, agents, models, signers, servers, packages. What is
    longer than MAX_SEARCHED, or has more than MAX_SPOTS places, is said to be so by a finding of
    its own, above note. Does not look for steganography in wording, nor for anything in images.
    """
    searched = text if len(text) <= MAX_SEARCHED else text[:MAX_SEARCHED]
    places = Places(searched)
    spots = list(islice(_spots(searched, places, syntax, known), MAX_SPOTS))
    if len(searched) < len(text) or len(spots) == MAX_SPOTS:
        many = f"the first {len(spots)} places" if len(spots) == MAX_SPOTS else "the start"
        spots.append(
            Spot(
                "hidden-text/not-searched", "error", 0, 1, "",
                f"{len(text)} characters, of which only {many} could be searched", f"{len(text)}",
            )
        )  # fmt: skip
    return settle(searched, places, spots)


def _spots(text: str, places: Places, syntax: Syntax, known: Iterable[str]) -> Iterator[Spot]:
    from agentprov.formats.hidden.characters import character_spots
    from agentprov.formats.hidden.encoded import encoded_spots
    from agentprov.formats.hidden.layout import layout_spots
    from agentprov.formats.hidden.lookalikes import lookalike_spots

    prose = None
    if syntax == "markdown":
        from agentprov.formats.hidden.latex import latex_spots
        from agentprov.formats.hidden.markdown import read
        from agentprov.formats.hidden.markup import markup_spots

        reading = read(text, places)
        prose = reading.masked
        yield from reading.spots
        yield from markup_spots(reading.masked, reading.visible)
        yield from latex_spots(reading.masked, reading.visible)
    yield from character_spots(text, places, prose)
    yield from layout_spots(text, places)
    yield from encoded_spots(text)
    yield from lookalike_spots(text, known)


__all__ = ["Finding", "Severity", "Syntax", "scan"]
