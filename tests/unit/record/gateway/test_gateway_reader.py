"""The reader: taps cannot hurt each other; what they raise becomes a gap, what they find a drop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentprov.formats import dropbox
from agentprov.formats.exchange import Exchange, decode, unsealed
from agentprov.record.gateway.frames import Beginning, Frame, Kind, encode_answer, encode_beginning
from agentprov.record.gateway.framing import Headers
from agentprov.record.gateway.reader import Taps
from agentprov.record.gateway.spooling import Ledger, as_text
from agentprov.record.gateway.tap import Tap, TapContext

STEPS = ("request_head", "request_body", "request_end", "response_head", "response_body")
BEGUN = 1_700_000_000_123_999_999
ENDED = BEGUN + 2_000_000_000


class Clumsy:
    """A tap that emits an exchange at the end, unless it fails at a step."""

    def __init__(self, context: TapContext, fails_at: str) -> None:
        self.context = context
        self.fails_at = fails_at
        self.heard: list[str] = []
        self.number = context.number()
        self.started = context.now()

    def _step(self, name: str) -> None:
        self.heard.append(name)
        if name == self.fails_at:
            raise ValueError("sk-secret")

    def request_head(self, method: str, path: str, headers: Headers) -> None:
        self._step("request_head")

    def request_body(self, data: bytes) -> None:
        self._step("request_body")

    def request_end(self) -> None:
        self._step("request_end")

    def response_head(self, status: int, headers: Headers) -> None:
        self._step("response_head")

    def response_body(self, data: bytes) -> None:
        self._step("response_body")

    def response_end(self, cut: bool) -> None:
        self._step("response_end")
        c = self.context
        c.emit(
            Exchange(
                self.number, "anthropic", c.provider, c.host, self.started, c.now(), 200, not cut
            )
        )


def reader(
    spool: Path, lost: list[int], fails_at: str = "", made: list[Clumsy] | None = None
) -> Taps:
    def choose(method: str, path: str, headers: Headers, context: TapContext) -> Tap | None:
        if path == "/none":
            return None
        if fails_at == "choose" and context.number() == 7:
            raise RuntimeError("sk-secret")
        tap = Clumsy(context, fails_at if context.number() == 7 else "")
        if made is not None:
            made.append(tap)
        return tap

    return Taps(Ledger(spool, lambda: lost.append(1)), b"key", choose)


def begin(number: int, path: str = "/v1/messages") -> Frame:
    asked = Beginning("POST", path, [(b"x-api-key", b"sk-secret")], "api.model.example", "model")
    return Frame(Kind.BEGIN, number, BEGUN, encode_beginning(asked))


def play(taps: Taps, number: int, path: str = "/v1/messages") -> None:
    taps.take(begin(number, path))
    for kind, payload in (
        (Kind.ASKED, b"a"),
        (Kind.ASKED_ALL, b""),
        (Kind.ANSWER, encode_answer(200, [])),
        (Kind.ANSWERED, b"c"),
        (Kind.END, b""),
        (Kind.CUT, b""),
    ):
        taps.take(Frame(kind, number, ENDED, payload))


def drops(spool: Path) -> list[dropbox.Drop]:
    return [dropbox.decode(path.read_bytes()) for path in sorted(spool.glob("*.drop"))]


def test_a_finished_exchange_is_dropped_with_its_number_and_the_wires_times(
    tmp_path: Path,
) -> None:
    made: list[Clumsy] = []
    play(reader(tmp_path, [], made=made), 7)
    (drop,) = drops(tmp_path)
    assert (drop.channel, drop.event) == ("gateway", "exchange")
    exchange = decode(drop.payload)
    assert (exchange.number, exchange.host, exchange.provider, exchange.complete) == (
        7,
        "api.model.example",
        "model",
        True,
    )
    assert (exchange.started, exchange.finished) == (
        "2023-11-14T22:13:20.123Z",
        "2023-11-14T22:13:22.123Z",
    )
    assert made[0].heard == [*STEPS, "response_end"]


@pytest.mark.parametrize("step", ["choose", *STEPS, "response_end"])
def test_a_tap_that_raises_is_dropped_with_a_gap_that_quotes_nothing(
    tmp_path: Path, step: str
) -> None:
    made: list[Clumsy] = []
    taps = reader(tmp_path, [], step, made)
    taps.take(begin(8))
    play(taps, 7)
    taps.take(Frame(Kind.END, 8, ENDED))
    by_event = {drop.event: unsealed(drop.payload) for drop in drops(tmp_path)}
    assert sorted(by_event) == ["exchange", "gap"]
    assert decode(by_event["exchange"]).number == 8
    assert b"sk-secret" not in by_event["gap"]
    gap = json.loads(by_event["gap"])
    assert gap["why"] == "gateway-parser-failed"
    assert gap["detail"] == ("RuntimeError" if step == "choose" else "ValueError")
    if step != "choose":
        assert made[1].heard[-1] == step


def test_what_is_under_way_at_the_end_is_cut(tmp_path: Path) -> None:
    taps = reader(tmp_path, [])
    taps.take(begin(7))
    taps.end()
    (drop,) = drops(tmp_path)
    assert not decode(drop.payload).complete


def test_a_request_without_a_dialect_leaves_nothing(tmp_path: Path) -> None:
    play(reader(tmp_path, []), 7, "/none")
    assert drops(tmp_path) == []


def test_a_drop_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    lost: list[int] = []
    play(reader(tmp_path / "gone", lost), 7)
    assert lost == [1]


def test_a_closed_ledger_writes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, lambda: None)
    ledger.close()
    ledger.gap("anything")
    assert drops(tmp_path) == []


def test_times_are_cut_not_rounded() -> None:
    assert as_text(1_700_000_000_999_999_999) == "2023-11-14T22:13:20.999Z"
