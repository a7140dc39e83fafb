"""From the bytes of an answer, as they came, to the events of its dialect."""

from __future__ import annotations

from agentprov.errors import MalformedInput
from agentprov.record.gateway.dialects import decoding, wire_json
from agentprov.record.gateway.dialects.answer import Answer, AnswerReader, error_code
from agentprov.record.gateway.dialects.runs import Runs
from agentprov.record.gateway.dialects.sse import EventStream, event_at

MAX_PLAIN_BYTES = 32 * 1024 * 1024
_BLANK = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"


class AnswerBody:
    """Reads one answer's body, split anywhere: decodes, tells JSON from a stream, parses.

    What the first character says counts, not the Content-Type, which servers get wrong. What
    cannot be read becomes a fault of the answer; `feed` and `end` raise nothing.
    """

    def __init__(self, reader: AnswerReader, content_encoding: str, status: int) -> None:
        self._reader = reader
        self._status = status
        self._events: EventStream | None = None
        self._runs = Runs(reader.passing)
        self._plain: bytearray | None = None
        self._head = b""
        self._blind = False
        self._count = 0
        self._decoder: decoding.Decoder | None = None
        try:
            self._decoder = decoding.decoder_for(content_encoding)
        except MalformedInput as error:
            self._give_up(error.message)

    def feed(self, data: bytes) -> None:
        """Take a piece of the body as sent."""
        if self._blind:
            return
        try:
            if self._decoder is None:
                self._decoded(data)
            else:
                for piece in self._decoder.decode(data):
                    self._decoded(piece)
        except MalformedInput as error:
            self._give_up(error.message)

    def _give_up(self, why: str) -> None:
        self._blind = True
        self._plain = None
        self._reader.fault(why)

    def _decoded(self, data: bytes) -> None:
        if self._events is not None:
            self._stream(data)
        elif self._plain is not None:
            self._append(data)
        else:
            self._begin(data)

    def _begin(self, data: bytes) -> None:
        self._head += data
        if len(self._head) < len(_MARK) and _MARK.startswith(self._head):
            return
        start = self._head.removeprefix(_MARK).lstrip(_BLANK)
        if not start:
            # Nothing but blanks so far; two of them say as much as any number.
            self._head = self._head[:2]
            return
        self._head = b""
        if start[:1] in (b"{", b"["):
            self._plain = bytearray()
            self._append(start)
        else:
            self._events = EventStream()
            self._stream(start)

    def _append(self, data: bytes) -> None:
        assert self._plain is not None
        if len(self._plain) + len(data) > MAX_PLAIN_BYTES:
            raise MalformedInput("answer larger than is read")
        self._plain += data

    def _stream(self, data: bytes) -> None:
        assert self._events is not None
        reader = self._reader
        block, at = self._events.feed(data), 0
        while at < len(block):
            begun = at
            event, at = event_at(block, at)
            if event is None:
                continue
            self._count += 1
            reader.forget()
            try:
                reader.data(*event)
            except MalformedInput as error:
                reader.fault(error.message)
                continue
            again = reader.repeatable
            if again is not None and at < len(block):
                at = self._runs.pass_over(block, begun, at, again)

    def end(self, cut: bool) -> Answer:
        """Learn that the body is over; give the answer."""
        if self._events is not None:
            if self._events.oversized:
                self._reader.fault("an event larger than is read")
            if not self._count:
                self._reader.fault("no event in the answer")
        elif self._plain is not None:
            self._read_plain(bytes(self._plain), cut)
        elif not self._blind:
            self._reader.fault("an answer without a body")
        answer = self._reader.result()
        if cut and (self._events is None or self._reader.needs_clean_end):
            answer.ended = False
        return answer

    def _read_plain(self, body: bytes, cut: bool) -> None:
        try:
            value = wire_json.loads(body.decode("utf-8", "replace"))
            if self._status >= 400:
                self._reader.fault(error_code(value[0] if _is_list(value) else value))
            else:
                self._reader.whole(value)
        except MalformedInput as error:
            if not cut:
                self._reader.fault(error.message)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)
