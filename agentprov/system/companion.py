"""A process that serves this one: talks over two pipes, hears no Ctrl-C, is never waited for long.

Unlike the agent (`process.spawn`) it shares neither terminal nor streams, and unlike a detached
worker it is ours: we know when it dies, and it knows when we do, by the end of its input.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections.abc import Mapping, Sequence

from agentprov.errors import CannotStart
from agentprov.system.signals import open_to_signals


class Companion:
    """One such process, running from the moment this exists.

    `inherit` are the only descriptors, beside its streams, that it gets, under the same numbers.
    Its standard error goes nowhere. Raises CannotStart. Not for Windows, where descriptors are
    not passed on.
    """

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], inherit: Sequence[int] = ()
    ) -> None:
        try:
            with open_to_signals():
                self._process = subprocess.Popen(
                    list(argv),
                    env=dict(env),
                    cwd="/",
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=tuple(inherit),
                    start_new_session=True,
                )
        except OSError as error:
            raise CannotStart(f"{argv[0]} could not be started: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # For event loops, which wait for more than one thing; else `tell` and `hear`.
        self.input, self.output = self._process.stdin, self._process.stdout
        self._in, self._out = self.input.fileno(), self.output.fileno()
        self.pid: int = self._process.pid

    def tell(self, data: bytes) -> None:
        """Send bytes to its standard input; lost when it has died."""
        view = memoryview(data)
        with contextlib.suppress(OSError):
            while view:
                view = view[os.write(self._in, view) :]

    def hear(self, timeout: float) -> bytes | None:
        """Wait for bytes from its standard output; b"" when none came, None when it closed it."""
        if not select.select([self._out], [], [], timeout)[0]:
            return b""
        return os.read(self._out, 65536) or None

    def end(self, timeout: float) -> int:
        """Wait for its end, close the pipes, and give its status (-n for signal n).

        After `timeout` seconds it is killed.
        """
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


__all__ = ["Companion"]
