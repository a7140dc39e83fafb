"""What the system knows of running processes: alive, when started, which file, whose child.

Linux answers from ``/proc``; elsewhere `ps` answers what it can and the rest is unknown
(None or empty), never guessed. Of environments it hands out single variables that are asked for.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass

_PROC = "/proc"
_MAX_ANCESTORS = 256


@dataclass(frozen=True)
class Process:
    """A process by its id and the short name that the system gives it."""

    pid: int
    name: str


def start_time(pid: int) -> str | None:
    """Say when a process started, as text that no other process with that id will have.

    Only good for comparing with `alive`. None when there is no such process, or it is a zombie.
    """
    fields = _stat_fields(pid)
    if fields is not None:
        state, _, started = fields
        return None if state in ("Z", "X") else f"{_boot()}-{started}"
    return None if os.path.isdir(f"{_PROC}/self") else _ps(pid, "lstart=")


def alive(pid: int, started: str | None) -> bool:
    """Say whether this very process still runs; `started` is what `start_time` gave then.

    Without it, a process of the same id counts. A process that only waits to be reaped is dead.
    """
    now = start_time(pid)
    return now is not None and (started is None or now == started)


def state_of(pid: int) -> str | None:
    """Give the one-letter state of a process (R, S, D, T, t, Z, X); None where not known."""
    fields = _stat_fields(pid)
    return None if fields is None else fields[0]


def _stat_fields(pid: int) -> tuple[str, int, str] | None:
    try:
        with open(f"{_PROC}/{pid}/stat", "rb") as stream:
            text = stream.read()
    except OSError:
        return None
    # The name stands in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rfind(b")") + 1 :].split()
    if len(fields) < 20:
        return None
    return fields[0].decode(), int(fields[1]), fields[19].decode()


def _boot() -> str:
    try:
        with open(f"{_PROC}/sys/kernel/random/boot_id", "rb") as stream:
            return stream.read().decode("ascii", "replace").strip()
    except OSError:
        return "boot"


def _ps(pid: int, column: str) -> str | None:
    try:
        done = subprocess.run(
            ["ps", "-o", column, "-p", str(pid)],
            capture_output=True,
            check=False,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace").strip() or None


def descendants(pid: int) -> tuple[int, ...]:
    """Give the children of a process, their children and so on, nearest first; Linux only.

    A child that was re-parented (its parent died) is not found. The picture may be torn:
    processes come and go while it is taken.
    """
    found: list[int] = []
    generation = _children((pid,))
    while generation and len(found) < 4096:
        found += generation
        generation = [child for child in _children(tuple(generation)) if child not in found]
    return tuple(found)


def ancestors(pid: int) -> tuple[int, ...]:
    """Give the parent of a process, its parent and so on, nearest first.

    Ends where a process is gone or not ours to see. The picture may be torn, as any of processes.
    """
    found: list[int] = []
    current = pid
    while len(found) < _MAX_ANCESTORS:
        fields = _stat_fields(current)
        parent: str | None = str(fields[1]) if fields is not None else None
        if fields is None and not os.path.isdir(f"{_PROC}/self"):
            parent = _ps(current, "ppid=")
        if parent is None or not parent.strip().isdigit():
            break
        current = int(parent)
        if current <= 0 or current in found:
            break
        found.append(current)
    return tuple(found)


def _children(parents: tuple[int, ...]) -> list[int]:
    children: list[int] = []
    for parent in parents:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"{_PROC}/{parent}/task"):
                # A task may end between the listing and this.
                with (
                    contextlib.suppress(OSError),
                    open(f"{_PROC}/{parent}/task/{task}/children", "rb") as stream,
                ):
                    children += [int(word) for word in stream.read().split()]
    return children


def executable_of(pid: int) -> tuple[int, str] | None:
    """Open the file that a process executes; gives (descriptor, path), the caller closes.

    It is the very file, even when its name is gone or names something else by now. None when
    the process is gone or not ours, or the system has no ``/proc``.
    """
    link = f"{_PROC}/{pid}/exe"
    try:
        path = os.readlink(link)
        descriptor = os.open(link, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    return descriptor, path.removesuffix(" (deleted)")


def identity_of(pid: int) -> tuple[int, int] | None:
    """Give (device, inode) of the file that a process executes, without opening it."""
    try:
        status = os.stat(f"{_PROC}/{pid}/exe")
    except OSError:
        return None
    return status.st_dev, status.st_ino


def carrying(variable: str, value: str) -> tuple[Process, ...]:
    """Find this user's processes that were started with ``variable=value`` in the environment.

    Finds what an agent left running in the background, however it was detached, because the
    variable is inherited where ancestry is lost. Does not find a process that was given a
    cleaned environment. Leaves out the caller. Linux only; empty elsewhere.
    """
    wanted = f"{variable}={value}".encode()
    found: list[Process] = []
    with contextlib.suppress(OSError):
        for entry in os.listdir(_PROC):
            if entry.isdigit() and int(entry) != os.getpid() and wanted in _environment(entry):
                found.append(Process(int(entry), _name(entry)))
    return tuple(sorted(found, key=lambda process: process.pid))


def variable_of(pid: int, name: str) -> str | None:
    """Give one variable that a process was started with; None when not set or not ours to read."""
    for item in _environment(str(pid)):
        key, equals, value = item.partition(b"=")
        if equals and key == os.fsencode(name):
            return os.fsdecode(value)
    return None


def name_of(pid: int) -> str:
    """Give the short name that a process goes by, its own choice; ``?`` where it is not known."""
    return _name(str(pid))


def _environment(entry: str) -> list[bytes]:
    try:
        with open(f"{_PROC}/{entry}/environ", "rb") as stream:
            return stream.read().split(b"\0")
    except OSError:
        return []


def _name(entry: str) -> str:
    try:
        with open(f"{_PROC}/{entry}/comm", "rb") as stream:
            return stream.read().decode("utf-8", "replace").strip()
    except OSError:
        return "?"
