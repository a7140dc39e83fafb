"""Kills this very process after its n-th file operation, or counts them; for crash tests only.

Found through PYTHONPATH and set up through variables that children do not inherit. Counted are
calls that change what a disk holds, and programs that are started. A process that is to die does
so before the operation, after it, or, when it is a write, in the middle of it.
"""

import itertools
import os
import signal
import subprocess

_TRIGGER = os.environ.pop("CRASH_AT", "")
_COUNT_TO = os.environ.pop("CRASH_COUNT_TO", "")
_HOW = os.environ.pop("CRASH_HOW", "before")
_GROUP = os.environ.pop("CRASH_GROUP", "") == "1"
os.environ.pop("PYTHONPATH", None)
_numbers = itertools.count(1)
_DONE = [0]
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def _die():
    if _GROUP:
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap(owner, name, counts=lambda *a, **k: True, torn=None):
    real = getattr(owner, name)

    def counted(*arguments, **more):
        if os.getpid() != _PID or not counts(*arguments, **more):
            return real(*arguments, **more)
        number = next(_numbers)
        _DONE[0] = number
        due = _TRIGGER and number == int(_TRIGGER)
        if due and _HOW == "torn" and torn is not None:
            torn(real, *arguments)
        if due and _HOW != "after":
            _die()
        result = real(*arguments, **more)
        if due:
            _die()
        return result

    setattr(owner, name, counted)


def _half(real, descriptor, data):
    real(descriptor, bytes(data)[: len(data) // 2])


_PID = os.getpid()
if _TRIGGER or _COUNT_TO:
    _real_open = os.open
    _wrap(os, "open", lambda path, flags=0, *a, **k: bool(flags & _WRITING))
    _wrap(os, "write", lambda descriptor, data: descriptor > 2, _half)
    for _name in (
        "fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "ftruncate", "pwrite", "link",
    ):  # fmt: skip
        _wrap(os, _name)
    _wrap(subprocess.Popen, "__init__")
if _COUNT_TO:
    import atexit

    @atexit.register
    def _tell():
        descriptor = _real_open(_COUNT_TO, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(descriptor, b"%d\n" % _DONE[0])
