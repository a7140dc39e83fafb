"""What all our SARIF logs have in common: the schema, and foreign text that stays text."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

from agentprov.formats.names import label_path
from agentprov.formats.visible import safe

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
VERSION = "2.1.0"


def uri(label: str) -> str:
    """Give the relative URI of a path by its label."""
    try:
        path = label_path(label)
    except ValueError:  # no label of ours, so the path is these very characters
        path = label.encode("utf-8", "surrogatepass")
    return quote_from_bytes(path, safe="/")


def plain(text: str) -> str:
    """Write text so that no placeholder and no link of SARIF's message language is in it."""
    text = safe(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return text.replace("{", "{{").replace("}", "}}")


__all__ = ["SCHEMA", "VERSION", "plain", "uri"]
