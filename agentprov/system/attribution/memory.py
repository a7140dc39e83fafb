"""Reads what a waiting call points at, out of the caller's memory."""

from __future__ import annotations

import os

_PAGE = 4096
_MAX_PATH = 4096
# aarch64 ignores the top byte of an address; no address of x86-64 uses it.
_ADDRESS = (1 << 56) - 1


class Fault(Exception):
    """The address means nothing; the kernel will refuse the call for the same reason."""


class Unreadable(Exception):
    """The memory of that process is closed to us."""


def read(pid: int, address: int, size: int) -> bytes:
    """Read at most `size` bytes, fewer where the memory ends. Raises Fault, Unreadable."""
    try:
        opened = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(os.strerror(error.errno or 0)) from error
    try:
        return os.pread(opened, size, address & _ADDRESS)
    except OSError as error:
        raise Fault from error
    finally:
        os.close(opened)


def read_text(pid: int, address: int) -> bytes:
    """Read a path up to its NUL. Raises Fault (also for one that never ends), Unreadable."""
    text = b""
    while len(text) < _MAX_PATH:
        at = address + len(text)
        # Not across pages: the next one may not be there.
        part = read(pid, at, _PAGE - at % _PAGE)
        end = part.find(b"\0")
        if end >= 0:
            return text + part[:end]
        if not part:
            raise Fault
        text += part
    raise Fault


def read_number(pid: int, address: int) -> int:
    """Read 64 bits. Raises Fault, Unreadable."""
    data = read(pid, address, 8)
    if len(data) != 8:
        raise Fault
    return int.from_bytes(data, "little")
