"""What records say of a commit and its lines, as plain values that an index can keep.

Made by `flows.claims` from whatever was accepted, and from what was not; `accepted` tells the two
apart and travels with each value. Paths are labels (formats.names.path_label).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agentprov.formats.value import value

UNREPLAYED = "link-not-replayed"
"""Why a claim does not count that came by a link which could not be made again here."""


class ModelClaim(NamedTuple):
    """A model that answered: `uri` as signed, provider and served id unquoted."""

    uri: str
    provider: str
    served: str
    requested: str | None = None
    role: str | None = None
    host: str | None = None
    basis: str = "declared"

    @property
    def name(self) -> str:
        """Give provider and served id; the id alone where nobody named a provider."""
        return f"{self.provider}/{self.served}" if self.provider else self.served


class AgentClaim(NamedTuple):
    """The program that ran; `purl` is the package with its version."""

    name: str
    version: str | None = None
    purl: str | None = None
    sha256: str | None = None
    basis: str = "declared"


class ServerClaim(NamedTuple):
    """An MCP server that the session was configured with."""

    name: str
    purl: str | None = None
    sha256: str | None = None


class MaterialClaim(NamedTuple):
    """A file that steered the agent: instructions, settings, a skill."""

    role: str
    name: str
    sha256: str | None = None


class PlanClaim(NamedTuple):
    """The plan behind a session; `statement` is the payload digest, `declared_at` RFC 3339 (Z)."""

    name: str
    sha256: str
    statement: str = ""
    signer: str | None = None
    declared_at: str | None = None
    intent: str | None = None


class LineClaim(NamedTuple):
    """Lines `start` to `end` (from 1, inclusive) of one file at the commit, and where from.

    `model` is the ModelClaim's uri, None where no model or not one alone is named.
    """

    start: int
    end: int
    origin: str
    basis: str
    model: str | None = None
    why: str | None = None


class FileClaim(NamedTuple):
    """One changed path; `blob` is git's id of what it holds at the commit, None for a delete."""

    path: str
    op: str
    blob: str | None
    from_session: bool
    lines: tuple[LineClaim, ...] = ()
    why: str | None = None


class Rewrite(NamedTuple):
    """The link by which a claim about another commit reaches this one."""

    method: str
    sha256: str
    old: str
    signer: str | None = None


class OpeningClaim(NamedTuple):
    """How a session was set up; `sha256` is the payload digest of its opening statement."""

    sha256: str
    agent: AgentClaim
    servers: tuple[ServerClaim, ...] = ()
    materials: tuple[MaterialClaim, ...] = ()


@value
class GenerationClaim:
    """What one generation statement says of one commit.

    `commit` is the commit that the lines are claimed of: with a `rewrite`, not the one that the
    statement was made for. `unnamed` says why where nobody could name a model that answered.
    `why` are the codes of the findings that stand against it where it is not `accepted`.
    """

    commit: str
    sha256: str
    session: str
    sequence: int
    part: int
    started: str
    builder: str
    signer: str | None
    opening: OpeningClaim
    models: tuple[ModelClaim, ...]
    unnamed: tuple[str, ...]
    plan: PlanClaim | None
    files: tuple[FileClaim, ...]
    accepted: bool
    complete: bool = False
    why: tuple[str, ...] = ()
    rewrite: Rewrite | None = None


class DecisionClaim(NamedTuple):
    """What a person decided about a commit; `valid` says that it stands. Times are RFC 3339 (Z)."""

    sha256: str
    signer: str
    decision: str
    decided_at: str
    not_after: str | None
    valid: bool
    partial: bool


@value
class CommitClaim:
    """Everything that is claimed of one commit.

    `author` is git's own (``Name <mail>``), `committed` the committer's time in seconds since
    1970; nobody vouches for either. `coverage` is the judge's word, None where the commit was
    not judged, because it is not here.
    """

    commit: str
    author: str
    committed: int
    subject: str
    coverage: str | None
    generations: tuple[GenerationClaim, ...]
    decisions: tuple[DecisionClaim, ...]


def model_named(name: str | None, models: Sequence[ModelClaim]) -> str | None:
    """Give the uri of the model that a range names; None where it could be one of two.

    A range names the served id. One that no dependency names is a model without a provider.
    """
    if name is None:
        return None
    fitting = {item.uri for item in models if name in (item.served, item.uri, item.name)}
    if not fitting:
        return name
    return fitting.pop() if len(fitting) == 1 else None


__all__ = [
    "UNREPLAYED",
    "AgentClaim",
    "CommitClaim",
    "DecisionClaim",
    "FileClaim",
    "GenerationClaim",
    "LineClaim",
    "MaterialClaim",
    "ModelClaim",
    "OpeningClaim",
    "PlanClaim",
    "Rewrite",
    "ServerClaim",
    "model_named",
]
