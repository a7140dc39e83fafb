"""A scripted model on loopback: plays one script to whatever agent asks, and keeps the requests.

A script is a list of turns; a turn is one step, or a tuple of steps that the model asks for at
once. Steps say what is to happen in words of no agent (`Write`, `Edit`, `Shell`, ...); each
dialect turns them into the tools of the agents that speak it. The endpoint keeps no place in the
script: it looks for its own call ids in the conversation that the agent sends back and plays the
first turn that is missing, so that retries and resumed sessions need no special case.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from agentprov.formats.exchange import ToolCall
from support import chat_dialect, google_dialect, model_dialects
from support.model_dialects import Delegate, Edit, McpCall, Read, Say, Shell, Step, Write

Turn = Step | tuple[Step, ...]
GOOGLE = (":generateContent", ":streamGenerateContent")


@dataclass(frozen=True)
class Request:
    """One request as it came: method, path with query, headers (lower-case names), JSON body."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any = None

    @property
    def model(self) -> str:
        """Give the requested model; Gemini's dialect names it in the path."""
        place = self.path.partition("?")[0]
        if place.endswith(GOOGLE):
            return place.rpartition("/")[2].partition(":")[0]
        return str(self.body["model"])


@dataclass
class ModelEndpoint:
    """Serve `script` on a free loopback port for as long as the context lasts.

    `served` is the model id that the answers carry (default: the one asked for); `helper` the id
    for calls without tools, such as the naming of a session. `root` is the work tree; agents that
    want absolute paths get the script's relative ones under it. After the last turn the model
    only says that it is finished. `requests` grows as requests come in, `tool_calls` with each
    call that an answer asks for.
    """

    script: Sequence[Turn]
    root: Path
    served: str | None = None
    requests: list[Request] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)

    def __enter__(self) -> ModelEndpoint:
        endpoint = self

        class Handler(_Handler):
            owner = endpoint

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # A connection that is gone before it is accepted must not hold the server, nor its end.
        self._server.socket.settimeout(2)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    @property
    def url(self) -> str:
        """Give the base URL, without a path and without a final slash."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def model_requests(self) -> list[Request]:
        """Give the requests that asked the model for something, in order of arrival."""
        return [r for r in self.requests if r.method == "POST" and isinstance(r.body, dict)]


class _Handler(BaseHTTPRequestHandler):
    owner: ModelEndpoint
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._keep(None)
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._answer(426, b"{}")
        else:
            self._answer(404, b"{}")

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        path = self.path.partition("?")[0]
        if path.endswith("/messages") and isinstance(body, dict):
            self._keep(body)
            events = model_dialects.anthropic_messages(
                self.owner.script,
                body,
                root=self.owner.root,
                served=self.owner.served,
                in_subagent="x-claude-code-agent-id" in self.headers,
            )
        elif path.endswith("/responses") and isinstance(body, dict):
            self._keep(body)
            events = model_dialects.openai_responses(
                self.owner.script,
                body,
                served=self.owner.served,
                in_subagent="x-openai-subagent" in self.headers,
            )
        elif path.endswith("/chat/completions") and isinstance(body, dict):
            self._keep(body)
            whole = chat_dialect.completion(
                self.owner.script, body, root=self.owner.root, served=self.owner.served
            )
            self.owner.tool_calls += chat_dialect.tool_calls(whole)
            self._whole_or_stream(whole, body.get("stream") is True, chat_dialect.chunks)
            return
        elif path.endswith(GOOGLE) and isinstance(body, dict):
            self._keep(body)
            whole = google_dialect.content(
                self.owner.script,
                body,
                requested=path.rpartition("/")[2].partition(":")[0],
                root=self.owner.root,
                served=self.owner.served,
            )
            self.owner.tool_calls += google_dialect.tool_calls(whole)
            self._whole_or_stream(whole, path.endswith(GOOGLE[1]), google_dialect.chunks)
            return
        else:
            self._keep(None)
            self._answer(404, b'{"error": {"message": "nothing here"}}')
            return
        events = list(events)
        self.owner.tool_calls += model_dialects.tool_calls(events)
        self._stream(
            f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events
        )

    def _whole_or_stream(
        self,
        whole: dict[str, Any],
        stream: bool,
        chunks: Callable[[dict[str, Any]], Iterator[bytes]],
    ) -> None:
        if stream:
            self._stream(chunks(whole))
        else:
            self._answer(200, json.dumps(whole).encode())

    def _stream(self, events: Iterable[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        # Anthropic's name for it, and everybody else's.
        for header in ("request-id", "x-request-id"):
            self.send_header(header, f"req_script_{len(self.owner.requests)}")
        self.end_headers()
        for data in events:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def _keep(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.requests.append(Request(self.command, self.path, headers, body))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        # An agent that exits while we answer is no failure of the test.
        try:
            super().handle()
        except (ConnectionResetError, BrokenPipeError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        return


__all__ = [
    "Delegate",
    "Edit",
    "McpCall",
    "ModelEndpoint",
    "Read",
    "Request",
    "Say",
    "Shell",
    "Step",
    "Turn",
    "Write",
]
