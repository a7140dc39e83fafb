"""Puts a filter on this process; imports next to nothing, for the sake of the agent's start."""

from __future__ import annotations

import ctypes
import errno
import os

_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER = 1
_SPEC_ALLOW, _NEW_LISTENER, _WAIT_KILLABLE = 1 << 2, 1 << 3, 1 << 5
_PR_SET_NO_NEW_PRIVS = 38

_libc: ctypes.CDLL | None = None


def libc() -> ctypes.CDLL:
    """Give the C library of this process, with `errno` kept."""
    global _libc  # noqa: PLW0603 - opened once; it is the process's own
    if _libc is None:
        _libc = ctypes.CDLL(None, use_errno=True)
        _libc.syscall.restype = ctypes.c_long
    return _libc


def seccomp(operation: int, flags: int, argument: object) -> int:
    """Call seccomp(2); gives its result, -1 with `errno` set on failure."""
    number = _SYS_SECCOMP[os.uname().machine]
    return int(
        libc().syscall(
            ctypes.c_long(number), ctypes.c_ulong(operation), ctypes.c_ulong(flags), argument
        )
    )


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def install(code: bytes) -> int:
    """Filter this process and all that it will start, for ever; gives the listener.

    `code` is a program as `seccomp.program` builds it. Sets no_new_privs: set-user-id programs
    lose their effect. Raises OSError: EBUSY when a notifier is above us already, EPERM or EINVAL
    where a container or old kernel refuses.
    """
    kept = ctypes.create_string_buffer(code, len(code))
    argument = ctypes.byref(_Program(len(code) // 8, ctypes.addressof(kept)))
    if libc().prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    # Without SPEC_ALLOW, kernels before 5.16 slow every branch of the agent down.
    for more in (_WAIT_KILLABLE, 0):
        flags = _NEW_LISTENER | _SPEC_ALLOW | more
        descriptor = seccomp(_SET_MODE_FILTER, flags, argument)
        if descriptor >= 0:
            return descriptor
        if ctypes.get_errno() != errno.EINVAL:
            break
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
