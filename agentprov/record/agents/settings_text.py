"""Read settings as people write them, and merge those of several places."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 40
# What is never closed is taken to the end: looking for its end again and again would take time
# without bounds.
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"?|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"?|,(?=\s*[}\]])', re.DOTALL)


def read_commented(content: str) -> dict[str, Any]:
    """Read JSON with comments and trailing commas; empty for what is not an object."""
    # Comments go first: one may stand between a last comma and its bracket.
    bare = _COMMENT.sub(lambda match: match[0] if match[0][0] == '"' else " ", content)
    try:
        value = json.loads(_COMMA.sub(lambda match: match[0] if match[0][0] == '"' else "", bare))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def lay_over(below: dict[str, Any], above: Mapping[str, Any], depth: int = 0) -> None:
    """Merge settings of higher rank into those of lower rank, key by key, in place.

    Below `MAX_DEPTH` levels a table replaces the other one whole.
    """
    for key, value in above.items():
        if isinstance(value, dict) and depth < MAX_DEPTH:
            table = below.get(key)
            below[key] = dict(table) if isinstance(table, dict) else {}
            lay_over(below[key], value, depth + 1)
        else:
            below[key] = value
