"""The work tree as an agent left it: git looks at it while its session is summed up."""

from __future__ import annotations

from agentprov.errors import AgentprovError
from agentprov.flows.world import World
from agentprov.record import snapshot


class LastSnapshot:
    """Taken from the moment on at which this is made; `close` it."""

    def __init__(self, world: World, session: str) -> None:
        self._failure: AgentprovError | OSError | None = None
        self._taking: snapshot.Taking | None = None
        if world.git.is_gone:
            self._failure = FileNotFoundError("the work tree was removed")
            return
        try:
            self._taking = snapshot.Taking(world.git, world.now(), session)
        except (AgentprovError, OSError) as error:
            # The work tree may go in this very moment.
            self._failure = error

    def finish(self) -> snapshot.Snapshot:
        """Wait for git and give the snapshot; raises OSError, AgentprovError."""
        if self._taking is None:
            raise self._failure or OSError()
        return self._taking.finish()

    def close(self) -> None:
        """Let go of git, whether it was waited for or not."""
        if self._taking is not None:
            self._taking.close()
