"""Agent Trace records, version 0.1: JSON that puts lines of files down to people and models.

A record names a revision, files, and for each file conversations with a contributor and ranges;
a range may name a contributor of its own and a hash of its lines. docs/spec/interop.md is the page.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats import canonical, schema
from agentprov.formats.foreign.claims import (
    Author,
    Claim,
    Complaint,
    ForeignRecord,
    Kind,
    git_path,
    model_name,
    plain,
)
from agentprov.formats.value import value

VERSION = "0.1"
MEDIA_TYPE = "application/vnd.agent-trace.record+json"
OURS = "io.github.agentprov"
MAX_RANGES = 100_000
MAX_LINE = 2**31 - 1

_KINDS: Mapping[str, Kind] = {
    "ai": "agent",
    "human": "human",
    "mixed": "mixed",
    "unknown": "unknown",
}
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_CONTRIBUTOR = schema.members(
    {"type": schema.one_of(tuple(_KINDS))}, {"model_id": schema.text(least=0)}, unknown="ignore"
)
_LINE = schema.integer(least=1, most=MAX_LINE)
_RANGE = schema.members(
    {"start_line": _LINE, "end_line": _LINE},
    {"content_hash": schema.text(most=256), "contributor": _CONTRIBUTOR},
    unknown="ignore",
)
_CONVERSATION = schema.members(
    {"ranges": schema.array(_RANGE)}, {"contributor": _CONTRIBUTOR}, unknown="ignore"
)
_RECORD = schema.members(
    {
        "version": schema.text(most=16, pattern=r"(?:0\.1|1\.0)(?:\.[0-9]+)?"),
        "id": schema.text(most=64, pattern=r"[0-9A-Za-z-]+"),
        "timestamp": schema.text(most=64, pattern=_TIME.pattern),
        "files": schema.array(
            schema.members(
                {
                    "path": schema.text(least=0, most=16_384),
                    "conversations": schema.array(_CONVERSATION),
                },
                unknown="ignore",
            )
        ),
    },
    {
        "vcs": schema.members(
            {"type": schema.text(most=16), "revision": schema.text(most=128)}, unknown="ignore"
        ),
        "tool": schema.members({}, unknown="ignore"),
        "metadata": schema.members({}, unknown="ignore"),
    },
    unknown="ignore",
)


@value
class Trace:
    """One record: whose words it holds, and which git revision it speaks of, if any.

    `written` is its time as it stands there.
    """

    id: str
    written: str
    revision: str | None
    record: ForeignRecord


@value
class Said:
    """A range of ours on its way out: its lines' hash, and who is said to have written it.

    `origin` and `basis` are ours; the format has no place for them but our own member.
    """

    path: str
    start: int
    end: int
    content_hash: str
    kind: str
    model_id: str | None
    origin: str
    basis: str


def parse(data: bytes) -> Trace:
    """Read one record; raises MalformedInput.

    Files whose path git cannot hold and ranges that end before they start are left out with a
    complaint. Links, conversations and metadata are not taken over.
    """
    found = canonical.parse(data, what="Agent Trace record")
    schema.require(_RECORD, found, "Agent Trace record")
    tool = found.get("tool", {})
    tool_name, version = plain(tool.get("name")), plain(tool.get("version"))
    complaints: list[Complaint] = []
    authors: dict[str, Author] = {}
    claims: list[Claim] = []
    for file in found["files"]:
        path = git_path(file["path"])
        if path is None:
            complaints.append(Complaint("path-refused", "a path that git cannot hold"))
            continue
        for conversation in file["conversations"]:
            general = conversation.get("contributor", {"type": "unknown"})
            for item in conversation["ranges"]:
                author = _author(item.get("contributor", general), tool_name, version)
                if item["end_line"] < item["start_line"]:
                    complaints.append(Complaint("range-refused", "a line range that is none"))
                    continue
                authors.setdefault(author.key, author)
                start, end, content_hash = (
                    item["start_line"],
                    item["end_line"],
                    item.get("content_hash"),
                )
                claims.append(Claim(path, start, end, author.key, content_hash))
                if len(claims) > MAX_RANGES:
                    raise MalformedInput(f"the record has more than {MAX_RANGES} ranges")
    vcs = found.get("vcs", {})
    revision = vcs["revision"] if vcs.get("type") == "git" else None
    record = ForeignRecord(tuple(authors.values()), tuple(claims), tuple(complaints))
    return Trace(found["id"], found["timestamp"], revision, record)


def _author(contributor: Mapping[str, Any], tool: str | None, version: str | None) -> Author:
    kind = _KINDS[contributor["type"]]
    model = model_name(contributor.get("model_id")) if kind in ("agent", "mixed") else None
    # One record is one agent's; several models under it are told apart by the ranges.
    key = kind if model is None else f"{kind} {model.provider}/{model.name}"
    return Author(key, kind, tool, version, model)


def write(
    *,
    statement_sha256: str,
    commit: str,
    written: str,
    tool: str,
    tool_version: str,
    ranges: Iterable[Said],
    related: Iterable[tuple[str, str]],
    ours: Mapping[str, Any],
) -> dict[str, Any]:
    """Give the record of one generation statement, as the published schema wants it.

    `written` is an RFC 3339 time ending in Z; `related` are (type, URI). The id is made from the
    statement's digest, so the same statement gives the same record.
    """
    files: dict[str, dict[tuple[str, str | None], list[Said]]] = {}
    for item in ranges:
        files.setdefault(item.path, {}).setdefault((item.kind, item.model_id), []).append(item)
    links = [{"type": kind, "url": url} for kind, url in related]
    return {
        "version": VERSION,
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:agentprov:statement:{statement_sha256}")),
        "timestamp": written,
        "vcs": {"type": "git", "revision": commit},
        "tool": {"name": tool, "version": tool_version},
        "files": [
            {
                "path": path,
                "conversations": [
                    {
                        "contributor": {
                            "type": kind,
                            **({"model_id": model_id} if model_id else {}),
                        },
                        "ranges": [
                            {
                                "start_line": item.start,
                                "end_line": item.end,
                                "content_hash": item.content_hash,
                            }
                            for item in said
                        ],
                        **({"related": links} if links else {}),
                    }
                    for (kind, model_id), said in groups.items()
                ],
            }
            for path, groups in files.items()
        ],
        "metadata": {
            OURS: {
                "statement": {"sha256": statement_sha256},
                **ours,
                "ranges": [
                    {
                        "path": item.path,
                        "start": item.start,
                        "end": item.end,
                        "origin": item.origin,
                        "basis": item.basis,
                    }
                    for groups in files.values()
                    for said in groups.values()
                    for item in said
                ],
            }
        },
    }
