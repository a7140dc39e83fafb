"""What git is asked before an agent starts: at once, while the rest of us is still loading."""

from __future__ import annotations

import os

from agentprov.errors import AgentprovError
from agentprov.flows.world import World
from agentprov.record.snapshot import Snapshot, Taking
from agentprov.record.standing import Standing, StandingAsked


class Before:
    """Where the repository stands and what its work tree holds, being found out.

    Construct it as early as possible and `finish` it once, or `close` it. Nothing is raised
    before `finish`.
    """

    def __init__(self, world: World) -> None:
        self.started = world.now()
        self._failure: AgentprovError | OSError | None = None
        self._taking: Taking | None = None
        try:
            world.git.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The work tree takes longest.
            self._taking = Taking(world.git, self.started, os.urandom(8).hex())
            self._standing = StandingAsked(world.git)
        except (AgentprovError, OSError) as error:
            self._failure = error

    def finish(self) -> tuple[Standing, Snapshot]:
        """Give both; raises AgentprovError, and OSError when our own directory is unusable."""
        if self._failure is not None:
            raise self._failure
        assert self._taking is not None
        return self._standing.finish(), self._taking.finish()

    def close(self) -> None:
        """Leave no file behind; may be called at any time, also after `finish`."""
        if self._taking is not None:
            self._taking.close()
