"""Read what agents leave behind, whatever it looks like: bounded, regular files only, no errors.

Everything here is written by programs that we do not trust. A file that is missing, special,
too large or not what its name says yields nothing; so does a line that is not a JSON object.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MAX_LINE = 8 * 1024 * 1024
MAX_FILE = 512 * 1024 * 1024
MAX_SETTINGS = 4 * 1024 * 1024


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Give the JSON objects of a JSON-lines file, one line in memory at a time.

    Skips lines over `MAX_LINE` bytes, half-written last lines, and what is not an object; stops
    after `MAX_FILE` bytes. Gives nothing for what is not a readable regular file.
    """
    descriptor = _open_regular(path)
    if descriptor is None:
        return
    with os.fdopen(descriptor, "rb") as stream:
        seen = 0
        overlong = False
        while seen < MAX_FILE:
            try:
                line = stream.readline(MAX_LINE)
            except OSError:
                return
            if not line:
                return
            seen += len(line)
            complete = line.endswith(b"\n")
            if not overlong and (complete or len(line) < MAX_LINE):
                value = json_object(line)
                if value:
                    yield value
            overlong = not complete


def json_object(data: bytes | str) -> dict[str, Any]:
    """Give a JSON object, or an empty one for anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def small_file(path: Path, limit: int = MAX_SETTINGS) -> bytes | None:
    """Give the bytes of a regular file of at most `limit` bytes, else None."""
    descriptor = _open_regular(path)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        try:
            data = stream.read(limit + 1)
        except OSError:
            return None
    return data if len(data) <= limit else None


def json_file(path: Path) -> dict[str, Any]:
    """Give the JSON object in a small file, or an empty one."""
    data = small_file(path)
    return json_object(data) if data else {}


def _open_regular(path: Path) -> int | None:
    # Non-blocking, so that a FIFO with a promising name cannot hold us.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError):
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def mapping(value: object) -> Mapping[str, Any]:
    """Give the value if it is an object with text keys, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Give the value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str | None:
    """Give the value if it is non-empty text that can be stored as UTF-8, else None."""
    if not isinstance(value, str) or not value:
        return None
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return None
    return value


def count(value: object) -> int:
    """Give the value if it is a sane count, else 0."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    return 0


def moment(value: object) -> datetime | None:
    """Read RFC 3339 text; None for anything else. A time without an offset counts as UTC."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        return None


def stamp(value: datetime) -> str:
    """Write a time as RFC 3339 in UTC, to the microsecond: the texts sort as the times do."""
    return value.isoformat(timespec="microseconds").replace("+00:00", "Z")


def absolute(path: object, folder: object) -> str | None:
    """Give a path that an agent named as an absolute one, relative to the folder it was in."""
    named = text(path)
    if named is None or "\0" in named:
        return None
    if not os.path.isabs(named):
        base = text(folder)
        if base is None or not os.path.isabs(base):
            return None
        named = os.path.join(base, named)
    return os.path.normpath(named)


def within(path: str, top: Path) -> bool:
    """Say whether a path lies in a folder, with symbolic links of the folder resolved or not."""
    tops = {os.path.normpath(top), os.path.realpath(top)}
    return any(path == one or path.startswith(one.rstrip(os.sep) + os.sep) for one in tops)
