"""Where the relay and the parsers meet: bytes of one exchange in, drops out.

The relay moves bytes and knows HTTP framing; a tap watches one request and its answer and knows
a dialect. A tap cannot change, delay or stop what passes. `tap_for` picks one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agentprov.formats.exchange import Exchange

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class TapContext:
    """What a tap may know beside the bytes, and where it hands its results.

    `host` is the model's host as its URL has it (with a port that is not the scheme's own).
    `key` is the session's secret for keyed digests. `now` gives RFC 3339 with Z, `number` the
    next exchange number (growing, also over a restart of the relay; not without holes).
    `emit` drops a finished exchange; `gap` drops a stretch in which the tap saw nothing it
    could read, in words that name no header, key or text of the exchange.
    """

    host: str
    provider: str
    key: bytes
    now: Callable[[], str]
    number: Callable[[], int]
    emit: Callable[[Exchange], None]
    gap: Callable[[str], None]


class Tap(Protocol):
    """Watches one exchange; called in wire order, each piece after it was passed on.

    An answer may begin, and end, before the request's body has ended. Bodies are de-chunked but
    not de-compressed; pieces split anywhere. Interim answers (1xx) and trailers are not shown.
    Every exchange ends with one `response_end`, also when no answer came. A tap that raises is
    dropped, with a gap, and the relay goes on without it.
    """

    def request_head(self, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the request line and headers; `path` is what the model's host got, with query."""
        ...

    def request_body(self, data: bytes) -> None:
        """Take a piece of the request's body."""
        ...

    def request_end(self) -> None:
        """Learn that the request is complete."""
        ...

    def response_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the final status and headers; names as they came, any case."""
        ...

    def response_body(self, data: bytes) -> None:
        """Take a piece of the answer's body."""
        ...

    def response_end(self, cut: bool) -> None:
        """Learn that the exchange is over; `cut` when the answer did not come to its own end."""
        ...


def tap_for(
    method: str, path: str, headers: list[tuple[bytes, bytes]], context: TapContext
) -> Tap | None:
    """Choose the tap for a request; None for requests that speak no dialect we read.

    The relay calls `request_head` on it next.
    """
    # Parsers load on first use.
    from agentprov.record.gateway.exchange import tap_for as choose

    return choose(method, path, headers, context)


__all__ = ["Headers", "Tap", "TapContext", "tap_for"]
