"""The server over streamable HTTP: on loopback only, behind a token, deaf to web pages.

A web page can make a browser send requests to this machine, also under a name that it lets point
here. So Host and Origin are checked before anything else, and no request passes without the token,
which lies in a private file and is never printed.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from mcp.server.transport_security import TransportSecuritySettings

from agentprov.errors import UserError
from agentprov.system.files import atomic_write, open_regular, private_directory
from agentprov.system.loopback import address_of, listen
from agentprov_mcp.desk import IDLE_SECONDS, Desk
from agentprov_mcp.server import build

TOKEN_FILE = "mcp-token"  # noqa: S105  a file's name
MAX_BODY = 1024 * 1024
_GRACE_SECONDS = 1


def main(
    told: Callable[[str, Path], None],
    *,
    port: int = 0,
    publish: bool = False,
    idle: float = IDLE_SECONDS,
    start: Path | None = None,
) -> None:
    """Serve on a loopback port until interrupted, then close what is open.

    `told` is given the URL and the token's file once the port is taken. Raises UserError,
    CannotStart, NotARepository, KeyboardInterrupt.
    """
    import uvicorn

    desk = Desk(start, shared=True, publish=publish, idle=idle)
    place = token_file(desk.world().git.home)
    token = read_token(place)
    listener = listen(port)
    host, port = address_of(listener)
    names = [f"{name}:{port}" for name in dict.fromkeys((host, "127.0.0.1", "localhost"))]
    server = build(desk=desk)
    app = server.streamable_http_app(
        max_request_body_size=MAX_BODY,
        transport_security=TransportSecuritySettings(
            allowed_hosts=names, allowed_origins=[f"http://{name}" for name in names]
        ),
        host=host,
    )
    logging.getLogger("mcp").setLevel(logging.WARNING)
    config = uvicorn.Config(
        Guard(app, names, token),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    came: list[int] = []
    # The server raises the signal that ended it again, which must not end us before we closed.
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda number, _: came.append(number))
    told(f"http://{host}:{port}/mcp", place)
    try:
        anyio.run(uvicorn.Server(config).serve, [listener])
    finally:
        listener.close()
        desk.close()
    if signal.SIGINT in came:
        raise KeyboardInterrupt
    if came:
        sys.exit(128 + came[0])


class Guard:
    """Lets a request through that names this server, comes from no web page, and has the token."""

    def __init__(self, app: Any, names: list[str], token: bytes) -> None:
        self._app = app
        self._names = {name.encode() for name in names}
        self._origins = {b"http://" + name for name in self._names}
        self._token = token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection of the application (ASGI)."""
        if scope["type"] == "http":
            refused = self._why_not(scope["headers"])
            if refused is not None:
                await _refuse(send, *refused)
                return
        elif scope["type"] != "lifespan":
            return
        await self._app(scope, receive, send)

    def _why_not(self, headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes] | None:
        given: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            given.setdefault(name.lower(), []).append(value)
        if len(given.get(b"host", ())) != 1 or given[b"host"][0] not in self._names:
            return 421, b"this server answers to its loopback address only"
        if any(origin not in self._origins for origin in given.get(b"origin", ())):
            return 403, b"no web page may ask here"
        words = given.get(b"authorization", [])
        scheme, _, token = words[0].partition(b" ") if len(words) == 1 else (b"", b"", b"")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            return 401, b"the token of this server is needed"
        return None


async def _refuse(send: Any, status: int, why: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(why)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why})


def token_file(home: Path) -> Path:
    """Give the place of the token; it is made when there is none, and kept over restarts."""
    place = private_directory(home) / TOKEN_FILE
    if not os.path.lexists(place):
        atomic_write(place, secrets.token_urlsafe(32).encode() + b"\n")
    return place


def read_token(place: Path) -> bytes:
    """Read the token; raises UserError for a file that others can read, or that is none of ours."""
    hint = f"remove it, and a new one is made: {place}"
    try:
        with open(open_regular(place, follow=False), "rb") as stream:
            status = os.fstat(stream.fileno())
            token = stream.read(1_000).strip()
    except OSError as error:
        raise UserError(f"the token cannot be read: {error.strerror}", hint=hint) from error
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise UserError("others can read the token of this server", hint=hint)
    if len(token) < 32:
        raise UserError("the token of this server is too short", hint=hint)
    return token
