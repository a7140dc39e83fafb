"""Which changed paths the agent's processes provably did not open for writing.

Every doubt counts against: a path is left out when its name, its directory's inode with that
name, the file itself (hard links) or a directory above it that was renamed was ever named by
the tree, and when anything was missed at all. What remains was changed by somebody else.

It rests on what the supervisor read from the callers' memory (a hostile thread can change that
meanwhile) and on files alone: whoever makes a process outside the tree write by other means
than a socket on this machine is not seen.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from agentprov.formats.facts import Gap
from agentprov.system.attribution.ledger import Attributed
from agentprov.system.attribution.resolve import AT_FDCWD, identify

# They answer questions and write no files for others.
_HARMLESS = re.compile(
    r"unix:(?:(?:/var)?/run/(?:nscd/socket|systemd/(?:journal|resolve|userdb)/.*|"
    r"user/\d+/(?:gnupg/.*|keyring/ssh|pulse/.*|wayland-\d+|pipewire-\d+))"
    r"|/dev/log|@?/tmp/\.X11-unix/X\d+|/tmp/ssh-[^/]+/agent\.\d+|.*/\.gnupg/S\.[^/]+)"
)


@dataclass(frozen=True)
class Untouched:
    """Paths (raw git paths) that somebody outside the agent's tree changed.

    Empty with a reason in `why_not` when that cannot be told of any path.
    """

    paths: frozenset[bytes] = frozenset()
    why_not: str | None = None


def untouched_by_agent(
    top: bytes,
    changed: Iterable[bytes],
    attributed: Attributed,
    *,
    expected: Collection[str] = (),
) -> Untouched:
    """Give those changed git paths that the agent's tree never named for writing.

    `top` is the work tree; call while the tree is as the changes left it. `expected` are
    contacts that are known not to write here (``tcp:127.0.0.1:PORT`` of our own gateway). Looks
    at the file system; raises nothing.
    """
    if not attributed.complete:
        return Untouched(why_not="process-attribution-incomplete")
    if outside_contacts(attributed, expected):
        return Untouched(why_not="agent-reached-other-processes")
    judge = _Judge(os.path.realpath(top), attributed)
    return Untouched(frozenset(path for path in changed if not judge.touched(path)))


def outside_contacts(attributed: Attributed, expected: Collection[str] = ()) -> tuple[str, ...]:
    """Give the processes outside the tree that might have written for the agent, by address."""
    return tuple(
        address
        for address in sorted(attributed.contacts)
        if address not in expected and not _HARMLESS.fullmatch(address)
    )


def contact_gap(attributed: Attributed, at: str, expected: Collection[str] = ()) -> Gap | None:
    """Give the gap that tells of such contacts, None when there were none."""
    outside = outside_contacts(attributed, expected)
    if not outside:
        return None
    return Gap("agent-reached-other-processes", at, at, ", ".join(outside[:8]))


class _Judge:
    def __init__(self, top: bytes, attributed: Attributed) -> None:
        self._top = top
        self._known = attributed
        # A file whose time of birth the file system does not keep is any of that inode.
        self._unborn = {(f.device, f.inode) for f in attributed.files if not f.birth}
        self._parents: dict[bytes, tuple[int, int] | None] = {}

    def touched(self, path: bytes) -> bool:
        full = os.path.join(self._top, path)
        if full in self._known.paths:
            return True
        try:
            return self._named(full) or self._same_file(full) or self._moved(full)
        except OSError:
            # It cannot be looked at; then nothing can be said in its favour.
            return True

    def _named(self, full: bytes) -> bool:
        folder, name = os.path.split(full)
        parent = self._directory(folder)
        return parent is not None and (*parent, name) in self._known.names

    def _same_file(self, full: bytes) -> bool:
        found = identify(AT_FDCWD, full)
        if found is None:
            return False
        file, _ = found
        if file in self._known.files or (file.device, file.inode) in self._unborn:
            return True
        return not file.birth and any(
            (other.device, other.inode) == (file.device, file.inode) for other in self._known.files
        )

    def _moved(self, full: bytes) -> bool:
        folder = os.path.dirname(full)
        while len(folder) >= len(self._top):
            if folder in self._known.moved_paths or self._directory(folder) in self._known.moved:
                return True
            folder = os.path.dirname(folder)
        return False

    def _directory(self, folder: bytes) -> tuple[int, int] | None:
        if folder not in self._parents:
            found = identify(AT_FDCWD, folder)
            self._parents[folder] = None if found is None else (found[0].device, found[0].inode)
        return self._parents[folder]
