"""Whether anybody has a file open for writing at this moment, by any name, mapping or process."""

from __future__ import annotations

import signal
import sys

_SET_SIGNAL = 10


def nobody_writes(descriptor: int) -> bool:
    """Say whether no process at all has the open file open, or mapped, for writing.

    Asks Linux for a read lease and gives it back at once: the kernel grants one only then
    (fcntl(2)). False also where that cannot be told: another system or file system, or
    somebody else's file. Whoever opens the file in the same instant waits some microseconds.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        # Should somebody open it in between, we would be told by a signal that ends us.
        fcntl.fcntl(descriptor, _SET_SIGNAL, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True
