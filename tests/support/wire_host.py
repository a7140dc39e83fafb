"""A host on loopback that speaks in raw bytes: each connection plays a function, all is kept."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Line:
    """One accepted connection: `received` grows with every read."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    closed: threading.Event = field(default_factory=threading.Event)

    def read(self, until: Callable[[bytes], bool]) -> bytes:
        """Read until the bytes of this call satisfy a condition, or the peer closes."""
        start = len(self.received)
        while not until(bytes(self.received[start:])):
            data = self.socket.recv(65536)
            if not data:
                break
            self.received += data
        return bytes(self.received[start:])

    def read_head(self) -> bytes:
        """Read up to the end of a head; the client sends nothing beyond it."""
        return self.read(lambda data: data.endswith(b"\r\n\r\n"))

    def read_request(self) -> bytes:
        """Read a head and the body that its Content-Length announces."""

        def whole(data: bytes) -> bool:
            head, end, body = data.partition(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            return bool(end) and len(body) >= length

        return self.read(whole)

    def read_exactly(self, count: int) -> bytes:
        """Read so many bytes and leave what follows; fewer when the peer closes."""
        data = read_exactly(self.socket, count)
        self.received += data
        return data

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def wait_closed(self, timeout: float = 5.0) -> float:
        """Wait until the peer closes; give the seconds it took. Fails when it does not."""
        began = time.monotonic()
        self.socket.settimeout(timeout)
        try:
            while data := self.socket.recv(65536):
                self.received += data
        except ConnectionResetError:
            pass
        return time.monotonic() - began

    def reset(self) -> None:
        """Break the connection off, as a host that dies does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class WireHost:
    """Plays `play(line)` for every connection while the context lasts, then closes it."""

    def __init__(
        self,
        play: Callable[[Line], None],
        *,
        tls: ssl.SSLContext | None = None,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> None:
        self._play = play
        self._tls = tls
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        self._listener.listen(64)
        self.port: int = self._listener.getsockname()[1]
        self.lines: list[Line] = []
        self.failures: list[BaseException] = []

    def __enter__(self) -> WireHost:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone leaves the thread that accepts where it waits, and the port open with it.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self.lines:
            with contextlib.suppress(OSError):
                line.socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = Line(connection)
        try:
            if self._tls is not None:
                line.socket = self._tls.wrap_socket(connection, server_side=True)
            self.lines.append(line)
            self._play(line)
        except (OSError, ssl.SSLError):
            pass
        except AssertionError as error:
            self.failures.append(error)
        finally:
            with contextlib.suppress(OSError):
                line.socket.close()
            line.closed.set()


def connect(port: int, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """Open a client connection to a loopback port."""
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(20)
    client.connect(("127.0.0.1" if family == socket.AF_INET else "::1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def read_all(client: socket.socket) -> bytes:
    """Read until the peer closes."""
    data = bytearray()
    while piece := client.recv(65536):
        data += piece
    return bytes(data)


def read_exactly(client: socket.socket, count: int) -> bytes:
    """Read so many bytes; fewer when the peer closes before."""
    data = bytearray()
    while len(data) < count and (piece := client.recv(count - len(data))):
        data += piece
    return bytes(data)


def read_until(client: socket.socket, ending: bytes) -> bytes:
    """Read until the bytes end so; fails when the peer closes before."""
    data = bytearray()
    while not data.endswith(ending):
        piece = client.recv(65536)
        assert piece, f"closed after {bytes(data)!r}"
        data += piece
    return bytes(data)


def hand_on_to(port: int) -> Callable[[Line], None]:
    """Join each connection with one to a loopback port."""

    def play(line: Line) -> None:
        with connect(port) as inner:

            def back() -> None:
                with contextlib.suppress(OSError):
                    while data := inner.recv(65536):
                        line.socket.sendall(data)

            thread = threading.Thread(target=back, daemon=True)
            thread.start()
            while data := line.socket.recv(65536):
                inner.sendall(data)

    return play


def tunnel_to(port: int) -> Callable[[Line], None]:
    """Play a company's proxy: takes CONNECT and joins it with a connection to a loopback port."""
    joined = hand_on_to(port)

    def play(line: Line) -> None:
        line.read_head()
        line.send(b"HTTP/1.1 200 OK\r\nVia: proxy\r\n\r\n")
        joined(line)

    return play


__all__ = [
    "Line",
    "WireHost",
    "connect",
    "hand_on_to",
    "read_all",
    "read_exactly",
    "read_until",
    "tunnel_to",
]
