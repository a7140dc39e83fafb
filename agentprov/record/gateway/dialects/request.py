"""What a request asks for: model, parameters, tools, role, and the lines of its prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats.exchange import OfferedTool, Role
from agentprov.record.gateway.dialects import prompt, roles, wire_json
from agentprov.record.gateway.dialects.openai_responses import qualified

MAX_TOOLS = 1024
_MAX_VALUE = 64
# Where caching marks stand changes from request to request, without a change of the tool.
_NO_PART_OF_A_TOOL = "cache_control"


@dataclass(frozen=True)
class Asked:
    """What was read of a request; `why` says what could not be."""

    requested: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    tools: tuple[OfferedTool, ...] = ()
    role: Role = "main"
    agent_session: str | None = None
    prompt_lines: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


def read_request(
    body: bytes,
    headers: Mapping[str, str],
    *,
    model: str | None,
    parameters: Sequence[str],
    key: bytes,
) -> Asked:
    """Read a request's decoded body; never raises on what stands in it.

    `headers` have lower-case names; `model` is the one that the path names, if it does;
    `parameters` are dotted names of the settings that the dialect has.
    """
    empty: dict[str, Any] = {}
    try:
        value = wire_json.loads_object(body.decode("utf-8", "replace"))
    except MalformedInput as error:
        return Asked(
            requested=wire_json.word(model),
            role=roles.role_of(headers, empty, 0),
            agent_session=roles.agent_session_of(headers, empty),
            why=(f"request: {error.message}",),
        )
    asked = value.get("request")
    inner = asked if isinstance(asked, dict) and "contents" in asked else value
    why: list[str] = []
    tools = _tools(inner, why)
    lines, all_lines = prompt.memory_of(key).new_lines(key, value)
    if not all_lines:
        why.append("request: more lines than are looked at")
    return Asked(
        requested=wire_json.word(model or value.get("model")),
        parameters=tuple(_parameters(inner, parameters)),
        tools=tools,
        role=roles.role_of(headers, inner, len(tools)),
        agent_session=roles.agent_session_of(headers, value),
        prompt_lines=lines,
        why=tuple(why),
    )


def _parameters(body: dict[str, Any], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        value = wire_json.member(body, *name.split("."))
        if isinstance(value, bool):
            yield name, "true" if value else "false"
        elif isinstance(value, int | float):
            text = _decimal(value)
            if text is not None:
                yield name, text
        elif isinstance(value, str) and 0 < len(value) <= _MAX_VALUE and value.isprintable():
            yield name, value


def _decimal(value: float) -> str | None:
    try:
        text = format(Decimal(repr(value)), "f")
    except (ValueError, ArithmeticError):
        return None
    return text if len(text) <= _MAX_VALUE else None


def _tools(body: dict[str, Any], why: list[str]) -> tuple[OfferedTool, ...]:
    found: list[OfferedTool] = []
    for name, definition in _definitions(body):
        if len(found) >= MAX_TOOLS:
            why.append("request: more tools than are kept")
            break
        label = wire_json.word(name)
        try:
            digest = tool_digest(definition)
        except MalformedInput:
            label = None
        if label is None:
            why.append("request: a tool that cannot be read")
            break
        found.append(OfferedTool(label, digest))
    return tuple(found)


def _definitions(body: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    yield from _listed(body.get("tools"), None)
    # Codex offers its tools as an item of the conversation to models that write code.
    for item in wire_json.objects(body.get("input")):
        if item.get("type") == "additional_tools":
            yield from _listed(item.get("tools"), None)


def _listed(tools: Any, namespace: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    for tool in wire_json.objects(tools):
        if namespace is None and tool.get("type") == "namespace":
            yield from _listed(tool.get("tools"), tool.get("name") or "")
        elif isinstance(tool.get("functionDeclarations"), list):
            yield from _listed(tool["functionDeclarations"], None)
        elif isinstance(tool.get("function"), dict):
            yield tool["function"].get("name"), tool
        elif isinstance(tool.get("custom"), dict):
            yield tool["custom"].get("name"), tool
        elif isinstance(tool.get("name"), str):
            yield qualified(namespace, tool["name"]), tool
        else:
            # Tools that the provider runs itself: {"type": "web_search"}, {"googleSearch": {}}.
            yield tool.get("type") or next(iter(tool), None), tool


def tool_digest(definition: Mapping[str, Any]) -> str:
    """Give the sha256 of a tool's whole definition as canonical JSON (RFC 8785), in hex.

    Leaves out where a prompt cache ends. Raises MalformedInput for what no canonical form has.
    """
    kept = {name: value for name, value in definition.items() if name != _NO_PART_OF_A_TOOL}
    try:
        return _digest_of(json.dumps(kept, sort_keys=True))
    except (ValueError, RecursionError) as error:
        raise MalformedInput("a tool that has no canonical form") from error


@lru_cache(maxsize=2048)
def _digest_of(spelling: str) -> str:
    import rfc8785

    try:
        return hashlib.sha256(rfc8785.dumps(json.loads(spelling))).hexdigest()
    except rfc8785.CanonicalizationError as error:
        raise ValueError("no canonical form") from error
