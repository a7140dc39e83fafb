"""What was written to the notes a while ago, kept until no `git prune` can take it away again.

Objects are written before the ref that makes them reachable moves. A ``git prune --expire=now``
that looked at the refs before and removes what it found unreachable afterwards takes them from
under a ref that stands by then, and a ref whose object is gone stops ``git fetch`` and ``git gc``
too. So a gc that runs is waited for, though not for long; and each pack is kept beside for an
hour, and unpacked again where something is missing.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from agentprov.errors import GitFailed
from agentprov.store.objects import NewObjects
from agentprov.system import files, repairs
from agentprov.system.git import DURABLY, Git
from agentprov.system.process_table import alive

FOLDER = "unsettled"
SETTLED_SECONDS = 3600.0
GC_SECONDS = 2.0
LOOK_SECONDS = 600.0
"""How long after an addition `look_again` looks at it; a prune takes its time."""
_MOST = 100
_MOST_LOOKED_AT = 1_000
# So often at once, then with growing pauses: what is missing may never have been kept.
_RESTORES = 20
_LONGEST_PAUSE = 60.0
_SUFFIX = ".pack"


class Unsettled:
    """The packs of the last hour, in our directory of the repository."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._folder = git.home / FOLDER
        self._restores = 0
        self._not_before = 0.0
        self._written: dict[str, float] = {}

    def wait_for_gc(self) -> None:
        """Wait while a ``git gc`` runs here, for `GC_SECONDS` at most; it may be about to prune."""
        deadline = time.monotonic() + GC_SECONDS
        while time.monotonic() < deadline:
            try:
                pid = int((self._git.common_dir / "gc.pid").read_bytes().split()[0])
            except (OSError, ValueError, IndexError):
                return
            if not alive(pid, None):
                return
            time.sleep(0.02)

    def keep(self, pack: bytes) -> None:
        """Keep a pack before it is written, and forget those that have settled.

        Raises nothing: what cannot be kept is written all the same.
        """
        self._restores, self._not_before = 0, 0.0
        with contextlib.suppress(OSError):
            kept = self._kept()
            settled = time.time() - SETTLED_SECONDS
            for number, place in enumerate(kept):
                with contextlib.suppress(OSError):
                    if len(kept) - number >= _MOST or place.stat().st_mtime < settled:
                        place.unlink()
            name = f"{time.time_ns():020d}-{os.getpid()}{_SUFFIX}"
            files.atomic_write(self._folder / name, pack, fsync=False, make_parent=True)

    def write(self, pack: bytes, *holding: int) -> None:
        """Write objects by their pack; raises GitFailed. `holding` are locks that git inherits."""
        self._git.run(*DURABLY, "unpack-objects", "-q", input=pack, holding=holding)

    def watch(self, new: NewObjects) -> None:
        """Take in objects that a ref leads to from now on: they are to be looked at again."""
        self._written.update(dict.fromkeys(new.ids(), time.monotonic()))

    def look_again(self) -> None:
        """Write again all that was kept if something written lately is gone; raises GitFailed.

        A prune may take one object after another, also those that were just written again: so this
        looks again and again. A few looks at files; git is asked where one is not there as such,
        and what it has in packs is safe from a prune.
        """
        since = time.monotonic() - LOOK_SECONDS
        late = [oid for oid, at in self._written.items() if at >= since][-_MOST_LOOKED_AT:]
        self._written = {oid: self._written[oid] for oid in late}
        loose = self._git.common_dir / "objects"
        away = [oid for oid in late if not (loose / oid[:2] / oid[2:]).exists()]
        if not away:
            return
        asked = "".join(f"{oid}\n" for oid in away).encode()
        answers = self._git.run("cat-file", "--batch-check", input=asked).splitlines()
        missing = {line.split()[0].decode() for line in answers if line.endswith(b" missing")}
        for oid in away:
            if oid not in missing:
                del self._written[oid]
        if missing:
            self.restore()

    def restore(self) -> bool:
        """Write again all that was kept; says whether that was anything.

        Again and again, as long as a prune is at work; after `_RESTORES` times with longer and
        longer pauses, in which it does nothing, until more is kept.
        """
        now = time.monotonic()
        if now < self._not_before:
            return False
        self._restores += 1
        beyond = self._restores - _RESTORES
        if beyond >= 0:
            self._not_before = now + min(2.0 ** min(beyond, 16), _LONGEST_PAUSE)
        done = False
        with contextlib.suppress(OSError):
            for place in self._kept():
                with contextlib.suppress(OSError, GitFailed):
                    self.write(place.read_bytes())
                    done = True
        if done and self._restores == 1:
            repairs.note(
                self._git.home,
                "wrote records again that a `git prune` had taken away while they were stored",
            )
        return done

    def _kept(self) -> list[Path]:
        try:
            names = sorted(os.listdir(self._folder))
        except OSError:
            return []
        return [self._folder / name for name in names if name.endswith(_SUFFIX)]
