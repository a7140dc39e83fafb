"""What adapters do alike when they point an agent at the session's own relay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from agentprov.formats.exchange import ToolCall
from agentprov.formats.facts import Edit
from agentprov.ports import Launch, Upstream

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OFF_THE_WIRE = "off-the-wire"
NO_SESSION = "the command starts no session"
NO_KEY = "no API key is configured: a login of another kind only works first-hand"

# Where providers answer that agents know by name and do not spell out.
PUBLIC = {
    "anthropic": "https://api.anthropic.com/v1",
    "deepseek": "https://api.deepseek.com",
    "google": "https://generativelanguage.googleapis.com/v1beta",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "xai": "https://api.x.ai/v1",
}


def upstream_at(url: str, provider: str) -> Upstream:
    """Give the upstream at a base URL, or the reason why a relay cannot stand in for it.

    A base URL that carries credentials or a query is left alone: the one must not be kept, the
    other would not survive the change. Does not look whether anybody listens there.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return Upstream(None, provider, "the base URL cannot be read")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return Upstream(None, provider, "the base URL is not one of http or https")
    if "@" in parts.netloc:
        return Upstream(None, provider, "the base URL carries credentials")
    if parts.query or parts.fragment:
        return Upstream(None, provider, "the base URL carries a query")
    return Upstream(url.strip().rstrip("/"), provider)


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Give NO_PROXY, in both spellings, with the loopback names added to what is there.

    Programs differ in which spelling they prefer, so each gets the union of both.
    """
    names = [
        name.strip()
        for variable in ("NO_PROXY", "no_proxy")
        for name in environment.get(variable, "").split(",")
        if name.strip()
    ]
    value = "*" if "*" in names else ",".join(dict.fromkeys((*names, *LOOPBACK)))
    return {"NO_PROXY": value, "no_proxy": value}


def with_environment(launch: Launch, *additions: Mapping[str, str]) -> Launch:
    """Give a launch with more variables."""
    environment = dict(launch.environment)
    for addition in additions:
        environment.update(addition)
    return replace(launch, environment=environment)


def intercepted(call: ToolCall, edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Mark edits as read from a tool call on the wire."""
    return tuple(replace(edit, basis="intercepted", call_id=call.id) for edit in edits)
