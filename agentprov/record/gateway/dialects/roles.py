"""Who inside an agent asked: the main conversation, a subagent, or a helper call beside them.

Told by what each agent was seen to send; whatever nobody knows is `main`. The agent writes these
headers itself, so that a role is its own word: it sorts calls, it proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats.exchange import Role
from agentprov.record.gateway.dialects import wire_json

_CODEX_HELPERS = frozenset({"guardian", "compact", "memory_consolidation"})
_CODEX_TURNS = frozenset({"", "turn"})
_SESSION_HEADERS = (
    "x-claude-code-session-id",
    "session-id",
    "x-session-id",
    "x-session-affinity",
    "x-affinity",
)


def role_of(headers: Mapping[str, str], body: Mapping[str, Any], tools: int) -> Role:
    """Give the role of a request; `tools` is how many tools it offers."""
    if headers.get("x-claude-code-request-class") == "auxiliary":
        return "helper"
    if headers.get("x-claude-code-agent-id"):
        return "subagent"
    subagent = headers.get("x-openai-subagent")
    if subagent:
        return "helper" if subagent in _CODEX_HELPERS else "subagent"
    turn = _codex_turn(headers, body)
    if wire_json.text(turn.get("request_kind")) not in _CODEX_TURNS:
        return "helper"
    if turn.get("thread_source") == "subagent":
        return "subagent"
    if wire_json.text(turn.get("agent_name")).startswith("/root/"):
        return "subagent"
    if not tools and (_wants_an_object(body) or _is_opencode(headers)):
        return "helper"
    return "main"


def _codex_turn(headers: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
    name = "x-codex-turn-metadata"
    given = headers.get(name) or wire_json.member(body.get("client_metadata"), name)
    if not isinstance(given, str):
        return {}
    try:
        return wire_json.loads_object(given)
    except MalformedInput:
        return {}


def _wants_an_object(body: Mapping[str, Any]) -> bool:
    # Claude names a session and Gemini routes one by asking for a small JSON object. Chat
    # clients ask for JSON for all sorts of reasons, so that their response_format says nothing.
    if wire_json.member(body.get("output_config"), "format", "type") == "json_schema":
        return True
    settings = body.get("generationConfig")
    return any(
        wire_json.member(settings, name) is not None
        for name in ("responseJsonSchema", "responseSchema")
    )


def _is_opencode(headers: Mapping[str, str]) -> bool:
    return headers.get("user-agent", "").startswith("opencode/")


def agent_session_of(headers: Mapping[str, str], body: Mapping[str, Any]) -> str | None:
    """Give the agent's own session id; None where the request holds none."""
    for name in _SESSION_HEADERS:
        found = wire_json.identifier(headers.get(name))
        if found is not None:
            return found
    user = wire_json.member(body.get("metadata"), "user_id")
    if isinstance(user, str) and user.startswith("{"):
        try:
            return wire_json.identifier(wire_json.loads_object(user).get("session_id"))
        except MalformedInput:
            return None
    return wire_json.identifier(body.get("prompt_cache_key"))
