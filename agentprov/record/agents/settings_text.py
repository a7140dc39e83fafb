"""Read settings as people write them, and merge those of several places."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)


def read_commented(content: str) -> dict[str, Any]:
    """Read JSON with comments and trailing commas; empty for what is not an object."""
    # Comments go first: one may stand between a last comma and its bracket.
    bare = _COMMENT.sub(lambda match: match[0] if match[0][0] == '"' else " ", content)
    try:
        value = json.loads(_COMMA.sub(lambda match: match[0] if match[0][0] == '"' else "", bare))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Merge settings of higher rank into those of lower rank, key by key, in place."""
    for key, value in above.items():
        if isinstance(value, dict):
            table = below.get(key)
            below[key] = dict(table) if isinstance(table, dict) else {}
            lay_over(below[key], value)
        else:
            below[key] = value
