"""The standard streams while a command runs: one that cannot be written is no bug of ours."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, TextIO, cast

from agentprov.errors import OutputFailed


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Let failures to write standard output or error be OutputFailed; they are flushed at the end.

    A reader that left stays BrokenPipeError. A stream that was closed from the start reads as
    empty, and fails once it is written. What cannot be flushed at the end is dropped in silence:
    who must know flushes before.
    """
    before = (sys.stdin, sys.stdout, sys.stderr)
    sys.stdin = before[0] or io.TextIOWrapper(io.BytesIO())
    sys.stdout = cast(TextIO, _Watched(before[1] or _Closed(), "standard output"))
    sys.stderr = cast(TextIO, _Watched(before[2] or _Closed(), "standard error"))
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for stream in before[1:]:
            if stream is not None:
                _let_go(stream)


class _Watched:
    """Passes everything to a stream, and says of a failure which stream it was."""

    def __init__(self, stream: TextIO | io.TextIOBase, name: str) -> None:
        self._stream = stream
        self._name = name

    def __getattr__(self, name: str) -> Any:
        with self._told():
            return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._told():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._told():
            self._stream.flush()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputFailed(
                f"{self._name} cannot be written: {error.strerror or error}",
                hint="send it to where it can be; what is there is not whole",
            ) from error


class _Closed(io.TextIOBase):
    """Stands for a stream that was closed before we began."""

    @property
    def buffer(self) -> BinaryIO:
        raise _bad_descriptor()

    def write(self, text: str) -> int:
        raise _bad_descriptor()


def _bad_descriptor() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def _let_go(stream: TextIO) -> None:
    """Flush a stream; where that fails, let the interpreter's own attempt at the end succeed."""
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


__all__ = ["watched"]
