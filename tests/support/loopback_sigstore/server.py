"""One HTTP server on loopback in front of any number of services, with a switch for each."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asked: path without the service's prefix, query, headers, body."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


class Refused(Exception):
    """A service says no; the text is its message and the status its HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Service(Protocol):
    def answer(self, request: Request) -> Answer: ...


@dataclass
class Weather:
    """What is wrong with the world just now; read at each request, so tests can change it.

    `down` services answer 503, `slow` ones wait so many seconds first, `garbled` ones answer
    with something that is not their format. `shift` moves the clock of every service and
    `shifts` those of single ones.
    """

    down: set[str] = field(default_factory=set)
    slow: dict[str, float] = field(default_factory=dict)
    garbled: set[str] = field(default_factory=set)
    shift: timedelta = timedelta()
    shifts: dict[str, timedelta] = field(default_factory=dict)

    def now(self, service: str) -> datetime:
        """Give the time that a service believes it is, to the second."""
        moment = datetime.now(UTC) + self.shift + self.shifts.get(service, timedelta())
        return moment.replace(microsecond=0)


class LoopbackServer:
    """Serves services by path prefix on a free port of 127.0.0.1, until it is closed.

    `requests` keeps (service, request) of all that was asked, for tests of what leaves a machine.
    """

    def __init__(self, weather: Weather | None = None) -> None:
        self.weather = weather or Weather()
        self.requests: list[tuple[str, Request]] = []
        self._services: dict[str, tuple[str, Service]] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        # A connection that is gone before it is accepted must not hold the server, nor its end.
        self._http.socket.settimeout(2)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def mount(self, prefix: str, name: str, service: Service) -> None:
        self._services[prefix] = (name, service)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def dispatch(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        prefix = max((p for p in self._services if parts.path.startswith(p)), key=len, default=None)
        if prefix is None:
            return as_json({"code": 404, "message": "no such service"}, 404)
        name, service = self._services[prefix]
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        request = Request(method, parts.path[len(prefix) :], query, headers, body)
        self.requests.append((name, request))
        time.sleep(self.weather.slow.get(name, 0))
        if name in self.weather.down:
            return as_json({"code": 503, "message": f"{name} is out of order"}, 503)
        if name in self.weather.garbled:
            return Answer(200, b"<html>maintenance</html>", "text/html")
        try:
            return service.answer(request)
        except Refused as error:
            return as_json({"code": error.status, "message": str(error)}, error.status)
        except (KeyError, ValueError, TypeError) as error:
            return as_json({"code": 400, "message": f"{type(error).__name__}: {error}"}, 400)


def _handler(server: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.dispatch(self.command, self.path, headers, body)
            with contextlib.suppress(OSError):
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        do_GET = do_POST = _do

        def log_message(self, *_: object) -> None:
            pass

    return Handler
