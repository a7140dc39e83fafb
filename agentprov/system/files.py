"""Files, handled so that a crash, a symbolic link or a FIFO cannot hurt.

Writing: aside and rename. Reading: only regular files, never more than was asked for. Locks are
advisory, whole-file, and die with their process.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agentprov.errors import Busy, UserError

BLOCK = 1024 * 1024
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISLNK, "a symbolic link"),
)


def private_directory(path: Path, *, durable: bool = False) -> Path:
    """Make a directory, and its missing parents, readable by this user only; give it back.

    With `durable` the disk has the names of those that were missing before this returns.
    """
    missing = [path]
    while durable and not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    new = durable and not path.exists()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if new:
        for made in missing:
            sync_directory(made.parent)
    return path


def atomic_write(
    path: Path, data: bytes, *, mode: int = 0o600, fsync: bool = True, make_parent: bool = False
) -> None:
    """Put bytes in place as a whole: written aside in the same directory, then renamed.

    A symbolic link at `path` is replaced, not followed. `mode` is exact, whatever the umask.
    The file aside ends in ``.part``, which no reader of ours takes for a finished file. With
    `make_parent` the directory is made with mode 0700. Raises OSError; then `path` is as it was.
    """
    if make_parent:
        private_directory(path.parent, durable=fsync)
    aside = path.parent / f".{path.name[:64]}.{os.getpid()}.{secrets.token_hex(4)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC | _NOFOLLOW | _BINARY
    descriptor = os.open(aside, flags, mode)
    try:
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            _write_all(descriptor, data)
            if fsync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise
    if fsync:
        sync_directory(path.parent)


def write_for_user(path: Path, data: bytes, *, fsync: bool = True) -> None:
    """Put bytes in place as a whole where the user said, for all to read; raises UserError.

    What is there and is no regular file is left as it is: a device or a FIFO must not be replaced,
    and a link, which a repository may bring along, must not be followed. Makes no directory.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            _require_regular(os.lstat(path), path)
        atomic_write(path, data, mode=0o644, fsync=fsync)
    except FileNotFoundError as error:
        raise UserError(
            f"cannot write {path}: there is no directory {path.parent}",
            hint="make it first, or name another file",
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}", hint="name another file"
        ) from error


def append_durably(path: Path, line: bytes, *, mode: int = 0o600) -> None:
    """Add one line and its newline at the end of a file, and wait until the disk has it.

    One writer at a time (hold `locked`): when the disk is full, the half-written line is cut
    off again. What a killed writer left without a newline becomes a line of its own, so that it
    spoils no other. Refuses a symbolic link. Raises ValueError for a line that holds a newline,
    OSError otherwise.
    """
    if b"\n" in line:
        raise ValueError("one line at a time")
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _CLOEXEC | _NOFOLLOW | _BINARY
    descriptor = os.open(path, flags, mode)
    try:
        before = os.fstat(descriptor).st_size
        torn = before > 0 and _byte_at(descriptor, before - 1) != b"\n"
        try:
            _write_all(descriptor, (b"\n" if torn else b"") + line + b"\n")
            os.fsync(descriptor)
            if before == 0:
                sync_directory(path.parent)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)


def _byte_at(descriptor: int, offset: int) -> bytes:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, 1)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_file(path: Path) -> None:
    """Wait until the disk has what is in a file, whoever wrote it; raises OSError."""
    descriptor = open_regular(path, follow=False)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Wait until the disk has the names in a directory, where the file system can do that."""
    # Some file systems, and Windows, cannot sync a directory; the rename itself has happened.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | _CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder: Path, matches: Callable[[str], bool], older_than: float) -> list[str]:
    """Remove files in one directory that a killed process left; give the names of those removed.

    `matches` says which names may go; of them, those go that nobody touched for `older_than`
    seconds by this machine's clock, so that no living process loses its own. Never follows a
    link, leaves directories alone, raises nothing: what cannot be removed stays.
    """
    removed: list[str] = []
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if matches(entry.name)]
    except OSError:
        return removed
    for entry in found:
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > older_than:
                os.unlink(entry.path)
                removed.append(entry.name)
    return removed


@contextlib.contextmanager
def locked(path: Path, timeout: float = 10.0) -> Iterator[int]:
    """Hold the lock that a file stands for, and give its descriptor; the file is made, and stays.

    Waits at most `timeout` seconds, then raises Busy; raises UserError where something else than
    a file lies in its place, and OSError. Works between processes and between
    threads. Child processes do not inherit the lock unless they are given the descriptor: then
    it is held until they end too. Network file systems are not checked.
    """
    flags = os.O_RDWR | os.O_CREAT | _CLOEXEC | _NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ELOOP):
            raise UserError(
                f"{path} is no lock file: {error.strerror}",
                hint="look at what lies there, take it away, then try again",
            ) from error
        raise
    try:
        deadline = time.monotonic() + timeout
        pause = 0.001
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise Busy(
                    f"{path} has been locked for {timeout:g} s",
                    hint="another agentprov is at work here; wait for it, then try again",
                )
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, 0.05)
        yield descriptor
    finally:
        # Closing the last descriptor of this opening gives the lock back.
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return _try_lock_windows(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _try_lock_windows(descriptor: int) -> bool:
    import importlib

    msvcrt = importlib.import_module("msvcrt")
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def kind_of(mode: int) -> str:
    """Say in words what an `st_mode` is of: "a FIFO", "a directory", "a regular file"."""
    return next((name for test, name in _KINDS if test(mode)), "a regular file")


def open_regular(path: Path | str, *, follow: bool = True) -> int:
    """Open a regular file for reading and give its descriptor; never blocks on a FIFO.

    Looks before it opens, because opening a device can have effects, and again afterwards,
    because the path may have been exchanged. With `follow` false a symbolic link as the last
    part is refused. Raises OSError (EINVAL with the kind in words for what is no file).
    """
    _require_regular((os.stat if follow else os.lstat)(path), path)
    flags = os.O_RDONLY | _NONBLOCK | _CLOEXEC | _BINARY | (0 if follow else _NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        _require_regular(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(status: os.stat_result, path: Path | str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"{kind_of(status.st_mode)}, not a regular file", str(path))


def read_bounded(path: Path | str, limit: int, *, follow: bool = True) -> bytes:
    """Read a whole regular file of at most `limit` bytes.

    Raises OSError: EFBIG for a larger file, EINVAL for a FIFO, device, socket or directory.
    """
    descriptor = open_regular(path, follow=follow)
    try:
        chunks = bytearray()
        while len(chunks) <= limit:
            chunk = os.read(descriptor, min(BLOCK, limit + 1 - len(chunks)))
            if not chunk:
                return bytes(chunks)
            chunks += chunk
    finally:
        os.close(descriptor)
    raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))


def sha256_of_descriptor(
    descriptor: int, cancelled: Callable[[], bool] = lambda: False
) -> tuple[str, int]:
    """Hash an open file from its first byte to its end; gives (lower-case hex, size in bytes).

    Streams in constant memory and releases the interpreter while it works. Does not notice
    a file that changes meanwhile: compare `os.fstat` before and after. Raises OSError, and
    InterruptedError as soon as `cancelled` says so; it is asked after every block.
    """
    digest = hashlib.sha256()
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    size = 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, "rb", buffering=0, closefd=False) as stream:
        while count := stream.readinto(buffer):
            digest.update(view[:count])
            size += count
            if cancelled():
                raise InterruptedError(errno.EINTR, f"given up after {size} bytes")
    return digest.hexdigest(), size


def sha256_of_file(
    path: Path | str, *, limit: int | None = None, follow: bool = True
) -> tuple[str, int]:
    """Hash a regular file; gives (lower-case hex, size in bytes).

    Raises OSError as `read_bounded` does; `limit` is judged by the size at opening.
    """
    descriptor = open_regular(path, follow=follow)
    try:
        if limit is not None and os.fstat(descriptor).st_size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
        return sha256_of_descriptor(descriptor)
    finally:
        os.close(descriptor)
