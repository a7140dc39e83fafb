"""The relay's side of reading: tells the reader's process what passes, and never waits for it.

While more than BACKLOG_BYTES wait to be read, the relay is asked to take less from the wire. A
reader that dies, or makes no headway, is replaced; what it was reading is a gap.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agentprov.errors import AgentprovError
from agentprov.record.gateway import frames, reader
from agentprov.record.gateway.door import Route
from agentprov.record.gateway.frames import Frame, Kind
from agentprov.record.gateway.framing import Headers
from agentprov.record.gateway.spooling import Ledger
from agentprov.record.gateway.tap import TapContext, tap_for
from agentprov.system.companion import Companion

BACKLOG_BYTES = 8 * 1024 * 1024
# An answer of more bytes is relayed but not read on: no model says as much, and reading is slow.
MAX_READ_BYTES = 40 * 1024 * 1024
HUNG_SECONDS = 10.0
_AGAIN_SECONDS = 1.0
_FINISH_SECONDS = 3.0
_PIPE_BYTES = 1024 * 1024
_ARGV = (sys.executable, "-I", "-m", "agentprov.record.gateway.reader")


class Watch:
    """Keeps one reader at work, and numbers exchanges from `first_number`; call in the loop."""

    def __init__(
        self,
        spool: Path,
        key: bytes,
        first_number: int,
        ledger: Ledger,
        argv: tuple[str, ...] = _ARGV,
    ) -> None:
        self._orders = json.dumps({"spool": str(spool), "key": key.hex()}).encode() + b"\n"
        self._argv = argv
        self._ledger = ledger
        self._number = first_number
        self._reader: _Reader | None = None
        self._next_start = 0.0
        self._closed = self._finishing = False
        self._replacing: asyncio.Task[None] | None = None
        self._at_ns = time.time_ns()

    async def open(self) -> None:
        """Start the reader; when that fails there is a gap for each exchange."""
        try:
            self._reader = await _Reader.start(
                self._argv, self._orders, self._ledger.lost, self._died
            )
        except (AgentprovError, OSError):
            self._reader = None
        self._next_start = time.monotonic() + _AGAIN_SECONDS

    @property
    def reader_pid(self) -> int | None:
        """Give the process id of the reader that is at work."""
        return self._reader.pid if self._reader is not None else None

    def mark(self) -> None:
        """Take the time for what is told next: when its bytes came, before they left."""
        self._at_ns = time.time_ns()

    @property
    def full(self) -> bool:
        """Say whether so much waits to be read that no more should be taken from the wire."""
        return self._reader is not None and self._reader.waiting > BACKLOG_BYTES

    def exchange(self, route: Route, method: bytes, target: bytes, headers: Headers) -> Watched:
        """Begin to watch one exchange."""
        begun = frames.Beginning(
            method.decode("latin-1"),
            target.decode("latin-1"),
            headers,
            route.authority,
            route.provider,
        )
        if self._closed or not self._read_at_all(begun):
            return Watched(self, None, 0)
        number = self._number
        self._number += 1
        if self._reader is None or self._reader.dead:
            self._ledger.gap("gateway-not-read", route.authority)
            return Watched(self, None, number)
        watched = Watched(self, self._reader, number)
        watched.tell(Kind.BEGIN, frames.encode_beginning(begun))
        return watched

    def _read_at_all(self, begun: frames.Beginning) -> bool:
        # What speaks no dialect need not go through the pipe. Only a look: nothing is told.
        def nothing(*_: object) -> None:
            return None

        look = TapContext(begun.host, "", b"-", lambda: "", lambda: 0, nothing, nothing)
        try:
            return tap_for(begun.method, begun.path, begun.headers, look) is not None
        except Exception:  # noqa: BLE001 - the reader will fail in the same way, and say so
            return True

    def tell(self, to: _Reader, frame: Kind, number: int, payload: bytes) -> None:
        """Tell a reader what happened at the marked time; nothing when it has been replaced."""
        if to is self._reader and not self._closed:
            to.write(frames.encode(Frame(frame, number, self._at_ns, payload)))

    def too_large(self) -> None:
        """Leave a gap for an answer that is not read on."""
        self._ledger.gap("gateway-answer-too-large")

    async def check(self) -> None:
        """Replace a reader that died or makes no headway; call once a second or so."""
        old = self._reader
        if self._closed or self._finishing or self._fine(old):
            return
        if old is not None:
            self._ledger.gap("gateway-parser-died" if old.dead else "gateway-parser-hung")
            old.drop()
            self._reader = None
        if time.monotonic() >= self._next_start:
            # Not before: one that dies at once, again and again, must not eat the machine.
            await self.open()

    def close(self) -> None:
        """Watch nothing from now on."""
        self._closed = True
        if self._reader is not None:
            self._reader.drop()
            self._reader = None

    async def finish(self) -> None:
        """Let the reader come to its end; a gap when it does not."""
        self._finishing = True
        reader, self._reader = self._reader, None
        if reader is not None and not await reader.finish(_FINISH_SECONDS):
            self._ledger.gap("gateway-parser-hung")

    @staticmethod
    def _fine(reader: _Reader | None) -> bool:
        return reader is not None and not reader.dead and not reader.hung

    def _died(self) -> None:
        if not self._closed and not self._finishing:
            self._replacing = asyncio.get_running_loop().create_task(self.check())


class Watched:
    """One exchange, told to the reader that was at work when it began; or to nobody."""

    def __init__(self, watch: Watch, reader: _Reader | None, number: int) -> None:
        self._watch = watch
        self._reader = reader
        self._number = number
        self._left = MAX_READ_BYTES

    @property
    def live(self) -> bool:
        """Say whether somebody looks at this exchange."""
        return self._reader is not None

    def request_body(self, pieces: list[bytes]) -> None:
        """Tell pieces of the request's body."""
        for piece in pieces:
            self.tell(Kind.ASKED, piece)

    def request_end(self) -> None:
        """Tell that the request is complete."""
        self.tell(Kind.ASKED_ALL)

    def response_head(self, status: int, headers: Headers) -> None:
        """Tell the answer's head."""
        if self.live:
            self.tell(Kind.ANSWER, frames.encode_answer(status, headers))

    def response_body(self, pieces: list[bytes]) -> None:
        """Tell pieces of the answer's body, as long as it is not too long to be read."""
        if not self.live or self._left < 0 or not pieces:
            return
        content = b"".join(pieces)
        self._left -= len(content)
        if self._left < 0:
            self._watch.too_large()
        else:
            self.tell(Kind.ANSWERED, content)

    def end(self, cut: bool) -> None:
        """Tell that the exchange is over; what comes afterwards is told to nobody."""
        self.tell(Kind.CUT if cut or self._left < 0 else Kind.END)
        self._reader = None

    def tell(self, kind: Kind, payload: bytes = b"") -> None:
        """Tell one thing."""
        if self._reader is not None:
            self._watch.tell(self._reader, kind, self._number, payload)


class _Reader(asyncio.Protocol):
    """One reader's process; `waiting` is how many bytes it has been told and not yet read."""

    def __init__(
        self, companion: Companion, lost: Callable[[], None], died: Callable[[], None]
    ) -> None:
        self._companion = companion
        self._lost = lost
        self._died = died
        self.pid = companion.pid
        self._held = b""
        self._pipe: asyncio.WriteTransport | None = None
        self._moved = time.monotonic()
        self._gone = asyncio.get_running_loop().create_future()
        self.waiting = 0
        self.dead = False

    @classmethod
    async def start(
        cls,
        argv: tuple[str, ...],
        orders: bytes,
        lost: Callable[[], None],
        died: Callable[[], None],
    ) -> _Reader:
        """Start a process and give it its orders."""
        loop = asyncio.get_running_loop()
        companion = Companion(argv, os.environ)
        made = cls(companion, lost, died)
        companion.tell(orders)
        with contextlib.suppress(ImportError, AttributeError, OSError):
            import fcntl

            fcntl.fcntl(companion.input, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        made._pipe, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, companion.input)
        await loop.connect_read_pipe(lambda: made, companion.output)
        return made

    def write(self, data: bytes) -> None:
        """Send bytes; they wait here when the pipe is full."""
        if self._pipe is not None and not self.dead:
            if self.waiting == 0:
                self._moved = time.monotonic()
            self.waiting += len(data)
            self._pipe.write(data)

    @property
    def hung(self) -> bool:
        """Say that something waits and nothing was read for HUNG_SECONDS."""
        return self.waiting > 0 and time.monotonic() - self._moved > HUNG_SECONDS

    def data_received(self, data: bytes) -> None:
        self._moved = time.monotonic()
        self._held += data
        while len(self._held) >= reader.REPORT.size:
            kind, count = reader.REPORT.unpack_from(self._held)
            self._held = self._held[reader.REPORT.size :]
            if kind == reader.LOST:
                self._lost()
            self.waiting -= count

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        fell = not self.dead
        self.dead = True
        self.waiting = 0
        if not self._gone.done():
            self._gone.set_result(None)
        if fell:
            self._died()

    def drop(self) -> None:
        """End the process now."""
        self.dead = True
        self.waiting = 0
        if self._pipe is not None and not self._pipe.is_closing():
            self._pipe.abort()
        self._companion.end(0)

    async def finish(self, timeout: float) -> bool:
        """Close its input and wait until it has read everything; False when it did not."""
        whole = not self.dead
        if self._pipe is not None and not self._pipe.is_closing():
            self._pipe.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._gone), timeout)
        status = self._companion.end(0.2)
        return whole and status == 0


__all__ = ["BACKLOG_BYTES", "HUNG_SECONDS", "MAX_READ_BYTES", "Watch", "Watched"]
