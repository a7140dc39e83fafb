"""Assembles one Exchange from the bytes of one request and its answer.

Sans-IO: pieces of bytes in, one finished Exchange out through the context's `emit`; time and
numbers come from the context too. Only what must be done while bytes pass is done then (keyed
digests, the stream of events); the request is read when everything has passed.
"""

from __future__ import annotations

import hmac
from dataclasses import replace

from agentprov.errors import MalformedInput
from agentprov.formats import exchange as format_
from agentprov.formats.exchange import Exchange
from agentprov.record.gateway import dialects
from agentprov.record.gateway.dialects import decoding, request, wire_json
from agentprov.record.gateway.dialects.answer import Answer
from agentprov.record.gateway.dialects.body import AnswerBody
from agentprov.record.gateway.tap import Tap, TapContext

MAX_REQUEST_BYTES = 64 * 1024 * 1024
MAX_ENCODED_BYTES = 56 * 1024 * 1024
_MAX_WHY = 300
_REQUEST_IDS = ("request-id", "x-request-id", "x-goog-request-id", "x-amzn-requestid")


def tap_for(
    method: str, path: str, headers: list[tuple[bytes, bytes]], context: TapContext
) -> Tap | None:
    """Choose the tap for a request; None for requests that speak no dialect we read."""
    del headers
    speech = dialects.recognise(method, path)
    return None if speech is None else ExchangeTap(speech, context)


class ExchangeTap:
    """Watches one exchange and emits it when it is over, whatever became of it.

    Holds the request's body up to MAX_REQUEST_BYTES, one unfinished event of the answer, and
    the text of the answer up to `answer.MAX_CHARACTERS`; of larger ones the digests go on and
    the exchange says why it holds no content.
    """

    def __init__(self, speech: dialects.Speech, context: TapContext) -> None:
        self._speech = speech
        self._context = context
        self._number = 0
        self._started = ""
        self._headers: dict[str, str] = {}
        self._asked = bytearray()
        self._asked_all = False
        self._too_large = False
        self._request_mac = hmac.new(context.key, digestmod="sha256")
        self._answer_mac = hmac.new(context.key, digestmod="sha256")
        self._status = 0
        self._answer_headers: dict[str, str] = {}
        self._body: AnswerBody | None = None

    def request_head(self, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the request line and headers; credentials among them are not looked at."""
        del method, path
        self._number = self._context.number()
        self._started = self._context.now()
        self._headers = _plain(headers)

    def request_body(self, data: bytes) -> None:
        """Take a piece of the request's body."""
        self._request_mac.update(data)
        if len(self._asked) + len(data) > MAX_REQUEST_BYTES:
            self._too_large = True
            self._asked.clear()
        elif not self._too_large:
            self._asked += data

    def request_end(self) -> None:
        """Learn that the request is complete."""
        self._asked_all = True

    def response_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the final status and headers."""
        self._status = status
        self._answer_headers = _plain(headers)
        encoding = self._answer_headers.get("content-encoding", "")
        self._body = AnswerBody(self._speech.answer(), encoding, status)

    def response_body(self, data: bytes) -> None:
        """Take a piece of the answer's body."""
        self._answer_mac.update(data)
        if self._body is not None:
            self._body.feed(data)

    def response_end(self, cut: bool) -> None:
        """Emit the exchange."""
        finished = self._context.now()
        answer = Answer(faults=["no answer"]) if self._body is None else self._body.end(cut)
        self._context.emit(_bounded(self._exchange(answer, finished, cut)))

    def _exchange(self, answer: Answer, finished: str, cut: bool) -> Exchange:
        asked = self._read_request()
        faults = list(answer.faults)
        if self._status >= 300:
            faults.insert(0, f"status {self._status}")
        elif self._body is not None and not answer.ended and not faults:
            faults.append("cut off" if cut else "no end of the answer")
        named = wire_json.word(self._answer_headers.get("openai-model"))
        if named is not None and answer.served is not None and named != answer.served:
            answer.remarks.append("a header of the answer names another model")
        why = "; ".join([*faults, *asked.why, *answer.remarks])[:_MAX_WHY] or None
        return Exchange(
            number=self._number,
            dialect=self._speech.dialect,
            provider=self._context.provider,
            host=self._context.host,
            started=self._started,
            finished=finished,
            status=self._status,
            complete=answer.ended and not faults,
            requested=asked.requested,
            served=answer.served,
            response_id=answer.response_id,
            request_id=self._request_id(),
            role=asked.role,
            agent_session=asked.agent_session,
            parameters=asked.parameters,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            texts=tuple(answer.texts),
            tool_calls=tuple(answer.tool_calls),
            tools=asked.tools,
            prompt_lines=asked.prompt_lines,
            request_mac=self._request_mac.hexdigest(),
            answer_mac=self._answer_mac.hexdigest(),
            why=why,
        )

    def _read_request(self) -> request.Asked:
        why: str | None = None
        body = bytes(self._asked)
        self._asked.clear()
        if self._too_large:
            why = "larger than is read"
        elif not self._asked_all:
            why = "not whole"
        else:
            try:
                body = _whole(body, self._headers.get("content-encoding", ""))
            except MalformedInput as error:
                why = error.message
        asked = request.read_request(
            b"{}" if why else body,
            self._headers,
            model=self._speech.model,
            parameters=self._speech.parameters,
            key=self._context.key,
        )
        if why is not None:
            return request.Asked(
                requested=asked.requested,
                role=asked.role,
                agent_session=asked.agent_session,
                why=(f"request: {why}",),
            )
        return asked

    def _request_id(self) -> str | None:
        found = (wire_json.identifier(self._answer_headers.get(name)) for name in _REQUEST_IDS)
        return next((one for one in found if one is not None), None)


def _plain(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        label = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        found[label] = f"{found[label]}, {text}" if label in found else text
    return found


def _whole(body: bytes, content_encoding: str) -> bytes:
    decoder = decoding.decoder_for(content_encoding)
    if decoder is None:
        return body
    decoded = bytearray()
    for piece in decoder.decode(body):
        if len(decoded) + len(piece) > MAX_REQUEST_BYTES:
            raise MalformedInput("larger than is read")
        decoded += piece
    return bytes(decoded)


def _bounded(exchange: Exchange) -> Exchange:
    # Text may grow sixfold when it is escaped; what no drop can hold is counted without content.
    characters = sum(map(len, exchange.texts)) + sum(len(c.arguments) for c in exchange.tool_calls)
    if characters * 6 <= MAX_ENCODED_BYTES or len(format_.encode(exchange)) <= MAX_ENCODED_BYTES:
        return exchange
    why = "; ".join(filter(None, ("more text than is kept", exchange.why)))[:_MAX_WHY]
    return replace(exchange, complete=False, texts=(), tool_calls=(), why=why)
