"""Asks a person at the terminal, and nobody else: not stdin, not a variable, not a file."""

from __future__ import annotations

import os


def ask_hidden(prompt: str) -> str | None:
    """Ask on the controlling terminal without echo; None when this process has none.

    The caller makes the prompt safe to print. Raises KeyboardInterrupt when the person does.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return None
    # Only now: without a terminal getpass would read stdin instead, with echo.
    import getpass

    try:
        return getpass.getpass(prompt)
    except EOFError:
        return ""


__all__ = ["ask_hidden"]
