"""Who is the same person: trust documents name people in text, and text has many spellings."""

from __future__ import annotations

import re
import unicodedata

_ADDRESS = re.compile(r"<([^<>]+@[^<>]+)>\s*$")


def who(person: str) -> str:
    """Give what all spellings of one person have in common, to count people by.

    The address alone where one stands in angle brackets; no ``mailto:``, no difference of case,
    width or white space, no dot at the end, nothing that is not seen. Two addresses of one person
    stay two; names that only look the same are those of `taken_for`.
    """
    text = unicodedata.normalize("NFKC", person)
    text = "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cf"))
    named = _ADDRESS.search(text)
    text = " ".join((named[1] if named else text).split()).casefold()
    return text.removeprefix("mailto:").strip().rstrip(".")


def taken_for(person: str) -> str:
    """Give what people have in common who could be taken for each other in a list of names.

    For where one more person would help: two that look the same are counted once. Never for whose
    newer word replaces whose, because that would let one silence another.
    """
    from agentprov.formats.hidden.lookalikes import skeleton

    return skeleton(who(person))
