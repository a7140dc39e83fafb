"""Which process of this machine serves a TCP port, and which files it holds; Linux only.

Answers come from ``/proc``, not from what a process says of itself. Of processes that belong to
somebody else only the owner of the socket is known. Elsewhere than on Linux everything is empty.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentprov.system import process_table

_PROC = "/proc"
_LISTENS = "0A"
_MAPPING = re.compile(
    r"(?P<span>[0-9a-f]+-[0-9a-f]+) (?P<mode>\S{4}) [0-9a-f]+ "
    r"(?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+) (?P<inode>[0-9]+) +(?P<path>/.*)"
)
_DELETED = " (deleted)"


@dataclass(frozen=True)
class Listener:
    """Who listens: `pids` are empty where the processes cannot be looked at; `inode` the socket."""

    inode: int
    uid: int
    pids: tuple[int, ...]


@dataclass(frozen=True)
class HeldFile:
    """A regular file that a process has open or mapped, by the path that the system knows.

    `links` are names under ``/proc`` that lead to it, the surest first.
    """

    path: str
    device: int
    inode: int
    links: tuple[str, ...]

    def open(self) -> int:
        """Open this very file for reading and give the descriptor.

        Raises OSError, with ESTALE when the name leads to another file by now and the system
        lets us come at the old one in no other way.
        """
        failure: OSError | None = None
        for link in self.links:
            try:
                descriptor = os.open(link, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                failure = error
                continue
            status = os.fstat(descriptor)
            # The device is not compared: btrfs and overlays give mappings another one.
            if stat.S_ISREG(status.st_mode) and status.st_ino == self.inode:
                return descriptor
            os.close(descriptor)
            failure = None
        if failure is not None and failure.errno != errno.ENOENT:
            raise failure
        raise OSError(errno.ESTALE, "replaced since the server took it", self.path)


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine, seen from itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def listener_on(host: str, port: int) -> Listener | None:
    """Find who listens on a loopback host and port; None when nobody is known to.

    A socket for that very address is preferred to one for all addresses, as the system does.
    Sockets of other network namespaces (containers) are not seen.
    """
    wanted = _addresses(host)
    found = [
        (wanted.index(address), uid, inode)
        for address, number, uid, inode in _sockets()
        if number == port and address in wanted
    ]
    if not found:
        return None
    _, uid, inode = min(found)
    return Listener(inode, uid, tuple(_holders(f"socket:[{inode}]")))


def _addresses(host: str) -> list[str]:
    named = host.strip("[]").lower()
    one = {"localhost": ["127.0.0.1", "::1"]}.get(named, [named])
    return [*one, "0.0.0.0", "::"]  # noqa: S104  compared with, never bound


def _sockets() -> Iterator[tuple[str, int, int, int]]:
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(_PROC, "net", name).read_text("ascii", "replace").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTENS:
                address, _, port = fields[1].partition(":")
                yield _address(address), int(port, 16), int(fields[7]), int(fields[9])


def _address(text: str) -> str:
    # Words of four bytes, each in the byte order of this machine.
    words = bytes.fromhex(text)
    raw = b"".join(struct.pack(">I", word) for (word,) in struct.iter_unpack("=I", words))
    address = ipaddress.ip_address(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _holders(target: str) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for entry in sorted(filter(str.isdigit, os.listdir(_PROC)), key=int):
            if any(name == target for _, name in _descriptors(int(entry))):
                yield int(entry)


def _descriptors(pid: int) -> Iterator[tuple[str, str]]:
    folder = f"{_PROC}/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            yield f"{folder}/{name}", os.readlink(f"{folder}/{name}")


def held_files(pid: int) -> list[HeldFile]:
    """Give the regular files that a process has open or mapped; not what it executes.

    Empty for a process that is gone or not ours to look at.
    """
    found: dict[tuple[int, int], HeldFile] = {}
    for link, path in _descriptors(pid):
        with contextlib.suppress(OSError):
            status = os.stat(link)
            if path.startswith("/") and stat.S_ISREG(status.st_mode):
                key = (status.st_dev, status.st_ino)
                found[key] = HeldFile(path.removesuffix(_DELETED), *key, (link,))
    opened = {(held.path, held.inode) for held in found.values()}
    for held in _mapped(pid):
        if (held.path, held.inode) not in opened:
            found.setdefault((held.device, held.inode), held)
    return list(found.values())


def _mapped(pid: int) -> Iterator[HeldFile]:
    try:
        text = Path(_PROC, str(pid), "maps").read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return
    for line in text.splitlines():
        match = _MAPPING.fullmatch(line)
        if match is None or "x" in match["mode"] or match["inode"] == "0":
            continue
        path = match["path"].removesuffix(_DELETED)
        device = os.makedev(int(match["major"], 16), int(match["minor"], 16))
        span = "-".join(part.lstrip("0") or "0" for part in match["span"].split("-"))
        # The first leads to the file even when it has lost its name, and needs privileges.
        links = (f"{_PROC}/{pid}/map_files/{span}", f"{_PROC}/{pid}/root{path}")
        yield HeldFile(path, device, int(match["inode"]), links)


def family(pids: tuple[int, ...]) -> tuple[int, ...]:
    """Give processes with all that descend from them, each once."""
    return tuple(
        dict.fromkeys(one for pid in pids for one in (pid, *process_table.descendants(pid)))
    )


def words_of(pid: int) -> list[str]:
    """Give the command line of a process; it may hold secrets and must not be kept."""
    try:
        data = Path(_PROC, str(pid), "cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in data.rstrip(b"\0").split(b"\0")]


def folder_of(pid: int) -> Path | None:
    """Give the working directory of a process."""
    try:
        return Path(os.readlink(f"{_PROC}/{pid}/cwd"))
    except OSError:
        return None


__all__ = [
    "HeldFile",
    "Listener",
    "family",
    "folder_of",
    "held_files",
    "is_loopback",
    "listener_on",
    "words_of",
]
