"""One declaration: what an agent says of its own work, on its way into a session's record.

It travels as a drop of channel ``declared`` whose event is the kind. Behind a seal, made with the
session's token, stand one line of canonical JSON and, for artifacts, the text of the lines that are
meant. The digest that statements carry is that of the JSON line; a nonce in it keeps a short text
from being guessed. Nothing here checks whether a declaration is true. docs/spec/mcp-recorder.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats import canonical, schema
from agentprov.formats.exchange import is_genuine, sealed
from agentprov.formats.predicates import parts
from agentprov.formats.vocabulary import DECLARATIONS, DeclarationKind

CHANNEL = "declared"
VERSION = 1
MAX_TEXT = 4_000
MAX_ARTIFACT_BYTES = 256 * 1024
MAX_DECLARATIONS = 1_000
MAX_ARTIFACTS_BYTES = 2 * 1024 * 1024
"""Together with all its escapes this has to fit into a session's state."""

WORD = r"[A-Za-z0-9][A-Za-z0-9._:/@+ -]*"
"""What names of agents, versions, providers and models are made of; nothing that acts or hides."""
PURL = r"pkg:[a-z][a-z0-9.+-]*/[A-Za-z0-9._~%/@:+-]+"

_NAME = schema.text(most=200, pattern=WORD)
_PROSE = schema.text(most=MAX_TEXT, pattern=r"[^\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]*")
_COMMON = {
    "v": schema.integer(least=VERSION, most=VERSION),
    "kind": schema.one_of(DECLARATIONS),
    "session": parts.SESSION_ID,
    "at": schema.time,
    "nonce": schema.text(least=32, most=32, pattern=r"[0-9a-f]+"),
}
_SHAPES: Mapping[str, schema.Check] = {
    "agent": schema.members(
        {**_COMMON, "name": _NAME},
        {"version": _NAME, "purl": schema.text(most=400, pattern=PURL)},
    ),
    "model": schema.members(
        {**_COMMON, "provider": _NAME, "model": _NAME},
        {"requested": _NAME, "role": schema.one_of(("main", "helper", "subagent"))},
    ),
    "plan": schema.members({**_COMMON, "digest": schema.sha256_set}),
    "decision": schema.members({**_COMMON, "text": _PROSE}, {"path": schema.path}),
    "artifact": schema.members(
        {
            **_COMMON,
            "path": schema.path,
            "start": schema.integer(least=1),
            "end": schema.integer(least=1),
            "content": schema.sha256_set,
            "purpose": _PROSE,
        },
        {"model": _NAME},
    ),
}


@dataclass(frozen=True)
class Declaration:
    """A declaration that was read: its members, its digest, and the lines that it is about."""

    kind: DeclarationKind
    members: Mapping[str, Any]
    sha256: str
    content: bytes = b""


def encode(token: bytes, members: Mapping[str, Any], content: bytes = b"") -> bytes:
    """Write a declaration as the payload of its drop; raises MalformedInput.

    `members` are those of its kind without ``v``; `content` the text of an artifact's lines.
    """
    whole = {"v": VERSION, **members}
    if content or members.get("kind") == "artifact":
        whole["content"] = {"sha256": sha256(content).hexdigest()}
    _require(whole, content)
    return sealed(token, str(whole["kind"]), canonical.encode(whole) + b"\n" + content)


def decode(token: bytes, session: str, event: str, payload: bytes) -> Declaration:
    """Read a drop's payload; raises MalformedInput, also for one of another session or token."""
    if not is_genuine(token, event, payload):
        raise MalformedInput("declaration: not sealed with this session's token")
    line, _, content = payload.partition(b"\n")[2].partition(b"\n")
    members = canonical.parse(line, what="declaration", max_bytes=64 * 1024)
    _require(members, content)
    if members["kind"] != event or members["session"] != session:
        raise MalformedInput("declaration: of another session or kind")
    return Declaration(members["kind"], members, sha256(line).hexdigest(), content)


def _require(members: Any, content: bytes) -> None:
    kind = members.get("kind") if isinstance(members, dict) else None
    schema.require(_SHAPES.get(str(kind), _SHAPES["plan"]), members, "declaration")
    if len(content) > MAX_ARTIFACT_BYTES:
        raise MalformedInput(f"declaration: more than {MAX_ARTIFACT_BYTES} bytes of lines")
    if kind == "artifact":
        if members["end"] < members["start"]:
            raise MalformedInput("declaration: ends before it starts")
        if members["content"]["sha256"] != sha256(content).hexdigest():
            raise MalformedInput("declaration: other lines than it names")
    elif content:
        raise MalformedInput("declaration: only artifacts have lines")


__all__ = [
    "CHANNEL",
    "MAX_ARTIFACTS_BYTES",
    "MAX_ARTIFACT_BYTES",
    "MAX_DECLARATIONS",
    "MAX_TEXT",
    "Declaration",
    "decode",
    "encode",
]
