"""The reader's process: runs the taps, away from the relay; started by `watch`.

``python -I -m agentprov.record.gateway.reader`` reads one line of JSON (spool, key) and then
frames on standard input until its end. On standard output it says how many bytes it is done
with, so that the relay knows what waits and that we live. A parser may take its time here, or
crash, or be killed: the bytes on the wire do not notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from agentprov.record.gateway import frames
from agentprov.record.gateway.frames import Frame, Kind
from agentprov.record.gateway.framing import Headers
from agentprov.record.gateway.spooling import Ledger, as_text
from agentprov.record.gateway.tap import Tap, TapContext, tap_for

REPORT = struct.Struct(">BI")
DONE, LOST = 1, 2
_PIECE = 1024 * 1024

TapFactory = Callable[[str, str, Headers, TapContext], Tap | None]


def main() -> int:
    """Read until there is no more."""
    given = json.loads(_line())
    ledger = Ledger(Path(given["spool"]), lambda: _report(LOST, 0), bytes.fromhex(given["key"]))
    taps = Taps(ledger, bytes.fromhex(given["key"]))
    decoder = frames.Decoder()
    while data := os.read(0, _PIECE):
        for frame in decoder.feed(data):
            taps.take(frame)
        _report(DONE, len(data))
    taps.end()
    return 0


def _line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def _report(kind: int, count: int) -> None:
    # A relay that was killed does not listen; what it told us is still written down.
    with contextlib.suppress(OSError):
        os.write(1, REPORT.pack(kind, count))


class Taps:
    """The taps of all exchanges that are under way; one that raises is dropped, with a gap."""

    def __init__(self, ledger: Ledger, key: bytes, factory: TapFactory = tap_for) -> None:
        self._ledger = ledger
        self._key = key
        self._factory = factory
        self._taps: dict[int, Tap] = {}
        self._at_ns = 0

    def take(self, frame: Frame) -> None:
        """Show one thing that happened to the tap that it concerns."""
        self._at_ns = frame.at_ns
        try:
            if frame.kind is Kind.BEGIN:
                self._begin(frame)
            elif (tap := self._taps.get(frame.number)) is not None:
                self._show(tap, frame)
        except Exception as error:  # noqa: BLE001 - one exchange's parser must not cost the others
            self._taps.pop(frame.number, None)
            # The message may quote what was parsed; the kind of error cannot.
            self._ledger.gap("gateway-parser-failed", type(error).__name__)

    def end(self) -> None:
        """Take every exchange that is still under way for cut."""
        for number in list(self._taps):
            self.take(Frame(Kind.CUT, number, self._at_ns))

    def _begin(self, frame: Frame) -> None:
        asked = frames.decode_beginning(frame.payload)
        context = TapContext(
            host=asked.host,
            provider=asked.provider,
            key=self._key,
            now=lambda: as_text(self._at_ns),
            number=lambda: frame.number,
            emit=self._ledger.emit,
            gap=lambda why: self._ledger.gap(why, asked.host),
        )
        tap = self._factory(asked.method, asked.path, asked.headers, context)
        if tap is not None:
            self._taps[frame.number] = tap
            tap.request_head(asked.method, asked.path, asked.headers)

    def _show(self, tap: Tap, frame: Frame) -> None:
        match frame.kind:
            case Kind.ASKED:
                tap.request_body(frame.payload)
            case Kind.ASKED_ALL:
                tap.request_end()
            case Kind.ANSWER:
                tap.response_head(*frames.decode_answer(frame.payload))
            case Kind.ANSWERED:
                tap.response_body(frame.payload)
            case Kind.END | Kind.CUT:
                del self._taps[frame.number]
                tap.response_end(frame.kind is Kind.CUT)
            case Kind.BEGIN:
                pass


if __name__ == "__main__":
    sys.exit(main())
