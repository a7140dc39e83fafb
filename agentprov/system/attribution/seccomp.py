"""The kernel's side of attribution: the filter program, and the calls around it.

The filter (classic BPF) lets everything through at full speed but calls that change files or
names: those wait until the holder of the listener answers. See seccomp(2), seccomp_unotify(2)
and, for the order of actions, the kernel's `seccomp_filter.rst`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from typing import NamedTuple

from agentprov.system.attribution import calls
from agentprov.system.attribution.calls import CALLS, MACHINES, NUMBERS, Call
from agentprov.system.attribution.install import libc, seccomp

RET_ALLOW = 0x7FFF0000
RET_NOTIFY = 0x7FC00000
RET_ENOSYS = 0x00050000 | errno.ENOSYS

_LD, _AND, _JEQ, _JSET, _RET = 0x20, 0x54, 0x15, 0x45, 0x06
_NR, _ARCH, _ARGS = 0, 4, 16

_GET_ACTION_AVAIL, _GET_NOTIF_SIZES = 2, 3
_CONTINUE = 1
_IOC_RECV, _IOC_SEND = 0xC0502100, 0xC0182101
_IOC_ID_VALID, _IOC_SET_FLAGS = 0x40082102, 0x40082104
_SYNC_WAKE_UP = 1
NOTIFICATION = struct.Struct("=QIIiIQ6Q")
NOTIFICATION_ROOM = 256


def _instruction(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, k)


def program(machine: str) -> bytes:
    """Build the filter for a machine (``x86_64``, ``aarch64``): instructions of 8 bytes each.

    Raises KeyError for another machine. Programs of an architecture that is neither the
    machine's nor its 32-bit one are let through unseen; no kernel of these machines runs any.
    """
    native, compat = MACHINES[machine]
    mine = _load(_NR)
    if machine == "x86_64":
        mine += _instruction(_AND, 0xFFFFFFFF & ~calls.X32_BIT)
    mine += _block(native)
    other = _load(_NR) + _block(compat)
    # Both blocks are longer than a conditional jump reaches: skip by an unconditional one.
    return (
        _load(_ARCH)
        + _instruction(_JEQ, native, 0, 1)
        + _jump(1)
        + _jump(len(mine) // 8)
        + mine
        + _load(_ARCH)
        + _instruction(_JEQ, compat, 1, 0)
        + _instruction(_RET, RET_ALLOW)
        + other
    )


def _load(offset: int) -> bytes:
    return _instruction(_LD, offset)


def _jump(count: int) -> bytes:
    return _instruction(0x05, count)


def _block(arch: int) -> bytes:
    """Answer for one architecture; the number is loaded, and every path returns."""
    lines = b""
    for name, number in NUMBERS[arch].items():
        answer = _answer(CALLS[name])
        lines += _instruction(_JEQ, number, 0, len(answer) // 8) + answer
    return lines + _instruction(_RET, RET_ALLOW)


def _answer(call: Call) -> bytes:
    notify, allow = _instruction(_RET, RET_NOTIFY), _instruction(_RET, RET_ALLOW)
    if call.kind == "refuse":
        return _instruction(_RET, RET_ENOSYS)
    if call.kind == "listener":
        wanted, bits = _argument(1), calls.NEW_LISTENER
    elif call.kind in ("open", "handle") and call.flags is not None:
        wanted, bits = _argument(call.flags), calls.WRITE_FLAGS
    else:
        return notify
    return wanted + _instruction(_JSET, bits, 0, 1) + notify + allow


def _argument(index: int) -> bytes:
    # The low half: both machines are little-endian.
    return _load(_ARGS + 8 * index)


def unsupported() -> str | None:
    """Say why this system cannot notify at all, None when it can; changes nothing."""
    if sys.platform != "linux":
        return "only Linux can tell which process writes"
    import platform

    machine = platform.machine()
    if machine not in MACHINES or sys.byteorder != "little" or sys.maxsize < 2**32:
        return f"no filter for {machine} here"
    if _release(platform.release()) < (5, 9):
        return f"Linux {platform.release()} is older than 5.9"
    wanted = ctypes.c_uint32(RET_NOTIFY)
    if seccomp(_GET_ACTION_AVAIL, 0, ctypes.byref(wanted)) != 0:
        return f"seccomp notification is not available ({_last_error()})"
    sizes = (ctypes.c_uint16 * 3)()
    if seccomp(_GET_NOTIF_SIZES, 0, ctypes.byref(sizes)) != 0 or sizes[0] > NOTIFICATION_ROOM:
        return "seccomp notifications are larger than we know"
    return None


def _release(text: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split(".")[:2]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        numbers.append(int(digits or 0))
    return tuple(numbers)


def _last_error() -> str:
    return os.strerror(ctypes.get_errno())


class Notification(NamedTuple):
    """A call that waits: `pid` is the calling thread, 0 when it cannot be seen from here."""

    id: int
    pid: int
    number: int
    arch: int
    arguments: tuple[int, ...]


class Listener:
    """Receives and answers, over a buffer that the caller may share with other processes.

    The kernel writes each notification straight into `room` (at least NOTIFICATION_ROOM
    bytes), and it stays there until it is answered: whoever maps the same memory can answer
    for a receiver that died.
    """

    def __init__(self, descriptor: int, room: ctypes.Array[ctypes.c_char]) -> None:
        self.descriptor = descriptor
        self._room = room
        self._answer = (ctypes.c_uint64 * 3)()
        self._id = ctypes.c_uint64()
        self._ioctl = libc().ioctl
        self._ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]
        self._room_at = ctypes.addressof(room)
        self._answer_at = ctypes.addressof(self._answer)
        self._id_at = ctypes.addressof(self._id)

    def hurry(self) -> None:
        """Ask the kernel to switch to us and back without waking another core (6.6 and newer)."""
        self._ioctl(self.descriptor, _IOC_SET_FLAGS, _SYNC_WAKE_UP)

    def receive(self) -> Notification | None:
        """Take the next waiting call; None when it went away. Blocks unless poll said ready."""
        # The kernel wants an empty room; `let_through` left it so.
        if self._ioctl(self.descriptor, _IOC_RECV, self._room_at) != 0:
            self.forget()
            return None
        return self.pending()

    def pending(self) -> Notification | None:
        """Give the call that was received and perhaps not answered, from the shared room."""
        fields = NOTIFICATION.unpack_from(self._room, 0)
        if fields[0] == 0:
            return None
        return Notification(fields[0], fields[1], fields[3], fields[4], fields[6:12])

    def waits(self, notification: Notification) -> bool:
        """Say whether the caller still waits; if not, its process id may mean another one."""
        self._id.value = notification.id
        return bool(self._ioctl(self.descriptor, _IOC_ID_VALID, self._id_at) == 0)

    def let_through(self, notification: Notification) -> None:
        """Let the call happen as if nobody had looked."""
        self._answer[0], self._answer[1] = notification.id, 0
        # int32 error, then uint32 flags.
        self._answer[2] = _CONTINUE << 32
        self._ioctl(self.descriptor, _IOC_SEND, self._answer_at)
        self.forget()

    def forget(self) -> None:
        """Empty the room: what stands in it does not wait any more."""
        ctypes.memset(self._room_at, 0, NOTIFICATION_ROOM)
