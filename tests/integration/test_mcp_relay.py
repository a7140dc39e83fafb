"""The relay around real processes, and around servers that real agents start."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from agentprov.formats import dropbox
from agentprov.formats.facts import McpSeen
from agentprov.ports import LaunchContext
from agentprov.record.agents.registry import adapter_named
from agentprov.record.mcp import pinning
from agentprov.record.mcp.around import gemini_cli
from agentprov.record.mcp.injection import AROUND, inject
from agentprov.record.spool import Spool
from support import odd_mcp_server
from support.model_endpoint import McpCall, ModelEndpoint, Say, Turn
from support.real_agents import AgentMissing, configure

SUPPORT = Path(__file__).resolve().parents[1] / "support"
ODD = [sys.executable, str(SUPPORT / "odd_mcp_server.py")]
LABNOTES = [sys.executable, str(SUPPORT / "labnotes_server.py")]
RELAY = [sys.executable, "-I", "-m", "agentprov.record.mcp.process"]


def relay(spool: Path, *command: str, name: str = "notes") -> list[str]:
    spool.mkdir(exist_ok=True)
    state = str(spool.parent / "state")
    return [*RELAY, "--name", name, "--spool", str(spool), "--state", state, "--", *command]


def drops(spool: Path, *, ended: int = 0) -> list[dropbox.Drop]:
    """Give what was dropped, once `ended` relays have said that they are done."""
    deadline = time.monotonic() + 20
    while True:
        box = Spool((spool,))
        found = [item.drop for item in box.new()]
        assert box.defects == []
        if sum(b'"ended"' in drop.payload for drop in found) >= ended:
            return found
        assert time.monotonic() < deadline, "the relay did not end"
        time.sleep(0.05)


def request(number: int, method: str, **params: object) -> bytes:
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(message).encode() + b"\n"


HELLO = request(0, "initialize", protocolVersion="2025-06-18", clientInfo={"name": "test"})


def test_bytes_pass_unchanged_whatever_they_are(tmp_path: Path) -> None:
    sent = HELLO + os.urandom(300_000) + b"\n" + request(1, "ping", text="y" * 1_000_000)
    sent += os.urandom(1000)
    plain = subprocess.run(["cat"], input=sent, capture_output=True, check=False)
    done = subprocess.run(
        relay(tmp_path / "spool", "cat"), input=sent, capture_output=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == (plain.stdout, plain.returncode)
    gaps = pinning.seen(drops(tmp_path / "spool", ended=1)).gaps
    assert "mcp-lines-not-read" in {gap.why for gap in gaps}


def test_content_length_framing_passes_blind_and_is_told(tmp_path: Path) -> None:
    sent = b"Content-Length: 2\r\n\r\n{}"
    done = subprocess.run(
        relay(tmp_path / "spool", "cat"), input=sent, capture_output=True, timeout=60, check=False
    )
    assert done.stdout == sent
    found = pinning.seen(drops(tmp_path / "spool", ended=1))
    assert [gap.why for gap in found.gaps] == ["mcp-not-read"]
    assert found.servers[0].why


def test_status_signals_and_standard_error_are_the_servers_own(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    script = "echo words >&2; exit 7"
    done = subprocess.run(relay(spool, "sh", "-c", script), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (7, b"words\n")
    missing = subprocess.run(relay(spool, "no-such-server"), capture_output=True, check=False)
    assert missing.returncode == 127
    assert b"no-such-server" in missing.stderr

    running = subprocess.Popen(
        relay(spool, "sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stdin is not None
    assert running.stdout.readline() == b"up\n"
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 9
    assert running.stdout.read() == b""
    running.stdin.close()
    running.stdout.close()


def test_a_server_ends_when_the_agent_closes_its_input(tmp_path: Path) -> None:
    running = subprocess.Popen(
        relay(tmp_path / "spool", *ODD, "steady"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    out, _ = running.communicate(HELLO, timeout=20)
    assert running.returncode == 0
    assert json.loads(out)["result"]["serverInfo"]["name"] == "odd"


def test_a_megabyte_answer_comes_whole_and_starting_costs_little(tmp_path: Path) -> None:
    sent = HELLO + request(1, "tools/call", name="add", arguments={"text": "1000000"})
    best = 10.0
    for number in range(3):
        started = time.monotonic()
        done = subprocess.run(
            relay(tmp_path / f"spool{number}", *ODD, "steady"),
            input=sent,
            capture_output=True,
            timeout=60,
            check=False,
        )
        best = min(best, time.monotonic() - started)
        answer = json.loads(done.stdout.splitlines()[1])
        assert len(answer["result"]["content"][0]["text"]) == 1_000_000
    assert best < 2


def test_a_server_that_dies_and_one_that_is_silent_are_told_apart(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    call = request(1, "tools/call", name="add", arguments={})
    dying = subprocess.run(
        relay(spool, *ODD, "dying", name="dying"), input=HELLO + call, capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert dying.returncode == 3
    subprocess.run(
        relay(spool, *ODD, "silent", name="silent"), input=HELLO + call, capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip
    found = pinning.seen(drops(spool, ended=2))
    by_name = {server.name: server for server in found.servers}
    assert [c.outcome for c in by_name["dying"].calls] == ["unanswered"]
    assert by_name["dying"].protocol == "2025-06-18"
    assert [gap.detail for gap in found.gaps if gap.why == pinning.SILENT] == [
        "silent ended without an answer to the agent"
    ]


def test_another_list_after_a_restart_is_a_change_with_both_texts(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    call = request(1, "tools/call", name="add", arguments={})
    first = HELLO + request(2, "tools/list")
    second = HELLO + call + call.replace(b'"id": 1', b'"id": 3') + request(2, "tools/list")
    for sent in (first, second):
        subprocess.run(
            relay(spool, *ODD, "changing"), input=sent, capture_output=True, timeout=60, check=True
        )
    dropped = drops(spool, ended=2)
    found = pinning.seen(dropped)
    (changed,) = found.servers[0].changes
    assert (changed.tool, found.servers[0].connections) == ("add", 2)
    assert pinning.keep_texts(dropped, tmp_path) == 1
    kept = json.loads((tmp_path / pinning.TEXTS).read_text())
    assert odd_mcp_server.BEFORE in kept["before"]
    assert odd_mcp_server.AFTER in kept["after"]


# Real agents


@pytest.fixture(params=sorted(AROUND))
def agent(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def session(
    agent: str,
    base: Path,
    servers: Mapping[str, list[str]],
    script: list[Turn],
    *,
    hurt: Callable[[Path], object] | None = None,
) -> tuple[dict[str, McpSeen], pinning.Seen]:
    """Run an agent whose servers are wrapped; give what was seen of each, and all of it.

    `hurt` gets the run's folder before the agent starts.
    """
    repository = base / "repo"
    repository.mkdir()
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    spool, scratch = base / "spool", base / 'the "scratch" folder'
    for folder in (spool, scratch):
        folder.mkdir(mode=0o700)
    with ModelEndpoint(script, root=repository) as endpoint:
        try:
            prefix, environment = configure(agent, base / "home", endpoint.url, {"mcp": servers})
        except AgentMissing as missing:
            pytest.skip(str(missing))
        context = LaunchContext(
            argv=(*prefix, "go on"),
            cwd=repository,
            top=repository,
            home=base / "home",
            environment={**environment, "AGENTPROV_SPOOL": str(spool)},
            scratch=scratch,
            spool_script=base / "none.sh",
            started="2026-11-24T18:46:00Z",
        )
        adapter = adapter_named(agent)
        launch = inject(agent, context, adapter.prepare(context), adapter.mcp_servers(context))
        assert launch.gaps == ()
        if hurt is not None:
            hurt(scratch)
        done = subprocess.run(
            launch.argv,
            cwd=repository,
            env={**context.environment, **launch.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    assert sorted(os.listdir(repository)) == [".git"]
    found = pinning.seen(drops(spool))
    return {server.name: server for server in found.servers}, found


@pytest.mark.agents
def test_an_agents_servers_tools_and_calls_are_seen(agent: str, tmp_path: Path) -> None:
    servers = {"labnotes": LABNOTES, "odd": [*ODD, "steady"]}
    script: list[Turn] = [McpCall("labnotes", "add", {"a": 2, "b": 3}), Say("Done.")]
    by_name, found = session(agent, tmp_path, servers, script)
    labnotes, odd = by_name["labnotes"], by_name["odd"]
    assert (labnotes.stage, odd.stage) == ("called", "listed")
    assert (labnotes.server_name, odd.server_name) == ("labnotes", "odd")
    newest = {
        "claude-code": "2026-07-28",
        "codex": "2025-06-18",
        "gemini-cli": "2025-06-18",
        "opencode": "2025-11-25",
        "qwen-code": "2025-11-25",
    }
    assert labnotes.protocol == newest[agent]
    assert {tool.name for tool in labnotes.tools} == {"add", "save_note"}
    add = next(tool for tool in labnotes.tools if tool.name == "add")
    assert add.description_sha256 == hashlib.sha256(b"Add two numbers.").hexdigest()
    (call,) = labnotes.calls
    assert (call.tool, call.outcome, call.listed) == ("add", "answered", True)
    own = {"claude-code": "toolu_", "codex": "call_"}
    # The others send no id: test_mcp_sessions.py has theirs, from the wire.
    assert (call.call_id or "")[:5] == own.get(agent, "")[:5]
    shadowed = [gap.detail for gap in found.gaps if gap.why == pinning.SHADOWED]
    assert shadowed == ["add: labnotes, odd", "save_note: labnotes, odd"]


@pytest.mark.agents
def test_a_description_that_changes_in_the_middle_of_a_session_is_an_alarm(
    agent: str, tmp_path: Path
) -> None:
    script: list[Turn] = [McpCall("odd", "add", {"a": number, "b": 1}) for number in range(4)]
    by_name, found = session(agent, tmp_path, {"odd": [*ODD, "changing"]}, [*script, Say("Done.")])
    assert len(by_name["odd"].calls) == 4
    if agent in ("codex", "qwen-code"):
        # They do not ask again within a session: the model never sees the new text.
        assert by_name["odd"].changes == ()
        return
    (change,) = by_name["odd"].changes
    assert (change.tool, change.calls) == ("add", 2)
    after = hashlib.sha256(odd_mcp_server.AFTER.encode()).hexdigest()
    assert change.after is not None
    assert change.after.description_sha256 == after
    assert [gap.detail for gap in found.gaps if gap.why == pinning.CHANGED] == [
        "odd: add changed its description"
    ]


@pytest.mark.agents
def test_gemini_cli_goes_on_with_its_server_where_our_script_finds_nothing(tmp_path: Path) -> None:
    def hurt(scratch: Path) -> None:
        (scratch / gemini_cli.SERVERS).write_text("{")

    called = tmp_path / "called"
    server = ["sh", "-c", f"touch {called}; exec {sys.executable} {ODD[1]} steady"]
    script: list[Turn] = [McpCall("odd", "add", {"a": 2, "b": 3}), Say("Done.")]
    by_name, _ = session("gemini-cli", tmp_path, {"odd": server}, script, hurt=hurt)
    assert called.exists()
    assert by_name == {}
