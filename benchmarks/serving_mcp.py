"""The MCP server: until it is ready, beside a bare server of the same library, and one call."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ground import AGENTPROV, PYTHON, Ground
from measure import Failed, Sample, Table, Target, at_most_times, run_cases

_BARE = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare")

@server.tool()
def add(a: int, b: int) -> int:
    \"\"\"Add two numbers.\"\"\"
    return a + b

server.run("stdio")
"""
_HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}
_QUICK = Target("p50 <= 20 ms wall", lambda row: row.wall_p50 <= 20)


class Served:
    """A server over pipes that has answered the handshake."""

    def __init__(self, argv: Sequence[str], cwd: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            argv, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._number = 0
        self.ask("initialize", _HELLO)

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send one request and give its answer; raises Failed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {}
        if "result" not in answer or answer["result"].get("isError"):
            raise Failed(f"{method}: {line.decode('utf-8', 'replace')[:200]}")
        return dict(answer["result"])

    def call(self, tool: str, **arguments: Any) -> None:
        """Call a tool; raises Failed."""
        self.ask("tools/call", {"name": tool, "arguments": arguments})

    def end(self) -> None:
        """Let it end as a client does."""
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait()


def serving(ground: Ground, table: Table) -> None:
    """Time start-ups and calls; an answer to the handshake counts as ready."""
    top = ground.repository("served", 50)
    bare = ground.place / "bare.py"
    bare.write_text(_BARE)
    servers = {
        "bare server, one tool": (PYTHON, "-I", str(bare)),
        "agentprov-mcp": (PYTHON, "-I", "-m", "agentprov_mcp.server"),
        "agentprov mcp": (*AGENTPROV, "mcp"),
    }
    run_cases(
        table,
        "mcp, until ready",
        {name: _start(argv, top, ground.env) for name, argv in servers.items()},
        ground.rounds(20, 5),
        {name: at_most_times(1.2, cpu=True) for name in list(servers)[1:]},
    )
    plain = Served(servers["bare server, one tool"], top, ground.env)
    ours = Served(servers["agentprov mcp"], top, ground.env)
    try:
        ours.call("start_session")
        (top / "new.py").write_text("value = 1\n")
        calls: dict[str, Callable[[], Sample]] = {
            "bare server, add": _call(plain, "add", a=1, b=2),
            "record_decision": _call(ours, "record_decision", text="because it is simpler"),
            "record_artifact": _call(ours, "record_artifact", path="new.py", purpose="a value"),
            "missing_before_commit": _call(ours, "missing_before_commit"),
            "line_provenance": _call(ours, "line_provenance", path="d0000/f000001.txt", line=2),
            "show_commit": _call(ours, "show_commit"),
        }
        wanted = dict.fromkeys(("record_decision", "record_artifact"), _QUICK)
        run_cases(table, "mcp, one call", calls, ground.rounds(60, 15), wanted)
    finally:
        plain.end()
        ours.end()


def _start(argv: Sequence[str], top: Path, env: dict[str, str]) -> Callable[[], Sample]:
    def sample() -> Sample:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        served = Served(argv, top, env)
        wall = (time.perf_counter() - began) * 1_000
        served.end()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Sample(wall, cpu * 1_000)

    return sample


def _call(served: Served, tool: str, **arguments: Any) -> Callable[[], Sample]:
    ticks = os.sysconf("SC_CLK_TCK")

    def used() -> float:
        fields = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(fields[n]) for n in (11, 12)) * 1_000 / ticks

    def sample() -> Sample:
        cpu = used()
        began = time.perf_counter()
        served.call(tool, **arguments)
        wall = (time.perf_counter() - began) * 1_000
        return Sample(wall, used() - cpu)

    return sample
