"""The only printing: results to stdout, progress and errors to stderr, nothing raw.

Whatever comes from outside (paths, messages, names) is printed through `safe`
(agentprov.formats.visible).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any, TextIO

from agentprov.errors import OutputFailed


def safe(text: str) -> str:
    """Give text with control and invisible characters written as ``<U+XXXX>``."""
    if text.isascii() and text.isprintable():
        return text
    # Here, because help and errors need no more than the above.
    from agentprov.formats import visible

    return visible.safe(text)


def colour(stream: TextIO) -> bool:
    """Say whether to colour: a terminal, no NO_COLOR, no dumb terminal."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, code: str, stream: TextIO | None = None) -> str:
    """Wrap text in an SGR code where colour is wanted; the text must be safe already."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour(stream or sys.stdout) else text


def line(text: str = "") -> None:
    """Print one line of the result; the caller passes foreign text through `safe`."""
    print(text)


def document(value: Any, *, compact: bool = False) -> None:
    """Print one JSON object, and nothing else, as the result; ASCII only, so nothing is raw.

    `compact` is for what is too long for people: one line, which is many times quicker to write.
    """
    print(json.dumps(value, indent=None if compact else 2, ensure_ascii=True, sort_keys=False))


def note(text: str) -> None:
    """Print one line of progress to stderr."""
    _beside(f"agentprov: {text}")


def say(text: str) -> None:
    """Print one line of progress that holds foreign text."""
    note(safe(text))


def help_text(text: str) -> None:
    """Print a command's help to stderr: it was called without saying what to do."""
    _beside(text)


def failure(message: str, hint: str | None = None) -> None:
    """Print an error, and the way out where there is one, to stderr."""
    _beside(f"{paint('error:', '31;1', sys.stderr)} {safe(message)}")
    if hint:
        _beside(f"{paint('hint:', '33', sys.stderr)}  {safe(hint)}")


def _beside(text: str) -> None:
    # The work goes on where nobody can be told of it, and the exit code tells how it ended.
    with contextlib.suppress(OutputFailed, BrokenPipeError):
        print(text, file=sys.stderr)
