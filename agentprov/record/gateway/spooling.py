"""Writes the gateway's drops: exchanges, and gaps that quote nothing of the wire."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from agentprov.formats import dropbox
from agentprov.formats.exchange import CHANNEL, EVENT, GAP_EVENT, Exchange, encode, sealed
from agentprov.system.files import atomic_write


class Ledger:
    """Puts drops into one session's spool, sealed with the session's key.

    `lost` is called for each that could not be kept.
    """

    def __init__(self, spool: Path, lost: Callable[[], None], key: bytes = b"") -> None:
        self._spool = spool
        self._key = key
        self.lost = lost
        self._closed = False

    def gap(self, why: str, detail: str | None = None) -> None:
        """Drop a stretch of blindness that ends now."""
        now = as_text(time.time_ns())
        payload = {"why": why, "start": now, "end": now, "detail": detail}
        self._drop(GAP_EVENT, json.dumps(payload, separators=(",", ":")).encode())

    def emit(self, exchange: Exchange) -> None:
        """Drop a finished exchange."""
        self._drop(EVENT, encode(exchange))

    def close(self) -> None:
        """Write nothing from now on."""
        self._closed = True

    def _drop(self, event: str, payload: bytes) -> None:
        if self._closed:
            return
        name = f"gateway-{os.getpid()}-{secrets.token_hex(8)}{dropbox.SUFFIX}"
        drop = dropbox.encode(dropbox.Drop(CHANNEL, event, sealed(self._key, event, payload)))
        try:
            if len(payload) > dropbox.MAX_DROP_BYTES:
                raise OSError("larger than a drop may be")
            atomic_write(self._spool / name, drop, fsync=False)
        except OSError:
            self.lost()


def as_text(nanoseconds: int) -> str:
    """Write a time since the epoch as RFC 3339 with milliseconds and Z."""
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000 / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["Ledger", "as_text"]
