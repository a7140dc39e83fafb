"""Which program an agent is: found before it starts, hashed beside it, checked while it runs.

`identify` is quick and opens every file that matters; hashing then reads those descriptors, so
that what is hashed is what was found, whatever happens to the names. On
Linux `Identity.observe` compares with the file that the process really executes.

Not covered: libraries, and the scripts and modules that a program loads once it runs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentprov.formats import facts
from agentprov.record.launchers import Program, trace
from agentprov.record.packages import Package, companions, npm_integrity
from agentprov.system import process_table
from agentprov.system.files import open_regular, sha256_of_descriptor
from agentprov.system.places import short, user_home
from agentprov.system.process import unsignalled

_MAX_SEEN = 16
_WATCH_SECONDS = 30.0
_NOT_SEEN = "installed beside the agent, not seen running"
_REPLACED = "replaced between lookup and start: this is the digest of the file that ran"
_CHANGED = "changed while the agent started"
_UNCHECKED = "not compared with the running process"


class Digests:
    """Hashes open files once per session; equal files (hard links) are read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], tuple[str, int]] = {}
        self._lock = threading.Lock()

    def of(self, descriptor: int) -> tuple[str, int, bool]:
        """Hash an open file; gives (sha256, size, whether it held still). Raises OSError."""
        before = _stamp(os.fstat(descriptor))
        with self._lock:
            if before in self._known:
                return *self._known[before], True
            digest, size = sha256_of_descriptor(descriptor)
            still = _stamp(os.fstat(descriptor)) == before
            if still:
                self._known[before] = (digest, size)
            return digest, size, still


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


class _File:
    """A file that was opened because it runs or may run."""

    def __init__(self, path: Path, descriptor: int | None, why: str | None = None) -> None:
        self.path = path
        self.descriptor = descriptor
        self.why = why
        self.ran = False
        self.digest: str | None = None
        self.size: int | None = None
        self.stamp = () if descriptor is None else _stamp(os.fstat(descriptor))

    @property
    def key(self) -> tuple[int, ...]:
        return self.stamp[:2]

    def hash(self, digests: Digests) -> None:
        if self.descriptor is None or self.digest is not None:
            return
        try:
            self.digest, self.size, still = digests.of(self.descriptor)
        except OSError as error:
            self.why = f"could not be read: {error.strerror}"
            return
        if not still:
            self.why = "changed while it was hashed"

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def _open(path: Path) -> _File:
    try:
        return _File(path, open_regular(path))
    except OSError as error:
        return _File(path, None, f"could not be opened: {error.strerror}")


class Identity:
    """A program that was identified; see `identify`. Holds open descriptors until `finish`.

    `name` is the package's name, or the command's. `command` is what was typed. `package` is
    what adapters recognise an agent by.
    """

    def __init__(self, program: Program, home: Path, digests: Digests) -> None:
        self.command = program.command
        self.package: Package | None = program.package
        self.name = program.package.name if program.package else os.path.basename(program.command)
        self._home = home
        self._digests = digests
        self._chain = program.chain
        self._main = _open(program.path)
        if self._main.descriptor is None and program.path_why:
            self._main.why = program.path_why
        beside = companions(program.package) if program.package else ()
        record = program.package.record if program.package else None
        self._running = [_open(path) for path in program.runners]
        self._beside = [_open(path) for path in beside]
        self._record = _open(record) if record else None
        self._passing = {_key_of(path) for path in program.passing}
        self._integrity: str | None = None
        self._seen: list[_File] = []
        self._ignored: set[tuple[int, int]] = set()
        self._checked = False
        self._script = bool(program.runners)
        self._started: float | None = None
        self._thread: threading.Thread | None = None
        self._agent: facts.Agent | None = None

    @property
    def place(self) -> str:
        """Give the path of the file that runs, as a person would write it."""
        return self._short(self._main.path)

    @property
    def chain(self) -> tuple[str, ...]:
        """Give the path as found, each symbolic link's target, and the real path."""
        return tuple(self._short(path) for path in self._chain)

    def start_hashing(self) -> None:
        """Hash beside the agent, in a thread of low priority; call once the agent has started."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._hash, name="agentprov-hash", daemon=True)
            with unsignalled():
                self._thread.start()

    @property
    def hashed(self) -> bool:
        """Say whether `finish` would return without waiting for the large files."""
        return self._thread is not None and not self._thread.is_alive()

    def observe(self, pid: int) -> None:
        """Look at what the started process executes; cheap, never raises.

        Call at once after the start and then now and then: launchers take a moment to become,
        or to start, the real program. Does nothing on systems without ``/proc`` and after 30
        seconds.
        """
        now = time.monotonic()
        if self._started is None:
            self._started = now
            self._look_for_changes()
        if self._agent is not None or now - self._started > _WATCH_SECONDS:
            return
        self._look_at(pid, own=True)
        for child in process_table.descendants(pid):
            self._look_at(child, own=False)

    def finish(self) -> facts.Agent:
        """Wait for the digests, close everything and say what ran; the same answer every time."""
        if self._agent is None:
            self.start_hashing()
            if self._thread is not None:
                self._thread.join()
            for file in self._seen:
                file.hash(self._digests)
            self._agent = self._state()
            self.close()
        return self._agent

    def close(self) -> None:
        """Close the descriptors without an answer, when nothing was started after all."""
        if self._thread is not None:
            self._thread.join()
        for file in self._files():
            file.close()

    def _files(self) -> list[_File]:
        record = [self._record] if self._record else []
        return [self._main, *self._running, *self._beside, *record, *self._seen]

    def _hash(self) -> None:
        if sys.platform == "linux":
            # Only this thread, there: reading 400 MB should not slow the agent's own start.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        for file in self._files():
            file.hash(self._digests)
        if self.package and self.package.kind == "npm":
            self._integrity = npm_integrity(self.package)

    def _look_for_changes(self) -> None:
        for file in (self._main, *self._running):
            if file.descriptor is None:
                continue
            try:
                same = _stamp(os.stat(file.path)) == file.stamp
            except OSError:
                same = False
            if not same:
                file.why = _CHANGED

    def _look_at(self, pid: int, *, own: bool) -> None:
        key = process_table.identity_of(pid)
        if key is None or key in self._passing or key in self._ignored:
            return
        self._checked = self._checked or own
        for file in self._files():
            if file.key == key:
                file.ran = True
                return
        opened = process_table.executable_of(pid)
        if opened is None or len(self._seen) >= _MAX_SEEN:
            return
        descriptor, path = opened
        file = _File(Path(path), descriptor)
        if file.key != key or not (own or self._ours(file.path)):
            self._ignored.add(key)
            file.close()
            return
        file.ran = True
        self._seen.append(file)

    def _ours(self, path: Path) -> bool:
        roots = [self.package.root] if self.package else []
        roots += [file.path.parent for file in self._beside]
        return any(path.is_relative_to(root) for root in roots)

    def _state(self) -> facts.Agent:
        main, why = self._main, self._main.why
        parts = [self._part(file) for file in self._running]
        for file in self._seen:
            if file.path == main.path and not self._script:
                if file.digest != main.digest:
                    main, why = file, _REPLACED
                elif why == _CHANGED:
                    why = None
            else:
                parts.append(self._part(file))
        beside = sorted(self._beside, key=lambda file: not file.ran)
        for file in beside:
            part = self._part(file)
            seen = file.ran or not self._checked or file.key == main.key
            parts.append(part if seen or part.why else self._part(file, _NOT_SEEN))
        if self._record is not None:
            parts.append(self._part(self._record))
        if why is None and not self._checked:
            why = _UNCHECKED
        package = self.package
        return facts.Agent(
            name=self.name,
            command=self.command,
            place=self._short(main.path),
            sha256=main.digest,
            basis="observed",
            purl=package.purl if package else None,
            version=package.version if package else None,
            integrity=self._integrity,
            chain=self.chain,
            parts=tuple(parts),
            why=why,
        )

    def _part(self, file: _File, why: str | None = None) -> facts.FileDigest:
        return facts.FileDigest(self._short(file.path), file.digest, file.size, why or file.why)

    def _short(self, path: Path) -> str:
        return short(str(path), self._home)


def _key_of(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return status.st_dev, status.st_ino


def identify(
    argv0: str,
    env: Mapping[str, str],
    cwd: Path,
    arguments: Sequence[str] = (),
    *,
    digests: Digests | None = None,
) -> Identity:
    """Find out what a command will run for a child with this environment and directory.

    Follows PATH, symbolic links, ``#!`` lines, ``env`` and shell launchers to the script and
    its interpreter; `arguments` are only used to find the script of a bare interpreter
    (``node x.js``, ``python -m x``). Reads metadata, hashes nothing. Raises ExecFailed when
    there is nothing to run.
    """
    program = trace(argv0, env, cwd, arguments)
    return Identity(program, user_home(env), digests or Digests())
