"""Getting between a program and whoever starts it, without becoming its parent.

The process that was started becomes the program itself, so that signals, exit status, process
ids and the caller's own killing and waiting work as without us. What stays in between is an
orphan that holds the caller's two pipes and two new ones to the program. POSIX only.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

NOT_EXECUTABLE = 126
NOT_FOUND = 127
# Those that a terminal or a tidy caller sends to a whole group; we end when the pipes do.
_IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP", "SIGTTOU", "SIGPIPE")


class Between(NamedTuple):
    """Descriptors of the process in between: caller's input and output, program's likewise."""

    from_caller: int
    to_caller: int
    from_program: int
    to_program: int


def step_between(argv: Sequence[str]) -> Between:
    """Run a program in our place, and return only in the process that stays in between.

    That process keeps no standard streams; standard error remains the program's alone. If no
    process or pipe can be had, the program runs with the caller's pipes and nothing returns. A
    program that cannot be executed ends with a line on stderr and status 126 or 127.
    """
    try:
        program_in, to_program = os.pipe()
        from_program, program_out = os.pipe()
        first = os.fork()
    except OSError:
        _become(argv)
    if first != 0:
        os.waitpid(first, 0)
        os.dup2(program_in, 0)
        os.dup2(program_out, 1)
        _become(argv)
    try:
        second = os.fork()
    except OSError:
        os._exit(0)
    if second != 0:
        os._exit(0)
    return _stay(program_in, program_out, from_program, to_program)


def _stay(program_in: int, program_out: int, from_program: int, to_program: int) -> Between:
    for name in _IGNORED:
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
    os.close(program_in)
    os.close(program_out)
    from_caller, to_caller = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)
    return Between(from_caller, to_caller, from_program, to_program)


def _become(argv: Sequence[str]) -> NoReturn:
    # Python ignores these two, and ignored signals stay so in the program.
    for name in ("SIGPIPE", "SIGXFSZ"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - words, as the caller would have run them
    except FileNotFoundError as error:
        reason, status = error.strerror, NOT_FOUND
    except (OSError, ValueError) as error:
        reason, status = getattr(error, "strerror", None) or str(error), NOT_EXECUTABLE
    sys.stderr.write(f"{argv[0]}: {reason}\n")
    sys.stderr.flush()
    os._exit(status)


__all__ = ["NOT_EXECUTABLE", "NOT_FOUND", "Between", "step_between"]
