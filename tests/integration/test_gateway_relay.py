"""The relay against hosts that speak raw bytes: both sides see what they would see without it."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.gateways import certified, drops, gateway_to, port_and_path, resident
from support.wire_host import Line, WireHost, connect, read_all, read_exactly, read_until, tunnel_to

KEY = b"sk-ant-api03-PLANTED-KEY"
SSE = [b'event: a\ndata: {"n": %d}\n\n' % number for number in range(3)]


_ANSWER = [
    b'event: message_start\ndata: {"type": "message_start", "message": {"id": "msg_1", "role": '
    b'"assistant", "model": "served-model", "content": [], "usage": {"input_tokens": 3}}}\n\n',
    b'event: content_block_start\ndata: {"type": "content_block_start", "index": 0, '
    b'"content_block": {"type": "text", "text": ""}}\n\n',
    b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, '
    b'"delta": {"type": "text_delta", "text": "hello"}}\n\n',
    b'event: content_block_stop\ndata: {"type": "content_block_stop", "index": 0}\n\n',
    b'event: message_delta\ndata: {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, '
    b'"usage": {"output_tokens": 2}}\n\n',
    b'event: message_stop\ndata: {"type": "message_stop"}\n\n',
]
_ASKED = b'{"model": "asked-model", "max_tokens": 9, "stream": true, "messages": []}'


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _request(
    method: bytes = b"POST", body: bytes = b"", fields: bytes = b"", path: bytes = b"/v1/echo?b=1"
) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return b"%s {PREFIX}%s HTTP/1.1\r\nhOsT:  {HOST}\r\n%s%s\r\n%s" % (
        method,
        path,
        fields,
        length,
        body,
    )


# A conversation as the client has it: bytes to send, and endings to wait for.
Step = tuple[str, bytes]


@dataclass(frozen=True)
class Story:
    steps: tuple[Step, ...]
    play: Callable[[Line], None]


def _plays(*answers: bytes) -> Callable[[Line], None]:
    def play(line: Line) -> None:
        for answer in answers:
            line.read_request()
            line.send(answer)

    return play


def _continue(line: Line) -> None:
    line.read_head()
    line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    line.read(lambda data: len(data) >= 4)
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def _refuse_early(line: Line) -> None:
    line.read_head()
    line.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
    line.read_exactly(4)
    line.read_request()
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def _chunked_request(line: Line) -> None:
    line.read(lambda data: data.endswith(b"Sum: 1\r\n\r\n"))
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def _two_at_once(line: Line) -> None:
    line.read(lambda data: data.count(b"\r\n\r\n") == 2)
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ODD = (
    b"HTTP/1.1 200 Fine  by me\r\nserver:nginx\r\nX-Twice: a\r\nx-twice:  b \r\n"
    b"Set-Cookie: s=1; Secure\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\n\x00\xff\r\n"
)
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\ntransfer-encoding:chunked\r\n"
    b"Trailer: Sum\r\n\r\n" + b"".join(map(_chunk, SSE)) + b"0;x=y\r\nSum: 7\r\n\r\n"
)
PACKED = gzip.compress(b"".join(SSE), mtime=0)
SQUEEZED = (
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    + _chunk(PACKED[:7])
    + _chunk(PACKED[7:])
    + b"0\r\n\r\n"
)
BUSY = (
    b"HTTP/1.1 529 \r\nretry-after: 3\r\nx-should-retry: true\r\nContent-Length: 16\r\n\r\n"
    b'{"type":"error"}'
)

STORIES = {
    "odd fields, cookies and keys": Story(
        (
            (
                "send",
                _request(
                    body=b'{"a": 1}',
                    fields=b"X-Api-Key: " + KEY + b"\r\nCookie:a=b\r\nACCEPT:\t*/*\r\nx-a: 1\r\n"
                    b"X-A: 2\r\nConnection: keep-alive\r\n",
                ),
            ),
            ("until", b"\x00\xff\r\n"),
        ),
        _plays(ODD),
    ),
    "a stream of events with trailers": Story(
        (("send", _request(body=b"{}")), ("until", b"Sum: 7\r\n\r\n")), _plays(STREAM)
    ),
    "a compressed stream": Story(
        (("send", _request(body=b"{}")), ("until", b"0\r\n\r\n")), _plays(SQUEEZED)
    ),
    "keep-alive on both sides": Story(
        (
            ("send", _request(body=b"1")),
            ("until", b"ok"),
            ("send", _request(body=b"2")),
            ("until", b'"error"}'),
            ("send", _request(b"GET")),
            ("until", b"0;x=y\r\nSum: 7\r\n\r\n"),
        ),
        _plays(OK, BUSY, STREAM),
    ),
    "two requests at once": Story(
        (("send", _request(b"GET") + _request(b"GET", path=b"/v1/two")), ("until", b"2")),
        _two_at_once,
    ),
    "a body that waits to be asked for": Story(
        (
            ("send", _request(fields=b"Expect: 100-continue\r\nContent-Length: 4\r\n")),
            ("until", b"Continue\r\n\r\n"),
            ("send", b"body"),
            ("until", b"ok"),
        ),
        _continue,
    ),
    "an answer before the body, and on": Story(
        (
            ("send", _request(fields=b"Content-Length: 4\r\n")),
            ("until", b"big"),
            ("send", b"body"),
            ("send", _request(b"GET")),
            ("until", b"ok"),
        ),
        _refuse_early,
    ),
    "a chunked request with extensions and trailers": Story(
        (
            ("send", _request(fields=b"Transfer-Encoding: chunked\r\n")),
            ("send", b"5;ext=1\r\nhel"),
            ("send", b"lo\r\n0\r\nSum: 1\r\n\r\n"),
            ("until", b"ok"),
        ),
        _chunked_request,
    ),
    "no body where there is none": Story(
        (
            ("send", _request(b"HEAD")),
            ("until", b"99\r\n\r\n"),
            ("send", _request(b"DELETE")),
            ("until", b"204 No Content\r\n\r\n"),
            ("send", _request(b"GET")),
            ("until", b"ok"),
        ),
        _plays(
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
            OK,
        ),
    ),
    "early hints": Story(
        (("send", _request(b"GET")), ("until", b"ok")),
        _plays(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK),
    ),
    "an answer that ends with the connection": Story(
        (("send", _request(b"GET")), ("close", b"")),
        _plays(b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nas long as it takes"),
    ),
    "a redirect": Story(
        (("send", _request(b"GET")), ("until", b"Content-Length: 0\r\n\r\n")),
        _plays(b"HTTP/1.1 307 x\r\nLocation: https://e.example/\r\nContent-Length: 0\r\n\r\n"),
    ),
    "a stream that is cut": Story(
        (("send", _request(body=b"{}")), ("close", b"")),
        _plays(STREAM[: STREAM.index(b"event: a") + 60]),
    ),
    "an answer that is no HTTP": Story(
        (("send", _request(body=b"{}")), ("close", b"")), _plays(b"SSH-2.0-OpenSSH\r\n\r\nxyz")
    ),
    "chunks that are none": Story(
        (("send", _request(body=b"{}")), ("close", b"")),
        _plays(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc"),
    ),
}


def _converse(story: Story, port: int, prefix: str, host: str) -> list[bytes]:
    seen = []
    with connect(port) as client:
        for what, data in story.steps:
            if what == "send":
                filled = data.replace(b"{PREFIX}", prefix.encode()).replace(
                    b"{HOST}", host.encode()
                )
                client.sendall(filled)
            elif what == "until":
                seen.append(read_until(client, data))
            else:
                seen.append(read_all(client))
    return seen


@pytest.mark.parametrize("name", STORIES)
def test_both_sides_see_the_bytes_that_they_would_see_without_us(name: str, tmp_path: Path) -> None:
    story = STORIES[name]
    with WireHost(story.play) as host:
        direct = _converse(story, host.port, "", f"127.0.0.1:{host.port}")
        with gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
            port, prefix = port_and_path(gateway.base_url)
            relayed = _converse(story, port, prefix, f"127.0.0.1:{port}")
        assert host.failures == []
        assert relayed == direct
        assert [bytes(line.received) for line in host.lines[1:]] == [bytes(host.lines[0].received)]


def _get(port: int, prefix: str, fields: bytes = b"", path: bytes = b"/x") -> bytes:
    with connect(port) as client:
        client.sendall(
            b"GET %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n"
            % (prefix.encode(), path, port, fields)
        )
        return client.recv(65536)


def test_a_base_url_keeps_its_path_and_each_upstream_has_its_own(tmp_path: Path) -> None:
    with WireHost(_plays(OK, OK)) as one, WireHost(_plays(OK, OK)) as two:
        urls = [f"http://localhost:{one.port}/v1/", f"http://127.0.0.1:{two.port}"]
        with gateway_to(tmp_path, *urls) as gateway:
            port, first = port_and_path(gateway.base_urls[0])
            _, second = port_and_path(gateway.base_urls[1])
            assert first.endswith("/v1")
            with connect(port) as client:
                # One connection may serve both, in turn.
                for prefix in (first, second, second):
                    client.sendall(
                        b"GET %s/m HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % (prefix.encode(), port)
                    )
                    read_until(client, b"ok")
        assert bytes(one.lines[0].received).startswith(b"GET /v1/m HTTP/1.1\r\nHost: localhost:")
        assert bytes(two.lines[0].received).count(b"GET /m HTTP/1.1") == 2


def test_events_pass_one_by_one(tmp_path: Path) -> None:
    seen = [threading.Event() for _ in SSE]

    def play(line: Line) -> None:
        line.read_request()
        line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event, arrived in zip(SSE, seen, strict=True):
            line.send(_chunk(event))
            assert arrived.wait(5), "the event was held back"
        line.send(b"0\r\n\r\n")

    with WireHost(play) as host, gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
        port, prefix = port_and_path(gateway.base_url)
        with connect(port) as client:
            client.sendall(
                _request(b"GET")
                .replace(b"{PREFIX}", prefix.encode())
                .replace(b"{HOST}", b"127.0.0.1:%d" % port)
            )
            for event, arrived in zip(SSE, seen, strict=True):
                read_until(client, _chunk(event))
                arrived.set()
            read_until(client, b"0\r\n\r\n")
        assert host.failures == []


def test_a_host_that_breaks_off_is_passed_on_as_a_break_after_its_last_byte(
    tmp_path: Path,
) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000

    def play(line: Line) -> None:
        line.read_request()
        line.send(half)
        time.sleep(0.2)
        line.reset()

    with WireHost(play) as host, gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
        port, prefix = port_and_path(gateway.base_url)
        with connect(port) as client:
            client.sendall(
                b"GET %s/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (prefix.encode(), port)
            )
            assert read_exactly(client, len(half)) == half
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        # The client's retry is served as if nothing had been.
        with connect(port) as client:
            client.sendall(
                b"GET %s/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (prefix.encode(), port)
            )
            assert client.recv(4) == b"HTTP"


def test_an_agent_that_gives_up_stops_the_model_at_once(tmp_path: Path) -> None:
    waited: list[float] = []

    def play(line: Line) -> None:
        line.read_request()
        line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        waited.append(line.wait_closed())

    with WireHost(play) as host, gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
        port, prefix = port_and_path(gateway.base_url)
        assert _get(port, prefix).startswith(b"HTTP/1.1 200")
        assert host.lines[0].closed.wait(5)
        assert waited[0] < 1


def test_a_websocket_is_answered_426_and_never_reaches_the_host(tmp_path: Path) -> None:
    with WireHost(_plays(OK)) as host:
        with gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
            port, prefix = port_and_path(gateway.base_url)
            fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            assert _get(port, prefix, fields).startswith(b"HTTP/1.1 426 ")
            assert b" 200 " in _get(port, prefix)
        assert len(host.lines) == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\n\r\n", b"404"),
        (b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nsomething", b"404"),
        (b"GET /s/00000000000000000000000000000000/v1 HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"GET {PREFIX}/v1 HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"403"),
        (
            b"GET {PREFIX}/v1 HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nOrigin: http://e.example\r\n\r\n",
            b"403",
        ),
        (b"CONNECT api.model.example:443 HTTP/1.1\r\n\r\n", b"405"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 300_000, b"400"),
    ],
)
def test_a_stranger_is_refused_and_the_host_hears_nothing(
    raw: bytes, status: bytes, tmp_path: Path
) -> None:
    with WireHost(_plays(OK)) as host:
        with gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
            port, prefix = port_and_path(gateway.base_url)
            with connect(port) as client:
                client.sendall(
                    raw.replace(b"{PREFIX}", prefix.encode()).replace(b"{PORT}", b"%d" % port)
                )
                answer = read_all(client)
            assert answer.startswith(b"HTTP/1.1 " + status)
            assert b"agentprov" not in answer
        assert host.lines == []
    assert drops(tmp_path, "exchange") == []


def test_the_gateway_listens_on_loopback_only(tmp_path: Path) -> None:
    with gateway_to(tmp_path, "http://127.0.0.1:9") as gateway:
        port, _ = port_and_path(gateway.base_url)
        table = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        listening = [line.split()[1] for line in table.splitlines() if f":{port:04X} " in line[:60]]
        assert [place for place in listening if place.endswith(f":{port:04X}")] == [
            f"0100007F:{port:04X}"
        ]


@pytest.mark.parametrize("path", ["/v1/files", "/v1/messages"])
def test_a_hundred_megabytes_pass_in_constant_memory_read_or_not(path: str, tmp_path: Path) -> None:
    piece, count = _ANSWER[2].replace(b"hello", b"hello " * 20) * 250, 1800

    def play(line: Line) -> None:
        line.read_request()
        line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(count):
            line.send(_chunk(piece))
        line.send(b"0\r\n\r\n")

    with WireHost(play) as host, gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
        port, prefix = port_and_path(gateway.base_url)
        _get(port, prefix, path=path.encode())
        pid = gateway.pid
        assert pid is not None
        before = resident(pid)
        with connect(port) as client:
            client.sendall(
                b"POST %s HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % ((prefix + path).encode(), port)
            )
            total = 0
            # A reader that dawdles for a moment must not make the relay hoard.
            time.sleep(0.5)
            tail = b""
            while not tail.endswith(b"0\r\n\r\n"):
                data = client.recv(1 << 20)
                total += len(data)
                tail = (tail + data)[-16:]
        assert total > len(piece) * count > 100_000_000
        assert resident(pid) - before < 32 * 1024 * 1024


def test_a_slow_reader_slows_the_host(tmp_path: Path) -> None:
    sent = [0]

    def play(line: Line) -> None:
        line.read_request()
        line.send(b"HTTP/1.1 200 OK\r\n\r\n")
        line.socket.settimeout(1)
        block = b"x" * 65536
        with suppress(TimeoutError):
            while sent[0] < 400_000_000:
                sent[0] += line.socket.send(block)

    with WireHost(play) as host, gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
        port, prefix = port_and_path(gateway.base_url)
        with connect(port) as client:
            client.sendall(
                b"GET %s/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (prefix.encode(), port)
            )
            while not host.lines:
                time.sleep(0.01)
            assert host.lines[0].closed.wait(20)
        assert host.failures == []
        assert 0 < sent[0] < 40_000_000


def test_a_relay_that_is_killed_is_back_on_the_same_socket_within_a_second(
    tmp_path: Path,
) -> None:
    first = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        if not first.is_set():
            first.set()
            line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunk(SSE[0]))
            line.wait_closed()
        else:
            line.send(OK)

    with WireHost(play) as host, gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
        port, prefix = port_and_path(gateway.base_url)
        with connect(port) as client:
            client.sendall(
                b"GET %s/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (prefix.encode(), port)
            )
            read_until(client, _chunk(SSE[0]))
            victim = gateway.pid
            assert victim is not None
            os.kill(victim, signal.SIGKILL)
            began = time.monotonic()
            # The agent sees a cut stream, not an end, and asks again.
            assert client.recv(65536) == b""
            assert _get(port, prefix).endswith(b"ok")
            assert time.monotonic() - began < 1
        assert gateway.pid != victim
        (gap,) = gateway.check()
        assert (gap.why, gap.start <= gap.end) == ("gateway-died", True)
        assert gateway.check() == []


def test_a_relay_that_keeps_dying_is_replaced_each_time(tmp_path: Path) -> None:
    with (
        WireHost(_plays(OK)) as host,
        gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway,
    ):
        port, prefix = port_and_path(gateway.base_url)
        for _ in range(5):
            assert gateway.pid is not None
            os.kill(gateway.pid, signal.SIGKILL)
            assert _get(port, prefix).endswith(b"ok")
        assert len(gateway.check()) == 5


def test_tls_hosts_are_verified_against_the_users_store(tmp_path: Path) -> None:
    ca, context = certified(tmp_path, "localhost")
    other, _ = certified(tmp_path, "other.example", "localhost")
    with WireHost(_plays(OK), tls=context) as host:
        url = f"https://localhost:{host.port}/v1"
        with gateway_to(tmp_path, url, environment={"SSL_CERT_FILE": str(ca)}) as gateway:
            assert _get(*port_and_path(gateway.base_url)).endswith(b"ok")
        with gateway_to(tmp_path, url, environment={"NODE_EXTRA_CA_CERTS": str(ca)}) as gateway:
            assert _get(*port_and_path(gateway.base_url)).endswith(b"ok")
        by_address = f"https://127.0.0.1:{host.port}/v1"
        for wrong, bundle in ((url, other), (by_address, ca)):
            with gateway_to(tmp_path, wrong, environment={"SSL_CERT_FILE": str(bundle)}) as gateway:
                answer = _get(*port_and_path(gateway.base_url))
                assert answer.startswith(b"HTTP/1.1 502 Bad Gateway")
                assert b"the certificate of " in answer
        assert all(b"GET /v1/x" in line.received for line in host.lines)
        assert len([line for line in host.lines if line.received]) == 2


def test_a_host_that_cannot_be_reached_is_said_to_be(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with gateway_to(tmp_path, f"http://127.0.0.1:{port}") as gateway:
        answer = _get(*port_and_path(gateway.base_url))
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"no connection to 127.0.0.1:" in answer


def test_ipv6_hosts_are_reached(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        host = WireHost(_plays(OK), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with host, gateway_to(tmp_path, f"http://[::1]:{host.port}") as gateway:
        assert _get(*port_and_path(gateway.base_url)).endswith(b"ok")
        assert b"\r\nHost: [::1]:%d\r\n" % host.port in host.lines[0].received


def test_the_users_proxy_stands_before_the_host_and_tls_goes_through_it(tmp_path: Path) -> None:
    ca, context = certified(tmp_path, "model.invalid")
    with WireHost(_plays(OK), tls=context) as host, WireHost(tunnel_to(host.port)) as proxy:
        environment = {
            "HTTPS_PROXY": f"http://ada:pa55@127.0.0.1:{proxy.port}",
            "SSL_CERT_FILE": str(ca),
        }
        with gateway_to(tmp_path, "https://model.invalid/v1", environment=environment) as gateway:
            assert _get(*port_and_path(gateway.base_url)).endswith(b"ok")
        head = bytes(proxy.lines[0].received)
        assert head.startswith(b"CONNECT model.invalid:443 HTTP/1.1\r\nHost: model.invalid:443\r\n")
        assert b"Proxy-Authorization: Basic YWRhOnBhNTU=\r\n" in head
        assert b"\r\nHost: model.invalid\r\n" in host.lines[0].received
        assert b"Proxy-Auth" not in host.lines[0].received


def test_a_proxy_that_refuses_is_said_to(tmp_path: Path) -> None:
    def play(line: Line) -> None:
        line.read_head()
        line.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with WireHost(play) as proxy:
        environment = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        with gateway_to(tmp_path, "https://model.invalid/v1", environment=environment) as gateway:
            answer = _get(*port_and_path(gateway.base_url))
            assert b"the proxy refused a tunnel to model.invalid:443 (403)" in answer


def test_nothing_secret_lies_in_files_arguments_or_environment(tmp_path: Path) -> None:
    with WireHost(_plays(OK)) as host:
        with gateway_to(
            tmp_path,
            f"http://127.0.0.1:{host.port}",
            environment={"ANTHROPIC_API_KEY": KEY.decode(), "PATH": os.environ["PATH"]},
            proxied={"model.invalid": "model"},
        ) as gateway:
            port, prefix = port_and_path(gateway.base_url)
            fields = b"x-api-key: " + KEY + b"\r\nCookie: c=" + KEY + b"\r\n"
            assert _get(port, prefix, fields).endswith(b"ok")
            shown = b"".join(
                Path(f"/proc/{gateway.pid}/{name}").read_bytes() for name in ("cmdline", "environ")
            )
            token = prefix.split("/")[2].encode()
            assert KEY not in shown
            assert token not in shown
            for path in tmp_path.rglob("*"):
                if path.is_file():
                    assert path.stat().st_mode & 0o077 == 0
                    stored = path.read_bytes()
                    assert KEY not in stored
                    assert token not in stored
                    assert b"PRIVATE KEY" not in stored
        assert KEY in host.lines[0].received
    assert list((tmp_path / "scratch").iterdir()) == []


_RECORDER = """
import os, sys, time
from pathlib import Path
from agentprov.ports import Upstream
from agentprov.record.gateway.launch import Gateway
place = Path(sys.argv[1])
gateway = Gateway.start([Upstream(sys.argv[2], "model")], place / "spool", place, environment={})
print(gateway.base_url, gateway.pid, flush=True)
time.sleep(60)
"""


def test_a_relay_outlives_its_recorder_for_the_agents_sake_and_writes_no_more(
    tmp_path: Path,
) -> None:
    (tmp_path / "spool").mkdir()
    with WireHost(_plays(OK)) as host:
        argv = [sys.executable, "-c", _RECORDER, str(tmp_path), f"http://127.0.0.1:{host.port}"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as recorder:
            assert recorder.stdout is not None
            url, pid = recorder.stdout.readline().split()
            try:
                recorder.kill()
                recorder.wait()
                time.sleep(0.3)
                before = list((tmp_path / "spool").iterdir())
                port, prefix = port_and_path(url)
                assert _get(port, prefix, path=b"/v1/messages").endswith(b"ok")
                assert list((tmp_path / "spool").iterdir()) == before
            finally:
                os.kill(int(pid), signal.SIGKILL)


def test_stopping_ends_open_connections_and_refuses_new_ones(tmp_path: Path) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        line.wait_closed()

    with WireHost(play) as host, gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
        port, prefix = port_and_path(gateway.base_url)
        with connect(port) as client:
            client.sendall(
                b"GET %s/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (prefix.encode(), port)
            )
            read_until(client, b"\r\n\r\n")
            began = time.monotonic()
            assert gateway.stop() == []
            assert time.monotonic() - began < 2
            assert client.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(port)


def _model(line: Line, pause: Callable[[int], None] = lambda _: None) -> None:
    while line.read_request():
        line.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for number, event in enumerate(_ANSWER):
            line.send(_chunk(event))
            pause(number)
        line.send(b"0\r\n\r\n")


def _ask_model(client: socket.socket, port: int, prefix: str) -> None:
    request = _request(body=_ASKED, path=b"/v1/messages", fields=b"x-api-key: " + KEY + b"\r\n")
    client.sendall(
        request.replace(b"{PREFIX}", prefix.encode()).replace(b"{HOST}", b"localhost:%d" % port)
    )


def test_an_exchange_is_in_the_spool_when_the_gateway_has_stopped(tmp_path: Path) -> None:
    with WireHost(_model) as host:
        with gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
            port, prefix = port_and_path(gateway.base_url)
            with connect(port) as client:
                _ask_model(client, port, prefix)
                read_until(client, b"0\r\n\r\n")
            gateway.stop()
        (exchange,) = drops(tmp_path, "exchange")
    assert (exchange["requested"], exchange["served"]) == ("asked-model", "served-model")
    assert (exchange["complete"], exchange["texts"]) == (True, ["hello"])
    assert exchange["host"] == f"127.0.0.1:{host.port}"
    assert KEY not in b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir())


def _children_of(pid: int) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
        and (entry / "stat").exists()
        and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid
    ]


def test_a_parser_that_dies_in_mid_stream_costs_a_gap_and_not_a_byte(tmp_path: Path) -> None:
    killed = threading.Event()

    def pause(number: int) -> None:
        if number == 2:
            assert killed.wait(5)

    def play(line: Line) -> None:
        _model(line, pause)

    with WireHost(play) as host:
        with gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
            port, prefix = port_and_path(gateway.base_url)
            assert gateway.pid is not None
            with connect(port) as client:
                _ask_model(client, port, prefix)
                read_until(client, _chunk(_ANSWER[2]))
                (reader,) = _children_of(gateway.pid)
                os.kill(reader, signal.SIGKILL)
                killed.set()
                whole = b"".join(map(_chunk, _ANSWER[3:])) + b"0\r\n\r\n"
                assert read_exactly(client, len(whole)) == whole
                until = time.monotonic() + 5
                while not drops(tmp_path, "gap") and time.monotonic() < until:
                    time.sleep(0.02)
        assert [gap["why"] for gap in drops(tmp_path, "gap")] == ["gateway-parser-died"]
        assert drops(tmp_path, "exchange") == []


def _packed(coding: str) -> bytes:
    whole = b"".join(_ANSWER)
    if coding == "gzip":
        return gzip.compress(whole, mtime=0)
    module = pytest.importorskip("brotli" if coding == "br" else "zstandard")
    return bytes(module.compress(whole))


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_compressed_answer_passes_as_it_is_and_is_read(coding: str, tmp_path: Path) -> None:
    packed = _packed(coding)
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
        % coding.encode()
        + b"".join(_chunk(packed[at : at + 40]) for at in range(0, len(packed), 40))
        + b"0\r\n\r\n"
    )
    with WireHost(_plays(answer)) as host:
        with gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
            port, prefix = port_and_path(gateway.base_url)
            with connect(port) as client:
                _ask_model(client, port, prefix)
                assert read_exactly(client, len(answer)) == answer
            gateway.stop()
        (exchange,) = drops(tmp_path, "exchange")
    assert (exchange["complete"], exchange["texts"]) == (True, ["hello"])


def test_a_busy_host_a_cut_and_the_retries_are_an_exchange_each(tmp_path: Path) -> None:
    turns = iter(["busy", "cut", "whole"])

    def play(line: Line) -> None:
        turn = next(turns)
        if turn == "busy":
            line.read_request()
            line.send(BUSY)
            turn = next(turns)
        if turn == "cut":
            line.read_request()
            line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            line.send(b"".join(map(_chunk, _ANSWER[:3])))
            return
        _model(line, lambda _: None)

    with WireHost(play) as host:
        with gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
            port, prefix = port_and_path(gateway.base_url)
            with connect(port) as client:
                _ask_model(client, port, prefix)
                read_exactly(client, len(BUSY))
                _ask_model(client, port, prefix)
                assert read_all(client).endswith(_chunk(_ANSWER[2]))
            with connect(port) as client:
                _ask_model(client, port, prefix)
                assert read_until(client, b"0\r\n\r\n").startswith(b"HTTP/1.1 200")
            gateway.stop()
        told = sorted(drops(tmp_path, "exchange"), key=lambda exchange: exchange["number"])
    assert [(one["status"], one["complete"]) for one in told] == [
        (529, False),
        (200, False),
        (200, True),
    ]
    assert told[1]["why"] == "cut off"
    assert drops(tmp_path, "gap") == []


def _flood(line: Line, size: int) -> None:
    line.read_request()
    line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for event in _ANSWER[:2]:
        line.send(_chunk(event))
    piece = _chunk(_ANSWER[2] * 500)
    for _ in range(size // len(piece)):
        line.send(piece)
    for event in _ANSWER[3:]:
        line.send(_chunk(event))
    line.send(b"0\r\n\r\n")


def _take(client: socket.socket, quiet: float) -> bytes:
    """Read until nothing came for a while after the first bytes, or the answer has ended."""
    client.settimeout(30)
    taken = bytearray(client.recv(1 << 20))
    client.settimeout(quiet)
    with suppress(TimeoutError):
        while not taken.endswith(b"0\r\n\r\n") and (data := client.recv(1 << 20)):
            taken += data
    return bytes(taken)


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_parser_that_lags_holds_the_wire_back_and_one_that_stands_still_is_given_up(
    comes_back: bool, tmp_path: Path
) -> None:
    size = 30_000_000
    whole: list[int] = []

    def play(line: Line) -> None:
        _flood(line, size)
        whole.append(1)

    with WireHost(play) as host, gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
        port, prefix = port_and_path(gateway.base_url)
        assert gateway.pid is not None
        (reader,) = _children_of(gateway.pid)
        os.kill(reader, signal.SIGSTOP)
        with connect(port) as client:
            _ask_model(client, port, prefix)
            first = _take(client, 2.0)
            # What may wait for the parser, and what the kernel holds for us; not the answer.
            assert 8_000_000 < len(first) < 24_000_000
            assert not whole
            if comes_back:
                os.kill(reader, signal.SIGCONT)
            rest = _take(client, 10.0)
        answer = first + rest
        assert answer.endswith(b"0\r\n\r\n")
        assert answer.count(_ANSWER[2]) == size // len(_chunk(_ANSWER[2] * 500)) * 500
        gateway.stop()
    gaps = [gap["why"] for gap in drops(tmp_path, "gap")]
    exchanges = drops(tmp_path, "exchange")
    if comes_back:
        assert gaps == []
        (exchange,) = exchanges
        assert exchange["complete"]
        assert exchange["texts"] == ["hello" * answer.count(_ANSWER[2])]
    else:
        assert gaps == ["gateway-parser-hung"]
        assert exchanges == []


def test_what_was_under_way_when_the_relay_was_killed_is_never_taken_for_whole(
    tmp_path: Path,
) -> None:
    killed = threading.Event()

    def play(line: Line) -> None:
        _model(line, lambda number: None if number < 4 else (killed.wait(5), None)[1])

    with WireHost(play) as host:
        with gateway_to(tmp_path, f"http://127.0.0.1:{host.port}") as gateway:
            port, prefix = port_and_path(gateway.base_url)
            with connect(port) as client:
                _ask_model(client, port, prefix)
                read_until(client, _chunk(_ANSWER[4]))
                assert gateway.pid is not None
                os.kill(gateway.pid, signal.SIGKILL)
                killed.set()
                assert read_all(client) == b""
            until = time.monotonic() + 5
            while not drops(tmp_path, "exchange") and time.monotonic() < until:
                time.sleep(0.02)
            with connect(port) as client:
                _ask_model(client, port, prefix)
                read_until(client, b"0\r\n\r\n")
            gateway.stop()
        by_number = sorted(drops(tmp_path, "exchange"), key=lambda exchange: exchange["number"])
    assert [exchange["complete"] for exchange in by_number] == [False, True]
