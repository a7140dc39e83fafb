"""Where a run is watched from, beside its hooks and files: the model's wire, for now.

Everything here is optional. What cannot be had leaves a gap with its reason, and the session is
recorded at a lower basis (DESIGN section 9).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentprov.errors import AgentprovError, CannotStart, MalformedInput
from agentprov.flows.request import GatewayMode
from agentprov.formats import exchange
from agentprov.formats.dropbox import Drop
from agentprov.formats.facts import AgentReport, Gap
from agentprov.ports import AgentAdapter, Launch, LaunchContext

if TYPE_CHECKING:
    from agentprov.record.gateway.launch import Gateway


class Wire:
    """The gateway between an agent and its model, and what it saw.

    `gaps` are those of the set-up; `check` and `stop` give the later ones.
    """

    def __init__(self, adapter: AgentAdapter, context: LaunchContext) -> None:
        self._adapter = adapter
        self._context = context
        self._gateway: Gateway | None = None
        self._key = secrets.token_bytes(32)
        self._gaps: list[Gap] = []
        self.why_not: str | None = None

    @property
    def relayed(self) -> bool:
        """Say whether the agent was pointed at the gateway."""
        return self._gateway is not None

    def set_up(self, mode: GatewayMode, spool: Path, launch: Launch) -> Launch:
        """Start the gateway and point the agent at it; gives the launch as it stands then.

        With ``on`` raises CannotStart where the agent cannot be redirected.
        """
        if mode == "off":
            self.why_not = "--gateway off"
            return launch
        upstream = self._adapter.upstream(self._context)
        try:
            if upstream.base_url is None:
                raise CannotStart(upstream.why_not or "the agent's model host is not known")
            return self._redirect(spool, launch)
        except (AgentprovError, OSError) as error:
            self.stop()
            self._gateway = None
            self.why_not = str(error)
            if mode == "on":
                raise CannotStart(
                    f"the gateway cannot be used here: {error}",
                    hint="run with `--gateway off` to record at a lower basis",
                ) from error
            return launch

    def _redirect(self, spool: Path, launch: Launch) -> Launch:
        from agentprov.record.gateway.launch import Gateway

        upstream = self._adapter.upstream(self._context)
        self._gateway = Gateway.start(
            [upstream],
            spool,
            self._context.scratch,
            environment=self._context.environment,
            key=self._key,
        )
        redirected = self._adapter.redirect(self._context, launch, self._gateway.base_url)
        return Launch(
            redirected.argv,
            redirected.environment,
            (*redirected.channels, "wire"),
            redirected.gaps,
        )

    def check(self) -> Sequence[Gap]:
        """Give the gaps since the last call; for the recorder's tick."""
        if self._gateway is None:
            return ()
        found = self._gateway.check()
        self._gaps += found
        return found

    def stop(self) -> Sequence[Gap]:
        """End the gateway; its last drops are in the spool then."""
        if self._gateway is None:
            return ()
        found = self._gateway.stop()
        self._gaps += found
        return found

    def seen(self, report: AgentReport, drops: Iterable[Drop]) -> AgentReport:
        """Put what was seen on the wire beside what the agent reported."""
        if self._gateway is None:
            return report
        from agentprov.record.witness import merge

        exchanges: list[exchange.Exchange] = []
        gaps = list(self._gaps)
        for drop in drops:
            if drop.channel != exchange.CHANNEL:
                continue
            try:
                if drop.event == exchange.EVENT:
                    exchanges.append(exchange.decode(drop.payload))
                else:
                    gaps.append(exchange.decode_gap(drop.payload))
            except MalformedInput as error:
                now = self._context.started
                gaps.append(Gap("wire-drop-unreadable", now, now, error.message))
        return merge(
            report,
            exchanges,
            self._adapter.edits_of,
            str(self._context.cwd),
            key=self._key,
            gateway_gaps=gaps,
            relayed=True,
        )
