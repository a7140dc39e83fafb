"""Reads what a waiting call points at, out of the caller's memory.

Where the kernel lets only ancestors read (Yama's ptrace_scope 1, the default of some systems),
the supervisor borrows the eyes of the recorder, which is the agent's parent.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct

from agentprov.system.attribution.install import libc

_PAGE = 4096
_MAX_PATH = 4096
# aarch64 ignores the top byte of an address; no address of x86-64 uses it.
_ADDRESS = (1 << 56) - 1
_WISH = struct.Struct("=IQI")
_GOOD, _FAULT, _CLOSED = b"+", b"!", b"-"


class Fault(Exception):
    """The address means nothing; the kernel will refuse the call for the same reason."""


class Unreadable(Exception):
    """The memory of that process is closed to us."""


class _Range(ctypes.Structure):
    _fields_ = [("at", ctypes.c_uint64), ("size", ctypes.c_uint64)]


class Memory:
    """Other processes' memory, read directly: in one call, or through /proc where that is refused.

    Both are allowed to whoever may trace the process, but a container may forbid the call alone.
    """

    def __init__(self) -> None:
        self._room = ctypes.create_string_buffer(_PAGE)
        self._here = _Range(ctypes.addressof(self._room), 0)
        self._there = _Range(0, 0)
        self._here_at = ctypes.addressof(self._here)
        self._there_at = ctypes.addressof(self._there)
        # An own function object: its argument types are nobody else's business.
        self._copy = libc()["process_vm_readv"]
        self._copy.restype = ctypes.c_ssize_t
        self._copy.argtypes = [
            ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong,
            ctypes.c_ulong,
        ]  # fmt: skip

    def read(self, pid: int, address: int, size: int) -> bytes:
        """Read at most `size` bytes, fewer where the memory ends. Raises Fault, Unreadable."""
        here, there = self._here, self._there
        there.at = address & _ADDRESS
        here.size = there.size = min(size, _PAGE)
        done = self._copy(pid, self._here_at, 1, self._there_at, 1, 0)
        if done >= 0:
            return ctypes.string_at(self._room, done)
        if ctypes.get_errno() == errno.EFAULT:
            raise Fault
        return self._through_proc(pid, address, size)

    def _through_proc(self, pid: int, address: int, size: int) -> bytes:
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

    def text(self, pid: int, address: int) -> bytes:
        """Read a path up to its NUL. Raises Fault (also for one that never ends), Unreadable."""
        text = b""
        while len(text) < _MAX_PATH:
            at = address + len(text)
            # Not across pages: the next one may not be there.
            part = self.read(pid, at, _PAGE - at % _PAGE)
            end = part.find(b"\0")
            if end >= 0:
                return text + part[:end]
            if not part:
                raise Fault
            text += part
        raise Fault

    def number(self, pid: int, address: int) -> int:
        """Read 64 bits. Raises Fault, Unreadable."""
        data = self.read(pid, address, 8)
        if len(data) != 8:
            raise Fault
        return int.from_bytes(data, "little")


class Borrowed(Memory):
    """Other processes' memory, read by whoever answers at the other end with `lend`."""

    def __init__(self, lender: socket.socket) -> None:
        super().__init__()
        self._lender = lender

    def read(self, pid: int, address: int, size: int) -> bytes:
        """Read as `Memory.read` does; Unreadable also when the lender is gone."""
        try:
            self._lender.send(_WISH.pack(pid, address & _ADDRESS, size))
            answer = self._lender.recv(_PAGE + 1)
        except OSError as error:
            raise Unreadable("nobody lends eyes") from error
        if answer[:1] == _GOOD:
            return answer[1:]
        if answer[:1] == _FAULT:
            raise Fault
        raise Unreadable(answer[1:].decode("utf-8", "replace") or "nobody lends eyes")


def lend(borrower: socket.socket, eyes: Memory) -> bool:
    """Answer one wish of a `Borrowed` at the other end; False when that is gone."""
    try:
        wish = borrower.recv(_WISH.size)
        if len(wish) != _WISH.size:
            return False
        pid, address, size = _WISH.unpack(wish)
        try:
            answer = _GOOD + eyes.read(pid, address, min(size, _PAGE))
        except Fault:
            answer = _FAULT
        except Unreadable as error:
            answer = _CLOSED + str(error).encode()
        borrower.send(answer)
    except OSError:
        return False
    return True
