"""Listening sockets that only this machine can reach."""

from __future__ import annotations

import socket

from agentprov.errors import CannotStart

_BACKLOG = 512


def listen(port: int = 0) -> socket.socket:
    """Listen on a port (0 for a free one) of 127.0.0.1, or of ::1 where there is no IPv4.

    The descriptor is not inherited by programs unless it is handed to them. Raises CannotStart.
    """
    failure: OSError | None = None
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            listener = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            failure = error
            continue
        try:
            if port:
                # A port that was named is wanted again at once after a restart.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(_BACKLOG)
            return listener
        except OSError as error:
            failure = error
            listener.close()
    raise CannotStart(f"no loopback port to listen on: {failure}")


def address_of(listener: socket.socket) -> tuple[str, int]:
    """Give host, as a URL has it, and port of a listening socket."""
    host, port = listener.getsockname()[:2]
    return (f"[{host}]" if ":" in host else host), port


__all__ = ["address_of", "listen"]
