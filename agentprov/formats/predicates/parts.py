"""Pieces that several predicates share: bases, gaps, sessions, descriptors of what was used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentprov.formats import schema
from agentprov.formats.vocabulary import BASES, DECLARATIONS

Subjects = Sequence[tuple[str, Mapping[str, str]]]

SESSION_ID = schema.text(most=128, pattern=r"[A-Za-z0-9][A-Za-z0-9._:-]*")
BASIS = schema.one_of(BASES)
NAME = schema.text(most=4_096)
WHY = schema.text(most=2_000)
SEQUENCE = schema.integer(least=1, most=10_000_000)


def _valued(value: Any) -> str | None:
    if "digest" not in value and "uri" not in value and "why" not in value:
        return "says neither what it is (digest, uri) nor why that is unknown"
    return None


FILE_PART = schema.members(
    {"name": NAME}, {"digest": schema.sha256_set, "why": WHY}, unknown="ignore"
)
PARTS = schema.array(FILE_PART, most=1_000)

AGENT = schema.constrained(
    schema.members(
        {"name": NAME, "basis": BASIS},
        {
            "command": NAME,
            "uri": schema.uri,
            "version": schema.text(most=256),
            "integrity": schema.text(most=256),
            "digest": schema.sha256_set,
            "parts": PARTS,
            "why": WHY,
        },
        unknown="ignore",
    ),
    _valued,
)

MATERIAL = schema.constrained(
    schema.members(
        {
            "role": schema.one_of(
                ("instruction", "settings", "hooks", "mcp-configuration", "skill", "plugin")
            ),
            "name": NAME,
            "basis": BASIS,
        },
        {"digest": schema.sha256_set, "why": WHY},
        unknown="ignore",
    ),
    _valued,
)

MCP_SERVER = schema.members(
    {"name": NAME, "basis": BASIS},
    {
        "command": NAME,
        "uri": schema.uri,
        "digest": schema.sha256_set,
        "parts": PARTS,
        "host": NAME,
        "environmentNames": schema.array(schema.text(most=256), most=1_000),
        "source": NAME,
        "toolsDigest": schema.sha256_set,
        "why": WHY,
    },
    unknown="ignore",
)

MCP_TOOL = schema.members(
    {"name": NAME, "digest": schema.sha256_set},
    {"description": schema.sha256_set},
    unknown="ignore",
)

MCP_SEEN = schema.members(
    {
        "name": NAME,
        "basis": BASIS,
        "stage": schema.one_of(("started", "answered", "listed", "called")),
    },
    {
        "connections": schema.integer(least=1),
        "protocol": schema.text(most=64),
        "serverInfo": schema.members(
            {}, {"name": schema.text(most=256), "version": schema.text(most=256)}, unknown="ignore"
        ),
        "tools": schema.array(MCP_TOOL, most=2_000),
        "toolsDigest": schema.sha256_set,
        "firstToolsDigest": schema.sha256_set,
        "toolChanges": schema.array(
            schema.members(
                {"tool": NAME, "on": schema.time, "afterCalls": schema.integer()},
                {"before": MCP_TOOL, "after": MCP_TOOL},
                unknown="ignore",
            ),
            most=2_000,
        ),
        "calls": schema.array(
            schema.members(
                {
                    "tool": NAME,
                    "on": schema.time,
                    "outcome": schema.one_of(
                        ("answered", "failed", "refused", "cancelled", "unanswered")
                    ),
                },
                {
                    "call": schema.text(most=256),
                    "callByName": schema.boolean,
                    "unlisted": schema.boolean,
                },
                unknown="ignore",
            ),
            most=10_000,
        ),
        "why": WHY,
    },
    unknown="ignore",
)

WEIGHTS = schema.constrained(
    schema.members(
        {"basis": BASIS},
        {
            "name": NAME,
            "digest": schema.sha256_set,
            "rule": schema.uri,
            "files": PARTS,
            "server": schema.text(most=256),
            "why": WHY,
        },
        unknown="ignore",
    ),
    _valued,
)

MODEL = schema.constrained(
    schema.members(
        {
            "provider": schema.text(most=256),
            "role": schema.one_of(("main", "helper", "subagent")),
            "basis": BASIS,
        },
        {
            "requested": schema.text(most=512),
            "served": schema.text(most=512),
            "calls": schema.integer(),
            "inputTokens": schema.integer(),
            "outputTokens": schema.integer(),
            "host": schema.text(most=512),
            "parameters": schema.mapping(schema.text(least=0, most=4_096), most=100),
            "weights": WEIGHTS,
            "why": WHY,
        },
        unknown="ignore",
    ),
    lambda value: (
        None if "served" in value or "why" in value else "says neither what was served nor why not"
    ),
)

_DECLARED_BASIS = schema.one_of(("declared",))

DECLARED = schema.members(
    {
        "kind": schema.one_of(DECLARATIONS),
        "on": schema.time,
        "digest": schema.sha256_set,
        "basis": _DECLARED_BASIS,
    },
    {"text": schema.text(most=8_000)},
    unknown="ignore",
)

DECLARED_ARTIFACT = schema.members(
    {"path": schema.path, "digest": schema.sha256_set, "basis": _DECLARED_BASIS},
    {
        "start": schema.integer(least=1),
        "end": schema.integer(least=1),
        "model": schema.text(most=512),
    },
    unknown="ignore",
)

GAP = schema.members(
    {"why": WHY, "start": schema.time, "end": schema.time},
    {"detail": schema.text(most=4_000)},
    unknown="ignore",
)
GAPS = schema.array(GAP, most=10_000)

SOURCE = schema.members(
    {"format": schema.text(most=64), "digest": schema.sha256_set}, unknown="ignore"
)

BUILDER = schema.members(
    {"id": schema.uri},
    {"version": schema.mapping(schema.text(most=128), most=16)},
    unknown="ignore",
)


def forwards(value: Any) -> str | None:
    """Say what is wrong with a range of lines that runs backwards."""
    return "ends before it starts" if value["end"] < value["start"] else None


def shape_of_change(value: Any) -> str | None:
    """Say what in a changed path cannot be: names, blob, and ranges that overlap."""
    if (value["op"] == "rename") != ("oldPath" in value):
        return "oldPath belongs to renames, and to every rename"
    if (value["op"] == "delete") == ("gitBlob" in value):
        return "gitBlob belongs to every change but a delete"
    last = 0
    for item in value.get("ranges", ()):
        if item["start"] <= last:
            return "ranges overlap or are out of order"
        last = item["end"]
    return None
