"""What a disk may hold when the power goes: every call that changes it is noted, then replayed.

`Disk` notes the calls that this process makes below one directory. `Disk.image` gives what may be
there after the first n of them, as the standards allow: a file's content is sure once it was
waited for (`fsync`), a name once its directory was. What was not waited for is gone (`strict`),
or there with names but without contents (`names`), or half (`torn`), or all there (`kept`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

Loss = Literal["strict", "names", "torn", "kept"]
LOSSES: tuple[Loss, ...] = ("strict", "names", "torn", "kept")


@dataclass
class _File:
    now: bytes = b""
    sure: bytes = b""


@dataclass
class _State:
    names: dict[str, _File | None] = field(default_factory=dict)
    sure: dict[str, _File | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One call: what it was, in words, and what it does to a state."""

    words: str
    apply: Callable[[_State], None]


class Disk:
    """Notes what is done below `root`; `at_waits` is called after every wait for the disk."""

    def __init__(self, root: Path, at_waits: Callable[[], None] = lambda: None) -> None:
        self.root = os.path.realpath(root)
        self.operations: list[Operation] = []
        self._open: dict[int, str] = {}
        self._at_waits = at_waits

    def _inside(self, path: Any) -> str | None:
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        text = os.path.abspath(os.fsdecode(path))
        return text[len(self.root) + 1 :] if text.startswith(self.root + "/") else None

    def _note(self, words: str, apply: Callable[[_State], None]) -> None:
        self.operations.append(Operation(words, apply))

    @contextmanager
    def noted(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Note what this process does meanwhile."""
        with monkeypatch.context() as patch:
            self._patch(patch)
            yield

    def _patch(self, patch: pytest.MonkeyPatch) -> None:
        real = {
            name: getattr(os, name)
            for name in (
                "open", "close", "write", "fsync", "replace", "unlink", "mkdir", "rmdir",
                "ftruncate",
            )
        }  # fmt: skip

        def opened(path: Any, flags: int, *more: Any, **named: Any) -> int:
            there = os.path.lexists(path) if self._inside(path) else True
            descriptor = int(real["open"](path, flags, *more, **named))
            inside = self._inside(path)
            # Streams close theirs without telling.
            self._open.pop(descriptor, None)
            if inside is not None:
                self._open[descriptor] = inside
                if not there and flags & os.O_CREAT:
                    self._note(f"create {inside}", lambda s: s.names.update({inside: _File()}))
            return descriptor

        def closed(descriptor: int) -> None:
            self._open.pop(descriptor, None)
            real["close"](descriptor)

        def written(descriptor: int, data: Any) -> int:
            count = int(real["write"](descriptor, data))
            inside, content = self._open.get(descriptor), bytes(data)[:count]
            if inside is not None:
                self._note(f"write {inside}", lambda s: _append(s, inside, content))
            return count

        def waited(descriptor: int) -> None:
            real["fsync"](descriptor)
            inside = self._open.get(descriptor)
            if inside is not None:
                self._note(f"fsync {inside}", lambda s: _make_sure(s, inside))
            elif os.fstat(descriptor).st_ino == os.stat(self.root).st_ino:
                self._note("fsync .", lambda s: _make_sure(s, ""))
            self._at_waits()

        def replaced(old: Any, new: Any) -> None:
            real["replace"](old, new)
            source, target = self._inside(old), self._inside(new)
            if source is not None and target is not None:
                self._note(f"rename {target}", lambda s: _rename(s, source, target))

        def gone(name: str) -> Callable[..., None]:
            def remove(path: Any, *more: Any, **named: Any) -> None:
                inside = None if named.get("dir_fd") is not None else self._inside(path)
                real[name](path, *more, **named)
                if inside is not None:
                    self._note(f"{name} {inside}", lambda s: (s.names.pop(inside, None), None)[1])

            return remove

        def made(path: Any, *more: Any, **named: Any) -> None:
            real["mkdir"](path, *more, **named)
            inside = self._inside(path)
            if inside is not None:
                self._note(f"mkdir {inside}", lambda s: s.names.update({inside: None}))

        def cut(descriptor: int, size: int) -> None:
            real["ftruncate"](descriptor, size)
            inside = self._open.get(descriptor)
            if inside is not None:
                self._note(f"cut {inside}", lambda s: _cut(s, inside, size))

        for name, wrapped in (
            ("open", opened), ("close", closed), ("write", written), ("fsync", waited),
            ("replace", replaced), ("unlink", gone("unlink")), ("rmdir", gone("rmdir")),
            ("mkdir", made), ("ftruncate", cut),
        ):  # fmt: skip
            patch.setattr(os, name, wrapped)

    def image(self, count: int, loss: Loss, place: Path) -> None:
        """Put what may be there after the first `count` operations into an empty directory."""
        state = _State()
        for operation in self.operations[:count]:
            operation.apply(state)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        names = state.sure if loss == "strict" else state.names
        for name in sorted(names):
            target, found = place / name, names[name]
            if not target.parent.is_dir():
                continue  # its directory's own name was lost
            if found is None:
                target.mkdir(exist_ok=True)
            else:
                target.write_bytes(_content(found, loss))


def _content(found: _File, loss: Loss) -> bytes:
    if loss == "kept":
        return found.now
    if loss == "torn" and found.now.startswith(found.sure):
        return found.now[: (len(found.sure) + len(found.now)) // 2]
    return found.sure


def _append(state: _State, name: str, data: bytes) -> None:
    found = state.names.get(name)
    if found is not None:
        found.now += data


def _cut(state: _State, name: str, size: int) -> None:
    found = state.names.get(name)
    if found is not None:
        found.now = found.now[:size]


def _rename(state: _State, old: str, new: str) -> None:
    if old in state.names:
        state.names[new] = state.names.pop(old)


def _make_sure(state: _State, name: str) -> None:
    found = state.names.get(name)
    if found is not None:
        found.sure = found.now
        return
    # A directory: its names, not what is in the files or below.
    inside = {item for item in {*state.names, *state.sure} if os.path.dirname(item) == name}
    for item in inside:
        if item in state.names:
            state.sure[item] = state.names[item]
        else:
            state.sure.pop(item, None)
