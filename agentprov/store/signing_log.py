"""The signing log: digests of all that was signed here, in order, under a signed root.

A directory in the layout of C2SP tlog-tiles. An entry is on disk before the checkpoint that
counts it, and a checkpoint before anybody is told; what lies between is finished at the next
opening. The last checkpoint is also kept in another place, so that a log that was cut off, put
back or exchanged differs from what was seen. docs/spec/log.md is the page, and says what this
does not prove.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agentprov.errors import AgentprovError, MalformedInput
from agentprov.formats import checkpoint as notes
from agentprov.formats import merkle, schema, tile_log
from agentprov.formats.checkpoint import Checkpoint, SignedCheckpoint
from agentprov.formats.tile_log import ENTRIES, WIDTH, Tiles
from agentprov.system import files
from agentprov.system.clock import SystemClock, rfc3339

if TYPE_CHECKING:
    from agentprov.ports import CheckpointKey, Clock

ORIGIN_PREFIX = "agentprov.github.io/log/"
LOCK_SECONDS = 2.0
_READ_ATTEMPTS = 3
_MAX_TILE = WIDTH * (2 + 65_535)


class LogBroken(AgentprovError):
    """The log is not what was last seen of it, or does not fit itself; nothing is added to it.

    `code` is a finding's (docs/spec/findings.md).
    """

    kind = "malformed"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(
            message, hint="find out who changed it; then `agentprov checkpoint accept`"
        )
        self.code = code


@dataclass(frozen=True)
class View:
    """A log that fits itself and what was seen of it: its checkpoint, and how to look inside.

    `mended` are tiles that had to be made again from the entries; on disk they are as they were.
    """

    note: bytes
    checkpoint: Checkpoint
    tiles: Tiles
    directory: Path
    mended: dict[tuple[int, int], bytes] = field(default_factory=dict)

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {}

    @cached_property
    def _unread(self) -> list[int]:
        return list(range(-(-self.checkpoint.size // WIDTH)))

    def _place(self, entry: bytes) -> int | None:
        """Find an entry's place; mostly young ones are asked for, so the last tiles come first."""
        while entry not in self._places and self._unread:
            index = self._unread.pop()
            width = tile_log.width_of(ENTRIES, index, self.checkpoint.size)
            for offset, item in enumerate(_entry_tile(self.directory, index, width)):
                self._places[item] = index * WIDTH + offset
        return self._places.get(entry)

    def includes(self, entry: bytes) -> bool:
        """Say whether an entry is in the log, by a proof that leads to the signed root."""
        size = self.checkpoint.size
        try:
            index = self._place(entry)
            if index is None:
                return False
            path = merkle.inclusion_proof(index, size, self.tiles.subtree)
        except (LogBroken, MalformedInput, OSError):
            return False
        found = merkle.root_by_inclusion(index, size, merkle.leaf_hash(entry), path)
        return found == self.checkpoint.root

    def audit(self) -> None:
        """Make all hashes again from all entries, and compare; raises LogBroken.

        Takes 3 us for each entry.
        """
        made, _ = _tiles_from_entries(self.directory, self.checkpoint)
        for level in tile_log.levels(self.checkpoint.size):
            row = self.checkpoint.size >> 8 * level
            for index in range(-(-row // WIDTH)):
                try:
                    same = self.tiles.tile(level, index) == made.tile(level, index)
                except (MalformedInput, OSError) as error:
                    raise LogBroken("log-damaged", f"a tile cannot be read: {error}") from error
                if not same:
                    path = tile_log.tile_path(level, index)
                    raise LogBroken("log-damaged", f"the hashes of {path} are not its entries'")


class SigningLog:
    """One repository's log under one key.

    `seen` is the file, elsewhere, that keeps the last checkpoint. `has_past` says whether anything
    else in this clone is older than now, so that a clone that was made anew where another stood
    is told from one whose log was removed. Writers take a lock; readers need none, because a
    checkpoint is put in place after all that it counts.
    """

    def __init__(
        self,
        home: Path,
        key: CheckpointKey,
        seen: Path,
        clock: Clock | None = None,
        has_past: Callable[[], bool] = lambda: True,
    ) -> None:
        self._home = home
        self._has_past = has_past
        self.key = key
        self.seen_path = seen
        self._clock = clock or SystemClock()

    @cached_property
    def directory(self) -> Path:
        """Give the log's own directory: one for each key, as two may share a repository."""
        return self._home / notes.key_id("agentprov", self.key.public).hex()

    def seen(self) -> SignedCheckpoint | None:
        """Give the checkpoint that was last seen, or None when none was kept.

        Raises LogBroken for one that cannot be read or that this key did not sign.
        """
        try:
            data = files.read_bounded(self.seen_path, notes.MAX_BYTES, follow=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LogBroken("log-damaged", f"{self.seen_path}: {error.strerror}") from error
        # A machine that lost power may leave an empty file; it says nothing.
        return self.read(data, "the checkpoint that was last seen") if data else None

    def began(self) -> str | None:
        """Give the time at which this log was begun (RFC 3339, Z), as its keeper says.

        None where that cannot be read, or is no time: a machine that lost power may leave an
        empty file.
        """
        try:
            text = files.read_bounded(self.directory / "began", 64, follow=False)
            began = text.decode("ascii", "replace")
            schema.require(schema.time, began, "began")
        except (OSError, MalformedInput):
            return None
        return began

    def read(self, note: bytes, what: str) -> SignedCheckpoint:
        """Read a checkpoint and check that this key signed it; raises LogBroken."""
        try:
            found = notes.parse(note)
        except MalformedInput as error:
            raise LogBroken("log-damaged", f"{what}: {error.message}") from error
        signature = found.by(found.checkpoint.origin, self.key.public)
        if signature is None or not self.key.verify(found.signed, signature):
            raise LogBroken("log-damaged", f"{what} was not signed by this user's log key")
        return found

    def view(self, others: Sequence[tuple[str, SignedCheckpoint]] = ()) -> View | None:
        """Open the log for reading, and compare it with what was seen of it; None without one.

        `others` are checkpoints from elsewhere with the words that name them. Raises LogBroken.
        """
        seen = self.seen()
        known = [*(() if seen is None else [("what was last seen here", seen)]), *others]
        try:
            note = files.read_bounded(self.directory / "checkpoint", notes.MAX_BYTES)
        except FileNotFoundError:
            if known:
                size = known[0][1].checkpoint.size
                raise LogBroken(
                    "log-rollback" if others or not self._may_be_new() else "log-gone",
                    f"the log of {size} entries that was kept here is gone",
                ) from None
            return None
        except OSError as error:
            raise LogBroken("log-damaged", f"the log's checkpoint: {error.strerror}") from error
        checkpoint = self.read(note, "the log's checkpoint").checkpoint
        tiles, mended = self._sound_tiles(checkpoint)
        view = View(note, checkpoint, tiles, self.directory, mended)
        for what, other in known:
            _compare(view, other.checkpoint, what)
        return view

    def append(self, entries: Sequence[bytes], *, missing_only: bool = False) -> Checkpoint:
        """Add entries and sign the new head; all or none of them, once it returns.

        With `missing_only`, those that the log has are left out. First finishes what a killed
        process began. Raises LogBroken, Busy, KeyUnusable, OSError; then nothing was added, or
        the next call finishes it.
        """
        self._own_directory()
        with files.locked(self.directory / "lock", LOCK_SECONDS):
            view = self._view_to_grow()
            if view is not None:
                self._write_hashes(view.checkpoint.size, view.mended)
            size = view.checkpoint.size if view else 0
            fresh = self._unfinished(size)
            known = set(fresh)
            if missing_only:
                known |= set(_read_entries(self.directory, size))
            fresh += [item for item in dict.fromkeys(entries) if item not in known]
            return self._grow(view, fresh)

    def _view_to_grow(self) -> View | None:
        """Open the log for adding to it; in a clone that was made anew, begin one beside the old.

        What was seen of the old one is kept under another name.
        """
        try:
            return self.view()
        except LogBroken as error:
            if error.code != "log-gone":
                raise
        former = self.seen()
        if former is not None:
            name = former.checkpoint.origin.rpartition("/")[2]
            os.replace(self.seen_path, self.seen_path.with_name(f"{self.seen_path.name}.{name}"))
        return None

    def _own_directory(self) -> None:
        """Make the log's directory; a link in its place must not lead our writing elsewhere."""
        for place in (self._home, self.directory, self.directory / "tile"):
            if place.is_symlink():
                raise LogBroken("log-damaged", f"{place} is a link, and the log is not kept there")
        files.private_directory(self.directory)

    def _may_be_new(self) -> bool:
        return not (self.directory / "tile").exists() and not self._has_past()

    def accept(self) -> Checkpoint | None:
        """Take the log as it is for the one that is meant, and forget what was seen before.

        Makes hashes and checkpoint again from the entries. None when there is no log any more.
        """
        self._own_directory()
        with files.locked(self.directory / "lock", LOCK_SECONDS):
            self.seen_path.unlink(missing_ok=True)
            entries = self._unfinished(0)
            if not entries:
                for name in ("checkpoint", "began"):
                    (self.directory / name).unlink(missing_ok=True)
                return None
            return self._grow(None, entries)

    def _sound_tiles(self, checkpoint: Checkpoint) -> tuple[Tiles, dict[tuple[int, int], bytes]]:
        """Give hashes that lead to the signed root: those on disk, or else made from entries."""

        def read(level: int, index: int, width: int) -> bytes:
            return _read_tile(self.directory, level, index, width)

        tiles = Tiles(checkpoint.size, read)
        with contextlib.suppress(LogBroken, MalformedInput, OSError):
            if tiles.root() == checkpoint.root:
                return tiles, {}
        # A machine that lost power may have lost hashes; entries were waited for.
        return _tiles_from_entries(self.directory, checkpoint)

    def _unfinished(self, size: int) -> list[bytes]:
        """Give entries on disk that no checkpoint counts yet: a killed process left them."""
        found: list[bytes] = []
        while True:
            index, have = divmod(size + len(found), WIDTH)
            widths = _widths(self.directory, ENTRIES, index)
            if not widths or widths[-1] <= have:
                return found
            entries = _entry_tile(self.directory, index, widths[-1])
            found += entries[have:]

    def _grow(self, view: View | None, fresh: Sequence[bytes]) -> Checkpoint:
        before = view.tiles if view else Tiles(0, lambda *_: b"")
        origin = view.checkpoint.origin if view else ORIGIN_PREFIX + secrets.token_hex(16)
        if not fresh and view is not None:
            self._keep_seen(view.note)
            return view.checkpoint
        if view is None and self.began() is None:
            files.atomic_write(self.directory / "began", rfc3339(self._clock.now()).encode())
        self._write_entries(before.size, fresh)
        tiles, changed = tile_log.grown(before, [merkle.leaf_hash(item) for item in fresh])
        self._write_hashes(tiles.size, changed)
        checkpoint = Checkpoint(origin, tiles.size, tiles.root())
        note = notes.encode(checkpoint, self.key.public, self.key.sign(checkpoint.body))
        files.atomic_write(self.directory / "checkpoint", note)
        self._keep_seen(note)
        self._tidy(before.size, tiles.size)
        return checkpoint

    def _write_entries(self, size: int, fresh: Sequence[bytes]) -> None:
        first, have = divmod(size, WIDTH)
        row = _entry_tile(self.directory, first, have) if have else []
        row += fresh
        for at in range(0, len(row), WIDTH):
            part = row[at : at + WIDTH]
            path = tile_log.tile_path(ENTRIES, first + at // WIDTH, len(part))
            place = self.directory / path
            files.atomic_write(place, tile_log.encode_entries(part), make_parent=True)

    def _write_hashes(self, size: int, changed: dict[tuple[int, int], bytes]) -> None:
        # The last tiles are not waited for: they are made again when they do not give the root.
        for (level, index), data in changed.items():
            width = tile_log.width_of(level, index, size)
            place = self.directory / tile_log.tile_path(level, index, width)
            files.atomic_write(place, data, fsync=width == WIDTH, make_parent=True)

    def _keep_seen(self, note: bytes) -> None:
        try:
            if files.read_bounded(self.seen_path, notes.MAX_BYTES, follow=False) == note:
                return
        except OSError:
            pass
        files.atomic_write(self.seen_path, note, fsync=False, make_parent=True)

    def _tidy(self, before: int, size: int) -> None:
        """Remove partial tiles that a wider one replaces; what stays does no harm."""
        for level in (ENTRIES, *tile_log.levels(size)):
            index = (before if level == ENTRIES else before >> 8 * level) // WIDTH
            keep = tile_log.width_of(level, index, size)
            partial = (self.directory / tile_log.tile_path(level, index, 1)).parent
            with contextlib.suppress(OSError):
                for name in os.listdir(partial):
                    if name != str(keep):
                        (partial / name).unlink()
                if keep == WIDTH:
                    partial.rmdir()


def _compare(view: View, other: Checkpoint, what: str) -> None:
    """Compare a log with a checkpoint of it that somebody kept; raises LogBroken."""
    mine = view.checkpoint
    if other.origin != mine.origin:
        raise LogBroken(
            "log-rollback", f"{what} is of another log, {other.origin}: this one began afresh"
        )
    if other.size > mine.size:
        raise LogBroken(
            "log-rollback", f"{what} has {other.size} entries, the log has {mine.size} now"
        )
    if other == mine:
        return
    path: list[bytes] = []
    if other.size:
        try:
            path = merkle.consistency_proof(other.size, mine.size, view.tiles.subtree)
        except (MalformedInput, OSError) as error:
            raise LogBroken("log-damaged", f"the log's tiles cannot be read: {error}") from error
    if not merkle.is_consistent(other.size, other.root, mine.size, mine.root, path):
        raise LogBroken(
            "log-split-view", f"{what} is not how this log began: two logs go by one name"
        )


def _tiles_from_entries(
    directory: Path, checkpoint: Checkpoint
) -> tuple[Tiles, dict[tuple[int, int], bytes]]:
    leaves = [merkle.leaf_hash(item) for item in _read_entries(directory, checkpoint.size)]
    tiles, made = tile_log.grown(Tiles(0, lambda *_: b""), leaves)
    if tiles.root() != checkpoint.root:
        raise LogBroken("log-damaged", "its entries do not give the root that was signed")
    return tiles, made


def _widths(directory: Path, level: int, index: int) -> list[int]:
    """Give the widths in which a tile is there, the greatest last."""
    found = []
    with contextlib.suppress(OSError):
        partial = (directory / tile_log.tile_path(level, index, 1)).parent
        names = [name for name in os.listdir(partial) if name.isascii() and name.isdigit()]
        found = sorted(int(name) for name in names if 0 < int(name) < WIDTH)
    if (directory / tile_log.tile_path(level, index)).exists():
        found.append(WIDTH)
    return found


def _read_tile(directory: Path, level: int, index: int, width: int) -> bytes:
    """Read a tile of at least this width; a writer may have replaced it by a wider one."""
    for _ in range(_READ_ATTEMPTS):
        wide = next((w for w in _widths(directory, level, index) if w >= width), width)
        path = directory / tile_log.tile_path(level, index, wide)
        with contextlib.suppress(FileNotFoundError):
            return files.read_bounded(path, _MAX_TILE)
    raise LogBroken("log-damaged", f"{tile_log.tile_path(level, index, width)} is missing")


def _entry_tile(directory: Path, index: int, width: int) -> list[bytes]:
    """Give the first `width` entries of a tile."""
    try:
        found = tile_log.decode_entries(_read_tile(directory, ENTRIES, index, width))
    except (OSError, MalformedInput) as error:
        raise LogBroken("log-damaged", f"a tile of entries cannot be read: {error}") from error
    if len(found) < width:
        raise LogBroken("log-damaged", f"tile {index} of the entries holds {len(found)} only")
    return found[:width]


def _read_entries(directory: Path, size: int) -> list[bytes]:
    found: list[bytes] = []
    for index in range(-(-size // WIDTH)):
        found += _entry_tile(directory, index, tile_log.width_of(ENTRIES, index, size))
    return found
