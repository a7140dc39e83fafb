"""Keeps taps from hurting the relay, and puts what they find into the session's spool."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from agentprov.formats import dropbox
from agentprov.formats.exchange import CHANNEL, EVENT, GAP_EVENT, Exchange, encode
from agentprov.record.gateway.door import Route
from agentprov.record.gateway.framing import Headers
from agentprov.record.gateway.tap import Tap, TapContext, tap_for
from agentprov.system.files import atomic_write

TapFactory = Callable[[str, str, Headers, TapContext], Tap | None]


class Ledger:
    """Writes drops for one relay process; `lost` is called for each that could not be kept.

    `first_number` is above every number that an earlier relay of the session gave.
    """

    def __init__(
        self,
        spool: Path,
        key: bytes,
        first_number: int,
        lost: Callable[[], None],
        factory: TapFactory = tap_for,
    ) -> None:
        self._spool = spool
        self._key = key
        self._number = first_number
        self._lost = lost
        self._factory = factory
        self._closed = False

    def watch(self, route: Route, method: bytes, target: bytes, headers: Headers) -> Watched:
        """Begin to watch one exchange."""
        context = TapContext(
            host=route.authority,
            provider=route.provider,
            key=self._key,
            now=timestamp,
            number=self._next_number,
            emit=self._emit,
            gap=lambda why: self.gap(why, route.authority),
        )
        verb, path = method.decode("latin-1"), target.decode("latin-1")
        watched = Watched(lambda name: self.gap("gateway-parser-failed", name))
        watched.begin(
            lambda: self._factory(verb, path, list(headers), context), verb, path, headers
        )
        return watched

    def gap(self, why: str, detail: str | None = None, start: str | None = None) -> None:
        """Drop a stretch of blindness that ends now."""
        now = timestamp()
        payload = {"why": why, "start": start or now, "end": now, "detail": detail}
        self._drop(GAP_EVENT, json.dumps(payload, separators=(",", ":")).encode())

    def close(self) -> None:
        """Watch and write nothing from now on."""
        self._closed = True

    def _next_number(self) -> int:
        self._number += 1
        return self._number - 1

    def _emit(self, exchange: Exchange) -> None:
        self._drop(EVENT, encode(exchange))

    def _drop(self, event: str, payload: bytes) -> None:
        if self._closed:
            return
        name = f"gateway-{os.getpid()}-{secrets.token_hex(8)}{dropbox.SUFFIX}"
        drop = dropbox.encode(dropbox.Drop(CHANNEL, event, payload))
        try:
            if len(payload) > dropbox.MAX_DROP_BYTES:
                raise OSError("larger than a drop may be")
            atomic_write(self._spool / name, drop, fsync=False)
        except OSError:
            self._lost()


class Watched:
    """A tap, or none, that never raises: the first failure drops it and leaves a gap."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._tap: Tap | None = None
        self._failed = failed

    def begin(
        self, choose: Callable[[], Tap | None], method: str, path: str, headers: Headers
    ) -> None:
        """Choose the tap and show it the request's head."""
        try:
            self._tap = choose()
        except Exception as error:  # noqa: BLE001 - a parser's mistake must not break the agent
            self._drop(error)
        self._tell(lambda tap: tap.request_head(method, path, list(headers)))

    @property
    def live(self) -> bool:
        """Say whether somebody looks at this exchange."""
        return self._tap is not None

    def request_body(self, pieces: list[bytes]) -> None:
        """Pass on pieces of the request's body."""

        def show(tap: Tap) -> None:
            for piece in pieces:
                tap.request_body(piece)

        self._tell(show)

    def request_end(self) -> None:
        """Pass on that the request is complete."""
        self._tell(lambda tap: tap.request_end())

    def response_head(self, status: int, headers: Headers) -> None:
        """Pass on the answer's head."""
        self._tell(lambda tap: tap.response_head(status, list(headers)))

    def response_body(self, pieces: list[bytes]) -> None:
        """Pass on pieces of the answer's body."""

        def show(tap: Tap) -> None:
            for piece in pieces:
                tap.response_body(piece)

        self._tell(show)

    def end(self, cut: bool) -> None:
        """Pass on that the exchange is over; what comes afterwards is not looked at."""
        self._tell(lambda tap: tap.response_end(cut))
        self._tap = None

    def _tell(self, what: Callable[[Tap], None]) -> None:
        if self._tap is None:
            return
        try:
            what(self._tap)
        except Exception as error:  # noqa: BLE001 - as above
            self._drop(error)

    def _drop(self, error: Exception) -> None:
        self._tap = None
        # The message may quote what was parsed; the kind of error cannot.
        self._failed(type(error).__name__)


def timestamp() -> str:
    """Give the time as RFC 3339 with milliseconds and Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["Ledger", "TapFactory", "Watched", "timestamp"]
