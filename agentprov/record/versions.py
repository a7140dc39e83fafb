"""What files of the work tree held in between: their content each time that they changed.

A snapshot tells what a session began and ended with; only the versions in between tell *when*
a line first stood in a file. Contents go into the session's private git objects, beside those
of the snapshots; times into ``versions.jsonl`` of the session's directory. Optional like the
file events that drive it: it never raises, and says as gaps what it left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import new as new_hash
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

from agentprov.formats.names import label_path, path_label
from agentprov.system.files import atomic_write
from agentprov.system.writers import nobody_writes

MAX_VERSION_BYTES = 1024 * 1024
MAX_VERSIONS_OF_PATH = 256
MAX_TOTAL_BYTES = 256 * 1024 * 1024
_STOP_SECONDS = 2.0
_WRITING = timedelta(seconds=1)
# From a call's being written down to its being carried out, generously.
_CARRIED_OUT = timedelta(milliseconds=250)
_CONFIRM_SECONDS = 0.5


def instant(time: str) -> datetime:
    """Read one of our own times; a time without an offset counts as UTC."""
    parsed = datetime.fromisoformat(time)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Version:
    """One content of a file: the change to it was noticed at `since`, it was read by `at`.

    Reading began at `began`: what was written later is not in it. `content` is None where the
    file was gone, no file, or too large to keep. `by_others` says that the agent's processes
    provably did not write the file since the version before: none had it open for writing then,
    and none opened it since (needs process attribution).
    """

    since: str
    at: str
    content: bytes | None
    by_others: bool = False
    began: str | None = None


@dataclass(frozen=True)
class _Entry:
    path: bytes
    since: str
    at: str
    blob: str | None
    quiet: bool
    began: str | None


class Versions:
    """Keeps the contents of changed files while a session runs.

    Hand `noticed` to whatever hears of changes; it returns at once. `now` gives RFC 3339.
    `leases` says that it may be asked whether anybody has a file open for writing, which keeps
    whoever opens it at that moment waiting for some microseconds. `unnamed` says of which paths
    nothing may be written down.
    """

    def __init__(
        self,
        top: Path,
        objects: Path,
        place: Path,
        now: Callable[[], str],
        object_format: Literal["sha1", "sha256"] = "sha1",
        *,
        leases: bool = False,
        unnamed: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        self._unnamed = unnamed
        self._top = os.fsencode(top)
        self._objects = objects
        self._place = place
        self._now = now
        self._format = object_format
        self._leases = leases
        self._unsure: set[bytes] = set()
        self._queue: SimpleQueue[tuple[bytes, str] | None] = SimpleQueue()
        self._counts: dict[bytes, int] = {}
        self._last: dict[bytes, str | None] = {}
        self._total = 0
        self._left_out: dict[str, int] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="agentprov-versions", daemon=True)

    def start(self) -> None:
        """Begin reading in the background; without it, `settle` does the reading."""
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    def noticed(self, path: bytes, moment: str) -> None:
        """Take note that a path (git's, relative to the top) changed at this time."""
        self._queue.put((path, moment))

    def settle(self) -> None:
        """Read what is still waiting to be read, in the caller's thread."""
        with contextlib.suppress(Empty):
            while (item := self._queue.get_nowait()) is not None:
                self._read(*item)

    def stop(self) -> None:
        """End the background reading, after what is waiting."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(_STOP_SECONDS)
        self.settle()

    def left_out(self) -> Mapping[str, int]:
        """Give reasons for which versions were not kept, and how often."""
        return dict(self._left_out)

    def _serve(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=_CONFIRM_SECONDS if self._unsure else None)
            except Empty:
                self._confirm()
                continue
            if item is None:
                return
            self._read(*item)

    def _read(self, path: bytes, moment: str) -> None:
        with self._lock:
            try:
                self._read_one(path, moment)
            except (OSError, ValueError) as error:
                self._miss(f"unreadable: {type(error).__name__}")

    def _read_one(self, path: bytes, moment: str) -> None:
        if path == b".git" or path.startswith(b".git/") or b"/.git/" in path:
            return
        if self._unnamed(path):
            self._miss("a secret in the name")
            return
        if self._counts.get(path, 0) >= MAX_VERSIONS_OF_PATH:
            self._miss("too many versions of one file")
            return
        began = self._now()
        content, quiet = self._content(os.path.join(self._top, path))
        blob = self._store(content) if content is not None else None
        if path in self._last and self._last[path] == blob:
            return
        self._last[path] = blob
        if self._leases:
            self._unsure.add(path)
        self._counts[path] = self._counts.get(path, 0) + 1
        self._write(path, moment, blob, quiet, began)

    def _confirm(self) -> None:
        """Note that nobody had the files open that changed before all went quiet.

        Only now: a call that was written down is carried out a moment later.
        """
        for path in self._unsure:
            with self._lock, contextlib.suppress(OSError, ValueError):
                began = self._now()
                content, quiet = self._content(os.path.join(self._top, path))
                self._total -= len(content or b"")
                blob = self._store(content) if content is not None else None
                if quiet and blob == self._last.get(path, ""):
                    self._write(path, began, blob, quiet, began)
        self._unsure.clear()

    def _write(self, path: bytes, since: str, blob: str | None, quiet: bool, began: str) -> None:
        fields = [path_label(path), since, self._now(), blob, quiet, began]
        line = json.dumps(fields, separators=(",", ":"))
        descriptor = os.open(self._place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as stream:
            stream.write(line.encode() + b"\n")

    def _content(self, place: bytes) -> tuple[bytes | None, bool]:
        """Read a file, and say whether nobody could go on writing to it as it was read."""
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(place, flags | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            return None, True
        except OSError:
            return None, False
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None, False
            quiet = self._leases and nobody_writes(descriptor)
            content = stream.read(MAX_VERSION_BYTES + 1)
        if len(content) > MAX_VERSION_BYTES:
            self._miss("too large")
            return None, False
        if self._total + len(content) > MAX_TOTAL_BYTES:
            self._miss("too much in all")
            return None, False
        self._total += len(content)
        return content, quiet

    def _miss(self, why: str) -> None:
        self._left_out[why] = self._left_out.get(why, 0) + 1

    def _store(self, content: bytes) -> str:
        whole = b"blob %d\0" % len(content) + content
        oid = new_hash(self._format, whole, usedforsecurity=False).hexdigest()
        place = self._objects / oid[:2] / oid[2:]
        try:
            # An old object that is wanted again must not look unneeded to `agentprov gc`.
            os.utime(place)
        except FileNotFoundError:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            atomic_write(place, zlib.compress(whole, 1), fsync=False)
        return oid


def kept(
    place: Path,
    read: Callable[[str], bytes | None],
    paths: Iterable[bytes] | None,
    times: Callable[[bytes], Sequence[tuple[datetime, datetime]] | None] = lambda _: None,
) -> dict[bytes, list[Version]]:
    """Give the kept versions of some paths (None: all), in the order in which they were read.

    `place` is the session's ``versions.jsonl``, `read` gives the content of a blob, `times` when
    the agent's processes named a path for writing (None: not known). A change is by others if
    nobody at all had the file open when the version before was read, and none of the agent's
    processes named it from then on until this one had been read. Lines and blobs that cannot be
    read are left out.
    """
    wanted = None if paths is None else set(paths)
    found: dict[bytes, list[Version]] = {}
    quiet_since: dict[bytes, datetime] = {}
    blobs: dict[bytes, str | None] = {}
    for entry in _entries(place):
        if entry.path in found and entry.blob == blobs.get(entry.path):
            # The same once more: nobody had it open.
            if entry.quiet and entry.began:
                quiet_since[entry.path] = instant(entry.began)
        elif wanted is None or entry.path in wanted:
            blobs[entry.path] = entry.blob
            content = read(entry.blob) if entry.blob else None
            others = _by_others(quiet_since.get(entry.path), entry, times(entry.path))
            version = Version(entry.since, entry.at, content, others, entry.began)
            quiet_since.pop(entry.path, None)
            if entry.quiet and entry.began:
                quiet_since[entry.path] = instant(entry.began)
            found.setdefault(entry.path, []).append(version)
    return {path: _whole(versions) for path, versions in found.items()}


def _by_others(
    quiet_since: datetime | None,
    entry: _Entry,
    times: Sequence[tuple[datetime, datetime]] | None,
) -> bool:
    if quiet_since is None or times is None:
        return False
    end = instant(entry.at)
    since = quiet_since - _CARRIED_OUT
    return not any(first <= end and since <= last for first, last in times)


def _whole(versions: Sequence[Version]) -> list[Version]:
    """Leave out an empty file that was read between truncating and writing.

    Taken for a version, it would seem that the write put back, as its own, what stood there all
    along. The version after it speaks for both steps.
    """
    out: list[Version] = []
    since, by_others = None, True
    for version, after in zip(versions, [*versions[1:], None], strict=True):
        if (
            version.content == b""
            and after is not None
            and after.content
            and instant(after.at) - instant(version.at) <= _WRITING
        ):
            since, by_others = since or version.since, by_others and version.by_others
            continue
        if since is not None:
            version = replace(version, since=since, by_others=by_others and version.by_others)
            since, by_others = None, True
        out.append(version)
    return out


def _entries(place: Path) -> Iterator[_Entry]:
    try:
        lines = place.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):
            # A session of an earlier release has no sixth field.
            label, since, at, blob, quiet, *began = json.loads(line)
            yield _Entry(label_path(label), since, at, blob, quiet is True, *(began or [None]))
