"""Everything that can be swapped, on one page; each entry says what it promises.

Real ones live in `system`, `sign`, `store` and `record.agents`; `flows.world` hands them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from agentprov.formats.bundle import Bundle
from agentprov.formats.dropbox import Drop
from agentprov.formats.evidence import (
    CertifiedIdentity,
    SigstoreRoot,
    TimestampAuthority,
    TrustedTime,
)
from agentprov.formats.exchange import ToolCall
from agentprov.formats.facts import AgentReport, Edit, Material, McpServer
from agentprov.formats.policy_facts import Miss, PolicyFacts


class Clock(Protocol):
    """Tells the time; the only source of it outside `system`."""

    def now(self) -> datetime:
        """Give the time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        ...


class Signer(Protocol):
    """Holds one private key; signs a DSSE pre-authentication encoding, never anything else."""

    @property
    def uri(self) -> str:
        """Give the key URI, for example ``file:/home/u/.config/agentprov/keys/human.pem``."""
        ...

    @property
    def spki(self) -> bytes:
        """Give the public key as DER SubjectPublicKeyInfo."""
        ...

    @property
    def custody(self) -> str:
        """Give how the key is kept: file, agent, agent-confirm, passphrase, touch or oidc."""
        ...

    def sign(self, pae: bytes) -> bytes:
        """Sign; ECDSA P-256/SHA-256 (DER) or Ed25519. Raises KeyUnusable."""
        ...


@runtime_checkable
class CertifiedSigner(Protocol):
    """Signs with a short-lived key and a certificate for whoever signed in, through services.

    What it gives is a whole bundle, because certificate, log entry and timestamps belong to it.
    """

    @property
    def uri(self) -> str:
        """Give the key URI; it names the services, not the person."""
        ...

    @property
    def custody(self) -> str:
        """Give how the key is kept: oidc."""
        ...

    def seal(self, payload: bytes) -> Bundle:
        """Sign a statement's bytes and have that logged. Raises KeyUnusable."""
        ...


class SignatureVerifier(Protocol):
    """Checks one signature with one public key."""

    def verify(self, spki: bytes, pae: bytes, signature: bytes) -> bool:
        """Say whether the signature is good; False also for keys and encodings we refuse."""
        ...


class EvidenceVerifier(Protocol):
    """Checks what stands beside a signature, offline, under authorities that the caller trusts.

    Opens no connection, reads no file. Both raise EvidenceInvalid with the code of the finding.
    """

    def identify(self, data: bytes, roots: Sequence[SigstoreRoot]) -> CertifiedIdentity:
        """Check a bundle that carries a certificate: signature, chain, log entry, time.

        `data` is the bundle as it came. Says who signed, not whether they may.
        """
        ...

    def times(
        self, bundle: Bundle, authorities: Sequence[TimestampAuthority]
    ) -> Sequence[TrustedTime]:
        """Check the timestamps of a bundle whose signature was found good; oldest first.

        Leaves out those of authorities that are not among `authorities`.
        """
        ...


class PolicyEngine(Protocol):
    """Holds verified facts against rules. Ours reads YAML (agentprov.verify.policy).

    Sees one frozen value and nothing else: no file, no clock, no repository. Must be monotonic:
    what is absent may only add misses. Whoever judges makes findings of the misses.
    """

    @property
    def sha256(self) -> str:
        """Give the digest of the rules' bytes, for the verdict."""
        ...

    @property
    def source(self) -> str:
        """Say where the rules come from."""
        ...

    @property
    def enforces(self) -> bool:
        """Say whether a miss is an error; else it is a warning."""
        ...

    @property
    def by_path(self) -> bool:
        """Say whether it asks which paths a commit touches; they are not looked up otherwise."""
        ...

    @property
    def milestones(self) -> frozenset[str]:
        """Give the ids of commits of which it asks which judged commits led to them."""
        ...

    def misses(self, facts: PolicyFacts) -> Iterable[Miss]:
        """Give all that the facts lack. Raises nothing for anything that facts can hold."""
        ...


class CheckpointKey(Protocol):
    """Holds the Ed25519 key that signs the heads of the signing logs, and nothing else."""

    @property
    def public(self) -> bytes:
        """Give the public key as 32 raw bytes. Raises KeyUnusable."""
        ...

    def sign(self, text: bytes) -> bytes:
        """Sign the text of a checkpoint; 64 bytes. Raises KeyUnusable."""
        ...

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Say whether this very key made the signature."""
        ...


class Store(Protocol):
    """Keeps signed bundles, grouped under git objects; a set: order and repetition mean nothing."""

    def get(self, anchor: str) -> list[bytes]:
        """Give the bundles under one object id, as the exact lines that were stored."""
        ...

    def everything(self) -> Iterator[tuple[str, list[bytes]]]:
        """Give (object id, bundles) for all that is stored."""
        ...

    def add(self, additions: Mapping[str, Sequence[bytes]]) -> None:
        """Add bundles; all or nothing; none that was there is lost. Raises Busy, GitFailed."""
        ...


@dataclass(frozen=True)
class LaunchContext:
    """What an agent adapter may know before the agent starts.

    `argv` is the user's command with `argv[0]` as typed; `environment` is what the child would
    get; `scratch` is a private 0700 directory of this run; `spool_script` is the POSIX sh
    program that drops an event (usage: ``sh spool_script CHANNEL EVENT``, payload on stdin).
    """

    argv: tuple[str, ...]
    cwd: Path
    top: Path
    home: Path
    environment: Mapping[str, str]
    scratch: Path
    spool_script: Path
    started: str


@dataclass(frozen=True)
class Launch:
    """How to start the agent: the command line, variables to add, and what we put where."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConfiguredMcpServer:
    """An MCP server entry as configuration names it, before anything is resolved."""

    name: str
    command: str | None
    arguments: tuple[str, ...]
    url: str | None
    environment_names: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Upstream:
    """Where an agent would send its model requests if nobody stood in between.

    `base_url` is what the agent would use as its base URL, without credentials. `why_not` is
    set instead when this run must not be redirected (a login that only works first-hand, an
    unknown provider): the recorder then stays off the wire and says why.
    """

    base_url: str | None
    provider: str = ""
    why_not: str | None = None


class AgentAdapter(Protocol):
    """Knows one coding agent. Adding one: a file, a row in the registry, samples, a docs row."""

    name: str

    def recognises(self, command: str, package: str | None) -> bool:
        """Say whether this is the agent, by executable name or npm/PyPI package name."""
        ...

    def prepare(self, context: LaunchContext) -> Launch:
        """Arrange this run's own hooks; edits no file of the user's or the repository's."""
        ...

    def upstream(self, context: LaunchContext) -> Upstream:
        """Say where the agent would send its model requests, or why it must be left alone."""
        ...

    def redirect(self, context: LaunchContext, launch: Launch, base_url: str) -> Launch:
        """Point the agent's model requests at a base URL, for this run only.

        By the mechanism that the repository cannot undo and that changes the agent's own
        requests least. Keys stay where they are.
        """
        ...

    def edits_of(self, call: ToolCall, cwd: str) -> Sequence[Edit]:
        """Give what a tool call on the wire would write: absolute paths and the new text.

        Empty for calls that write nothing by themselves. The basis is `intercepted`.
        """
        ...

    def materials(self, context: LaunchContext) -> Sequence[tuple[str, Path]]:
        """Give (role, path) of files that the agent loads or would load; existing ones only."""
        ...

    def mcp_servers(self, context: LaunchContext) -> Sequence[ConfiguredMcpServer]:
        """Give the MCP servers that configuration names for this run."""
        ...

    def report(self, context: LaunchContext, drops: Iterable[Drop], pid: int | None) -> AgentReport:
        """Read what the agent's channels have said so far; never raises on odd input."""
        ...


__all__ = [
    "AgentAdapter",
    "CertifiedSigner",
    "CheckpointKey",
    "Clock",
    "ConfiguredMcpServer",
    "EvidenceVerifier",
    "Launch",
    "LaunchContext",
    "Material",
    "McpServer",
    "PolicyEngine",
    "SignatureVerifier",
    "Signer",
    "Store",
]
