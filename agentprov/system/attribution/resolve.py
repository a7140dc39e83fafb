"""Which file a path means to another process: its root, directory and descriptors, not ours.

A place is told by the directory's device and inode plus the last name, so that renamed parents,
symbolic links, bind mounts and mount namespaces do not hide it; a file that exists also by its
own device, inode and birth time, since inodes are used again at once.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
import struct
from typing import NamedTuple

from agentprov.system.attribution.install import libc

AT_FDCWD = -100
_OPENAT2 = 437
_O_PATH = 0o10000000
_NO_MAGICLINKS, _BENEATH, _IN_ROOT = 0x02, 0x08, 0x10
_NOFOLLOW, _EMPTY_PATH = 0x100, 0x1000
_STATX_MASK, _STATX_BTIME = 0x7FF | 0x800, 0x800
# Mask, links, mode, inode; birth; device.
_STATX = struct.Struct("=I12xI8xH2xQ40xqI44xII")
_MAX_LINKS = 40
_PROC_MAGIC = 0x9FA0
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
# Names that mean something else to every process that reads them.
_OWN = re.compile(
    rb"/proc/(?:self|thread-self|(\d+))(?:/task/\d+)?/(fd/\d+|cwd|root)(?:/(.*))?"
    rb"|/dev/(fd/\d+|stdin|stdout|stderr)(?:/(.*))?",
    re.DOTALL,
)
_STANDARD = {b"stdin": b"fd/0", b"stdout": b"fd/1", b"stderr": b"fd/2"}


class Unresolved(Exception):
    """A path whose meaning could not be found out; the call may succeed all the same."""


class FileId(NamedTuple):
    """A file as such, whatever its names: device, inode, birth (ns since epoch, 0 unknown)."""

    device: int
    inode: int
    birth: int = 0


class Place(NamedTuple):
    """Where a name stands.

    `path` is absolute as this process sees it, without symbolic links. `parent` is (device,
    inode) of the directory, None when it does not exist. `file` and `mode` (st_mode) are those
    of what stands there, None and 0 when nothing does; `links` counts its names. `directory` is
    a descriptor of the directory where `find` was to hold it, else -1; `changed` is when that
    directory last changed (ns since the epoch).
    """

    path: bytes
    parent: tuple[int, int] | None
    file: FileId | None = None
    mode: int = 0
    links: int = 1
    directory: int = -1
    changed: int = 0


class _OpenHow(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


class _Kernel:
    """The two calls that Python does not offer, made ready once."""

    def __init__(self) -> None:
        self.room = ctypes.create_string_buffer(256)
        self.room_at = ctypes.addressof(self.room)
        # Own function objects: their argument types are nobody else's business.
        self.openat2 = libc()["syscall"]
        self.openat2.restype = ctypes.c_long
        self.openat2.argtypes = [
            ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t,
        ]  # fmt: skip
        self.statx = libc()["statx"]
        self.statx.argtypes = [
            ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p,
        ]  # fmt: skip
        self.hows: dict[int, _OpenHow] = {}


_kernel: _Kernel | None = None


def _ready() -> _Kernel:
    global _kernel  # noqa: PLW0603 - made at first use, so that importing works everywhere
    if _kernel is None:
        _kernel = _Kernel()
    return _kernel


def identify(
    directory: int, name: bytes, *, follow: bool = False
) -> tuple[FileId, int, int] | None:
    """Give (file, st_mode, st_nlink) of a name in an open directory; None when nothing is there.

    An empty name means the descriptor itself. Raises OSError for all but absence.
    """
    flags = (0 if follow else _NOFOLLOW) | (0 if name else _EMPTY_PATH)
    kernel = _ready()
    done = kernel.statx(directory, name, flags, _STATX_MASK, kernel.room_at)
    if done != 0:
        code = ctypes.get_errno()
        if code in _ABSENT:
            return None
        raise OSError(code, os.strerror(code))
    mask, links, mode, inode, seconds, nanoseconds, major, minor = _STATX.unpack_from(kernel.room)
    birth = seconds * 10**9 + nanoseconds if mask & _STATX_BTIME else 0
    return FileId(os.makedev(major, minor), inode, birth), mode, links


def _openat2(directory: int, path: bytes, resolve: int) -> int:
    kernel = _ready()
    how = kernel.hows.get(resolve)
    if how is None:
        how = kernel.hows[resolve] = _OpenHow(_O_PATH | os.O_CLOEXEC, 0, resolve)
    for _ in range(32):
        done = kernel.openat2(_OPENAT2, directory, path, ctypes.addressof(how), ctypes.sizeof(how))
        if done >= 0:
            return int(done)
        # EAGAIN: something was renamed while ".." was followed.
        if ctypes.get_errno() != errno.EAGAIN:
            break
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def find(pid: int, path: bytes, directory: int, *, follow: bool, hold: bool = False) -> Place:
    """Say which place a path names for a thread; `directory` is its descriptor or AT_FDCWD.

    With `follow`, symbolic links in the last component are followed even where they dangle.
    With `hold`, where nothing stands there, the answer holds the directory open for the caller
    to close: what appears there later can be found whatever mounts are in between. Raises
    Unresolved.
    """
    process = f"/proc/{pid}".encode()
    own = _OWN.fullmatch(path)
    if own is not None:
        return _of_own(process, own, follow, hold)
    place = b"%b/%b" % (process, _base(path, directory))
    try:
        base = os.open(place, _O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _ABSENT:
            return Place(b"?/" + path, None)
        raise Unresolved(f"{os.strerror(error.errno or 0)}") from error
    try:
        return _walk(process, base, path, follow, hold)
    finally:
        os.close(base)


def _base(path: bytes, directory: int) -> bytes:
    if path.startswith(b"/"):
        return b"root"
    return b"cwd" if directory == AT_FDCWD else b"fd/%d" % directory


def _of_own(process: bytes, own: re.Match[bytes], follow: bool, hold: bool) -> Place:
    pid, inside, rest, device, device_rest = own.groups()
    if pid is not None:
        process = b"/proc/" + pid
    what = inside if inside is not None else _STANDARD.get(device, device)
    rest = rest if inside is not None else device_rest
    try:
        base = os.open(process + b"/" + what, _O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise Unresolved(os.strerror(error.errno or 0)) from error
    try:
        return _walk(process, base, rest, follow, hold) if rest else _opened(base)
    finally:
        os.close(base)


def descriptor(pid: int, number: int) -> Place:
    """Say which file a descriptor of another process is. Raises Unresolved."""
    try:
        base = os.open(f"/proc/{pid}/fd/{number}", _O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise Unresolved(os.strerror(error.errno or 0)) from error
    try:
        return _opened(base)
    finally:
        os.close(base)


def _opened(base: int) -> Place:
    found = identify(base, b"")
    if found is None:
        raise Unresolved("gone")
    path = _name_of(base)
    if not path.startswith(b"/"):
        return Place(path, None, *found)
    parent = identify(AT_FDCWD, os.path.dirname(path), follow=True)
    return Place(path, _pair(parent), *found)


def _pair(found: tuple[FileId, int, int] | None) -> tuple[int, int] | None:
    return None if found is None else (found[0].device, found[0].inode)


def _walk(process: bytes, base: int, path: bytes, follow: bool, hold: bool) -> Place:
    current, opened = base, False
    try:
        for _ in range(_MAX_LINKS):
            head, slash, name = path.rstrip(b"/").rpartition(b"/")
            if name in (b"", b".", b".."):
                return _directory(process, current, path)
            if slash:
                try:
                    parent = _open_directory(process, current, path, head)
                except OSError as error:
                    if error.errno in _ABSENT:
                        return _nowhere(current, path)
                    raise Unresolved(os.strerror(error.errno or 0)) from error
                if opened:
                    os.close(current)
                current, opened = parent, True
            status = os.fstat(current)
            if not stat.S_ISDIR(status.st_mode):
                return _nowhere(current, path)
            file, mode, links = identify(current, name) or (None, 0, 1)
            if not (follow and stat.S_ISLNK(mode)):
                held = -1
                if hold and file is None:
                    # Whoever asked for it closes it.
                    held, opened = (current, False) if opened else (os.dup(current), False)
                return Place(
                    b"%b/%b" % (_name_of(current).rstrip(b"/"), name),
                    (status.st_dev, status.st_ino),
                    file, mode, links, held, status.st_mtime_ns,
                )  # fmt: skip
            if _on_proc(current):
                raise Unresolved("a name under /proc, behind a link")
            path = os.readlink(name, dir_fd=current)
            if path.startswith(b"/"):
                own = _OWN.fullmatch(path)
                if own is not None:
                    return _of_own(process, own, follow, hold)
                os.close(current)
                current = os.open(process + b"/root", _O_PATH | os.O_CLOEXEC)
        raise Unresolved("too many links")
    except OSError as error:
        raise Unresolved(os.strerror(error.errno or 0)) from error
    finally:
        if opened:
            os.close(current)


def _nowhere(base: int, path: bytes) -> Place:
    return Place(os.path.normpath(os.path.join(_name_of(base), path)), None)


def _directory(process: bytes, base: int, path: bytes) -> Place:
    try:
        inner = _open_directory(process, base, path, path or b".")
    except OSError as error:
        if error.errno in _ABSENT:
            return _nowhere(base, path)
        raise
    try:
        return _opened(inner)
    finally:
        os.close(inner)


def _open_directory(process: bytes, base: int, path: bytes, head: bytes) -> int:
    if path.startswith(b"/"):
        return _openat2(base, head or b"/", _IN_ROOT | _NO_MAGICLINKS)
    try:
        return _openat2(base, head or b".", _BENEATH | _NO_MAGICLINKS)
    except OSError as error:
        # It leaves the directory. Absolute links mean the same to us only in the same root.
        if error.errno != errno.EXDEV or not _same_root(process):
            raise
    return _openat2(base, head, _NO_MAGICLINKS)


def _same_root(process: bytes) -> bool:
    theirs, ours = os.stat(process + b"/root"), os.stat("/")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino) and os.readlink(
        process + b"/ns/mnt"
    ) == os.readlink(b"/proc/self/ns/mnt")


def _name_of(opened: int) -> bytes:
    return os.readlink(b"/proc/self/fd/%d" % opened)


def _on_proc(directory: int) -> bool:
    room = ctypes.create_string_buffer(256)
    if libc().fstatfs(directory, room) != 0:
        return False
    return bool(struct.unpack_from("@l", room)[0] == _PROC_MAGIC)
