"""Reads the talk between an agent and one MCP server: bytes in, events out, no sockets or files.

Knows both generations of the protocol: ``initialize`` (2024-11-05 to 2025-11-25) and
``server/discover`` (2026-07-28), in newline-delimited JSON. docs/spec/mcp.md describes the
events. Arguments and results of calls are never part of an event. Does not judge what the
descriptions say, and asks the server nothing by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from agentprov.record.mcp.tools import Listing, changes, text

Emit = Callable[[str, dict[str, Any]], None]

MAX_MESSAGE = 16 * 1024 * 1024
MAX_OPEN = 10_000
_META = "io.modelcontextprotocol/"
_BOUND = ("claudecode/toolUseId", "callId")
_HEADER = b"content-length:"


class Blind(Exception):
    """The talk is in a form that is passed on unread; the message says in which."""


class Lines:
    """Cuts a stream into lines; what is longer than a message may be is skipped and counted."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._skipping = False
        self.skipped = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes that may end anywhere; give the lines that are complete now."""
        found: list[bytes] = []
        *ends, rest = data.split(b"\n")
        for end in ends:
            if not self._skipping:
                found.append(b"".join((*self._pieces, end)))
            self._pieces, self._size, self._skipping = [], 0, False
        if rest and not self._skipping:
            self._pieces.append(rest)
            self._size += len(rest)
            if self._size > MAX_MESSAGE:
                self._pieces, self._size, self._skipping = [], 0, True
                self.skipped += 1
        return found


class Observer:
    """Watches one connection of one server.

    `emit` takes (event, payload) pairs as they become known. `earlier` are the definitions of
    the list that an earlier connection of this session saw last. Feeding raises Blind for talk
    that is not newline-delimited; then, and after any other exception, feed it no more.
    """

    def __init__(self, emit: Emit, earlier: Mapping[str, Any] | None = None) -> None:
        self._emit = emit
        self._agent = Lines()
        self._server = Lines()
        self._open: dict[str, tuple[str, dict[str, Any]]] = {}
        self._pages: dict[str, list[Any]] = {}
        self._said: dict[str, Any] = {}
        self._junk = {"agent": 0, "server": 0}
        self._lists = 0
        self._calls = 0
        self.definitions: dict[str, Any] = dict(earlier or {})
        self._listed = earlier is not None

    def from_agent(self, data: bytes) -> None:
        """Take bytes that the agent sent."""
        for line in self._agent.feed(data):
            if line[: len(_HEADER)].lower() == _HEADER:
                raise Blind("messages framed by Content-Length")
            for message in self._messages(line, "agent"):
                self._asked(message)
        self._note_skipped(self._agent, "agent")

    def from_server(self, data: bytes) -> None:
        """Take bytes that the server sent, after those of the agent that it answers."""
        for line in self._server.feed(data):
            for message in self._messages(line, "server"):
                if "method" in message:
                    self._told(message)
                elif "id" in message:
                    self._answered(message)
        self._note_skipped(self._server, "server")

    def end(self) -> None:
        """Say what stayed open; call once, when the connection is over."""
        for key, (method, about) in self._open.items():
            if method == "tools/call":
                self._emit("call", {**about, "phase": "unanswered", "id": key})
        self._emit("server", {"phase": "ended", "answered": bool(self._said)})

    def _messages(self, line: bytes, side: str) -> list[dict[str, Any]]:
        if not line.strip():
            return []
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        found = value if isinstance(value, list) else [value]
        kept = [item for item in found if isinstance(item, dict)]
        if len(kept) != len(found) or not found:
            self._junk[side] += 1
            if self._junk[side] == 1:
                self._gap("mcp-lines-not-read", f"the {side} sent what is no JSON-RPC message")
        return kept

    def _note_skipped(self, lines: Lines, side: str) -> None:
        if lines.skipped:
            lines.skipped = 0
            self._gap("mcp-message-too-large", f"the {side} sent more than {MAX_MESSAGE} bytes")

    def _gap(self, why: str, detail: str) -> None:
        self._emit("gap", {"why": why, "detail": detail})

    def _asked(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), _mapping(message.get("params"))
        if not isinstance(method, str):
            return
        meta = _mapping(params.get("_meta"))
        about: dict[str, Any] = {}
        if method == "notifications/initialized":
            self._emit("server", {"phase": "initialized"})
        elif method == "notifications/cancelled":
            self._cancelled(params)
        elif method in ("initialize", "server/discover"):
            client = params.get("clientInfo") or meta.get(_META + "clientInfo")
            version = params.get("protocolVersion") or meta.get(_META + "protocolVersion")
            about = {"client": _named(client), "protocol": text(version, 64)}
        elif method == "tools/list":
            about = {"cursor": text(params.get("cursor"), 4096)}
        elif method == "tools/call":
            about = self._called(params, meta)
        if "id" in message:
            key = _key(message["id"])
            if method == "tools/call":
                self._emit("call", {**about, "phase": "asked", "id": key})
            self._open[key] = (method, about)
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]

    def _called(self, params: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
        self._calls += 1
        name = text(params.get("name"), 512) or ""
        about: dict[str, Any] = {"tool": name, "number": self._calls}
        bound = next((text(meta.get(key), 256) for key in _BOUND if meta.get(key)), None)
        if bound:
            about["call"] = bound
        if self._listed and name not in self.definitions:
            about["unlisted"] = True
        return about

    def _cancelled(self, params: Mapping[str, Any]) -> None:
        key = _key(params.get("requestId"))
        method, about = self._open.get(key, ("", {}))
        if method == "tools/call":
            self._emit("call", {**about, "phase": "cancelled", "id": key})

    def _told(self, message: Mapping[str, Any]) -> None:
        if message.get("method") == "notifications/tools/list_changed":
            self._emit("server", {"phase": "list-changed"})

    def _answered(self, message: Mapping[str, Any]) -> None:
        key = _key(message["id"])
        method, about = self._open.pop(key, ("", {}))
        result = _mapping(message.get("result"))
        failed = "result" not in message
        if method in ("initialize", "server/discover"):
            self._introduced(method, about, result, failed)
        elif method == "tools/call":
            phase = "refused" if failed else "answered"
            if result.get("isError") is True:
                phase = "failed"
            self._emit("call", {**about, "phase": phase, "id": key})
        elif method == "tools/list" and not failed:
            self._page(about.get("cursor"), result)

    def _introduced(
        self, method: str, about: Mapping[str, Any], result: Mapping[str, Any], failed: bool
    ) -> None:
        if failed:
            if not self._said:
                self._emit("server", {"phase": "refused", "handshake": method})
            return
        info = result.get("serverInfo") or _mapping(result.get("_meta")).get(_META + "serverInfo")
        said = {
            "handshake": method,
            "protocol": text(result.get("protocolVersion"), 64) or about.get("protocol"),
            "server": _named(info),
            "client": about.get("client"),
        }
        if said != self._said:
            self._said = said
            self._emit("server", {"phase": "answered", "said": said})

    def _page(self, cursor: str | None, result: Mapping[str, Any]) -> None:
        tools = result.get("tools")
        if not isinstance(tools, list):
            self._gap("mcp-lines-not-read", "the server's list of tools is no list")
            return
        gathered = [*(self._pages.pop(cursor, []) if cursor else []), *tools]
        following = text(result.get("nextCursor"), 4096)
        if following and len(self._pages) < 100:
            self._pages[following] = gathered
            return
        self._take(Listing.of(gathered))

    def _take(self, listing: Listing) -> None:
        moved = changes(self.definitions, listing.definitions) if self._listed else []
        first = self._lists == 0
        self._lists += 1
        self.definitions = listing.definitions
        self._listed = True
        if first or moved:
            payload = {"number": self._lists, "calls": self._calls, **listing.payload()}
            self._emit("tools", {**payload, "changes": moved} if moved else payload)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _key(value: object) -> str:
    # 1 and "1" are different ids.
    return json.dumps(value)[:256]


def _named(value: object) -> dict[str, str] | None:
    fields = _mapping(value)
    found = {name: text(fields.get(name), 256) for name in ("name", "version")}
    return {name: word for name, word in found.items() if word} or None


__all__ = ["MAX_MESSAGE", "Blind", "Lines", "Observer"]
