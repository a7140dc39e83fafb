"""The relay's process: ``python -I -m agentprov.record.gateway.server``, started by `launch`.

Reads its orders as one line on standard input, serves the inherited listening socket, and writes
one byte of life a second, and one for each drop it could not keep, on standard output. The line
``stop`` ends it. When the recorder dies without that word, the relay goes on for the agent's
sake, blind, until nobody has used it for a while. Nothing that passes is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
from pathlib import Path

from agentprov.record.gateway import orders as orders_format
from agentprov.record.gateway.door import Door
from agentprov.record.gateway.orders import Orders
from agentprov.record.gateway.relay import Client, House
from agentprov.record.gateway.spooling import Ledger
from agentprov.record.gateway.upstream import Dialer
from agentprov.record.gateway.watch import Watch
from agentprov.system.files import atomic_write

READY = b"R"
ALIVE = b"."
LOST = b"L"
BEAT_SECONDS = 1.0
# How long an orphan waits for its agent to come back, seconds.
_ORPHAN_SECONDS = 120
_MAX_ORDERS = 4 * 1024 * 1024


def main() -> int:
    """Serve until told to stop."""
    line = sys.stdin.buffer.readline(_MAX_ORDERS)
    if not line:
        return 0
    given = orders_format.decode(line)
    os.set_blocking(sys.stdout.fileno(), False)
    for name in ("SIGINT", "SIGHUP", "SIGQUIT", "SIGTSTP"):
        # These are for the agent; a terminal that goes away takes us with it by the pipe.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    asyncio.run(_serve(given))
    return 0


async def _serve(given: Orders) -> None:
    loop = asyncio.get_running_loop()
    # A connection's traceback may hold what passed through it.
    loop.set_exception_handler(lambda _loop, _context: None)
    spool = Path(given.spool)
    ledger = Ledger(spool, lambda: say(LOST), bytes.fromhex(given.key))
    watch = Watch(spool, bytes.fromhex(given.key), given.first_number, ledger)
    house = House(
        Door(given.port, given.routes, given.password, given.known),
        Dialer(dict(os.environ)),
        watch,
        ledger,
        leaf_context(given.leaf, Path(given.scratch)) if given.leaf else None,
    )
    listener = socket.socket(fileno=given.listener)
    await watch.open()
    server = await loop.create_server(lambda: Client(house), sock=listener, backlog=512)
    say(READY)
    house.dialer.warm()
    control = Control()
    await loop.connect_read_pipe(lambda: control, sys.stdin.buffer)
    while not control.stopped.done():
        await asyncio.wait([control.stopped], timeout=BEAT_SECONDS)
        say(ALIVE)
        await watch.check()
    if not control.stopped.result():
        await _go_on_alone(house)
    server.close()
    for client in list(house.connections):
        client.dismiss()
    await asyncio.sleep(0)
    await watch.finish()


async def _go_on_alone(house: House) -> None:
    """Serve without a recorder; nobody would read, or clear away, what we spooled."""
    await house.watch.finish()
    house.watch.close()
    house.ledger.close()
    idle = 0
    while idle < _ORPHAN_SECONDS:
        await asyncio.sleep(1)
        idle = 0 if house.connections else idle + 1


class Control(asyncio.Protocol):
    """The recorder's end of standard input; `stopped` holds whether it said so."""

    def __init__(self) -> None:
        self.stopped: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        if b"stop\n" in self._held and not self.stopped.done():
            self.stopped.set_result(True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        if not self.stopped.done():
            self.stopped.set_result(False)


def say(what: bytes) -> None:
    """Write a byte to the recorder; one that does not listen is not waited for."""
    with contextlib.suppress(OSError):
        os.write(1, what)


def leaf_context(pem: str, scratch: Path) -> ssl.SSLContext:
    """Make the context that agents see inside opened tunnels.

    OpenSSL takes keys from files only: it lies there, mode 0600, while it is read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    path = scratch / f"leaf-{os.getpid()}.pem"
    try:
        atomic_write(path, pem.encode(), fsync=False)
        context.load_cert_chain(path)
    finally:
        path.unlink(missing_ok=True)
    return context


if __name__ == "__main__":
    sys.exit(main())
