"""The work tree while an agent runs: when paths changed, and what they held in between."""

from __future__ import annotations

import os

from agentprov.flows.world import World
from agentprov.formats.redaction import SecretNames, secret_values
from agentprov.ports import Clock
from agentprov.record.session import SessionDirectory
from agentprov.record.snapshot import private_git
from agentprov.record.versions import Versions
from agentprov.record.watcher import Summary, Watcher


class Disk:
    """File events and kept versions of one session; optional, and never in the way.

    `attributed` says that processes are followed: then it is of use who has a file open. Start it
    with the agent, or later: what was written before cannot be followed then. `wall` is the clock
    as others see it, by which files, hooks and the wire are dated too.
    """

    def __init__(
        self,
        world: World,
        directory: SessionDirectory,
        wall: Clock,
        *,
        attributed: bool = False,
    ) -> None:
        objects = private_git(world.git).objects
        assert objects is not None
        self._versions = Versions(
            world.git.top,
            objects,
            directory.versions,
            # A millisecond is too coarse to tell what was read before a write from what was after.
            lambda: wall.now().isoformat(timespec="microseconds"),
            world.git.object_format,
            leases=attributed,
            unnamed=SecretNames(secret_values(os.environ)),
        )
        self._watcher = Watcher(
            world.git.top, wall, ignore=(world.git.home,), noticed=self._versions.noticed
        )
        self._from_the_start = False
        self._started = False

    def start(self, *, with_the_agent: bool) -> None:
        """Begin, once; `with_the_agent` says that nothing can have been written before."""
        if self._started:
            return
        self._started = True
        self._from_the_start = with_the_agent
        self._versions.start()
        self._watcher.start()

    def so_far(self) -> Summary:
        """Give the events up to now, with every version read that they announced."""
        self._versions.settle()
        return self._watcher.so_far()

    def stop(self) -> Summary:
        """End watching; gives what there is to say, the same when called again."""
        if not self._started:
            return Summary()
        summary = self._watcher.stop()
        self._versions.stop()
        return summary

    def followed(self, seen: Summary) -> bool:
        """Say whether every change since the agent's start was seen and its content kept."""
        return (
            self._from_the_start
            and seen.watching_since is not None
            and not seen.gaps
            and not self._versions.left_out()
        )
