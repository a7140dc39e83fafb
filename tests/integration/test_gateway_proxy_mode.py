"""Proxy mode: tunnels to models are opened for this session only, all others are passed blind."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agentprov.record.gateway.launch import Gateway
from support.gateways import certified, drops, gateway_to
from support.wire_host import Line, WireHost, connect, read_all, read_exactly, read_until, tunnel_to

OK = b"HTTP/1.1 200 OK\r\nX-Odd:  a\r\nContent-Length: 2\r\n\r\nok"


def _answer(line: Line) -> None:
    line.read_request()
    line.send(OK)
    line.read_request()
    line.send(OK)


def _tunnel(gateway: Gateway, target: str, credentials: str | None = None) -> socket.socket:
    assert gateway.proxy_url is not None
    parts = urlsplit(gateway.proxy_url)
    assert parts.port is not None
    pair = credentials or f"{parts.username}:{parts.password}"
    client = connect(parts.port)
    client.sendall(
        f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
        f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}\r\n\r\n".encode()
    )
    return client


def _trusting(path: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=path)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def test_a_tunnel_to_a_model_is_opened_and_its_bytes_pass_unchanged(tmp_path: Path) -> None:
    ca, context = certified(tmp_path, "localhost")
    request = (
        b"POST /v1/messages?beta=true HTTP/1.1\r\nhost:localhost\r\ncontent-length: 2\r\n\r\n{}"
    )
    with (
        WireHost(_answer, tls=context) as host,
        gateway_to(
            tmp_path,
            environment={"SSL_CERT_FILE": str(ca)},
            proxied={f"localhost:{host.port}": "model"},
        ) as gateway,
    ):
        assert gateway.ca_file is not None
        raw = _tunnel(gateway, f"localhost:{host.port}")
        assert read_until(raw, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        with _trusting(gateway.ca_file).wrap_socket(raw, server_hostname="localhost") as client:
            assert client.selected_alpn_protocol() == "http/1.1"
            for _ in range(2):
                client.sendall(request)
                assert read_until(client, b"ok") == OK
        assert host.lines[0].closed.wait(5)
        assert bytes(host.lines[0].received) == request * 2
        assert len(host.lines) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_real_client_goes_through_with_variables_alone(tmp_path: Path) -> None:
    ca, context = certified(tmp_path, "model.invalid")

    with (
        WireHost(_answer, tls=context) as host,
        WireHost(tunnel_to(host.port)) as proxy,
        gateway_to(
            tmp_path,
            environment={
                "SSL_CERT_FILE": str(ca),
                "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}",
            },
            proxied={"model.invalid": "model"},
        ) as gateway,
    ):
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "10", "-d", "{}", "https://model.invalid/v1/x"],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "https_proxy": str(gateway.proxy_url),
                "CURL_CA_BUNDLE": str(gateway.ca_bundle),
            },
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, b"ok"), done.stderr
        assert b"\r\nHost: model.invalid\r\n" in host.lines[0].received


def test_other_tunnels_are_passed_blind_and_said_once(tmp_path: Path) -> None:
    def echo(line: Line) -> None:
        line.send(b"hello\r\n")
        while data := line.socket.recv(65536):
            line.send(data)

    odd = bytes(range(256)) * 1000
    with (
        WireHost(echo) as host,
        gateway_to(tmp_path, proxied={"model.invalid": "model"}) as gateway,
    ):
        for _ in range(2):
            with _tunnel(gateway, f"127.0.0.1:{host.port}") as client:
                assert read_until(client, b"hello\r\n").startswith(b"HTTP/1.1 200 ")
                client.sendall(odd)
                assert read_exactly(client, len(odd)) == odd
        gateway.stop()
        (gap,) = drops(tmp_path, "gap")
        assert (gap["why"], gap["detail"]) == ("gateway-tunnelled", f"127.0.0.1:{host.port}")


def test_without_the_sessions_password_nothing_is_reached(tmp_path: Path) -> None:
    with (
        WireHost(_answer) as host,
        gateway_to(tmp_path, proxied={"model.invalid": "model"}) as gateway,
    ):
        with _tunnel(gateway, f"127.0.0.1:{host.port}", "agentprov:guess") as client:
            assert read_all(client).startswith(b"HTTP/1.1 407 ")
        assert host.lines == []


def test_a_client_that_does_not_trust_us_leaves_a_gap(tmp_path: Path) -> None:
    with gateway_to(tmp_path, proxied={"model.invalid": "model"}) as gateway:
        raw = _tunnel(gateway, "model.invalid:443")
        read_until(raw, b"\r\n\r\n")
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(raw, server_hostname="model.invalid")
        raw.close()
        gateway.stop()
        assert [gap["why"] for gap in drops(tmp_path, "gap")] == ["gateway-not-trusted"]


def test_a_tunnel_to_a_host_that_is_not_there_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        gateway_to(tmp_path, proxied={"model.invalid": "model"}) as gateway,
        _tunnel(gateway, f"127.0.0.1:{port}") as client,
    ):
        assert read_all(client).startswith(b"HTTP/1.1 502 ")


def test_a_websocket_in_an_opened_tunnel_is_told_to_use_http(tmp_path: Path) -> None:
    with gateway_to(tmp_path, proxied={"model.invalid": "model"}) as gateway:
        assert gateway.ca_file is not None
        raw = _tunnel(gateway, "model.invalid:443")
        read_until(raw, b"\r\n\r\n")
        with _trusting(gateway.ca_file).wrap_socket(raw, server_hostname="model.invalid") as client:
            client.sendall(b"GET /v1 HTTP/1.1\r\nHost: model.invalid\r\nUpgrade: websocket\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 426 ")


def test_the_bundle_adds_the_sessions_authority_to_what_the_user_trusts(tmp_path: Path) -> None:
    ca, _ = certified(tmp_path, "other.example")
    environment = {"SSL_CERT_FILE": str(ca)}
    with gateway_to(
        tmp_path, environment=environment, proxied={"model.invalid": "model"}
    ) as gateway:
        assert gateway.ca_file is not None
        assert gateway.ca_bundle is not None
        bundle = gateway.ca_bundle.read_text()
        assert ca.read_text().strip() in bundle
        assert gateway.ca_file.read_text() in bundle
    assert not gateway.ca_file.exists()
    assert not gateway.ca_bundle.exists()
