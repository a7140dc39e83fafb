"""A real pseudo-terminal with a program on it, for tests that must see what a user sees."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""

REPOSITORY = Path(__file__).resolve().parents[2]

_WRAPPER = """
import os, sys
from pathlib import Path
from agentprov.system.process import spawn
running = spawn(sys.argv[1:], dict(os.environ), Path.cwd())
status = running.wait(lambda: None, 0.05)
os.write(2, b"wrapper: %d\\n" % status)
sys.exit(status)
"""


def wrapper(*command: str, told: bool = True) -> list[str]:
    """Give the command line of a small program that runs `command` as the real wrapper does.

    With `told` false it behaves as on a system that does not tell who sent a signal.
    """
    blind = "" if told else "import signal; del signal.sigtimedwait\n"
    return [sys.executable, "-c", blind + _WRAPPER, *command]


def python(program: str, *arguments: str) -> list[str]:
    """Give the command line of a Python program written in a test."""
    return [sys.executable, "-u", "-c", program, *arguments]


def environment(**more: str) -> dict[str, str]:
    """Give an environment in which child interpreters find this source tree."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "LC_ALL": "C.UTF-8", **more}


class Terminal:
    """A program as leader of a session on a terminal of its own; type, wait, read, resize."""

    def __init__(self, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", _TAKE_TERMINAL, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
        )
        os.close(slave)
        self.screen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def type(self, keys: str) -> None:
        """Type on the keyboard."""
        os.write(self._master, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Drag the window's corner."""
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, text: str, seconds: float = 20.0) -> str:
        """Read until `text` is on the screen; gives what came up to it and forgets that."""
        deadline = time.monotonic() + seconds
        while text not in self.screen:
            left = deadline - time.monotonic()
            assert left > 0, f"never saw {text!r} in {self.screen!r}"
            if select.select([self._master], [], [], left)[0]:
                try:
                    read = os.read(self._master, 65536)
                except OSError:  # the last program on the terminal has closed it
                    read = b""
                assert read, f"ended without {text!r}: {self.screen!r}"
                self.screen += read.decode("utf-8", "replace")
        before, _, self.screen = self.screen.partition(text)
        return before + text

    def status(self, seconds: float = 20.0) -> int:
        """Wait for the program to end and give its status."""
        return self.process.wait(seconds)
