"""Makes foreign text safe to show: what would act on a terminal or a reader stands in words.

Whatever comes from outside (paths, messages, names) passes through `safe` before anybody sees
it, so that a hostile name cannot move the cursor, reorder a line or break a document
(THREATS 7, 70).
"""

from __future__ import annotations

import unicodedata

_KEPT_FORMAT = {"\u200d"}


def safe(text: str) -> str:
    """Give text with control and invisible characters written as ``<U+XXXX>``.

    The result is one line, can be encoded as UTF-8, and holds no character that XML refuses.
    Does not escape for any markup.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    if char.isprintable() and unicodedata.category(char) not in ("Cf", "Cs", "Co"):
        return char
    if char in _KEPT_FORMAT:
        return char
    return f"<U+{ord(char):04X}>"


__all__ = ["safe"]
