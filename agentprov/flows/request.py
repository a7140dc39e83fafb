"""What a user asks `run` to do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agentprov.formats.facts import Agent, AgentReport, Commit, Gap

GatewayMode = Literal["auto", "on", "off", "proxy"]


@dataclass(frozen=True)
class Request:
    """One run that was asked for.

    `gateway`: ``auto`` goes on the wire where that is known to work, ``on`` refuses to start
    where it does not, ``off`` stays away, ``proxy`` opens the TLS of known model hosts instead of
    redirecting. `attribute` follows the agent's processes (Linux).
    """

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    plan: Path | None = None
    labels: tuple[tuple[str, str], ...] = ()
    keep_transcript: bool = False
    encrypt: bool = False
    gateway: GatewayMode = "auto"
    attribute: bool = False


@dataclass
class Outcome:
    """What came of a run: the agent's own status, and what is on record."""

    status: int
    session: str
    commits: list[Commit] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    uncommitted: int = 0
    agent: Agent | None = None
    report: AgentReport = field(default_factory=AgentReport)
