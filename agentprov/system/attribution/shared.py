"""Memory that supervisors and recorder share: what is being answered, by whom, how far.

It lies in a nameless file (memfd), so neither a full disk nor a clean-up can take it away. The
kernel writes each notification straight into it: a call that a killed supervisor had taken is
answered by the next one.
"""

from __future__ import annotations

import ctypes
import mmap
import os

from agentprov.system.attribution.seccomp import NOTIFICATION_ROOM

_SIZE = 4096
_FIELDS_AT = NOTIFICATION_ROOM
ACTIVE, HANDLED, BLIND = range(3)


class Shared:
    """The shared page; `descriptor` can be passed on and stays open."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, _SIZE)
        self.room = (ctypes.c_char * NOTIFICATION_ROOM).from_buffer(self._map)
        self._fields = (ctypes.c_uint64 * 3).from_buffer(self._map, _FIELDS_AT)

    @classmethod
    def create(cls) -> Shared:
        """Make a page of zeros. Raises OSError."""
        descriptor = os.memfd_create("agentprov-attribution", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _SIZE)
        return cls(descriptor)

    def get(self, field: int) -> int:
        """Read a counter: ACTIVE (pid of who answers), HANDLED or BLIND."""
        return int(self._fields[field])

    def set(self, field: int, value: int) -> None:
        """Write a counter; BLIND counts calls that were let through unseen."""
        self._fields[field] = value

    def add(self, field: int) -> None:
        """Count one more; only one process does that at a time."""
        self._fields[field] += 1

    @property
    def waiting(self) -> int:
        """Give the id of the call that was taken and not answered yet, 0 for none."""
        return int.from_bytes(bytes(self.room)[:8], "little")
