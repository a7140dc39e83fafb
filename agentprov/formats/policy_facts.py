"""What a policy engine sees: verified facts as plain values, and nothing to ask further.

Every value is text, a number, a truth value, None or a tuple of such, so that an engine in another
language can be given the same (`dataclasses.asdict`). Only statements that hold are in here.
Where something is not known it is None or absent, which an engine must never take for good.
"""

from __future__ import annotations

from typing import NamedTuple

from agentprov.formats.value import value


@value
class AgentSeen:
    """The program that ran; `purl` is the package with its version."""

    name: str
    basis: str
    purl: str | None = None
    sha256: str | None = None


@value
class ModelSeen:
    """A model that answered; `name` is provider/served id, `host` where it was asked."""

    name: str
    basis: str
    host: str | None = None


@value
class ServerSeen:
    """An MCP server that the session was configured with."""

    name: str
    purl: str | None = None
    sha256: str | None = None


@value
class LinesSeen:
    """How many added lines of a file have this origin, known on this basis; `path` is a label."""

    path: str
    origin: str
    basis: str
    count: int


@value
class PlanSeen:
    """The plan behind a session; `exceeded` are (limit, sentence) where it was not kept to.

    Limits are `allowedPaths`, `targetRef`, `agents`, `models`, `mcpServers`; what a plan says of
    tools, network and turns stands in no record and is not among them.

    `declared_at` is the signer's word (RFC 3339, Z), `trusted_time` says whether an authority's
    stands beside it.
    """

    name: str
    signer: str
    counted_as: str
    roles: tuple[str, ...]
    declared_at: str
    trusted_time: bool
    exceeded: tuple[tuple[str, str], ...] = ()


@value
class SessionSeen:
    """What one generation statement and its session say of a commit.

    `unnamed_models` says why where nobody could name one that answered. `closed` says that the
    closing statement is here, `complete` that the recorder saw the end; `gaps` are the kinds of
    both ends. `paths` are labels of what came out of the session, both sides of renames.
    """

    session: str
    sha256: str
    started: str
    builder: str
    agent: AgentSeen
    models: tuple[ModelSeen, ...]
    unnamed_models: tuple[str, ...]
    servers: tuple[ServerSeen, ...]
    lines: tuple[LinesSeen, ...]
    paths: tuple[str, ...]
    closed: bool
    complete: bool
    gaps: tuple[str, ...]
    plans: tuple[PlanSeen, ...]


@value
class ApprovalSeen:
    """A decision about a commit that stands; people with one `counted_as` are one person.

    `records` are the payload digests of the generation statements that the reviewer was shown.
    """

    signer: str
    counted_as: str
    decision: str
    decided_at: str
    partial: bool
    trusted_time: bool
    records: tuple[str, ...]


@value
class JudgedCommit:
    """One commit; `paths` are labels of all that differs from any parent, None if not known.

    `untold` are those whose added lines no statement accounts for. `led_to` are the milestones
    that this commit is or led to. `via` says by what a covered commit is so: ``record``,
    ``rewrite`` or ``content``. `sessions` are those behind it, with the lines that it has of them
    now; `replayed` says that every rewrite link to it was made again, None where there is none.
    `matched` says that lines of recorded commits account for all that it adds, without a link.
    """

    commit: str
    coverage: str
    paths: tuple[str, ...] | None
    untold: tuple[str, ...]
    led_to: tuple[str, ...]
    sessions: tuple[SessionSeen, ...]
    approvals: tuple[ApprovalSeen, ...]
    via: str | None = None
    replayed: bool | None = None
    matched: bool = False


@value
class PolicyFacts:
    """All that a policy is held against.

    `as_of` is the time of judging, `target_ref` the full name of the branch or tag that is merged
    into, None if not known.
    """

    as_of: str
    target_ref: str | None
    commits: tuple[JudgedCommit, ...]


class Miss(NamedTuple):
    """What a commit lacks: a code of docs/spec/findings.md that begins with ``policy-``."""

    commit: str
    code: str
    message: str
