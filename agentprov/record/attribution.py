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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from agentprov.formats.facts import Asked, Gap
from agentprov.record.accounts import Opened
from agentprov.record.hands import Hands
from agentprov.record.versions import instant
from agentprov.system.attribution.ledger import Attributed, Opening, Touched
from agentprov.system.attribution.resolve import AT_FDCWD, FileId, identify

# They answer questions and write no files for others.
_HARMLESS = re.compile(
    r"unix:(?:(?:/var)?/run/(?:nscd/socket|systemd/(?:journal|resolve|userdb)/.*|"
    r"user/\d+/(?:gnupg/.*|keyring/ssh|pulse/.*|wayland-\d+|pipewire-\d+))"
    r"|/dev/log|@?/tmp/\.X11-unix/X\d+|/tmp/ssh-[^/]+/agent\.\d+|.*/\.gnupg/S\.[^/]+)"
)


_ALWAYS = ("0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z")


@dataclass(frozen=True)
class Untouched:
    """Paths (raw git paths) that somebody outside the agent's tree changed.

    `opened` has for all other paths the earliest and the latest time (RFC 3339) at which the
    tree can have written there, `openings` the single times and whose hand it was; they are in
    doubt over the whole session where other names led to a file. All are empty, with a reason in
    `why_not`, when nothing can be told of any path.
    """

    paths: frozenset[bytes] = frozenset()
    opened: Mapping[bytes, tuple[str, str]] = field(default_factory=dict)
    openings: Mapping[bytes, tuple[Opened, ...]] = field(default_factory=dict)
    why_not: str | None = None


def untouched_by_agent(
    top: bytes,
    changed: Collection[bytes],
    attributed: Attributed,
    *,
    expected: Collection[str] = (),
    asked: Sequence[Asked] = (),
) -> Untouched:
    """Give those changed git paths that the agent's tree never named for writing.

    `top` is the work tree; call while the tree is as the changes left it. `expected` are
    contacts that are known not to write here (``tcp:127.0.0.1:PORT`` of our own gateway), `asked`
    the calls on the wire, by which commands are told from the agent's own hand. Looks at the
    file system; raises nothing.
    """
    if not attributed.complete:
        return Untouched(why_not="process-attribution-incomplete")
    if outside_contacts(attributed, expected):
        return Untouched(why_not="agent-reached-other-processes")
    judge = _Judge(os.path.realpath(top), attributed)
    opened = {path: times for path in changed if (times := judge.times(path)) is not None}
    hands = Hands(attributed, asked)
    openings = {path: judge.openings(path, hands) for path in opened}
    return Untouched(frozenset(changed) - opened.keys(), opened, openings)


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
        # A file whose time of birth is not known is any of that inode.
        self._by_inode: dict[tuple[int, int], list[FileId]] = {}
        for file in attributed.files:
            self._by_inode.setdefault((file.device, file.inode), []).append(file)
        self._by_place: dict[object, list[Opening]] = {}
        for opening in attributed.openings:
            for place in (opening.path, opening.name, opening.file):
                if place is not None:
                    self._by_place.setdefault(place, []).append(opening)
        self._parents: dict[bytes, tuple[int, int] | None] = {}
        spans = [*attributed.names.values(), *attributed.paths.values()]
        self._span = _span(spans) if spans else _ALWAYS

    def times(self, path: bytes) -> tuple[str, str] | None:
        """Give when the tree can have written a path, None when it provably did not."""
        full = os.path.join(self._top, path)
        try:
            found = self._found(full)
            moved = self._moved(full)
        except OSError:
            # It cannot be looked at; then nothing can be said in its favour.
            return self._span
        if not (found or moved):
            return None
        if moved or self._known.linked or not found:
            # By which name and when it was reached before is not known.
            return self._span
        return _span(found)

    def openings(self, path: bytes, hands: Hands) -> tuple[Opened, ...]:
        """Give when the tree can have written a path and by whose hand, in order of time."""
        full = os.path.join(self._top, path)
        doubt = Opened(instant(self._span[0]), instant(self._span[1]), "unclear")
        try:
            folder, name = os.path.split(full)
            parent = self._directory(folder)
            there = identify(AT_FDCWD, full)
            moved = self._moved(full)
        except OSError:
            return (doubt,)
        if moved or self._known.linked:
            return (doubt,)
        files = set(self._known.ids.get(full, ()))
        if there is not None:
            files.add(there[0])
        places: list[object] = [full, *(other for file in files for other in self._same(file))]
        if parent is not None:
            places.append((*parent, name))
        found = {one for place in places for one in self._by_place.get(place, ())}
        mine = max((one.last for one in found if one.path == full), default=0)
        if any(one.path != full and one.last > mine for one in found):
            # Somebody else gave a file of the tree's this name, who knows when.
            return (doubt,)
        return tuple(sorted(map(hands.opened, found), key=lambda one: one.first)) or (doubt,)

    def _found(self, full: bytes) -> list[Touched]:
        folder, name = os.path.split(full)
        parent = self._directory(folder)
        files = set(self._known.ids.get(full, ()))
        there = identify(AT_FDCWD, full)
        if there is not None:
            files.add(there[0])
        touched = [self._known.paths.get(full)]
        if parent is not None:
            touched.append(self._known.names.get((*parent, name)))
        for file in files:
            touched += [self._known.files[other] for other in self._same(file)]
        return [times for times in touched if times is not None]

    def _same(self, file: FileId) -> list[FileId]:
        written = self._by_inode.get((file.device, file.inode), [])
        return [o for o in written if o.birth == file.birth or not (o.birth and file.birth)]

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


def _span(times: Collection[Touched]) -> tuple[str, str]:
    return min(one.first for one in times), max(one.last for one in times)
