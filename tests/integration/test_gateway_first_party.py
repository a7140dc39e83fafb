"""Proxy mode with a real agent: its requests to its own host are read, with no base URL set."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.gateways import certified, drops, gateway_to
from support.model_endpoint import ModelEndpoint, Say, Write
from support.real_agents import API_KEY, AgentMissing, configure
from support.wire_host import WireHost, hand_on_to, tunnel_to

pytestmark = pytest.mark.agents
HOST = "api.anthropic.com"


def test_claude_code_is_read_on_its_way_to_its_own_host(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    script = [Write("hello.txt", "hello\n"), Say("Done.")]
    ca, context = certified(tmp_path, HOST)
    with (
        ModelEndpoint(script, work, served="claude-served-1") as endpoint,
        WireHost(hand_on_to(int(endpoint.url.rpartition(":")[2])), tls=context) as model,
        WireHost(tunnel_to(model.port)) as company,
        gateway_to(
            tmp_path,
            environment={
                "SSL_CERT_FILE": str(ca),
                "HTTPS_PROXY": f"http://127.0.0.1:{company.port}",
            },
            proxied={HOST: "anthropic"},
        ) as gateway,
    ):
        try:
            argv, environment = configure("claude-code", tmp_path / "home", "unused")
        except AgentMissing as missing:
            pytest.skip(str(missing))
        del environment["ANTHROPIC_BASE_URL"]
        environment["HTTPS_PROXY"] = str(gateway.proxy_url)
        environment["NODE_EXTRA_CA_CERTS"] = str(gateway.ca_file)
        done = subprocess.run(
            [*argv, "Write a greeting."],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        gateway.stop()
        assert done.returncode == 0, done.stdout + done.stderr
        assert (work / "hello.txt").read_text() == "hello\n"
        # What only goes to the agent's own host shows that it did not notice us.
        assert any(
            "x-claude-code-request-class" in request.headers for request in endpoint.model_requests
        )
    exchanges = drops(tmp_path, "exchange")
    assert {(e["host"], e["served"], e["complete"]) for e in exchanges} == {
        (HOST, "claude-served-1", True)
    }
    assert "Write" in {call["name"] for e in exchanges for call in e["tool_calls"]}
    assert API_KEY not in "".join(path.read_text() for path in (tmp_path / "spool").iterdir())
