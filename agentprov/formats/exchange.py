"""One request to a model and its answer, as the gateway saw them on the wire.

The gateway drops each exchange as an event of channel ``gateway`` (see `dropbox`), payload JSON
as `encode` writes it. The text of an answer lives only in that drop, in the session's private
spool, until the session closes; nothing of it is published. Keys, cookies and headers are never
part of an exchange.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, dataclass
from hashlib import blake2b, sha256
from typing import Any, Literal

from agentprov.errors import MalformedInput
from agentprov.formats import canonical, frozen
from agentprov.formats.facts import Gap

CHANNEL = "gateway"
EVENT = "exchange"
GAP_EVENT = "gap"

Dialect = Literal["anthropic", "openai-responses", "openai-chat", "google"]
Role = Literal["main", "helper", "subagent"]


@dataclass(frozen=True)
class ToolCall:
    """A tool call in an answer: its id, the tool's name, and the arguments as the model wrote them.

    `arguments` is JSON text for function tools and free text for custom tools (Codex patches).
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class OfferedTool:
    """A tool as the request offered it to the model: name, and digest of its whole definition."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Exchange:
    """One request and its answer.

    `complete` is True only when the answer's own end was seen; the client may not have used any
    other. `served` is what the answer itself names as its model, never a copy of `requested`.
    `parameters` are sampling and limit settings as decimal or plain text. `prompt_lines` are
    keyed digests (`line_mac`) of distinctive lines that stood in the request and, as far as the
    reader knows, in no earlier one of the session, for telling what a model echoed.
    `request_mac` and `answer_mac` are keyed digests of the bodies as sent.
    """

    number: int
    dialect: Dialect
    provider: str
    host: str
    started: str
    finished: str
    status: int
    complete: bool
    requested: str | None = None
    served: str | None = None
    response_id: str | None = None
    request_id: str | None = None
    role: Role = "main"
    agent_session: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    texts: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tools: tuple[OfferedTool, ...] = ()
    prompt_lines: tuple[str, ...] = ()
    request_mac: str = ""
    answer_mac: str = ""
    why: str | None = None


def line_mac(key: bytes, line: str) -> str:
    """Give the keyed digest of a line, 16 hex digits; blanks at its ends do not count.

    `key` is the session's secret, at most 64 bytes: without it a short line could be guessed.
    """
    content = line.strip().encode("utf-8", "surrogatepass")
    return blake2b(content, key=key, digest_size=8).hexdigest()


def sealed(key: bytes, event: str, payload: bytes) -> bytes:
    """Put a keyed digest in front of a drop's payload, which only the session's gateway can make.

    Any process of the user can write into a spool. The key is handed to the gateway alone; a
    process that reads the gateway's memory can still take it.
    """
    return _seal(key, event, payload) + b"\n" + payload


def is_genuine(key: bytes, event: str, payload: bytes) -> bool:
    """Say whether a sealed payload was made with this key, for this event."""
    seal, newline, inner = payload.partition(b"\n")
    return bool(newline) and hmac.compare_digest(seal, _seal(key, event, inner))


def _seal(key: bytes, event: str, payload: bytes) -> bytes:
    return hmac.new(key, event.encode() + b"\n" + payload, sha256).hexdigest().encode()


def unsealed(payload: bytes) -> bytes:
    """Give the payload behind a seal; checks nothing."""
    return payload if payload.startswith(b"{") else payload.partition(b"\n")[2]


def encode(exchange: Exchange) -> bytes:
    """Write an exchange as the payload of its drop."""
    return json.dumps(asdict(exchange), separators=(",", ":")).encode("utf-8", "surrogatepass")


def decode(payload: bytes) -> Exchange:
    """Read an exchange, sealed or not; raises MalformedInput. Does not check a seal."""
    value: Any = canonical.parse(unsealed(payload), what="exchange", max_bytes=64 * 1024 * 1024)
    if not isinstance(value, dict):
        raise MalformedInput("exchange: not an object")
    return frozen.from_plain(Exchange, value)


def decode_gap(payload: bytes) -> Gap:
    """Read a gap that the gateway dropped, sealed or not; raises MalformedInput."""
    value: Any = canonical.parse(unsealed(payload), what="gateway gap")
    if not isinstance(value, dict):
        raise MalformedInput("gateway gap: not an object")
    return frozen.from_plain(Gap, value)
