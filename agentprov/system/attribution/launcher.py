"""Becomes the agent: filters itself, hands the listener to the recorder, executes the program.

Started as ``LAUNCHER SOCKET FILTER PATH ARGV...``; SOCKET is an inherited descriptor, FILTER the
program in hex. It sends one message: ``listening`` with the listener and what it holds open for
writing, or ``refused ERRNO TEXT``, after which the program runs unfiltered. After ``listening``
it waits for ``GO``, which says that a supervisor has the listener. ``failed ERRNO`` follows when
the program could not be executed; the socket's end without it means that it was.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import sys

from agentprov.system.attribution.install import install

GO = b"go"
_WRITABLE = os.O_WRONLY | os.O_RDWR
_ORPHANED = b"agentprov: the recorder died while it started the agent; the agent was not started\n"


def main() -> None:
    """Never returns: it executes the program, or exits with 126."""
    report = socket.socket(fileno=int(sys.argv[1]))
    report.set_inheritable(False)
    path, argv = sys.argv[3], sys.argv[4:]
    environment = _environment()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Python ignores these from its start; the program must find them as a shell leaves them.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    held = b"".join(place + b"\0" for place in _held_open(report.fileno()))
    try:
        listener = install(bytes.fromhex(sys.argv[2]))
    except OSError as error:
        report.send(f"refused {error.errno} {error.strerror}".encode())
    else:
        socket.send_fds(report, [b"listening " + held[:60_000]], [listener])
        os.close(listener)
        # A program whose listener died with the recorder could not write anything, ever.
        if report.recv(len(GO)) != GO:
            os.write(2, _ORPHANED)
            os._exit(126)
    report.send(f"failed {_execute(path, argv, environment)}".encode())
    os._exit(126)


def _environment() -> dict[bytes, bytes]:
    """Give the variables exactly as we got them; Python adds one of its own to ours."""
    with open("/proc/self/environ", "rb") as stream:
        pairs = [entry.partition(b"=") for entry in stream.read().split(b"\0") if b"=" in entry]
    return {name: value for name, _, value in pairs}


def _held_open(ours: int) -> list[bytes]:
    """Name the files that we inherited open for writing: the program needs no call for them."""
    held = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            number = int(entry)
            with open(f"/proc/self/fdinfo/{number}", "rb") as stream:
                flags = int(stream.read().split(b"flags:")[1].split()[0], 8)
            if number == ours or not flags & _WRITABLE:
                continue
            if stat.S_ISREG(os.fstat(number).st_mode):
                held.append(os.readlink(b"/proc/self/fd/%d" % number))
        except (OSError, ValueError, IndexError):
            continue
    return held


def _execute(path: str, argv: list[str], environment: dict[bytes, bytes]) -> int:
    try:
        os.execve(path, argv, environment)  # noqa: S606 - that is what it is for
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            return error.errno or errno.EIO
    try:
        # As in a shell: a text without #! is a script.
        os.execve("/bin/sh", ["sh", path, *argv[1:]], environment)  # noqa: S606
    except OSError as error:
        return error.errno or errno.EIO


if __name__ == "__main__":
    main()
