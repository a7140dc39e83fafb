"""HTTP/1.1 framing without sockets: where heads and bodies end, and nothing more.

The relay passes bytes on as they came; it only has to know where one message stops and the next
begins. Requests are read strictly, because what we and the model's host read differently could
be used to smuggle; answers are read as leniently as clients do. RFC 9112 sections 2 to 7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from agentprov.errors import MalformedInput

MAX_HEAD = 256 * 1024
_MAX_CHUNK_LINE = 16 * 1024
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) (HTTP/1\.[01])\r\n")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\r\n")
_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([0-9]{3})(?: [^\r\n]*)?\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
# From one chunk to the next where nobody adds anything: nearly always.
_NEXT_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,15})\r\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class RequestHead:
    """A request's line and header fields, with the bytes they came in.

    `host_span` is where in `raw` the value of Host stands, `target_span` where the target does.
    """

    raw: bytes
    method: bytes
    target: bytes
    version: bytes
    headers: Headers
    target_span: tuple[int, int]
    host_span: tuple[int, int] | None

    def values(self, name: bytes) -> list[bytes]:
        """Give the values of a header field (lower-case name), in order."""
        return _values(self.headers, name)

    def addressed(self, target: bytes, host: bytes | None) -> bytes:
        """Give the head with another target and Host value; every other byte as it came."""
        pieces = [self.raw[: self.target_span[0]], target]
        rest = self.target_span[1]
        if host is not None and self.host_span is not None:
            pieces += [self.raw[rest : self.host_span[0]], host]
            rest = self.host_span[1]
        return b"".join([*pieces, self.raw[rest:]])


@dataclass(frozen=True)
class ResponseHead:
    """An answer's status and header fields; names and values as they came."""

    status: int
    version: bytes
    headers: Headers

    def values(self, name: bytes) -> list[bytes]:
        """Give the values of a header field (lower-case name), in order."""
        return _values(self.headers, name)


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def head_length(data: bytes | bytearray, seen: int = 0) -> int:
    """Give how many bytes the head at the start of `data` has; 0 when its end is not there yet.

    `seen` bytes were looked at before. Raises MalformedInput for a head over MAX_HEAD.
    """
    end = _HEAD_END.search(data, max(0, seen - 3))
    if (len(data) if end is None else end.end()) > MAX_HEAD:
        raise MalformedInput("the head is too long")
    return end.end() if end is not None else 0


def parse_request(raw: bytes) -> RequestHead:
    """Read a request's head; raises MalformedInput.

    Refuses bare line feeds, folded lines, more than one Host and anything but HTTP/1.0 and 1.1.
    """
    line = _REQUEST_LINE.match(raw)
    if line is None:
        raise MalformedInput("not a request line")
    headers: Headers = []
    host_span = None
    at = line.end()
    while not raw.startswith(b"\r\n", at):
        field = _FIELD.match(raw, at)
        if field is None:
            raise MalformedInput("not a header field")
        if field[1].lower() == b"host":
            if host_span is not None:
                raise MalformedInput("more than one Host")
            host_span = field.span(2)
        headers.append((field[1], field[2]))
        at = field.end()
    if at + 2 != len(raw):
        raise MalformedInput("the head goes on after its end")
    return RequestHead(raw, line[1], line[2], line[3], headers, line.span(2), host_span)


def parse_response(raw: bytes) -> ResponseHead:
    """Read an answer's head; raises MalformedInput only for its first line.

    Lines that are no header fields are skipped, folded ones joined.
    """
    line = _STATUS_LINE.match(raw)
    if line is None:
        raise MalformedInput("not a status line")
    headers: Headers = []
    for text in raw[line.end() :].split(b"\n"):
        if text[:1] in (b" ", b"\t") and text.strip() and headers:
            name, value = headers[-1]
            headers[-1] = (name, value + b" " + text.strip())
            continue
        name, colon, value = text.partition(b":")
        if colon and name.strip():
            headers.append((name.strip(), value.strip()))
    return ResponseHead(int(line[2]), line[1], headers)


class Body:
    """Finds the end of one body in bytes that may split anywhere."""

    def __init__(self, kind: Literal["length", "chunked", "until-close"], length: int = 0) -> None:
        self.kind = kind
        self._left = length
        self._line = b""
        self._state: Literal["size", "data", "data-end", "trailer"] = "size"
        self.done = kind == "length" and length == 0

    def feed(self, data: bytes) -> tuple[int, list[bytes]]:
        """Take bytes; give how many of them belong to this body, and its content without framing.

        Raises MalformedInput for chunks that are none; the body is of no use then.
        """
        if self.done:
            return 0, []
        if self.kind == "until-close":
            return len(data), [data]
        if self.kind == "length":
            used = min(self._left, len(data))
            self._left -= used
            self.done = self._left == 0
            return used, [data if used == len(data) else data[:used]]
        return self._chunks(data)

    def _chunks(self, data: bytes) -> tuple[int, list[bytes]]:
        pieces: list[bytes] = []
        at, size = 0, len(data)
        while at < size and not self.done:
            if self._state == "data":
                at = self._whole_chunks(data, at, pieces)
                continue
            newline = data.find(b"\n", at)
            end = size if newline < 0 else newline + 1
            self._line += data[at:end]
            at = end
            if len(self._line) > _MAX_CHUNK_LINE:
                raise MalformedInput("a chunk's line is too long")
            if newline >= 0:
                line, self._line = self._line, b""
                self._read_line(line)
        return at, pieces

    def _whole_chunks(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Take this chunk's bytes, and those of chunks that follow it plainly."""
        left, size = self._left, len(data)
        while left:
            end = at + left
            if end > size:
                pieces.append(data[at:])
                self._left = end - size
                return size
            pieces.append(data[at:end])
            plain = _NEXT_CHUNK.match(data, end)
            if plain is None:
                self._left, self._state = 0, "data-end"
                return end
            at, left = plain.end(), int(plain[1], 16)
        self._left, self._state = 0, "trailer"
        return at

    def _read_line(self, line: bytes) -> None:
        empty = line in (b"\r\n", b"\n")
        if self._state == "data-end":
            if not empty:
                raise MalformedInput("a chunk is longer than it said")
            self._state = "size"
        elif self._state == "trailer":
            self.done = empty
        else:
            size = _CHUNK_LINE.fullmatch(line)
            if size is None:
                raise MalformedInput("not a chunk size")
            self._left = int(size[1], 16)
            self._state = "data" if self._left else "trailer"


def request_body(head: RequestHead) -> Body:
    """Choose the framing of a request's body; raises MalformedInput where it is ambiguous."""
    codings, lengths = head.values(b"transfer-encoding"), head.values(b"content-length")
    if codings:
        if lengths or head.version != b"HTTP/1.1" or len(codings) > 1:
            raise MalformedInput("two framings at once")
        if codings[0].lower() != b"chunked":
            raise MalformedInput("a transfer coding that we do not know")
        return Body("chunked")
    if not lengths:
        return Body("length", 0)
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise MalformedInput("not a content length")
    return Body("length", int(lengths[0]))


def response_body(head: ResponseHead, method: bytes) -> Body:
    """Choose the framing of the body that answers a request of this method; never raises."""
    if method == b"HEAD" or head.status in (204, 304):
        return Body("length", 0)
    codings = b",".join(head.values(b"transfer-encoding")).lower()
    if codings:
        last = codings.rpartition(b",")[2].strip()
        return Body("chunked" if last == b"chunked" else "until-close")
    lengths = set(head.values(b"content-length"))
    if len(lengths) == 1 and re.fullmatch(rb"[0-9]{1,18}", only := lengths.pop()):
        return Body("length", int(only))
    return Body("until-close")


__all__ = [
    "MAX_HEAD",
    "Body",
    "Headers",
    "RequestHead",
    "ResponseHead",
    "head_length",
    "parse_request",
    "parse_response",
    "request_body",
    "response_body",
]
