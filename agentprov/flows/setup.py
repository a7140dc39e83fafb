"""All that happens before the agent's first instruction."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from agentprov.attest.descriptors import command_line
from agentprov.flows import hook_site
from agentprov.flows.before import Before
from agentprov.flows.live import Live
from agentprov.flows.opening import begin, directory_for
from agentprov.flows.request import Request
from agentprov.flows.vantages import Processes, Wire
from agentprov.flows.world import World
from agentprov.formats import names
from agentprov.formats.facts import Agent, Gap
from agentprov.ports import Clock, LaunchContext
from agentprov.record.agents.registry import UNKNOWN, adapter_for
from agentprov.record.executable import Digests, Identity
from agentprov.record.session import SessionDirectory
from agentprov.sign.registry import require_usable
from agentprov.system import places, scratch

if TYPE_CHECKING:
    from agentprov.flows.plan import CheckedPlan


class Setup:
    """One session in the making; `discard` takes back what a refusal left half done."""

    def __init__(
        self,
        world: World,
        request: Request,
        identity: Identity,
        digests: Digests,
        wall: Clock,
    ) -> None:
        self.world = world
        self.wall = wall
        self.request = request
        self.identity = identity
        self.digests = digests
        self.id = str(uuid.uuid4())
        self.directory = SessionDirectory(world.git.home, self.id)
        self.scratch: Path | None = None
        self.wire: Wire | None = None
        self.processes: Processes | None = None

    def start(self, asked: Before) -> Live:
        """Set the session up and give the recorder that serves it; raises what refuses it."""
        world, request = self.world, self.request
        # Before anything runs that could not be signed for.
        require_usable("recorder", world.home)
        plan = self._plan()
        started = asked.started
        standing, before = asked.finish()
        self.directory = directory_for(world, self.id)
        self.scratch = scratch.make(self.id)
        fallback = self.scratch / "spool"
        fallback.mkdir(mode=0o700)
        spool_script = self.scratch / "spool.sh"
        spool_script.write_bytes(files("agentprov_hooks").joinpath("spool.sh").read_bytes())
        environment = {
            **request.environment,
            "AGENTPROV_SESSION": self.id,
            "AGENTPROV_SESSION_TOKEN": self.directory.new_token().decode(),
            "AGENTPROV_SPOOL": str(self.directory.spool),
            "AGENTPROV_SPOOL_FALLBACK": str(fallback),
        }
        if plan is not None:
            environment["AGENTPROV_PLAN"] = str(self._private_plan(plan.content))
        context = LaunchContext(
            argv=request.argv,
            cwd=request.cwd,
            top=world.git.top,
            home=places.user_home(request.environment),
            environment=environment,
            scratch=self.scratch,
            spool_script=spool_script,
            started=started,
        )
        package = self.identity.package
        adapter = adapter_for(request.argv[0], package.name if package else None)
        wire = Wire(adapter, context)
        self.wire = wire
        self.processes = Processes(request.attribute, self.scratch, self.id)
        launch = wire.set_up(request.gateway, self.directory.spool, adapter.prepare(context))
        servers = adapter.mcp_servers(context)
        if servers:
            from agentprov.record.mcp.injection import inject

            try:
                launch = inject(adapter.name, context, launch, servers)
            except OSError as error:
                launch = replace(launch, gaps=(*launch.gaps, f"mcp-not-watched: {error.strerror}"))
        gaps = [Gap(why, started, started) for why in launch.gaps]
        if wire.why_not is not None and (adapter is not UNKNOWN or request.gateway != "auto"):
            gaps.append(Gap("not-on-the-wire", started, started, wire.why_not))
        if os.environ.get("AGENTPROV_SESSION"):
            gaps.append(Gap("nested-run", started, started, os.environ["AGENTPROV_SESSION"][:64]))
        recording = begin(
            world,
            self.directory,
            (started, standing, before),
            builder=names.LOCAL_WRAPPER,
            agent=_not_yet(self.identity),
            command_line=command_line(request.argv),
            gaps=gaps,
            plan=plan,
            labels=request.labels,
            scratch=str(self.scratch),
        )
        gaps = list(recording.state.session.gaps)
        hooks = hook_site.standing(world.git, standing.hooks_path)
        return Live(self, recording, adapter, context, launch, fallback, gaps, hooks)

    def _plan(self) -> CheckedPlan | None:
        if self.request.plan is None:
            return None
        from agentprov.flows.plan import check

        return check(self.world, self.request.plan)

    def _private_plan(self, content: bytes) -> Path:
        """Hand the signed bytes to the agent as a file nobody else writes."""
        assert self.scratch is not None
        assert self.request.plan is not None
        place = self.scratch / self.request.plan.name
        place.write_bytes(content)
        place.chmod(0o400)
        return place

    def discard(self) -> None:
        """Remove what a refused start left behind."""
        self.identity.close()
        if self.wire is not None:
            self.wire.stop()
        if self.processes is not None:
            self.processes.stop("")
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
        # What refused the start may refuse this, too.
        with contextlib.suppress(OSError):
            self.directory.clear_live()
        shutil.rmtree(self.directory.path, ignore_errors=True)


def _not_yet(identity: Identity) -> Agent:
    """Name the agent as far as it is known before anything was hashed."""
    return Agent(
        name=identity.name,
        command=identity.command,
        place=identity.place,
        sha256=None,
        basis="observed",
        chain=identity.chain,
        why="the recorder ended before it was hashed",
    )
