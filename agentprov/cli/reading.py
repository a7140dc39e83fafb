"""What every command that reads the record does first: take in what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentprov.cli import output
from agentprov.errors import AgentprovError

if TYPE_CHECKING:
    from agentprov.flows.world import World


def taking_in(world: World) -> None:
    """Bind what waits, quietly; a failure is one line on stderr and stops no reading."""
    from agentprov.flows.waiting import waiting

    if not waiting(world.git):
        return
    from agentprov.flows.drain import drain

    try:
        for failure in drain(world, output.note).failures:
            output.note(f"not taken in: {output.safe(failure)}")
    except (AgentprovError, OSError) as error:
        output.note(f"not taken in: {output.safe(str(error))}")
