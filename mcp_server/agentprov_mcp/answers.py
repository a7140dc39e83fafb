"""What tools answer: shapes for their output schemas, and how an answer is put.

Text goes out as ASCII JSON, so that no name in the repository can act on whoever reads it, beside
the same as structured content.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio.to_thread
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from typing_extensions import TypedDict

from agentprov.errors import AgentprovError

READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
SETS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


class Digest(TypedDict):
    """A digest by its algorithm."""

    sha256: str


class PlanAnswer(TypedDict):
    """The plan that a session is under."""

    name: str
    digest: Digest


class SessionAnswer(TypedDict):
    """The session that a client's declarations go to."""

    session: str
    builder: str
    recordedBy: str
    startedAt: str
    agent: str
    plan: PlanAnswer | None
    declarations: dict[str, int]
    commits: list[str]
    token: str | None
    note: str


class DeclaredAnswer(TypedDict):
    """What was declared: its digest is what a signed statement will carry."""

    session: str
    kind: str
    digest: Digest
    basis: str
    redactions: int
    note: str


class ArtifactAnswer(DeclaredAnswer):
    """A declared artifact: the lines as they stood, and the model that is meant."""

    path: str
    start: int
    end: int
    model: str | None


class PlanDeclaredAnswer(DeclaredAnswer):
    """A plan that was named, and whether the session is under it now."""

    plan: PlanAnswer
    applied: bool


class PathAnswer(TypedDict):
    """A changed path of the work tree."""

    path: str
    staged: bool
    declared: bool
    inPlan: bool | None


class LackAnswer(TypedDict):
    """Something that is missing."""

    what: str
    why: str
    remedy: str


class MissingAnswer(TypedDict):
    """What a commit of the work as it stands would lack."""

    session: str | None
    ready: bool
    paths: list[PathAnswer]
    missing: list[LackAnswer]


class OriginAnswer(TypedDict):
    """Whose a line is, as `blame` has it; `basis` is null where no one answer holds."""

    session: str
    origin: str
    basis: str | None
    model: str | None
    why: str | None


class LinesAnswer(TypedDict):
    """Lines that have the same answer."""

    start: int
    end: int
    commit: str
    origins: list[OriginAnswer]


class ProvenanceAnswer(TypedDict):
    """Where lines of a file come from."""

    path: str
    revision: str
    lines: list[LinesAnswer]
    commits: list[dict[str, Any]]


async def answer(work: Callable[..., Any], *arguments: Any, **named: Any) -> CallToolResult:
    """Do the work on a thread and put its result; a request that is cancelled is let go.

    Raises ToolError with the way out for what the user can mend.
    """
    job = partial(work, *arguments, **named)
    try:
        value = await anyio.to_thread.run_sync(job, abandon_on_cancel=True)
    except (AgentprovError, OSError) as error:
        raise refusal(error) from error
    text = TextContent(type="text", text=json.dumps(value, ensure_ascii=True))
    return CallToolResult(content=[text], structured_content=value)


def refusal(error: Exception) -> ToolError:
    """Give an error as a tool reports it: message and way out, ASCII only."""
    hint = getattr(error, "hint", None)
    text = f"{error} ({hint})" if hint else str(error)
    return ToolError(text.encode("ascii", "backslashreplace").decode())
