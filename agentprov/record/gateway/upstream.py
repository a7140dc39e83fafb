"""Opens connections to model hosts: directly or through the user's proxy, TLS always verified."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping

from agentprov.errors import CannotStart, MalformedInput
from agentprov.record.gateway.door import Route
from agentprov.record.gateway.framing import head_length, parse_response
from agentprov.record.gateway.proxies import Proxy, proxy_for

CONNECT_SECONDS = 60.0
# A host that never says goodbye must not hold a connection for longer.
_TLS_GOODBYE_SECONDS = 1.0
# Where agents let the user name certificates beside the system's, for proxies of a company.
EXTRA_CA_NAMES = ("NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE")


class CannotReach(Exception):
    """A model host could not be reached; the text is for the user and names no secret."""


def verifying_context(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Make the context that verifies model hosts.

    The system's store, or what SSL_CERT_FILE and SSL_CERT_DIR name in this process; beside it
    what the user's environment gives agents as extra certificates. Files that cannot be read
    are passed over, as the agents do.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    for name in EXTRA_CA_NAMES:
        if path := environment.get(name):
            with contextlib.suppress(OSError, ssl.SSLError):
                context.load_verify_locations(path)
    return context


class Dialer:
    """Opens connections with one environment's proxies and one TLS context."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._context: ssl.SSLContext | None = None

    def warm(self) -> None:
        """Load the certificate store now rather than on the first request."""
        self._tls()

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = verifying_context(self._environment)
        return self._context

    async def open(
        self, route: Route, protocol: Callable[[], asyncio.Protocol]
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Connect, with TLS where the route says so; raises CannotReach.

        `connection_made` is called on the protocol once, with the transport that is given back.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                proxy = proxy_for(route.host, route.port, self._environment)
                if proxy is not None:
                    return await self._through(proxy, route, protocol)
                return await _connect(
                    protocol, route.host, route.port, self._tls() if route.tls else None
                )
        except TimeoutError as error:
            raise CannotReach(f"no connection to {route.whole} in {CONNECT_SECONDS:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise CannotReach(
                f"the certificate of {route.whole} is not good: {error.verify_message}"
            ) from error
        except (OSError, ssl.SSLError) as error:
            raise CannotReach(f"no connection to {route.whole}: {_words(error)}") from error
        except (MalformedInput, CannotStart) as error:
            raise CannotReach(error.message) from error

    async def _through(
        self, proxy: Proxy, route: Route, protocol: Callable[[], asyncio.Protocol]
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        tls = self._tls() if proxy.tls else None
        transport, greeting = await _connect(_Greeting, proxy.host, proxy.port, tls)
        assert isinstance(greeting, _Greeting)
        try:
            lines = [f"CONNECT {route.whole} HTTP/1.1", f"Host: {route.whole}"]
            transport.write("\r\n".join(lines).encode())
            if proxy.authorization is not None:
                transport.write(b"\r\nProxy-Authorization: " + proxy.authorization)
            transport.write(b"\r\n\r\n")
            status = await greeting.answer
            if not 200 <= status < 300:
                raise CannotReach(f"the proxy refused a tunnel to {route.whole} ({status})")
            made = protocol()
            if route.tls:
                loop = asyncio.get_running_loop()
                secured = await loop.start_tls(
                    transport,
                    made,
                    self._tls(),
                    server_hostname=route.host,
                    ssl_shutdown_timeout=_TLS_GOODBYE_SECONDS,
                )
                if secured is None:
                    raise CannotReach(f"the tunnel to {route.whole} was closed")
                transport = secured
            else:
                transport.set_protocol(made)
            made.connection_made(transport)
            if greeting.beyond:
                made.data_received(greeting.beyond)
            return transport, made
        except BaseException:
            transport.abort()
            raise


async def _connect(
    protocol: Callable[[], asyncio.Protocol], host: str, port: int, tls: ssl.SSLContext | None
) -> tuple[asyncio.Transport, asyncio.Protocol]:
    loop = asyncio.get_running_loop()
    return await loop.create_connection(
        protocol,
        host,
        port,
        ssl=tls,
        server_hostname=host if tls is not None else None,
        ssl_shutdown_timeout=_TLS_GOODBYE_SECONDS if tls is not None else None,
        happy_eyeballs_delay=0.25,
    )


class _Greeting(asyncio.Protocol):
    """Reads a proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.beyond = b""
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        try:
            length = head_length(self._held)
            if not length or self.answer.done():
                return
            self.beyond = self._held[length:]
            self.answer.set_result(parse_response(self._held[:length]).status)
        except MalformedInput as error:
            self.answer.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        if not self.answer.done():
            self.answer.set_exception(ConnectionResetError("the proxy closed the connection"))


def _words(error: OSError) -> str:
    # The system's own words; an SSLError's are its reason. Neither quotes what was sent.
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'handshake failed'}"
    return error.strerror or type(error).__name__


__all__ = ["CONNECT_SECONDS", "EXTRA_CA_NAMES", "CannotReach", "Dialer", "verifying_context"]
