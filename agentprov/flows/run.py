"""Runs an agent and records it: refuses before the start, fails open after it."""

from __future__ import annotations

from collections.abc import Callable

from agentprov.errors import AgentprovError, CannotStart
from agentprov.flows.before import Before
from agentprov.flows.live import Live
from agentprov.flows.request import Outcome, Request
from agentprov.flows.setup import Setup
from agentprov.flows.world import World
from agentprov.ports import Clock
from agentprov.record.executable import Digests, identify
from agentprov.system.clock import SteadyClock


def run(
    world: World, request: Request, warn: Callable[[str], None], before: Before | None = None
) -> Outcome:
    """Record one run of an agent and give its exit status with what was recorded.

    `before` is given by callers that had git started already.
    Everything that can refuse does so before the agent starts: raises CannotStart (exit 125),
    or its ExecFailed (126, 127) for a program that is not there. Once the agent runs nothing
    here stops it: failures become gaps and one warning each.
    """
    before = before or Before(world)
    wall = world.clock
    if not getattr(wall, "stands", False):
        world = World(world.git, world.home, SteadyClock(wall))
    try:
        return _start(world, request, before, wall).serve(warn)
    finally:
        before.close()


def _start(world: World, request: Request, before: Before, wall: Clock) -> Live:
    digests = Digests()
    program = identify(
        request.argv[0], request.environment, request.cwd, request.argv[1:], digests=digests
    )
    session = Setup(world, request, program, digests, wall)
    try:
        return session.start(before)
    except BaseException as error:
        session.discard()
        if isinstance(error, CannotStart) or not isinstance(error, AgentprovError | OSError):
            raise
        if isinstance(error, OSError):
            raise CannotStart(
                f"cannot record here: {error.strerror}: {error.filename}",
                hint="make room or permissions, or add --best-effort to run unrecorded",
            ) from error
        raise CannotStart(f"cannot record here: {error.message}", hint=error.hint) from error
