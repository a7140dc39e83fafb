"""Who may come in and where they are sent; a pure judgement on a request's head.

The gateway listens where every user and every web page of this machine can knock. It answers
only to who knows the session's path (or, in proxy mode, the session's password), under a Host
of its own and no foreign Origin; to all others it says nothing about itself.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agentprov.errors import CannotStart
from agentprov.record.gateway.framing import RequestHead
from agentprov.record.gateway.proxies import is_loopback

PREFIX = b"/s/"
PROXY_USER = "agentprov"
_SESSION_PATH = re.compile(rb"/s/([0-9a-f]{32})(?=[/?]|$)")
_TARGET = re.compile(rb"\[([0-9A-Fa-f:.]+)\]:([0-9]{1,5})|([0-9A-Za-z._-]+):([0-9]{1,5})")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Route:
    """A model's host: where to connect, whether with TLS, and whose it is."""

    host: str
    port: int
    tls: bool
    provider: str = ""

    @property
    def authority(self) -> str:
        """Give host and port as a URL has them: no port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else self.whole

    @property
    def whole(self) -> str:
        """Give host and port, the port always."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def route_to(base_url: str, provider: str = "") -> Route:
    """Read where a base URL leads; its path is not part of the route.

    Raises CannotStart for what is no http(s) URL, holds credentials, or would send requests
    over a network without TLS.
    """
    try:
        parts = urlsplit(base_url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise CannotStart("the model's base URL is not an http or https URL") from error
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise CannotStart("the model's base URL holds more, or less, than a host and a path")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise CannotStart(
            f"the gateway does not send requests to {parts.hostname} without TLS",
            hint="use https, or record with --gateway off",
        )
    return Route(parts.hostname, port, parts.scheme == "https", provider)


@dataclass(frozen=True)
class Admitted:
    """A request to pass on: to which host, with which target, under which Host (None: its own)."""

    route: Route
    target: bytes
    host: bytes | None


@dataclass(frozen=True)
class Tunnel:
    """A CONNECT: `known` when the tunnel leads to a model and is opened, else passed blind."""

    route: Route
    known: bool


@dataclass(frozen=True)
class Refused:
    """A request that we answer ourselves and that talks to no one else."""

    status: int
    reason: str
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Door:
    """The rules of one session.

    `routes` maps path tokens to routes. `password` switches proxy mode on; `known` maps the
    ``host:port`` whose tunnels are opened to the provider's name.
    """

    port: int
    routes: Mapping[str, Route]
    password: str | None = None
    known: Mapping[str, str] = field(default_factory=dict)

    def judge(self, head: RequestHead, inside: Route | None = None) -> Admitted | Tunnel | Refused:
        """Judge a request; `inside` is the route of the opened tunnel that it came through."""
        if head.method == b"CONNECT":
            return self._tunnel(head) if inside is None else Refused(405, "Method Not Allowed")
        if inside is not None:
            place = Admitted(inside, head.target, None)
        else:
            found = self._through_path(head)
            if isinstance(found, Refused):
                return found
            place = found
        upgrades = b",".join(head.values(b"upgrade")).lower()
        if b"websocket" in upgrades:
            # Agents that open a WebSocket first take this as "use HTTP" and do so at once.
            return Refused(426, "Upgrade Required")
        return place

    def _through_path(self, head: RequestHead) -> Admitted | Refused:
        path = _SESSION_PATH.match(head.target)
        route = self.routes.get(path[1].decode()) if path else None
        if path is None or route is None:
            return Refused(404, "Not Found")
        hosts = head.values(b"host")
        if len(hosts) != 1 or not self._own(hosts[0]):
            return Refused(403, "Forbidden")
        if any(not self._own_origin(origin) for origin in head.values(b"origin")):
            return Refused(403, "Forbidden")
        rest = head.target[path.end() :]
        target = rest if rest.startswith(b"/") else b"/" + rest
        return Admitted(route, target, route.authority.encode())

    def _own(self, host: bytes) -> bool:
        name, _, port = host.lower().rpartition(b":")
        return name in (b"127.0.0.1", b"localhost", b"[::1]") and port == b"%d" % self.port

    def _own_origin(self, origin: bytes) -> bool:
        return origin.startswith(b"http://") and self._own(origin.removeprefix(b"http://"))

    def _tunnel(self, head: RequestHead) -> Tunnel | Refused:
        if self.password is None:
            return Refused(405, "Method Not Allowed")
        wanted = base64.b64encode(f"{PROXY_USER}:{self.password}".encode())
        if [b"Basic " + wanted] != head.values(b"proxy-authorization"):
            return Refused(
                407, "Proxy Authentication Required", ('Proxy-Authenticate: Basic realm="session"',)
            )
        target = _TARGET.fullmatch(head.target)
        port = int(target[2] or target[4]) if target else 0
        if target is None or not 0 < port < 65536:
            return Refused(400, "Bad Request")
        route = Route((target[1] or target[3]).decode().lower(), port, True)
        provider = self.known.get(route.whole)
        if provider is None:
            return Tunnel(Route(route.host, port, False), known=False)
        return Tunnel(Route(route.host, port, True, provider), known=True)


__all__ = ["PREFIX", "PROXY_USER", "Admitted", "Door", "Refused", "Route", "Tunnel", "route_to"]
