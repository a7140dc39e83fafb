"""The socket of ssh-agent: one request, one bounded reply, within a time.

Frames only (draft-miller-ssh-agent section 3): a uint32 length and so many bytes. What stands in
them is `sign.ssh_key`'s business. Nothing is ever read from a file or asked of a person here.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agentprov.errors import AgentGarbled, AgentTimedOut, AgentUnreachable, NoAgent

# OpenSSH's own bound, in both directions.
MAX_MESSAGE = 256 * 1024
ANSWER_SECONDS = 10.0
_START = "start one: `eval $(ssh-agent)`, then `ssh-add`"


def socket_path() -> str:
    """Give what SSH_AUTH_SOCK names; raises NoAgent."""
    path = os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise NoAgent("SSH_AUTH_SOCK is not set, so there is no ssh-agent to ask", hint=_START)
    if not hasattr(socket, "AF_UNIX"):
        raise NoAgent(
            "ssh-agent is reached through a Unix socket, which this system has not",
            hint="use a key in a file: `agentprov keys new human`",
        )
    return path


class AgentConnection:
    """An open connection to ssh-agent; see `connected`."""

    def __init__(self, stream: socket.socket, path: str) -> None:
        self._stream = stream
        self._path = path

    def ask(self, request: bytes, seconds: float = ANSWER_SECONDS) -> bytes:
        """Send one message and give the reply: its type, one byte, and its contents.

        `seconds` is for all of it. Raises AgentTimedOut, AgentUnreachable, and AgentGarbled for a
        reply that is empty, longer than MAX_MESSAGE, or cut off.
        """
        deadline = time.monotonic() + seconds
        try:
            self._stream.settimeout(seconds)
            self._stream.sendall(len(request).to_bytes(4, "big") + request)
            size = int.from_bytes(self._read(4, deadline), "big")
            if not 1 <= size <= MAX_MESSAGE:
                raise AgentGarbled(
                    f"ssh-agent announced a reply of {size} bytes", hint=_what_is_there(self._path)
                )
            return self._read(size, deadline)
        except TimeoutError as error:
            raise AgentTimedOut(
                f"ssh-agent did not answer within {seconds:g} s",
                hint="look for a window of it that waits for you, then try again",
            ) from error
        except OSError as error:
            raise AgentUnreachable(
                f"ssh-agent hung up: {error.strerror or error}", hint=_START
            ) from error

    def _read(self, count: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._stream.settimeout(left)
            block = self._stream.recv(count - len(data))
            if not block:
                raise AgentGarbled(
                    "ssh-agent closed the connection in the middle of a reply",
                    hint=_what_is_there(self._path),
                )
            data += block
        return bytes(data)


@contextmanager
def connected(path: str | None = None) -> Iterator[AgentConnection]:
    """Connect to ssh-agent, by default the one that SSH_AUTH_SOCK names, and hang up afterwards.

    Raises NoAgent, AgentUnreachable.
    """
    path = socket_path() if path is None else path
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(ANSWER_SECONDS)
        try:
            stream.connect(path)
        except OSError as error:
            # Python's own words for a path that is too long have no strerror.
            raise AgentUnreachable(
                f"no ssh-agent answers at SSH_AUTH_SOCK={path}: {error.strerror or error}",
                hint="it has ended, or this shell has the address of an old one; " + _START,
            ) from error
        yield AgentConnection(stream, path)
    finally:
        stream.close()


def _what_is_there(path: str) -> str:
    return f"what listens at {path} is perhaps no ssh-agent; `ssh-add -l` asks it, too"


__all__ = ["ANSWER_SECONDS", "MAX_MESSAGE", "AgentConnection", "connected", "socket_path"]
