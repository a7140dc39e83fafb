"""The system calls by which a program can change a file or its name, per architecture.

Numbers are the kernel's own and never change. What counts is *intent*: a descriptor that was
opened for writing is trusted to have been written. Calls on descriptors (write, mmap,
ftruncate, copy_file_range) therefore need no entry; fchmod has one because it needs no such
descriptor.
"""

from __future__ import annotations

from typing import NamedTuple

AUDIT_ARCH_X86_64 = 0xC000003E
AUDIT_ARCH_I386 = 0x40000003
AUDIT_ARCH_AARCH64 = 0xC00000B7
AUDIT_ARCH_ARM = 0x40000028

# O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, the same bits on all four architectures.
WRITE_FLAGS = 0o1 | 0o2 | 0o100 | 0o1000
O_CREAT = 0o100
NEW_LISTENER = 1 << 3


class Name(NamedTuple):
    """Where a call names a file: argument of the path, and of its directory if it has one.

    `path` is None when the call names an open descriptor (in `directory`) instead.
    """

    path: int | None
    directory: int | None = None


class Call(NamedTuple):
    """What one system call means.

    `kind` is ``open``, ``create``, ``open-how`` (flags lie in memory), ``rename``, ``link``,
    ``symlink``, ``remove``, ``truncate``, ``node``, ``mode``, ``handle`` (opened without a
    name), ``contact``, ``bind``, ``listener`` (a notifier of the program's own) or ``refuse``.
    `flags` is the argument with open flags; the filter looks at it, so that reads stay fast.
    """

    kind: str
    names: tuple[Name, ...] = ()
    flags: int | None = None


_ONE = (Name(0),)
_AT = (Name(1, 0),)
CALLS: dict[str, Call] = {
    "open": Call("open", _ONE, flags=1),
    "openat": Call("open", _AT, flags=2),
    "openat2": Call("open-how", _AT, flags=2),
    "creat": Call("create", _ONE),
    "rename": Call("rename", (Name(0), Name(1))),
    "renameat": Call("rename", (Name(1, 0), Name(3, 2))),
    "renameat2": Call("rename", (Name(1, 0), Name(3, 2))),
    "link": Call("link", (Name(1),)),
    "linkat": Call("link", (Name(3, 2),)),
    "symlink": Call("symlink", (Name(1),)),
    "symlinkat": Call("symlink", (Name(2, 1),)),
    "unlink": Call("remove", _ONE),
    "unlinkat": Call("remove", _AT),
    "truncate": Call("truncate", _ONE),
    "truncate64": Call("truncate", _ONE),
    "mknod": Call("node", _ONE),
    "mknodat": Call("node", _AT),
    "chmod": Call("mode", _ONE),
    "fchmod": Call("mode", (Name(None, 0),)),
    "fchmodat": Call("mode", _AT),
    "fchmodat2": Call("mode", _AT),
    "open_by_handle_at": Call("handle", flags=2),
    "connect": Call("contact"),
    "bind": Call("bind"),
    "seccomp": Call("listener"),
    "io_uring_setup": Call("refuse"),
}

_X86_64 = {
    "open": 2, "openat": 257, "openat2": 437, "creat": 85, "rename": 82, "renameat": 264,
    "renameat2": 316, "link": 86, "linkat": 265, "symlink": 88, "symlinkat": 266, "unlink": 87,
    "unlinkat": 263, "truncate": 76, "mknod": 133, "mknodat": 259, "chmod": 90, "fchmod": 91,
    "fchmodat": 268, "fchmodat2": 452, "open_by_handle_at": 304, "connect": 42, "bind": 49,
    "seccomp": 317, "io_uring_setup": 425,
}  # fmt: skip
_I386 = {
    "open": 5, "openat": 295, "openat2": 437, "creat": 8, "rename": 38, "renameat": 302,
    "renameat2": 353, "link": 9, "linkat": 303, "symlink": 83, "symlinkat": 304, "unlink": 10,
    "unlinkat": 301, "truncate": 92, "truncate64": 193, "mknod": 14, "mknodat": 297,
    "chmod": 15, "fchmod": 94, "fchmodat": 306, "fchmodat2": 452, "open_by_handle_at": 342,
    "connect": 362, "bind": 361, "seccomp": 354, "io_uring_setup": 425,
}  # fmt: skip
_AARCH64 = {
    "openat": 56, "openat2": 437, "renameat": 38, "renameat2": 276, "linkat": 37,
    "symlinkat": 36, "unlinkat": 35, "truncate": 45, "mknodat": 33, "fchmod": 52,
    "fchmodat": 53, "fchmodat2": 452, "open_by_handle_at": 265, "connect": 203, "bind": 200,
    "seccomp": 277, "io_uring_setup": 425,
}  # fmt: skip
_ARM = {
    "open": 5, "openat": 322, "openat2": 437, "creat": 8, "rename": 38, "renameat": 329,
    "renameat2": 382, "link": 9, "linkat": 330, "symlink": 83, "symlinkat": 331, "unlink": 10,
    "unlinkat": 328, "truncate": 92, "truncate64": 193, "mknod": 14, "mknodat": 324,
    "chmod": 15, "fchmod": 94, "fchmodat": 333, "fchmodat2": 452, "open_by_handle_at": 371,
    "connect": 283, "bind": 282, "seccomp": 383, "io_uring_setup": 425,
}  # fmt: skip

NUMBERS: dict[int, dict[str, int]] = {
    AUDIT_ARCH_X86_64: _X86_64,
    AUDIT_ARCH_I386: _I386,
    AUDIT_ARCH_AARCH64: _AARCH64,
    AUDIT_ARCH_ARM: _ARM,
}
# A machine's own architecture first; then the one whose programs its kernel may run too.
MACHINES: dict[str, tuple[int, int]] = {
    "x86_64": (AUDIT_ARCH_X86_64, AUDIT_ARCH_I386),
    "aarch64": (AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM),
}
# The x32 interface numbers the same calls with this bit set.
X32_BIT = 0x40000000


def by_number(arch: int) -> dict[int, Call]:
    """Give the calls of one architecture by number; empty for one that we do not know."""
    return {number: CALLS[name] for name, number in NUMBERS.get(arch, {}).items()}
