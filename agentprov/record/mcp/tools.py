"""Digests of an MCP server's tools: each whole definition, each description, the whole list.

A definition's digest is the sha256 of its canonical JSON (RFC 8785); numbers are read as the
doubles that JavaScript makes of them. A definition that has no canonical form (lone surrogates)
is digested as JSON with sorted keys and ASCII escapes. A description is digested as its UTF-8
bytes as sent, without normalisation. The list's digest is that of the canonical JSON array of
[name, definition digest] pairs, sorted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

MAX_TOOLS = 2_000
MAX_TEXT = 256 * 1024
_EXACT = 2**53 - 1


def text(value: object, most: int) -> str | None:
    """Give text of at most `most` characters that can be written as UTF-8, else None."""
    if not isinstance(value, str) or not value:
        return None
    return value[:most].encode("utf-8", "replace").decode("utf-8")


def definition_sha256(definition: object) -> str:
    """Digest one tool's whole definition, as parsed from JSON."""
    return sha256(_canonical(definition)).hexdigest()


def description_sha256(definition: object) -> str | None:
    """Digest a tool's description; None when it has none."""
    description = definition.get("description") if isinstance(definition, dict) else None
    if not isinstance(description, str):
        return None
    return sha256(description.encode("utf-8", "surrogatepass")).hexdigest()


def list_sha256(pairs: list[tuple[str, str]]) -> str:
    """Digest a list of tools by its (name, definition digest) pairs, in any order."""
    return sha256(_canonical([list(pair) for pair in sorted(pairs)])).hexdigest()


def _canonical(value: object) -> bytes:
    import rfc8785

    try:
        return rfc8785.dumps(_as_doubles(value))  # type: ignore[arg-type]
    except (ValueError, OverflowError, RecursionError):
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _as_doubles(value: object) -> object:
    if isinstance(value, dict):
        return {key: _as_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_doubles(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
        return float(value)
    return value


class Listing(NamedTuple):
    """One complete list of tools: definitions by name, and (name, digest, description digest).

    A name that occurs twice is in `tools` twice and in `definitions` as it came first.
    """

    definitions: dict[str, Any]
    tools: list[tuple[str, str, str | None]]

    @classmethod
    def of(cls, found: list[Any]) -> Listing:
        """Read the tools of a ``tools/list`` result; what has no name is called ``?``."""
        definitions: dict[str, Any] = {}
        tools = []
        for definition in found:
            named = definition.get("name") if isinstance(definition, dict) else None
            name = text(named, 512) or "?"
            definitions.setdefault(name, definition)
            tools.append((name, definition_sha256(definition), description_sha256(definition)))
        return cls(definitions, sorted(tools, key=lambda tool: (tool[0], tool[1])))

    def payload(self) -> dict[str, Any]:
        """Give the list as an event carries it; digests only."""
        payload: dict[str, Any] = {
            "sha256": list_sha256([(name, digest) for name, digest, _ in self.tools]),
            "tools": [_digests(*tool) for tool in self.tools[:MAX_TOOLS]],
        }
        if len(self.tools) > MAX_TOOLS:
            payload["omitted"] = len(self.tools) - MAX_TOOLS
        return payload


def _digests(name: str, digest: str, description: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "sha256": digest}
    if description:
        found["description"] = description
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give what differs between two lists, sorted by name, with both texts of what changed.

    Entries: ``tool``, ``change`` (changed, added, removed), ``before`` and ``after`` (digests),
    and for changed ones ``texts`` with both definitions as JSON, cut at 256 KiB each.
    """
    found: list[dict[str, Any]] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        sides = {
            side: _digests(name, definition_sha256(value), description_sha256(value))
            for side, value in (("before", old), ("after", new))
            if value is not None
        }
        if name not in before:
            found.append({"tool": name, "change": "added", **sides})
        elif name not in after:
            found.append({"tool": name, "change": "removed", **sides})
        elif sides.get("before") != sides.get("after"):
            texts = {"before": json.dumps(old)[:MAX_TEXT], "after": json.dumps(new)[:MAX_TEXT]}
            found.append({"tool": name, "change": "changed", **sides, "texts": texts})
    return found[:MAX_TOOLS]


__all__ = [
    "MAX_TOOLS",
    "Listing",
    "changes",
    "definition_sha256",
    "description_sha256",
    "list_sha256",
    "text",
]
