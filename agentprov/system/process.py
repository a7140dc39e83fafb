"""Running the agent as if we were not there, and starting workers that outlive us.

The child inherits our standard streams, every descriptor the shell gave us, our terminal and
our process group: colours, resizing, Ctrl-C and job control are the terminal's own business.
We only wait, pass on what was sent to us alone, stop when the child stops, and hand its exit
status through. docs/adr/0004-the-agent-keeps-the-terminal.md has the reasons.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agentprov.errors import CannotStart
from agentprov.system.process_table import alive, start_time, state_of
from agentprov.system.signals import Inbox, foreground, open_to_signals, unsignalled

NOT_EXECUTABLE = 126
NOT_FOUND = 127


class ExecFailed(CannotStart):
    """A command that cannot be executed; `status` is what a shell would exit with."""

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def which(command: str, cwd: Path, env: Mapping[str, str]) -> Path:
    """Find the file that `execvp` would run for a child with this directory and environment.

    The path is absolute and not otherwise touched: symbolic links stay. Raises ExecFailed with
    status 127 (no such command) or 126 (there, but no executable file).
    """
    if not command:
        raise ExecFailed("the command is empty", status=NOT_FOUND)
    if os.sep in command:
        places = [command]
    else:
        search = env.get("PATH", os.defpath)
        # An empty entry of PATH is the working directory.
        places = [os.path.join(entry or ".", command) for entry in search.split(os.pathsep)]
    refused: str | None = None
    for place in places:
        path = os.path.join(cwd, place.removeprefix("./"))
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return Path(path)
        if os.path.exists(path):
            refused = refused or path
    if refused is not None:
        what = "is a directory" if os.path.isdir(refused) else "is not executable"
        raise ExecFailed(f"{command}: {refused} {what}", status=NOT_EXECUTABLE)
    hint = None if os.sep in command else "is it installed, and on PATH?"
    raise ExecFailed(f"{command}: command not found", status=NOT_FOUND, hint=hint)


class Running:
    """A child that runs; `wait` for it exactly once, from the main thread."""

    def __init__(self, process: subprocess.Popen[bytes], inbox: Inbox) -> None:
        self._process = process
        self._inbox = inbox
        self.pid: int = process.pid
        self.tick_failure: Exception | None = None

    def wait(self, tick: Callable[[], None] | None = None, interval: float = 0.1) -> int:
        """Wait until the child is gone and give its status: 0-255, or 128+n for signal n.

        `tick` is called about every `interval` seconds; when it raises, the last exception is
        kept in `tick_failure` and waiting goes on. A tick that takes long delays signals and
        the return, nothing else. Meanwhile SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and
        SIGUSR2 do not touch us: those sent to us alone go to the child. Once the child is gone
        the signal handlers are as they were before `spawn`.
        """
        due = time.monotonic() + interval
        try:
            while True:
                status = self._look()
                if status is not None:
                    return status
                arrival = self._inbox.take(due - time.monotonic())
                if arrival is not None and arrival.number == getattr(signal, "SIGCONT", None):
                    self._wake_child()
                elif arrival is not None and self._inbox.for_child(arrival, self.pid):
                    self._send(arrival.number)
                if time.monotonic() >= due:
                    self._tick(tick)
                    due = time.monotonic() + interval
        finally:
            self._inbox.close()

    def _tick(self, tick: Callable[[], None] | None) -> None:
        if tick is None:
            return
        try:
            with self._inbox.children_heard():
                tick()
        except Exception as error:  # noqa: BLE001 - the child must not be lost over our work
            self.tick_failure = error

    def _look(self) -> int | None:
        if os.name == "nt":
            return self._process.poll()
        pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return None
        if os.WIFSTOPPED(status):
            self._stop_too()
            return None
        code = os.waitstatus_to_exitcode(status)
        # Popen did not see it end; told, it neither waits for the id again nor warns.
        self._process.returncode = code
        return code if code >= 0 else 128 - code

    def _stop_too(self) -> None:
        # A shell watches us, not the child: unless we stop as well, its prompt never comes
        # back. Without a shell in front (CI) nobody would continue us. A child that is being
        # continued at this moment (fg reaches it after us) is left alone.
        time.sleep(0.02)
        if self._stopped() and foreground():
            self._inbox.stop_ourselves()

    def _stopped(self) -> bool:
        state = state_of(self.pid)
        return state is None or state in "Tt"

    def _wake_child(self) -> None:
        if self._stopped():
            self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        # Not reaped yet, so the id is still the child's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)


def spawn(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Running:
    """Start a command that shares our terminal, streams, descriptors and process group.

    `argv[0]` is passed as typed; the file is found as `which` finds it. A text file without
    ``#!`` runs under sh, as in a shell. The child gets default signal handling, except for
    signals that were ignored when we started. Call from the main thread; elsewhere signals are
    not passed on. Raises ExecFailed (126, 127) and CannotStart; then nothing runs.
    """
    if not cwd.is_dir():
        raise CannotStart(f"{cwd} is not a directory")
    path = which(argv[0], cwd, env)
    inbox = Inbox()
    inbox.open()
    try:
        try:
            process = _start(argv, path, env, cwd)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            process = _start(["sh", str(path), *argv[1:]], Path("/bin/sh"), env, cwd)
        inbox.hold()
    except OSError as error:
        inbox.close()
        raise _explain(argv[0], path, error) from error
    except BaseException:
        inbox.close()
        raise
    return Running(process, inbox)


def _start(
    argv: Sequence[str], path: Path, env: Mapping[str, str], cwd: Path
) -> subprocess.Popen[bytes]:
    # close_fds=False: descriptors from the shell, as in `agent <(command)`, are the child's.
    # Python's own are not inheritable.
    return subprocess.Popen(
        list(argv), executable=str(path), env=dict(env), cwd=str(cwd), close_fds=False
    )


def _explain(command: str, path: Path, error: OSError) -> CannotStart:
    if error.errno == errno.ENOENT and path.exists():
        return ExecFailed(
            f"{command}: the interpreter that {path} names in its first line does not exist",
            status=NOT_EXECUTABLE,
        )
    if error.errno == errno.ENOENT:
        return ExecFailed(f"{command}: command not found", status=NOT_FOUND)
    if error.errno in (errno.EAGAIN, errno.ENOMEM):
        return CannotStart(f"{command}: the system has no room for a process: {error.strerror}")
    return ExecFailed(f"{command}: {error.strerror}", status=NOT_EXECUTABLE)


def detach(argv: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> None:
    """Start a program that is nobody's child: own session, no terminal, streams to /dev/null.

    Returns at once, leaves no zombie and hands out no id; the worker makes itself known by a
    lock or a file. Raises ExecFailed when it cannot be started.
    """
    directory = cwd or Path("/")
    path = which(argv[0], directory, env)
    if os.name == "nt":
        flags = getattr(subprocess, "DETACHED_PROCESS", 0)
        subprocess.Popen(  # pragma: no cover
            list(argv),
            executable=str(path),
            env=dict(env),
            cwd=str(directory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=flags,
        )
        return
    # The shell between us and the worker ends at once, so that init adopts the worker.
    script = 'exec "$@" </dev/null >/dev/null 2>&1 &'
    with open_to_signals():
        done = subprocess.run(
            ["/bin/sh", "-c", script, "sh", str(path), *argv[1:]],
            env=dict(env),
            cwd=str(directory),
            start_new_session=True,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    if done.returncode != 0:
        raise ExecFailed(f"{argv[0]}: could not be detached", status=NOT_EXECUTABLE)


__all__ = [
    "NOT_EXECUTABLE",
    "NOT_FOUND",
    "ExecFailed",
    "Running",
    "alive",
    "detach",
    "spawn",
    "start_time",
    "unsignalled",
    "which",
]
