"""Whom the tree speaks to outside itself: a daemon may write on its behalf, unseen.

Only addresses on this machine matter: Unix sockets and loopback TCP. An address is inside the
tree when the tree bound it by name, or when a process that listens there carries the session's
variable. Not covered: datagrams without connect, D-Bus activation beyond the bus itself,
descriptors that were handed over before.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import struct

from agentprov.system.attribution import resolve
from agentprov.system.attribution.memory import Memory
from agentprov.system.attribution.seccomp import Notification

_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_DNS = 53
_LISTENING = "0A"


class Contacts:
    """Remembers what the tree bound, and tells contacts outside from those inside."""

    def __init__(self, mark: bytes, memory: Memory) -> None:
        self._memory = memory
        self._mark = mark
        self._bound: set[str] = set()
        self._known_outside: set[str] = set()
        # By the inode of the listening socket: looking for its holder reads all of /proc.
        self._inside: dict[str, bool] = {}

    def outside(self, waiting: Notification, *, bound: bool) -> str | None:
        """Give the address of a contact outside the tree (``unix:/path``, ``tcp:host:port``).

        None for one that is inside or on another machine, and where nobody listens. With
        `bound` the call is a bind, which is only remembered. Raises Fault, Unreadable, Unresolved.
        """
        size = min(waiting.arguments[2] & 0xFFFFFFFF, 128)
        address = self._address(waiting, self._memory.read(waiting.pid, waiting.arguments[1], size))
        if address is None:
            return None
        if bound:
            self._bound.add(address)
            return None
        if address in self._known_outside:
            return address
        if address in self._bound:
            return None
        listening = _listening(waiting.pid, address)
        if all(self._is_ours(inode) for inode in listening):
            return None
        self._known_outside.add(address)
        return address

    def _address(self, waiting: Notification, data: bytes) -> str | None:
        if len(data) < 3:
            return None
        family = int.from_bytes(data[:2], "little")
        if family == _AF_UNIX:
            return _unix(waiting.pid, data[2:])
        if family == _AF_INET and len(data) >= 8:
            return _tcp(ipaddress.ip_address(data[4:8]), data)
        if family == _AF_INET6 and len(data) >= 24:
            ip = ipaddress.IPv6Address(data[8:24])
            return _tcp(ip.ipv4_mapped or ip, data)
        return None

    def _is_ours(self, inode: str) -> bool:
        known = self._inside.get(inode)
        if known is None:
            link = f"socket:[{inode}]"
            holders = [e for e in os.listdir("/proc") if e.isdigit() and _holds(e, link)]
            known = bool(holders) and all(self._marked(entry) for entry in holders)
            self._inside[inode] = known
        return known

    def _marked(self, entry: str) -> bool:
        try:
            with open(f"/proc/{entry}/environ", "rb") as stream:
                return bool(self._mark) and self._mark in stream.read().split(b"\0")
        except OSError:
            return False


def _unix(pid: int, name: bytes) -> str | None:
    if name.startswith(b"\0"):
        return "unix:@" + name[1:].decode("utf-8", "backslashreplace")
    path = name.partition(b"\0")[0]
    if not path:
        return None
    place = resolve.find(pid, path, resolve.AT_FDCWD, follow=True)
    return "unix:" + place.path.decode("utf-8", "backslashreplace")


def _tcp(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, data: bytes) -> str | None:
    (port,) = struct.unpack_from(">H", data, 2)
    if not (ip.is_loopback or ip.is_unspecified) or port in (0, _DNS):
        return None
    return f"tcp:{ip}:{port}"


def _listening(pid: int, address: str) -> list[str]:
    kind, _, rest = address.partition(":")
    inodes = []
    if kind == "unix":
        for fields in _table(pid, "unix"):
            if len(fields) >= 8 and fields[7] == rest:
                inodes.append(fields[6])
        return inodes
    port = f"{int(rest.rpartition(':')[2]):04X}"
    for name in ("tcp", "tcp6"):
        for fields in _table(pid, name):
            if len(fields) > 9 and fields[3] == _LISTENING and fields[1].endswith(":" + port):
                inodes.append(fields[9])
    return inodes


def _table(pid: int, name: str) -> list[list[str]]:
    try:
        with open(f"/proc/{pid}/net/{name}", encoding="utf-8", errors="backslashreplace") as stream:
            return [line.split() for line in stream][1:]
    except OSError:
        return []


def _holds(entry: str, link: str) -> bool:
    with contextlib.suppress(OSError):
        for number in os.listdir(f"/proc/{entry}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry}/fd/{number}") == link:
                    return True
    return False
