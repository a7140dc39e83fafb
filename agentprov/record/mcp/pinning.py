"""Sums up what the relays dropped: per server what was seen, what changed, and what is alarming.

Drops come from processes of this user, so every field is checked and bounded. A server that is
configured and dropped nothing is not in the answer: nobody saw it start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentprov.formats.dropbox import Drop
from agentprov.formats.facts import Gap, McpCall, McpSeen, McpServer, McpTool, McpToolChange
from agentprov.formats.redaction import Redactor
from agentprov.record.agents.reading import count, items, json_object, mapping, moment, stamp
from agentprov.record.mcp.tools import MAX_TOOLS, text
from agentprov.system.files import atomic_write

CHANNEL = "mcp"
CHANGED = "mcp-tool-changed"
SHADOWED = "mcp-tool-shadowed"
SILENT = "mcp-server-silent"
TEXTS = "mcp-tool-changes.jsonl"
MAX_CALLS = 10_000
MAX_SERVERS = 1_000
_HEX = frozenset("0123456789abcdef")
_OUTCOMES = ("answered", "failed", "refused", "cancelled")
_RELAYS = ("mcp-not-read", "mcp-lines-not-read", "mcp-message-too-large")


@dataclass(frozen=True)
class Seen:
    """What passed between the agent and its servers, by name, and what is to be told of it."""

    servers: tuple[McpSeen, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass
class _Server:
    name: str
    instances: dict[str, None] = field(default_factory=dict)
    answered: dict[str, None] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)
    lists: list[tuple[str, tuple[McpTool, ...]]] = field(default_factory=list)
    changes: list[McpToolChange] = field(default_factory=list)
    calls: dict[tuple[str, int], McpCall] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    blind: bool = False
    last: str = ""


def seen(drops: Iterable[Drop]) -> Seen:
    """Read all drops of channel ``mcp`` so far, in the order in which they came.

    Gaps: ``mcp-tool-changed`` for each connection's changed list (the detail names the tools),
    ``mcp-tool-shadowed`` for a tool name that several servers offer, ``mcp-server-silent`` for
    a server that ended without an answer, and what the relays could not read. Never raises.
    """
    servers: dict[str, _Server] = {}
    gaps: list[Gap] = []
    for drop in drops:
        if drop.channel != CHANNEL:
            continue
        payload = json_object(drop.payload)
        name, at = text(payload.get("name"), 256), moment(payload.get("at"))
        instance = text(payload.get("instance"), 64)
        if name is None or at is None or instance is None:
            continue
        if name not in servers and len(servers) >= MAX_SERVERS:
            continue
        server = servers.setdefault(name, _Server(name))
        server.instances.setdefault(instance)
        server.last = stamp(at)
        gaps += _read(server, drop.event, payload, stamp(at), instance)
    found = sorted(servers.values(), key=lambda server: server.name)
    gaps += [gap for server in found for gap in _silent(server)]
    return Seen(tuple(_sum(server) for server in found), (*gaps, *_shadowed(found)))


def merge(servers: Sequence[McpServer], found: Seen) -> tuple[McpServer, ...]:
    """Give the configured servers with the digest of the first list that each was seen to give."""
    first = {one.name: one.first_tools_sha256 for one in found.servers}
    return tuple(
        replace(server, tools_sha256=first.get(server.name) or server.tools_sha256)
        for server in servers
    )


def running(drops: Iterable[Drop]) -> frozenset[int]:
    """Give the process ids of relays that have not said that they are done.

    An agent that ends its servers and itself leaves the relays a moment to write what they
    still have; some were killed and will never say it.
    """
    open_ones: dict[str, int] = {}
    for drop in drops:
        if drop.channel != CHANNEL or drop.event != "server":
            continue
        payload = json_object(drop.payload)
        instance = text(payload.get("instance"), 64) or ""
        process = instance.partition("-")[0]
        if payload.get("phase") == "ended":
            open_ones.pop(instance, None)
        elif process.isascii() and process.isdigit():
            open_ones[instance] = int(process)
    return frozenset(open_ones.values())


def keep_texts(drops: Iterable[Drop], folder: Path, secrets: Sequence[str] = ()) -> int:
    """Keep both texts of every changed tool in a private file of the session; gives how many.

    JSON lines of server, tool, time and both definitions, with secrets taken out: known values
    and the shapes of credentials. No file is made when nothing changed. Raises OSError.
    """
    lines: list[bytes] = []
    redactor = Redactor(tuple(secrets))
    for drop in drops:
        if drop.channel != CHANNEL or drop.event != "tools":
            continue
        payload = json_object(drop.payload)
        for change in items(payload.get("changes")):
            texts = mapping(mapping(change).get("texts"))
            if not texts:
                continue
            sides = {side: redactor.redact(str(texts.get(side))) for side in ("before", "after")}
            about = {"server": payload.get("name"), "tool": mapping(change).get("tool")}
            line = {"at": payload.get("at"), **about, **sides}
            lines.append(json.dumps(line, sort_keys=True).encode() + b"\n")
    if lines:
        atomic_write(folder / TEXTS, b"".join(lines))
    return len(lines)


def _read(
    server: _Server, event: str, payload: Mapping[str, Any], at: str, instance: str
) -> list[Gap]:
    if event == "server":
        phase = payload.get("phase")
        if phase == "answered":
            server.answered.setdefault(instance)
            server.said = mapping(payload.get("said"))
        elif phase == "ended":
            server.ended[instance] = at
            server.blind = server.blind or payload.get("blind") is True
    elif event == "tools":
        return _listed(server, payload, at)
    elif event == "call":
        _called(server, payload, at, instance)
    elif event == "gap":
        why = payload.get("why")
        if why in _RELAYS:
            server.blind = server.blind or why == "mcp-not-read"
            detail = text(payload.get("detail"), 256) or ""
            return [Gap(str(why), at, at, f"{server.name}: {detail}")]
    return []


def _listed(server: _Server, payload: Mapping[str, Any], at: str) -> list[Gap]:
    digest = payload.get("sha256")
    found = [tool for tool in map(_tool, items(payload.get("tools"))[:MAX_TOOLS]) if tool]
    if _is_digest(digest):
        server.lists.append((str(digest), tuple(found)))
    changed: list[str] = []
    for change in items(payload.get("changes"))[:MAX_TOOLS]:
        fields = mapping(change)
        name = text(fields.get("tool"), 512)
        before, after = _tool(fields.get("before")), _tool(fields.get("after"))
        if name and (before or after) and len(server.changes) < MAX_TOOLS:
            calls = count(payload.get("calls"))
            server.changes.append(McpToolChange(name, at, calls, before, after))
            changed.append(f"{name} {_word(before, after)}")
    if not changed:
        return []
    shown = ", ".join(changed[:20]) + (f" and {len(changed) - 20} more" * (len(changed) > 20))
    return [Gap(CHANGED, at, at, f"{server.name}: {shown}"[:2_000])]


def _word(before: McpTool | None, after: McpTool | None) -> str:
    if before is None or after is None:
        return "added" if before is None else "removed"
    same = before.description_sha256 == after.description_sha256
    return "changed" if same else "changed its description"


def _tool(value: object) -> McpTool | None:
    fields = mapping(value)
    name, digest = text(fields.get("name"), 512), fields.get("sha256")
    description = fields.get("description")
    if name is None or not _is_digest(digest):
        return None
    return McpTool(name, str(digest), str(description) if _is_digest(description) else None)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= _HEX


def _called(server: _Server, payload: Mapping[str, Any], at: str, instance: str) -> None:
    tool, number = text(payload.get("tool"), 512), count(payload.get("number"))
    if tool is None or number == 0:
        return
    phase = payload.get("phase")
    known = server.calls.get((instance, number))
    if known is None and len(server.calls) >= MAX_CALLS:
        return
    call = known or McpCall(
        tool=tool,
        at=at,
        outcome="unanswered",
        call_id=text(payload.get("call"), 256),
        listed=payload.get("unlisted") is not True,
    )
    for outcome in _OUTCOMES:
        if phase == outcome:
            call = replace(call, outcome=outcome)  # type: ignore[arg-type]
    server.calls[instance, number] = call


def _sum(server: _Server) -> McpSeen:
    info = mapping(server.said.get("server"))
    stage = "answered" if server.answered else "started"
    stage = "listed" if server.lists else stage
    stage = "called" if server.calls else stage
    return McpSeen(
        name=server.name,
        basis="intercepted",
        stage=stage,  # type: ignore[arg-type]
        connections=len(server.instances),
        protocol=text(server.said.get("protocol"), 64),
        server_name=text(info.get("name"), 256),
        server_version=text(info.get("version"), 256),
        tools=server.lists[-1][1] if server.lists else (),
        tools_sha256=server.lists[-1][0] if server.lists else None,
        first_tools_sha256=server.lists[0][0] if server.lists else None,
        changes=tuple(server.changes),
        calls=tuple(server.calls.values()),
        why="the relay passed bytes on unread" if server.blind else None,
    )


def _silent(server: _Server) -> list[Gap]:
    if server.answered or server.blind or not server.ended:
        return []
    at = max(server.ended.values())
    return [Gap(SILENT, at, at, f"{server.name} ended without an answer to the agent")]


def _shadowed(servers: Sequence[_Server]) -> list[Gap]:
    offered: dict[str, list[str]] = {}
    at = ""
    for server in servers:
        names = {tool.name for _, tools in server.lists for tool in tools}
        for name in sorted(names):
            offered.setdefault(name, []).append(server.name)
        at = max(at, server.last)
    doubled = {name: owners for name, owners in offered.items() if len(owners) > 1}
    return [
        Gap(SHADOWED, at, at, f"{name}: {', '.join(owners)}"[:2_000])
        for name, owners in sorted(doubled.items())[:100]
    ]


__all__ = [
    "CHANGED",
    "CHANNEL",
    "SHADOWED",
    "SILENT",
    "TEXTS",
    "Seen",
    "keep_texts",
    "merge",
    "running",
    "seen",
]
