"""The recorder's end of the gateway: keeps the listening socket and a live relay behind it.

The relay is a process of its own, so that a parser that takes its time, or its life, never holds
up the recorder. The socket is the recorder's: while a dead relay is replaced, connections wait
in its queue and nobody is refused.
"""

from __future__ import annotations

import os
import re
import secrets
import ssl
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from agentprov.errors import AgentprovError, CannotStart
from agentprov.formats.facts import Gap
from agentprov.ports import Upstream
from agentprov.record.gateway import orders as orders_format
from agentprov.record.gateway import proxies
from agentprov.record.gateway.door import PREFIX, PROXY_USER, Route, route_to
from agentprov.record.gateway.orders import Orders
from agentprov.record.gateway.spooling import as_text
from agentprov.system.companion import Companion
from agentprov.system.files import atomic_write
from agentprov.system.loopback import address_of, listen
from agentprov.system.signals import unsignalled

_ARGV = (sys.executable, "-I", "-m", "agentprov.record.gateway.server")
_READY, _LOST = b"R", b"L"
_STOP = b"stop\n"
_READY_SECONDS = 20.0
# The relay says once a second that it lives.
_SILENCE_SECONDS = 20.0
_STOP_SECONDS = 5.0
_LAST_SECONDS = 0.5
# A relay that dies at once, again and again, must not take the machine with it.
_MAX_PAUSE = 0.5
_NUMBERS_PER_RELAY = 1_000_000
_PASSED_ON = (
    *proxies.NAMES,
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "CODEX_CA_CERTIFICATE",
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "TMPDIR",
)


class Gateway:
    """A running gateway; make one with `start`.

    `base_urls` are what agents use instead of their upstreams' base URLs, in the same order.
    In proxy mode `proxy_url` is for HTTPS_PROXY, `ca_file` holds the session's authority and
    `ca_bundle` the system's authorities and ours. URLs are secrets of the session.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        spool: Path,
        scratch: Path,
        environment: Mapping[str, str],
        key: bytes,
        proxied: Mapping[str, str],
    ) -> None:
        tokens = [(secrets.token_hex(16), _route(upstream)) for upstream in upstreams]
        known = {_with_port(host): provider for host, provider in proxied.items()}
        for route in [route for _, route in tokens] + [_tunnel_route(host) for host in known]:
            if route.tls:
                # Said now rather than at the first request.
                proxies.proxy_for(route.host, route.port, environment)
        self._environment = {
            name: value for name in _PASSED_ON if (value := environment.get(name)) is not None
        }
        self._files: list[Path] = []
        self._listener = listen()
        host, port = address_of(self._listener)
        origin = f"http://{host}:{port}"
        self.base_urls = tuple(
            f"{origin}{PREFIX.decode()}{token}{urlsplit(upstream.base_url or '').path.rstrip('/')}"
            for (token, _), upstream in zip(tokens, upstreams, strict=True)
        )
        self.proxy_url: str | None = None
        self.ca_file: Path | None = None
        self.ca_bundle: Path | None = None
        password = leaf = None
        if known:
            password = secrets.token_hex(16)
            self.proxy_url = f"http://{PROXY_USER}:{password}@{host}:{port}"
            leaf = self._make_authority([_tunnel_route(name).host for name in known], scratch)
        self._orders = Orders(
            listener=self._listener.fileno(),
            port=port,
            spool=str(spool),
            scratch=str(scratch),
            key=key.hex(),
            first_number=0,
            routes=dict(tokens),
            password=password,
            known=known,
            leaf=leaf,
        )
        self._relays = 0
        self._gaps: list[Gap] = []
        self._stopping = threading.Event()
        self._heard_at = time.monotonic()
        self._alive_at = as_text(time.time_ns())
        self._ready = threading.Event()
        self._relay: Companion | None = None
        self._keeper = threading.Thread(target=self._keep, name="gateway", daemon=True)

    @classmethod
    def start(
        cls,
        upstreams: Sequence[Upstream],
        spool: Path,
        scratch: Path,
        *,
        environment: Mapping[str, str],
        key: bytes | None = None,
        proxied: Mapping[str, str] | None = None,
    ) -> Gateway:
        """Start a relay and wait until it serves.

        `environment` is the user's, for proxies and certificates. `key` is the secret for keyed
        digests (random by default). `proxied` switches proxy mode on: hosts (with ``:port`` if
        not 443) whose TLS is opened, to provider names; see `hosts.MODEL_HOSTS`. Raises
        CannotStart when an upstream cannot be relayed or no relay comes up; nothing is left.
        """
        if os.name == "nt":
            raise CannotStart("the gateway does not run on Windows yet", hint="--gateway off")
        key = secrets.token_bytes(32) if key is None else key
        gateway = cls(upstreams, spool, scratch, environment, key, proxied or {})
        try:
            gateway._launch()
            with unsignalled():
                gateway._keeper.start()
            if not gateway._ready.wait(_READY_SECONDS):
                raise CannotStart("the gateway's relay did not come up")
        except BaseException:
            gateway.stop()
            raise
        return gateway

    @property
    def base_url(self) -> str:
        """Give the base URL for the first upstream."""
        return self.base_urls[0]

    @property
    def pid(self) -> int | None:
        """Give the process id of the relay that serves now."""
        return self._relay.pid if self._relay is not None else None

    def check(self) -> list[Gap]:
        """Give the gaps since the last call; cheap, for the recorder's tick.

        A dead or silent relay is replaced without waiting for this.
        """
        gaps, self._gaps = self._gaps, []
        return gaps

    def stop(self) -> list[Gap]:
        """End the relay, wait until its last drop is in the spool, and remove our files.

        Connections that are still open are closed. Gives the gaps since the last `check`.
        """
        self._stopping.set()
        if self._relay is not None:
            self._relay.tell(_STOP)
        if self._keeper.ident is not None:
            self._keeper.join()
        self._relay = None
        self._listener.close()
        for path in self._files:
            path.unlink(missing_ok=True)
        return self.check()

    # --- the keeper's thread

    def _launch(self) -> None:
        number = self._relays * _NUMBERS_PER_RELAY
        self._relays += 1
        orders = Orders(**{**vars(self._orders), "first_number": number})
        relay = Companion(_ARGV, self._environment, [self._orders.listener])
        relay.tell(orders_format.encode(orders))
        self._relay = relay
        self._heard_at = time.monotonic()

    def _keep(self) -> None:
        pause = 0.0
        while True:
            relay = self._relay
            born = time.monotonic()
            if relay is not None:
                why = self._listen_to(relay)
                status = relay.end(_LAST_SECONDS)
                if self._stopping.is_set():
                    return
                self._gap(why, f"status {status}")
            if time.monotonic() - born > 10:
                pause = 0.0
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2 or 0.05, _MAX_PAUSE)
            try:
                self._launch()
            except AgentprovError as error:
                self._relay = None
                self._gap("gateway-not-restarted", error.message)

    def _listen_to(self, relay: Companion) -> str:
        """Hear the relay until it falls silent; give why."""
        give_up = None
        while (said := relay.hear(0.5)) is not None:
            now = time.monotonic()
            if self._stopping.is_set():
                # Said again: the relay may have been born after `stop` spoke.
                relay.tell(_STOP)
                give_up = give_up or now + _STOP_SECONDS
                if now > give_up:
                    return "gateway-hung"
                continue
            if said:
                self._heard_at, self._alive_at = now, as_text(time.time_ns())
                if _READY in said:
                    self._ready.set()
                if _LOST in said:
                    self._gap("gateway-drop-lost", f"{said.count(_LOST)} could not be written")
            elif now - self._heard_at > _SILENCE_SECONDS:
                return "gateway-hung"
        return "gateway-died"

    def _gap(self, why: str, detail: str) -> None:
        self._gaps.append(
            Gap(why=why, start=self._alive_at, end=as_text(time.time_ns()), detail=detail)
        )

    # --- proxy mode

    def _make_authority(self, hosts: Sequence[str], scratch: Path) -> str:
        from agentprov.record.gateway.authority import make_authority

        authority = make_authority(hosts, datetime.now(UTC))
        self.ca_file = scratch / "gateway-ca.pem"
        self.ca_bundle = scratch / "gateway-ca-bundle.pem"
        self._files = [self.ca_file, self.ca_bundle]
        ours = authority.certificate.encode()
        atomic_write(self.ca_file, ours, fsync=False)
        atomic_write(self.ca_bundle, _system_store(self._environment) + ours, fsync=False)
        return authority.leaf


def _system_store(environment: Mapping[str, str]) -> bytes:
    """Give the certificates that the user's programs trust, PEM; what cannot be read is left."""
    places = ssl.get_default_verify_paths()
    wanted = [
        environment.get("SSL_CERT_FILE") or places.cafile or places.openssl_cafile,
        *(environment.get(name) for name in ("NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE")),
    ]
    store = b""
    for path in wanted:
        with suppress(OSError):
            store += Path(path).read_bytes().rstrip() + b"\n" if path else b""
    return store


def _route(upstream: Upstream) -> Route:
    if upstream.base_url is None:
        raise CannotStart(upstream.why_not or "the agent's model host is not known")
    return route_to(upstream.base_url, upstream.provider)


def _with_port(host: str) -> str:
    given = re.fullmatch(r"(\[[^]]+\]|[^:]+):[0-9]+", host)
    return host.lower() if given else f"{host.lower()}:443"


def _tunnel_route(whole: str) -> Route:
    name, _, port = whole.rpartition(":")
    return Route(name.strip("[]"), int(port), True)


__all__ = ["Gateway"]
