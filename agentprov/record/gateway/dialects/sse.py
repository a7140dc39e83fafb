"""Server-sent events: bytes in, events out, split anywhere (HTML standard, "Event stream").

Two steps, so that a run of events can be read at once: `EventStream` gives the text of whole
events, `event_at` reads one of them. Holds at most one unfinished event. An event that the end of
the stream cuts off is no event.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_EVENT_BYTES = 32 * 1024 * 1024


class Event(NamedTuple):
    """One event: its name (None when it has none) and its data lines joined."""

    name: str | None
    data: str


class EventStream:
    """Splits one stream; `oversized` counts events that were too large and left out.

    Bytes that are not UTF-8 become U+FFFD, as every client reads them.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._pieces: list[bytes] = []
        self._held = 0
        self._last = b""
        self._carriage_return = False
        self._skipping = False
        self.oversized = 0

    def feed(self, data: bytes) -> str:
        """Take a piece of the stream; give the text that it completes, with plain newlines.

        That is empty or whole events, each ended by an empty line.
        """
        data = self._with_plain_newlines(data)
        if not data:
            return ""
        joint = self._last + data
        end = joint.rfind(b"\n\n")
        if end < 0:
            self._hold(data)
            return ""
        end += 2 - len(self._last)
        complete, rest = data[:end], data[end:]
        if self._skipping:
            start = joint.find(b"\n\n") + 2 - len(self._last)
            complete = complete[start:]
            self._skipping = False
        elif self._pieces:
            complete = b"".join([*self._pieces, complete])
        self._pieces.clear()
        self._held = 0
        # The pair that ended the event is used up; a third newline starts no other pair with it.
        self._last = b""
        if rest:
            self._hold(rest)
        return complete.decode("utf-8", "replace")

    def _with_plain_newlines(self, data: bytes) -> bytes:
        if self._carriage_return:
            data = b"\r" + data
            self._carriage_return = False
        if data.endswith(b"\r"):
            self._carriage_return = True
            data = data[:-1]
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _hold(self, data: bytes) -> None:
        self._last = data[-1:]
        if self._skipping:
            return
        self._held += len(data)
        if self._held > self._limit:
            self.oversized += 1
            self._skipping = True
            self._pieces.clear()
            self._held = 0
        else:
            self._pieces.append(data)


def event_at(block: str, at: int) -> tuple[Event | None, int]:
    """Read the event at a place of a block from `feed`; give it and where the next one begins.

    None for one that has no data: a comment, say.
    """
    end = block.find("\n\n", at)
    if end < 0:
        # An odd number of newlines: the last one is a line of nothing.
        end = len(block)
    # The two shapes that providers send; everything else takes the long way.
    if block.startswith("data: ", at):
        if block.find("\n", at, end) < 0:
            return Event(None, block[at + 6 : end]), end + 2
    elif block.startswith("event: ", at):
        line = block.find("\n", at, end)
        single = line >= 0 and block.startswith("data: ", line + 1)
        if single and block.find("\n", line + 7, end) < 0:
            return Event(block[at + 7 : line] or None, block[line + 7 : end]), end + 2
    return _event(block[at:end]), end + 2


def _event(chunk: str) -> Event | None:
    name: str | None = None
    data: list[str] = []
    for line in chunk.split("\n"):
        field, colon, value = line.partition(":")
        if colon and value.startswith(" "):
            value = value[1:]
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value or None
    return Event(name, "\n".join(data)) if data else None
