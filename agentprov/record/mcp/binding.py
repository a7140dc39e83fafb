"""Finds the model's call behind a call to a server, where the agent does not send its id along.

Claude Code and Codex send it. For the others the answer is looked up on the wire: a call of that
tool that the model had asked for and that was still open. Agents spell the tool's name for the
model in their own ways (``odd_add``, ``mcp_odd_add``, ``mcp__odd__add``, or as an argument of
Qwen Code's ``tool_call``), so names are compared without their punctuation. In doubt a call
stays without an id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agentprov.formats.exchange import Exchange
from agentprov.formats.facts import McpSeen
from agentprov.record.agents.qwen_chat import unwrapped
from agentprov.record.agents.reading import json_object, moment

# Drops carry times cut to milliseconds.
_TICK = timedelta(milliseconds=1)


@dataclass
class _Asked:
    """A tool call in an answer, and the time in which the agent can have carried it out."""

    name: str
    call_id: str
    since: datetime
    until: datetime | None = None


def bind(servers: Sequence[McpSeen], exchanges: Iterable[Exchange]) -> tuple[McpSeen, ...]:
    """Give the servers with ids for the calls that came without one.

    A call gets an id where exactly one call of its tool was open on the wire: asked for in a
    complete answer that had begun, not yet given to another, and not followed by the next
    request of the same conversation, which carries the results. Where two servers' tools read
    alike, or one answer asks for the same tool twice, there is none. Agents that let two
    conversations run under one name could mislead it.
    """
    asked = _asked(exchanges)
    owners: dict[str, set[tuple[str, str]]] = {}
    for server in servers:
        tools = {tool.name for tool in server.tools} | {call.tool for call in server.calls}
        for tool in tools:
            for name in _spellings(server.name, tool):
                owners.setdefault(name, set()).add((server.name, tool))
    waiting = [
        (call.at, place, index)
        for place, server in enumerate(servers)
        for index, call in enumerate(server.calls)
        if call.call_id is None
    ]
    calls = [list(server.calls) for server in servers]
    for at, place, index in sorted(waiting):
        call = calls[place][index]
        alone = {
            name
            for name in _spellings(servers[place].name, call.tool)
            if len(owners.get(name, ())) == 1
        }
        found = _open(asked, alone, moment(at))
        if found is not None:
            asked.remove(found)
            calls[place][index] = replace(call, call_id=found.call_id, by_name=True)
    return tuple(
        replace(server, calls=tuple(of)) for server, of in zip(servers, calls, strict=True)
    )


def _asked(exchanges: Iterable[Exchange]) -> list[_Asked]:
    """Give every tool call with the time in which it was open."""
    found: list[_Asked] = []
    # Of each conversation, what the answer before asked for.
    before: dict[tuple[str, str | None], list[_Asked]] = {}
    for exchange in sorted(exchanges, key=lambda one: one.started):
        started = moment(exchange.started)
        if started is None or not exchange.tools:
            continue
        conversation = (exchange.role, exchange.agent_session)
        for one in before.pop(conversation, ()):
            one.until = started
        if not exchange.complete:
            continue
        these = []
        for call in exchange.tool_calls:
            name, _ = unwrapped(call.name, json_object(call.arguments))
            these.append(_Asked(_plain(name), call.id, started))
        before[conversation] = these
        found += these
    return found


def _open(asked: Iterable[_Asked], names: set[str], at: datetime | None) -> _Asked | None:
    if at is None:
        return None
    possible = [
        one
        for one in asked
        if one.name in names and one.since <= at + _TICK and (one.until is None or at <= one.until)
    ]
    return possible[0] if len(possible) == 1 else None


def _spellings(server: str, tool: str) -> tuple[str, str]:
    name = _plain(f"{server}_{tool}")
    return name, f"mcp_{name}"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


__all__ = ["bind"]
