"""Moves bytes between an agent and a server, unchanged; shows them to a watcher afterwards.

One thread and two directions. Each holds at most one piece that the reader was too slow to
take, so that memory is flat and back pressure is what it would be without us.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
from collections.abc import Callable

from agentprov.system.interpose import Between

PIECE = 64 * 1024
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL
Watch = Callable[[bytes], None]


class _Lane:
    """One direction: from a descriptor to another, with what is still to be written."""

    def __init__(self, source: int, sink: int, watch: Watch) -> None:
        self.source: int | None = source
        self.sink: int | None = sink
        self.waiting = memoryview(b"")
        self._watch = watch
        if stat.S_ISFIFO(os.fstat(sink).st_mode) or stat.S_ISSOCK(os.fstat(sink).st_mode):
            os.set_blocking(sink, False)

    def read(self) -> None:
        assert self.source is not None
        try:
            data = os.read(self.source, PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close_source()
            return
        self.waiting = memoryview(data)
        self.write()
        self._watch(data)

    def write(self) -> None:
        if self.sink is None:
            self.waiting = memoryview(b"")
            return
        try:
            while self.waiting:
                self.waiting = self.waiting[os.write(self.sink, self.waiting) :]
        except BlockingIOError:
            return
        except OSError:
            # Nobody reads: the writer on the other side is to notice, as it would without us.
            self.waiting = memoryview(b"")
            self.close_source()
            self.close_sink()
            return
        if self.source is None:
            self.close_sink()

    def close_source(self) -> None:
        _close(self.source)
        self.source = None
        if not self.waiting:
            self.close_sink()

    def close_sink(self) -> None:
        _close(self.sink)
        self.sink = None


def pump(between: Between, from_agent: Watch, from_server: Watch) -> None:
    """Pass everything on until the server's output has ended and was written.

    A watcher is called after its piece was written as far as the reader took it, and in the
    order in which pieces came: an answer never before what it answers.
    """
    out = _Lane(between.from_caller, between.to_program, from_agent)
    back = _Lane(between.from_program, between.to_caller, from_server)
    while back.sink is not None:
        poller = select.poll()
        for lane in (out, back):
            if lane.waiting and lane.sink is not None:
                poller.register(lane.sink, select.POLLOUT)
            else:
                if lane.source is not None:
                    poller.register(lane.source, select.POLLIN)
                if lane.sink is not None:
                    # No event asked for: poll tells when the reader is gone.
                    poller.register(lane.sink, 0)
        ready = dict(poller.poll())
        for lane in (out, back):
            if lane.waiting:
                if lane.sink in ready:
                    lane.write()
            elif lane.source in ready:
                lane.read()
            elif lane.sink is not None and ready.get(lane.sink, 0) & _GONE:
                lane.close_source()
                lane.close_sink()
    for lane in (out, back):
        _close(lane.source)
        _close(lane.sink)


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.close(descriptor)


__all__ = ["pump"]
