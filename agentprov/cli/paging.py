"""Long answers on a terminal go through the pager; anywhere else they are just printed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable

from agentprov.cli import output


def page(lines: Iterable[str]) -> None:
    """Print lines that are safe already, through a pager where they are more than a screen."""
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        for line in lines:
            output.line(line)
        return
    text = list(lines)
    if len(text) < shutil.get_terminal_size().lines:
        for line in text:
            output.line(line)
        return
    import click

    click.echo_via_pager("".join(line + "\n" for line in text))


__all__ = ["page"]
