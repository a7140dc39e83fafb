"""Measures the gateway beside a direct connection, in one run: ``python benchmarks/gateway.py``.

A scripted host in a process of its own answers on loopback; the client asks it directly and
through the relay in turn. `read` means that the answer's dialect is parsed and an exchange
dropped; `unread` that the relay only finds the answer's end. `small pieces` are answers as models
stream them, a few characters an event and each event a chunk; `read up` counts the time until
the exchange lies in the spool. Prints a table; ends with 0.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from urllib.parse import urlsplit

import wire_streams

from agentprov.ports import Upstream
from agentprov.record.gateway.launch import Gateway

_MB = 1_000_000
# A conversation of about 900 kB: what an agent sends late in a session.
_LINES = [f"    value_{n} = compute({n * 7919}, name='{n * 77_777:x}')" for n in range(12_000)]


def _request(salt: str) -> bytes:
    lines = [f"{line}  # {salt}" for line in _LINES]
    texts = ["\n".join(lines[start : start + 200]) for start in range(0, len(lines), 200)]
    messages = [{"role": "user", "content": text} for text in texts]
    asked = {"model": "bench-model", "max_tokens": 100, "stream": True, "messages": messages}
    return json.dumps(asked).encode()


_BODY = _request("first")
_SMALL = json.dumps({"model": "bench-model", "max_tokens": 1, "messages": []}).encode()


def _event(value: dict[str, object]) -> bytes:
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()


_START = _event(
    {
        "type": "message_start",
        "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "bench-model",
                    "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}},
    }
) + _event({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}})  # fmt: skip
_DELTA = _event(
    {"type": "content_block_delta", "index": 0,
     "delta": {"type": "text_delta", "text": "a dozen words or so in one piece, as models send"}}
)  # fmt: skip
_END = b"".join(
    (
        _event({"type": "content_block_stop", "index": 0}),
        _event({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 9}}),
        _event({"type": "message_stop"}),
    )
)  # fmt: skip


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    held = b""
    while True:
        while b"\r\n\r\n" not in held:
            data = connection.recv(1 << 18)
            if not data:
                return
            held += data
        head, _, rest = held.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        missing = int(fields.get(b"content-length", b"0")) - len(rest)
        while missing > 0:
            missing -= len(connection.recv(1 << 18))
        held = b""
        play, _, size = fields[b"x-play"].partition(b" ")
        if play.startswith(b"small-"):
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            connection.sendall(_small(play.decode().partition("-")[2], int(size)))
            continue
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(_START)
        )
        _PLAYS[play](connection, int(size))
        connection.sendall(_chunk(_END) + b"0\r\n\r\n")


@functools.cache
def _small(dialect: str, size: int) -> bytes:
    return b"".join(map(_chunk, wire_streams.stream(dialect, size))) + b"0\r\n\r\n"


def _bulk(connection: socket.socket, size: int) -> None:
    piece = _chunk(_DELTA * (65536 // len(_DELTA)))
    for _ in range(size // len(piece)):
        connection.sendall(piece)


def _blob(connection: socket.socket, size: int) -> None:
    piece = _chunk(b"x" * 65536)
    for _ in range(size // len(piece)):
        connection.sendall(piece)


def _paced(connection: socket.socket, size: int) -> None:
    # Ten milliseconds' worth at a time, event by event.
    events = [_chunk(_DELTA)] * (2 * _MB // 100 // len(_chunk(_DELTA)))
    due, sent = time.monotonic(), 0
    while sent < size:
        for event in events:
            connection.sendall(event)
            sent += len(event)
        due += 0.01
        time.sleep(max(0.0, due - time.monotonic()))


_PLAYS: dict[bytes, Callable[[socket.socket, int], None]] = {
    b"bulk": _bulk,
    b"blob": _blob,
    b"paced": _paced,
}


class Client:
    """One keep-alive connection to a host or to the relay before it."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._prefix = parts.path
        self._host = parts.netloc
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(1 << 20))

    def ask(self, path: str, play: str, body: bytes = _BODY) -> tuple[float, float, int]:
        """Ask once; give seconds to the first byte, seconds to the last, and bytes."""
        head = (
            f"POST {self._prefix}{path} HTTP/1.1\r\nHost: {self._host}\r\nX-Play: {play}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        self._socket.sendall(head.encode() + body)
        total, first, tail = 0, 0.0, b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            count = self._socket.recv_into(self._buffer)
            if not count:
                raise SystemExit("the answer was cut")
            first = first or time.perf_counter() - began
            total += count
            tail = (tail + bytes(self._buffer[max(0, count - 8) : count]))[-8:]
        return first, time.perf_counter() - began, total

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _neighbour(url: str, stop: Event) -> None:
    # Another agent's conversation: what it ends with is read while the measured one is asked.
    client, number = Client(url), 0
    while not stop.is_set():
        number += 1
        client.ask("/v1/messages", "bulk 0", _request(str(number)))
        time.sleep(0.05)


def _first_bytes(
    direct: str, relayed: str, rounds: int, fresh: bool = False, beside: bool = False
) -> str:
    stop = multiprocessing.Event()
    others = [
        multiprocessing.get_context("fork").Process(
            target=_neighbour, args=(url, stop), daemon=True
        )
        for url in ([direct, relayed] if beside else [])
    ]
    for other in others:
        other.start()
    try:
        return _compare_first_bytes(direct, relayed, rounds, fresh)
    finally:
        stop.set()
        for other in others:
            other.join()


def _compare_first_bytes(direct: str, relayed: str, rounds: int, fresh: bool) -> str:
    times: dict[str, list[float]] = {direct: [], relayed: []}
    clients = {url: Client(url) for url in times}
    for _ in range(rounds):
        for url in times:
            if fresh:
                clients[url].close()
                began = time.perf_counter()
                clients[url] = Client(url)
                opened = time.perf_counter() - began
            else:
                opened = 0.0
            times[url].append(
                (opened + clients[url].ask("/v1/messages", "bulk 0", _SMALL)[0]) * 1000
            )
    added = sorted(b - a for a, b in zip(times[direct], times[relayed], strict=True))
    shown = ", ".join(
        f"{name} {statistics.median(values):.2f} / {_p95(values):.2f}"
        for name, values in (
            ("direct", times[direct]),
            ("relayed", times[relayed]),
            ("added", added),
        )
    )
    return f"{shown} ms (p50 / p95; target 3 ms added)"


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def _rates(direct: str, relayed: str, path: str, play: str, rounds: int) -> tuple[float, float]:
    best: dict[str, list[float]] = {direct: [], relayed: []}
    for _ in range(rounds):
        for url in best:
            client = Client(url)
            _, seconds, total = client.ask(path, play)
            best[url].append(total / seconds / _MB)
            client.close()
        # One answer at a time: the reader has caught up before the next one comes.
        time.sleep(0.5)
    return statistics.median(best[direct]), statistics.median(best[relayed])


def _small_pieces(direct: str, gateway: Gateway, spool: Path, rounds: int, size: int) -> None:
    for dialect, path in wire_streams.PATHS.items():
        play = f"small-{dialect} {size}"
        Client(direct).ask(path, play, _SMALL)
        plain, passed, read = [], [], []
        for _ in range(rounds):
            for url in (direct, gateway.base_url):
                client, before = Client(url), len(list(spool.iterdir()))
                began = time.perf_counter()
                _, seconds, total = client.ask(path, play, _SMALL)
                client.close()
                if url == direct:
                    plain.append(total / seconds / _MB)
                    continue
                while len(list(spool.iterdir())) == before:
                    time.sleep(0.001)
                passed.append(total / seconds / _MB)
                read.append(total / (time.perf_counter() - began) / _MB)
        print(
            f"{f'{size // _MB} MB of small pieces, {dialect}':34} "
            f"direct {statistics.median(plain):.0f} MB/s, "
            f"relayed {_range(passed)} MB/s, read up {_range(read)} MB/s (target 100)"
        )


def _range(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    return 0.0


def main() -> None:
    """Run all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--small", action="store_true", help="only the answers in small pieces")
    chosen = parser.parse_args()
    quick, only = chosen.quick, chosen.small
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    host = multiprocessing.get_context("fork").Process(target=_serve, args=(listener,), daemon=True)
    host.start()
    direct = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as place:
        spool = Path(place, "spool")
        spool.mkdir()
        gateway = Gateway.start(
            [Upstream(direct, "anthropic")], spool, Path(place), environment=dict(os.environ)
        )
        try:
            if not only:
                _run(direct, gateway, quick)
            _small_pieces(direct, gateway, spool, 3 if quick else 9, (10 if quick else 30) * _MB)
        finally:
            gateway.stop()
        print(f"{'drops written':34} {len(list(spool.iterdir()))}, lost {len(gateway.check())}")
    host.terminate()


def _run(direct: str, gateway: Gateway, quick: bool) -> None:
    relayed = gateway.base_url
    rounds = 40 if quick else 300
    Client(relayed).ask("/v1/messages", "bulk 0")
    print(f"{'first byte, kept connection':34} {_first_bytes(direct, relayed, rounds)}")
    print(f"{'first byte, new connection':34} {_first_bytes(direct, relayed, rounds, fresh=True)}")
    print(
        f"{'first byte, beside another agent':34} "
        f"{_first_bytes(direct, relayed, rounds, beside=True)}"
    )
    size = (4 if quick else 10) * _MB
    plain, through = _rates(direct, relayed, "/v1/messages", f"paced {size}", 1 if quick else 3)
    print(
        f"{'stream paced at 2 MB/s, read':34} direct {plain:.2f} MB/s, relayed {through:.2f} MB/s, "
        f"ratio {through / plain:.2f} (target 0.9)"
    )
    assert gateway.pid is not None
    before = _resident(gateway.pid)
    for name, path, play, size in (
        ("100 MB, unread", "/other", "blob", 100),
        ("100 MB of events, unread", "/other", "bulk", 100),
        ("10 MB of events, read", "/v1/messages", "bulk", 10),
        ("100 MB of events, read", "/v1/messages", "bulk", 100),
    ):
        plain, through = _rates(direct, relayed, path, f"{play} {size * _MB}", 1 if quick else 5)
        after = _resident(gateway.pid)
        print(
            f"{name:34} direct {plain:.0f} MB/s, relayed {through:.0f} MB/s "
            f"(target 100); relay's peak memory {before:.0f} -> {after:.0f} MB"
        )
        before = after


if __name__ == "__main__":
    main()
