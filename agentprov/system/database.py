"""Opens the database of the index: one private file, or memory where none can be written.

The file is a cache. One that is damaged, or that others could have written, is never read: it is
replaced, or refused where it is not ours to replace.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprov.errors import UserError
from agentprov.system import files

if TYPE_CHECKING:
    from sqlalchemy import Engine

_WAIT_SECONDS = 30
_BESIDE = ("", "-wal", "-shm", "-journal")
_HEADER = b"SQLite format 3\x00"
_APPLICATION = 0x61707276
_APPLICATION_AT = 68
_HEAD_BYTES = 100


def open_file(path: Path) -> Engine:
    """Give an engine for a SQLite file that is this user's alone; it is made if need be.

    Raises UserError for a file that another user owns or may write, and for what is no database
    and no empty file: what is not an index must not be overwritten by one. Does not check that
    its content is whole.
    """
    import sqlalchemy

    _make_private(path)
    # Both stay in the file; the mark comes first, so that it does not wait in the log.
    new = not path.stat().st_size
    mark = (f"PRAGMA application_id={_APPLICATION}", "PRAGMA journal_mode=WAL") if new else ()
    engine = sqlalchemy.create_engine(
        f"sqlite:///{path}", connect_args={"timeout": _WAIT_SECONDS, "check_same_thread": False}
    )
    _set_up(engine, *mark, "PRAGMA synchronous=NORMAL")
    return engine


def in_memory() -> Engine:
    """Give an engine whose database is gone when it is closed."""
    import sqlalchemy
    from sqlalchemy.pool import StaticPool

    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    _set_up(engine)
    return engine


def _set_up(engine: Engine, *pragmas: str) -> None:
    from sqlalchemy import event

    def connected(connection: Any, _record: object) -> None:
        # SQLAlchemy begins transactions itself, see below; the driver must not.
        connection.isolation_level = None
        # A hostile file must not run what it holds.
        for pragma in ("PRAGMA trusted_schema=OFF", "PRAGMA cell_size_check=ON", *pragmas):
            _patiently(connection, pragma)
        connection.execute("PRAGMA cache_size=-65536")
        connection.execute("PRAGMA temp_store=MEMORY")

    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begin)


def _patiently(connection: Any, pragma: str) -> None:
    """Say a pragma; changing the journal does not wait by itself for those who read."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute(pragma)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _make_private(path: Path) -> None:
    try:
        files.private_directory(path.parent)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise UserError(f"the index {path} cannot be opened: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"the index {path} is no regular file")
        if hasattr(os, "getuid") and (
            status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        ):
            raise UserError(
                f"others can write the index {path}, so what it says of records is worth nothing",
                hint=f"remove it, or `chmod 600 {path}`; it is made again",
            )
        if not _begins_well(descriptor):
            raise UserError(
                f"{path} is no index", hint="name another file; an index is made where none is"
            )
    finally:
        os.close(descriptor)


def _begins_well(descriptor: int) -> bool:
    head = os.read(descriptor, _HEAD_BYTES)
    ours = head[_APPLICATION_AT : _APPLICATION_AT + 4] == _APPLICATION.to_bytes(4, "big")
    return not head or (head.startswith(_HEADER) and ours)


def is_none(path: Path) -> bool:
    """Say whether a regular file, by its first bytes, is no index and not empty either.

    False where there is no such file, or it cannot be read. Does not look at what comes behind.
    """
    try:
        descriptor = files.open_regular(path, follow=False)
    except OSError:
        return False
    try:
        return not _begins_well(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a database and what lies beside it; nothing happens where there is none."""
    for suffix in _BESIDE:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")


@contextlib.contextmanager
def writing(path: Path | None) -> Iterator[None]:
    """Hold the right to change the database at `path`; raises Busy after a minute."""
    if path is None:
        yield
        return
    with files.locked(path.with_name(path.name + ".lock"), 60.0):
        yield


_REFUSALS = ("locked", "busy", "full", "readonly", "read-only", "unable to open", "disk i/o")


def damage(error: BaseException) -> bool:
    """Say whether an error means that the database's content is not whole, or not ours."""
    original = _original(error)
    return original is not None and not refused(error)


def refused(error: BaseException) -> bool:
    """Say whether an error means that the database is whole and cannot be used now."""
    original = _original(error)
    return isinstance(original, sqlite3.OperationalError) and any(
        word in str(original).lower() for word in _REFUSALS
    )


def words(error: BaseException) -> str:
    """Give the database's own words of an error, without the statement that it was about."""
    return str(_original(error) or error)


def _original(error: BaseException) -> BaseException | None:
    from sqlalchemy.exc import DatabaseError

    original = error.orig if isinstance(error, DatabaseError) else error
    return original if isinstance(original, sqlite3.DatabaseError) else None


__all__ = ["damage", "in_memory", "is_none", "open_file", "refused", "remove", "words", "writing"]
