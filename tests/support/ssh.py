"""Real ssh-agent and ssh-keygen, each in a directory of its own, and agents that misbehave."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

needs_openssh = pytest.mark.skipif(
    shutil.which("ssh-agent") is None or shutil.which("ssh-keygen") is None,
    reason="no OpenSSH here",
)


def make_key(place: Path, kind: str = "ed25519", *options: str, passphrase: str = "") -> Path:
    """Make a key pair with ssh-keygen; gives the private file."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *options, "-N", passphrase, "-C", "a test", "-f", place],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return place


def fingerprint(public: Path) -> str:
    """Give what ssh-keygen calls a key."""
    out = subprocess.run(["ssh-keygen", "-lf", public], check=True, capture_output=True, text=True)
    return out.stdout.split()[1]


@contextmanager
def short_directory() -> Iterator[Path]:
    """Give a directory whose name leaves room for a socket's, which is short by law."""
    place = Path(tempfile.mkdtemp(prefix="ap-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


class Agent:
    """A running ssh-agent of this test's own."""

    def __init__(self, place: Path, askpass: Path | None = None) -> None:
        self.socket = str(place / "agent")
        env = {"PATH": os.environ["PATH"], "HOME": str(place)}
        if askpass is not None:
            env |= {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":none"}
        self.process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", self.socket],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while not os.path.exists(self.socket):
            assert time.monotonic() < deadline, "ssh-agent did not start"
            time.sleep(0.01)

    def add(self, key: Path, *options: str) -> None:
        """Load a key that has no passphrase."""
        self._ssh_add("-q", *options, str(key))

    def empty(self) -> None:
        """Take all keys out."""
        self._ssh_add("-q", "-D")

    def lock(self, place: Path) -> None:
        """Lock it, with a password that a program of this test's gives."""
        answer = place / "answer"
        answer.write_text("#!/bin/sh\necho password\n")
        answer.chmod(0o755)
        self._ssh_add("-x", SSH_ASKPASS=str(answer), SSH_ASKPASS_REQUIRE="force", DISPLAY=":none")

    def _ssh_add(self, *arguments: str, **env: str) -> None:
        subprocess.run(
            ["ssh-add", *arguments],
            env={**os.environ, "SSH_AUTH_SOCK": self.socket, **env},
            check=True, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def stop(self) -> None:
        """End it; its socket stays or goes as ssh-agent likes."""
        self.process.terminate()
        self.process.wait(20)


@contextmanager
def agent(askpass: Path | None = None) -> Iterator[Agent]:
    """Run an ssh-agent for the time of the block; SSH_AUTH_SOCK is the caller's to set."""
    with short_directory() as place:
        running = Agent(place, askpass)
        try:
            yield running
        finally:
            running.stop()


@contextmanager
def odd_agent(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen as an agent would and let `answer` do what it likes with each connection."""
    with short_directory() as place:
        path = str(place / "odd")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    stream, _ = listener.accept()
                except OSError:
                    return
                with stream, suppress(OSError):
                    answer(stream)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield path
        finally:
            # A close alone does not wake a thread that waits in accept.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(20)


def replies(*frames: bytes) -> Callable[[socket.socket], None]:
    """Answer the requests of a connection with these payloads in turn, whatever they ask."""

    def answer(stream: socket.socket) -> None:
        for frame in frames:
            if not request(stream):
                return
            stream.sendall(len(frame).to_bytes(4, "big") + frame)
        request(stream)

    return answer


def request(stream: socket.socket) -> bytes:
    """Read one request, whole; empty when there is none."""
    head = _exactly(stream, 4)
    return _exactly(stream, int.from_bytes(head, "big")) if len(head) == 4 else b""


def _exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (block := stream.recv(count - len(data))):
        data += block
    return data
