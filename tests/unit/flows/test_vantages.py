from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentprov.errors import CannotStart
from agentprov.flows.vantages import Wire
from agentprov.formats import exchange
from agentprov.formats.dropbox import Drop
from agentprov.formats.facts import AgentReport
from agentprov.ports import Launch, LaunchContext, Upstream
from agentprov.record.agents.any_command import AnyCommand


class Redirected(AnyCommand):
    """An agent that can be pointed somewhere else by a variable."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def upstream(self, context: LaunchContext) -> Upstream:
        return self._upstream

    def redirect(self, context: LaunchContext, launch: Launch, base_url: str) -> Launch:
        return Launch(launch.argv, {"BASE": base_url})


KNOWN = Upstream("http://127.0.0.1:9/v1", "scripted")
UNKNOWN = Upstream(None, "", "it signs in with an account")
LAUNCH = Launch(("agent",))


@pytest.fixture
def context(tmp_path: Path) -> LaunchContext:
    spool = tmp_path / "spool"
    spool.mkdir()
    return LaunchContext(
        argv=("agent",),
        cwd=tmp_path,
        top=tmp_path,
        home=tmp_path,
        environment={"PATH": "/usr/bin:/bin", "NO_PROXY": "intern.example"},
        scratch=tmp_path,
        spool_script=tmp_path / "spool.sh",
        started="2026-01-01T00:00:00.000Z",
    )


@pytest.fixture
def wires(context: LaunchContext) -> Iterator[list[Wire]]:
    made: list[Wire] = []
    yield made
    for wire in made:
        wire.stop()


def wire(wires: list[Wire], upstream: Upstream, context: LaunchContext) -> Wire:
    wires.append(Wire(Redirected(upstream), context))
    return wires[-1]


def test_an_agent_that_can_be_redirected_is_and_its_channel_is_named(
    wires: list[Wire], context: LaunchContext, tmp_path: Path
) -> None:
    made = wire(wires, KNOWN, context)
    launch = made.set_up("auto", tmp_path / "spool", LAUNCH)
    assert launch.environment["BASE"].startswith("http://127.0.0.1:")
    assert launch.channels == ("wire",)
    assert made.relayed


def test_an_agent_that_must_be_left_alone_is_with_the_reason(
    wires: list[Wire], context: LaunchContext, tmp_path: Path
) -> None:
    made = wire(wires, UNKNOWN, context)
    assert made.set_up("auto", tmp_path / "spool", LAUNCH) == LAUNCH
    assert made.why_not == "it signs in with an account"
    assert not made.relayed


def test_who_insists_on_the_wire_is_refused_where_it_cannot_be_had(
    wires: list[Wire], context: LaunchContext, tmp_path: Path
) -> None:
    with pytest.raises(CannotStart, match="signs in with an account"):
        wire(wires, UNKNOWN, context).set_up("on", tmp_path / "spool", LAUNCH)


def test_off_is_off(wires: list[Wire], context: LaunchContext, tmp_path: Path) -> None:
    made = wire(wires, KNOWN, context)
    assert made.set_up("off", tmp_path / "spool", LAUNCH) == LAUNCH
    assert made.why_not == "--gateway off"


def test_proxy_mode_gives_proxy_and_authority_for_this_run_and_keeps_local_servers_out(
    wires: list[Wire], context: LaunchContext, tmp_path: Path
) -> None:
    launch = wire(wires, UNKNOWN, context).set_up("proxy", tmp_path / "spool", LAUNCH)
    assert launch.environment["HTTPS_PROXY"].startswith("http://")
    assert launch.environment["NO_PROXY"] == "intern.example,127.0.0.1,localhost,::1"
    for name in ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "CODEX_CA_CERTIFICATE"):
        assert Path(launch.environment[name]).is_file()


def test_what_the_gateway_told_is_put_beside_the_report(
    wires: list[Wire], context: LaunchContext, tmp_path: Path
) -> None:
    made = wire(wires, KNOWN, context)
    made.set_up("auto", tmp_path / "spool", LAUNCH)
    begun, ended = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
    answered = exchange.Exchange(
        1, "anthropic", "scripted", "h", begun, ended, 200, True, requested="a", served="b"
    )
    gap = {"why": "gateway-restarted", "start": begun, "end": ended}

    def told(event: str, payload: bytes) -> Drop:
        return Drop(exchange.CHANNEL, event, exchange.sealed(made.key, event, payload))

    drops = [
        told(exchange.EVENT, exchange.encode(answered)),
        told(exchange.GAP_EVENT, json.dumps(gap).encode()),
        told(exchange.EVENT, b"rubbish"),
    ]
    report = made.seen(AgentReport(), drops)
    assert [(m.requested, m.served, m.basis) for m in report.models] == [("a", "b", "intercepted")]
    assert {g.why for g in report.gaps} == {"gateway-restarted", "wire-drop-unreadable"}
    assert not report.wire_complete


@pytest.mark.parametrize("seal", ["none", "another key", "another event"])
def test_what_somebody_else_put_into_the_spool_is_not_the_wire(
    wires: list[Wire], context: LaunchContext, tmp_path: Path, seal: str
) -> None:
    made = wire(wires, KNOWN, context)
    made.set_up("auto", tmp_path / "spool", LAUNCH)
    begun, ended = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
    forged = exchange.encode(
        exchange.Exchange(1, "anthropic", "scripted", "h", begun, ended, 200, True, served="b")
    )
    payload = {
        "none": forged,
        "another key": exchange.sealed(b"k", exchange.EVENT, forged),
        "another event": exchange.sealed(made.key, exchange.GAP_EVENT, forged),
    }[seal]
    report = made.seen(AgentReport(), [Drop(exchange.CHANNEL, exchange.EVENT, payload)])
    assert report.models == ()
    assert {gap.why for gap in report.gaps} == {"wire-drop-forged"}
