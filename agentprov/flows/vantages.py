"""Where a run is watched from, beside its hooks and files: the model's wire, for now.

Everything here is optional. What cannot be had leaves a gap with its reason, and the session is
recorded at a lower basis.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprov.errors import AgentprovError, CannotStart, MalformedInput
from agentprov.flows.request import GatewayMode
from agentprov.formats import exchange
from agentprov.formats.dropbox import Drop
from agentprov.formats.facts import AgentReport, Asked, Gap
from agentprov.ports import AgentAdapter, Launch, LaunchContext
from agentprov.system.process import Running, spawn

if TYPE_CHECKING:
    from agentprov.record.attribution import Untouched
    from agentprov.record.gateway.launch import Gateway
    from agentprov.record.weighing import Weighing
    from agentprov.system.attribution.tree import Attribution


# An agent's own servers on this machine are no model's.
_LOCAL = "127.0.0.1,localhost,::1"
# Said once for each host that is no model's; what passes there is not the model's wire.
_OTHER_HOSTS = "gateway-tunnelled"
# What adapters say of models that are reached in another way than the redirected one.
_OTHER_PROVIDERS = "off-the-wire"


class Wire:
    """The gateway between an agent and its model, and what it saw.

    `key` is the secret that the gateway's drops are sealed with and lines are digested with.
    """

    def __init__(self, adapter: AgentAdapter, context: LaunchContext) -> None:
        self._adapter = adapter
        self._context = context
        self._gateway: Gateway | None = None
        self._weighing: Weighing | None = None
        self.key = secrets.token_bytes(32)
        self._gaps: list[Gap] = []
        self.why_not: str | None = None

    @property
    def relayed(self) -> bool:
        """Say whether the agent was pointed at the gateway."""
        return self._gateway is not None

    @property
    def address(self) -> tuple[str, ...]:
        """Give where the agent reaches the gateway, as process attribution names contacts."""
        if self._gateway is None:
            return ()
        from urllib.parse import urlsplit

        parts = urlsplit(self._gateway.proxy_url or self._gateway.base_url)
        return (f"tcp:{parts.hostname}:{parts.port}",)

    def set_up(self, mode: GatewayMode, spool: Path, launch: Launch) -> Launch:
        """Start the gateway and point the agent at it; gives the launch as it stands then.

        With ``on`` and ``proxy`` raises CannotStart where that cannot be had.
        """
        if mode == "off":
            self.why_not = "--gateway off"
            return launch
        upstream = self._adapter.upstream(self._context)
        try:
            if mode == "proxy":
                return self._proxied(spool, launch)
            if upstream.base_url is None:
                raise CannotStart(upstream.why_not or "the agent's model host is not known")
            return self._redirect(spool, launch)
        except (AgentprovError, OSError) as error:
            self.stop()
            self._gateway = None
            self.why_not = str(error)
            if mode in ("on", "proxy"):
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
            key=self.key,
        )
        self._weigh(upstream.base_url or "")
        redirected = self._adapter.redirect(self._context, launch, self._gateway.base_url)
        started = self._context.started
        self._gaps += [
            Gap(why, started, started)
            for why in redirected.gaps
            if why.startswith(_OTHER_PROVIDERS)
        ]
        return Launch(
            redirected.argv,
            redirected.environment,
            (*redirected.channels, "wire"),
            redirected.gaps,
        )

    def _weigh(self, base_url: str) -> None:
        """See to the weights of a model server on this machine; another host's are out of reach."""
        from urllib.parse import urlsplit

        from agentprov.system.serving import is_loopback

        parts = urlsplit(base_url)
        if parts.hostname is None or not is_loopback(parts.hostname):
            return
        from agentprov.record.weighing import Weighing

        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._weighing = Weighing(parts.hostname, port, self._context.home, self._context.started)

    def begin(self) -> None:
        """Begin what runs beside the agent, once it has started."""
        if self._weighing is not None:
            self._weighing.start()

    @property
    def weighed(self) -> bool:
        """Say whether the digests of weights, where there are any, are there."""
        return self._weighing is None or self._weighing.settled

    def finish_weighing(self, seconds: float) -> Sequence[Gap]:
        """Wait a moment for digests of weights, give up on the rest, and tell of the gaps."""
        return self._weighing.finish(seconds) if self._weighing is not None else ()

    def _proxied(self, spool: Path, launch: Launch) -> Launch:
        """Open the TLS of known model hosts behind a proxy, with an authority of this run only."""
        from agentprov.record.gateway.hosts import MODEL_HOSTS
        from agentprov.record.gateway.launch import Gateway

        self._gateway = gateway = Gateway.start(
            [],
            spool,
            self._context.scratch,
            environment=self._context.environment,
            key=self.key,
            proxied=MODEL_HOSTS,
        )
        assert gateway.proxy_url is not None
        environment = dict(launch.environment)
        for name in ("HTTPS_PROXY", "https_proxy"):
            environment[name] = gateway.proxy_url
        for name in ("NO_PROXY", "no_proxy"):
            given = self._context.environment.get(name, "")
            environment[name] = ",".join(filter(None, (given, _LOCAL)))
        environment["NODE_EXTRA_CA_CERTS"] = str(gateway.ca_file)
        for name in ("SSL_CERT_FILE", "CODEX_CA_CERTIFICATE", "REQUESTS_CA_BUNDLE"):
            environment[name] = str(gateway.ca_bundle)
        return Launch(launch.argv, environment, (*launch.channels, "wire"), launch.gaps)

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

    def told(self, drop: Drop) -> dict[str, Any] | None:
        """Give what the journal keeps of an exchange: ids, counts and keyed digests, no text."""
        if drop.channel != exchange.CHANNEL or drop.event != exchange.EVENT:
            return None
        if not exchange.is_genuine(self.key, drop.event, drop.payload):
            return None
        try:
            one = exchange.decode(drop.payload)
        except MalformedInput:
            return None
        if self._weighing is not None:
            self._weighing.heard((one.served, one.requested))
        return {
            "number": one.number,
            "provider": one.provider,
            "host": one.host,
            "requested": one.requested,
            "served": one.served,
            "responseId": one.response_id,
            "requestId": one.request_id,
            "role": one.role,
            "parameters": dict(one.parameters),
            "inputTokens": one.input_tokens,
            "outputTokens": one.output_tokens,
            "started": one.started,
            "finished": one.finished,
            "status": one.status,
            "complete": one.complete,
            "why": one.why,
            "calls": [call.id for call in one.tool_calls],
            "requestMac": one.request_mac,
            "answerMac": one.answer_mac,
        }

    def seen(self, report: AgentReport, drops: Iterable[Drop]) -> AgentReport:
        """Put what was seen on the wire beside what the agent reported."""
        if self._gateway is None:
            return report
        from agentprov.record.witness import merge

        exchanges, gaps = self._read(drops)
        seen = merge(
            report,
            exchanges,
            self._adapter.edits_of,
            str(self._context.cwd),
            key=self.key,
            gateway_gaps=[gap for gap in gaps if gap.why != _OTHER_HOSTS],
            relayed=True,
        )
        return replace(seen, models=self._weighing.put(seen.models)) if self._weighing else seen

    def exchanges(self, drops: Iterable[Drop]) -> list[exchange.Exchange]:
        """Give the exchanges among the drops that this run's gateway sealed."""
        return self._read(drops)[0] if self._gateway is not None else []

    def _read(self, drops: Iterable[Drop]) -> tuple[list[exchange.Exchange], list[Gap]]:
        exchanges: list[exchange.Exchange] = []
        gaps = list(self._gaps)
        for drop in drops:
            if drop.channel != exchange.CHANNEL:
                continue
            if not exchange.is_genuine(self.key, drop.event, drop.payload):
                now = self._context.started
                gaps.append(Gap("wire-drop-forged", now, now, "not sealed by this run's gateway"))
                continue
            try:
                if drop.event == exchange.EVENT:
                    exchanges.append(exchange.decode(drop.payload))
                else:
                    gaps.append(exchange.decode_gap(drop.payload))
            except MalformedInput as error:
                now = self._context.started
                gaps.append(Gap("wire-drop-unreadable", now, now, error.message))
        return exchanges, gaps


class Processes:
    """Which files the agent's processes open for writing; does nothing unless wanted."""

    def __init__(self, wanted: bool, scratch: Path, session: str) -> None:
        self._attribution: Attribution | None = None
        if wanted:
            from agentprov.system.attribution.tree import Attribution

            self._attribution = Attribution.start(scratch, f"AGENTPROV_SESSION={session}")

    @property
    def followed(self) -> bool:
        """Say whether that was wanted."""
        return self._attribution is not None

    def spawn(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Running:
        """Start the agent, followed if that was wanted; raises as `process.spawn`."""
        if self._attribution is None:
            return spawn(argv, env, cwd)
        return self._attribution.spawn(argv, env, cwd)

    def check(self) -> None:
        """Keep it alive; for the recorder's tick."""
        if self._attribution is not None:
            self._attribution.check()

    def judge(
        self,
        top: bytes,
        changed: Collection[bytes],
        expected: Collection[str],
        asked: Sequence[Asked],
    ) -> Untouched | None:
        """Say which changed paths the agent's processes did not write; None when not wanted."""
        if self._attribution is None:
            return None
        from agentprov.record.attribution import untouched_by_agent

        known = self._attribution.so_far()
        return untouched_by_agent(top, changed, known, expected=expected, asked=asked)

    def stop(self, now: str, expected: Collection[str] = ()) -> Sequence[Gap]:
        """End following and give the gaps; what still runs is let through unseen."""
        if self._attribution is None:
            return ()
        from agentprov.record.attribution import contact_gap

        known = self._attribution.stop()
        contact = contact_gap(known, now, expected)
        return (*known.gaps, contact) if contact else known.gaps
