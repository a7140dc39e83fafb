"""Bodies as model endpoints send them (tests/data/wire), and a tap driven by hand.

The samples follow the providers' documentation: events, order, chunk sizes and odd fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from agentprov.formats.exchange import Exchange, decode, encode
from agentprov.record.gateway.dialects.sse import Event, EventStream, event_at
from agentprov.record.gateway.tap import TapContext, tap_for

DATA = Path(__file__).resolve().parents[1] / "data" / "wire"
KEY = bytes(range(32))
PATHS = {
    "anthropic": "/v1/messages?beta=true",
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "google": "/v1beta/models/gemini-9-pro:streamGenerateContent?alt=sse",
}


def body(name: str) -> bytes:
    """Give a sample's bytes."""
    return (DATA / name).read_bytes()


def stream(*events: dict[str, Any], named: bool = True) -> bytes:
    """Write events as a stream, each under the name of its type."""
    lines = []
    for event in events:
        head = f"event: {event['type']}\n" if named and "type" in event else ""
        lines.append(f"{head}data: {json.dumps(event)}\n\n")
    return "".join(lines).encode()


def events_of(stream: EventStream, piece: bytes) -> list[Event]:
    """Feed a piece of a stream; give the events that it completes."""
    block, at, found = stream.feed(piece), 0, []
    while at < len(block):
        event, at = event_at(block, at)
        if event is not None:
            found.append(event)
    return found


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Split bytes at some places."""
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


def observe(
    dialect: str,
    answer: bytes | Sequence[bytes] | None,
    *,
    asked: Any = None,
    status: int = 200,
    cut: bool = False,
    path: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    answer_headers: Sequence[tuple[str, str]] = (),
    key: bytes = KEY,
    through_a_drop: bool = True,
) -> Exchange:
    """Drive the tap of a dialect through one exchange; give what it emitted.

    `asked` is the request: bytes as sent, or a value that becomes JSON. The result went through
    `encode` and `decode`, as it does between the gateway and the recorder.
    """
    emitted: list[Exchange] = []
    times = iter(f"2026-11-24T10:00:0{n}.000Z" for n in range(10))
    context = TapContext(
        host="api.example.com",
        provider="example",
        key=key,
        now=lambda: next(times),
        number=lambda: 7,
        emit=emitted.append,
        gap=lambda why: None,
    )
    target = path or PATHS[dialect]
    sent = [(n.encode(), v.encode()) for n, v in headers]
    tap = tap_for("POST", target, sent, context)
    assert tap is not None
    tap.request_head("POST", target, sent)
    request = asked if isinstance(asked, bytes) else json.dumps(asked or {"model": "m"}).encode()
    tap.request_body(request)
    tap.request_end()
    if answer is not None:
        tap.response_head(status, [(n.encode(), v.encode()) for n, v in answer_headers])
        for piece in [answer] if isinstance(answer, bytes) else answer:
            tap.response_body(piece)
    tap.response_end(cut)
    assert len(emitted) == 1
    return decode(encode(emitted[0])) if through_a_drop else emitted[0]
