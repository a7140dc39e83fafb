"""Taps cannot hurt: what they raise becomes a gap, what they find becomes a drop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentprov.formats import dropbox
from agentprov.formats.exchange import Exchange, decode
from agentprov.record.gateway import watch
from agentprov.record.gateway.door import Route
from agentprov.record.gateway.framing import Headers
from agentprov.record.gateway.tap import Tap, TapContext
from agentprov.record.gateway.watch import Ledger

ROUTE = Route("api.model.example", 443, True, "model")
STEPS = ("request_head", "request_body", "request_end", "response_head", "response_body")


class Clumsy:
    """A tap that emits an exchange at the end, unless it fails at a step."""

    def __init__(self, context: TapContext, fails_at: str = "") -> None:
        self.context = context
        self.fails_at = fails_at
        self.heard: list[str] = []

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
            Exchange(c.number(), "anthropic", c.provider, c.host, c.now(), c.now(), 200, not cut)
        )


def ledger(spool: Path, lost: list[int], fails_at: str = "", taps: list[Clumsy] | None = None):
    def choose(method: str, path: str, headers: Headers, context: TapContext) -> Tap | None:
        if path == "/none":
            return None
        if fails_at == "choose":
            raise RuntimeError("sk-secret")
        tap = Clumsy(context, fails_at)
        if taps is not None:
            taps.append(tap)
        return tap

    return Ledger(spool, b"key", 5_000_000, lambda: lost.append(1), factory=choose)


def play(kept: Ledger, path: bytes = b"/v1/messages") -> None:
    watched = kept.watch(ROUTE, b"POST", path, [(b"x-api-key", b"sk-secret")])
    watched.request_body([b"a", b"b"])
    watched.request_end()
    watched.response_head(200, [])
    watched.response_body([b"c"])
    watched.end(cut=False)
    watched.end(cut=True)
    kept.finish()


def drops(spool: Path) -> list[dropbox.Drop]:
    return [dropbox.decode(path.read_bytes()) for path in sorted(spool.glob("*.drop"))]


def test_a_finished_exchange_is_dropped_into_the_spool(tmp_path: Path) -> None:
    taps: list[Clumsy] = []
    play(ledger(tmp_path, [], taps=taps))
    (drop,) = drops(tmp_path)
    assert (drop.channel, drop.event) == ("gateway", "exchange")
    exchange = decode(drop.payload)
    assert (exchange.number, exchange.host, exchange.provider) == (
        5_000_000,
        "api.model.example",
        "model",
    )
    assert taps[0].heard.count("response_end") == 1


@pytest.mark.parametrize("step", ["choose", *STEPS, "response_end"])
def test_a_tap_that_raises_is_dropped_with_a_gap_that_quotes_nothing(
    tmp_path: Path, step: str
) -> None:
    taps: list[Clumsy] = []
    play(ledger(tmp_path, [], step, taps))
    (drop,) = drops(tmp_path)
    assert drop.event == "gap"
    assert b"sk-secret" not in drop.payload
    assert json.loads(drop.payload)["why"] == "gateway-parser-failed"
    if taps:
        assert taps[0].heard[-1] == step


def test_a_request_without_a_dialect_leaves_nothing(tmp_path: Path) -> None:
    play(ledger(tmp_path, []), b"/none")
    assert drops(tmp_path) == []


def test_a_drop_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    lost: list[int] = []
    play(ledger(tmp_path / "gone", lost))
    assert lost == [1]


def test_an_answer_that_is_too_large_is_not_read_on_and_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MAX_READ_BYTES", 4)
    taps: list[Clumsy] = []
    kept = ledger(tmp_path, [], taps=taps)
    watched = kept.watch(ROUTE, b"POST", b"/v1/messages", [])
    for piece in (b"abcd", b"e", b"f"):
        watched.response_body([piece])
    watched.end(cut=False)
    kept.finish()
    by_event = {drop.event: drop.payload for drop in drops(tmp_path)}
    assert json.loads(by_event["gap"])["why"] == "gateway-answer-too-large"
    assert not decode(by_event["exchange"]).complete
    assert taps[0].heard.count("response_body") == 1


def test_a_closed_ledger_watches_and_writes_nothing(tmp_path: Path) -> None:
    kept = ledger(tmp_path, [])
    kept.close()
    play(kept)
    kept.gap("anything")
    assert drops(tmp_path) == []
