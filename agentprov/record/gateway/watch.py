"""Keeps taps from hurting the relay, and puts what they find into the session's spool."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from agentprov.formats import dropbox
from agentprov.formats.exchange import CHANNEL, EVENT, GAP_EVENT, Exchange, encode
from agentprov.record.gateway.door import Route
from agentprov.record.gateway.framing import Headers
from agentprov.record.gateway.tap import Tap, TapContext, tap_for
from agentprov.record.gateway.tap_thread import TapThread, as_text
from agentprov.system.files import atomic_write

# An answer of more bytes is relayed but not read on: no model says as much, and reading is slow.
MAX_READ_BYTES = 40 * 1024 * 1024
_FINISH_SECONDS = 3.0

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
        self.taps = TapThread()

    def watch(self, route: Route, method: bytes, target: bytes, headers: Headers) -> Watched:
        """Begin to watch one exchange."""
        context = TapContext(
            host=route.authority,
            provider=route.provider,
            key=self._key,
            now=self.taps.now,
            number=self._next_number,
            emit=self._emit,
            gap=lambda why: self.gap(why, route.authority),
        )
        verb, path = method.decode("latin-1"), target.decode("latin-1")
        watched = Watched(self.taps, self.gap)
        if not self._closed:
            watched.begin(
                lambda: self._factory(verb, path, list(headers), context), verb, path, headers
            )
        return watched

    def gap(self, why: str, detail: str | None = None) -> None:
        """Drop a stretch of blindness that ends now."""
        now = as_text(time.time_ns())
        payload = {"why": why, "start": now, "end": now, "detail": detail}
        self._drop(GAP_EVENT, json.dumps(payload, separators=(",", ":")).encode())

    def check(self) -> None:
        """Give taps up, with a gap, when one of them hangs; call once a second or so."""
        if self.taps.hung():
            self.gap("gateway-parser-hung")

    def close(self) -> None:
        """Watch and write nothing from now on."""
        self._closed = True

    def finish(self) -> None:
        """Write what is still being read, and end."""
        if not self.taps.finish(_FINISH_SECONDS):
            self.gap("gateway-parser-hung")

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
    """One exchange and its tap, or none. Nothing here raises or waits.

    The tap is called in the thread of `taps`; its first failure drops it and leaves a gap.
    """

    def __init__(self, taps: TapThread, gap: Callable[[str, str | None], None]) -> None:
        self._taps = taps
        self._gap = gap
        self._tap: Tap | None = None
        self._left = MAX_READ_BYTES
        self._over = False

    def begin(
        self, choose: Callable[[], Tap | None], method: str, path: str, headers: Headers
    ) -> None:
        """Choose the tap and show it the request's head."""
        # Chosen here: what nobody reads must not wait in the queue.
        try:
            self._tap = choose()
        except Exception as error:  # noqa: BLE001 - a parser's mistake must not break the agent
            self._drop(error)
        self._tell(lambda tap: tap.request_head(method, path, list(headers)))

    @property
    def live(self) -> bool:
        """Say whether somebody looks at this exchange."""
        return self._tap is not None and not self._over

    def request_body(self, pieces: list[bytes]) -> None:
        """Pass on pieces of the request's body."""

        def show(tap: Tap) -> None:
            for piece in pieces:
                tap.request_body(piece)

        self._tell(show, sum(map(len, pieces)))

    def request_end(self) -> None:
        """Pass on that the request is complete."""
        self._tell(lambda tap: tap.request_end())

    def response_head(self, status: int, headers: Headers) -> None:
        """Pass on the answer's head."""
        self._tell(lambda tap: tap.response_head(status, list(headers)))

    def response_body(self, pieces: list[bytes]) -> None:
        """Pass on pieces of the answer's body, as long as it is not too long to be read."""
        if not self.live or self._left < 0:
            return
        size = sum(map(len, pieces))
        self._left -= size
        if self._left < 0:
            self._gap("gateway-answer-too-large", None)
            return

        def show(tap: Tap) -> None:
            for piece in pieces:
                tap.response_body(piece)

        self._tell(show, size)

    def end(self, cut: bool) -> None:
        """Pass on that the exchange is over; what comes afterwards is not looked at."""
        whole = not cut and self._left >= 0
        self._tell(lambda tap: tap.response_end(not whole))
        self._over = True

    def _tell(self, what: Callable[[Tap], None], size: int = 0) -> None:
        if not self.live:
            return

        def work() -> None:
            tap = self._tap
            try:
                if tap is not None:
                    what(tap)
            except Exception as error:  # noqa: BLE001 - as above
                self._drop(error)

        self._taps.run(work, size)

    def _drop(self, error: Exception) -> None:
        self._tap = None
        # The message may quote what was parsed; the kind of error cannot.
        self._gap("gateway-parser-failed", type(error).__name__)


__all__ = ["MAX_READ_BYTES", "Ledger", "TapFactory", "Watched"]
