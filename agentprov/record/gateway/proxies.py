"""Which proxy of the user's stands before a host, read from the environment as curl reads it."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from agentprov.errors import CannotStart

NAMES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy that takes CONNECT; `authorization` is the header value it wants, or None."""

    host: str
    port: int
    tls: bool
    authorization: bytes | None


def is_loopback(host: str) -> bool:
    """Say whether a host name or address can only be this machine."""
    name = host.lower().rstrip(".").strip("[]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def proxy_for(host: str, port: int, environment: Mapping[str, str]) -> Proxy | None:
    """Choose the proxy for a TLS connection to a host, or none.

    HTTPS_PROXY before ALL_PROXY, lower case before upper case; NO_PROXY and loopback go direct.
    Raises CannotStart for proxies that we cannot speak to (SOCKS) and for what is no URL.
    """
    if is_loopback(host) or _excepted(host, port, _first(environment, NAMES[4:])):
        return None
    url = _first(environment, NAMES[:4])
    if not url:
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in _PORTS:
        raise CannotStart(
            f"the gateway cannot go through a {parts.scheme} proxy",
            hint="name an HTTP proxy in HTTPS_PROXY, or record with --gateway off",
        )
    try:
        own_port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        own_port = 0
    if not parts.hostname or not own_port:
        raise CannotStart("HTTPS_PROXY is not the URL of a proxy")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        authorization = b"Basic " + base64.b64encode(pair)
    return Proxy(parts.hostname, own_port, parts.scheme == "https", authorization)


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := environment.get(name, "").strip())), "")


def _excepted(host: str, port: int, rule: str) -> bool:
    name = host.lower().rstrip(".").strip("[]")
    for entry in rule.lower().replace(",", " ").split():
        if entry == "*":
            return True
        if entry.endswith(f":{port}") and entry.count(":") == 1:
            entry = entry.rpartition(":")[0]
        entry = entry.strip("[]")
        if _in_network(name, entry):
            return True
        suffix = entry.removeprefix("*").lstrip(".")
        if suffix and (name == suffix or name.endswith("." + suffix)):
            return True
    return False


def _in_network(name: str, entry: str) -> bool:
    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


__all__ = ["NAMES", "Proxy", "is_loopback", "proxy_for"]
