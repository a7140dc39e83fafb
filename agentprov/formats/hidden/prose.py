"""How much a piece of text says: words counted in any script, without knowing any language.

Whether an aside (a title, an alternative text, an attribute) is a label or an instruction cannot
be known from its words without a list of words. What can be known is its length, and whether it
says something that the visible text does not say.
"""

from __future__ import annotations

import re
from collections.abc import Set

from agentprov.formats.hidden.finding import Severity

# Scripts that write without spaces: two characters are taken for a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]{{1,2}}|[^\W\d_{_UNSPACED}]{{2,}}")
_MARKER = re.compile(r"[A-Za-z0-9_./:@#=-]{1,40}")
_TOOL = re.compile(r"[A-Za-z0-9]+[-:/@][A-Za-z0-9:/@_-]*:?")


def words(text: str) -> list[str]:
    """Give the words of a text, folded; a word has at least two letters."""
    return [match[0].casefold() for match in _WORD.finditer(text)]


def is_marker(text: str) -> bool:
    """Say whether a comment is a mark for a tool: one token, or a tool's name and its arguments.

    A tool's name holds ``-``, ``:``, ``/`` or ``@`` inside; three arguments at most. More words
    than that can be read as a sentence.
    """
    tokens = text.split()
    if not 0 < len(tokens) <= 4 or not all(_MARKER.fullmatch(token) for token in tokens):
        return False
    return len(tokens) == 1 or _TOOL.fullmatch(tokens[0]) is not None


def grade_aside(text: str, visible: Set[str], most: int) -> Severity:
    """Grade text that stands beside what is shown: a warning where it is long and says new things.

    `most` is how many words pass as a label. Longer asides pass too where at least half of their
    words stand in the visible text, which they then describe.
    """
    said = words(text)
    if len(said) <= most:
        return "note"
    new = sum(word not in visible for word in said)
    return "warning" if new * 2 > len(said) else "note"
