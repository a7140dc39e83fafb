"""One bounded POST: what a service that misbehaves can do to us."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from agentprov.errors import UserError
from agentprov.system import http_post

OK = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"


@contextmanager
def answering(*parts: bytes, pause: float = 0.0) -> Iterator[tuple[str, list[bytes]]]:
    """Accept connections, keep what is sent, and send these parts with pauses between."""
    listening = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(65_536))
                for part in parts:
                    try:
                        connection.sendall(part)
                    except OSError:
                        break
                    if over.wait(pause):
                        break

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/x", heard
    finally:
        over.set()
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def post(url: str, *, limit: int = 1_000, seconds: float = 1.0) -> bytes:
    return http_post.post(url, b"asked", kind="c/d", accept="a/b", limit=limit, seconds=seconds)


def test_a_body_is_sent_and_the_answer_given() -> None:
    with answering(OK + b"Content-Length: 2\r\n\r\nhi") as (url, heard):
        assert post(url) == b"hi"
    assert heard[0].startswith(b"POST /x HTTP/1.1")
    assert b"Content-Type: c/d" in heard[0].replace(b"Content-type", b"Content-Type")
    assert b"Cookie" not in heard[0]
    assert b"Authorization" not in heard[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n", "status 503"),
        (b"HTTP/1.1 302 go\r\nLocation: http://127.0.0.1:9/\r\n\r\n", "status 302"),
        (b"HTTP/1.1 307 go\r\nLocation: http://127.0.0.1:9/\r\n\r\n", "status 307"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "text/html"),
        (OK + b"Content-Length: 2000\r\n\r\n" + bytes(2000), "more than 1000 bytes"),
        (OK + b"\r\n" + bytes(2000), "more than 1000 bytes"),
        (b"what is this\r\n\r\n", "cannot be reached"),
        (b"", "cannot be reached"),
    ],
)
def test_any_other_answer_is_an_error_in_words(answer: bytes, said: str) -> None:
    with answering(answer) as (url, _), pytest.raises(UserError, match=said):
        post(url)


def test_silence_and_trickling_end_at_the_deadline() -> None:
    began = time.monotonic()
    # Nobody accepts, and nothing is said: the kernel holds the connection open.
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(UserError, match=r"within 0\.3 s"),
    ):
        post(f"http://127.0.0.1:{mute.getsockname()[1]}/", seconds=0.3)
    drops = [OK + b"Content-Length: 900\r\n\r\n", *[b"x"] * 100]
    with answering(*drops, pause=0.1) as (url, _), pytest.raises(UserError, match="too long"):
        post(url, seconds=0.4)
    assert time.monotonic() - began < 15


def test_nobody_there_is_an_error_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UserError, match="cannot be reached"):
        post(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/", "x", "http:///x", "http://user:secret@127.0.0.1/"]
)
def test_only_plain_web_addresses_are_asked(url: str) -> None:
    with pytest.raises(UserError) as caught:
        post(url)
    assert "secret" not in str(caught.value)
