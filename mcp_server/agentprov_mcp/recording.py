"""The tools by which an agent says what it does; what it says is declared, and stays that."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult
from pydantic import Field

from agentprov.errors import UserError
from agentprov_mcp.answers import (
    ADDS,
    READS,
    SETS,
    ArtifactAnswer,
    DeclaredAnswer,
    MissingAnswer,
    PlanDeclaredAnswer,
    SessionAnswer,
    answer,
)
from agentprov_mcp.desk import Desk

if TYPE_CHECKING:
    from agentprov.flows.declaring import Joined
    from agentprov.flows.plan_records import PlanRecord
    from agentprov.flows.world import World
    from agentprov.formats.declaration import Declaration

DECLARED = "this is your word: the record gives it the basis `declared` and nothing better"
_OWN = (
    "you are recorded by this server: files and commits are looked at, the rest is your word. "
    "Declare agent and model, record what you write, ask missing_before_commit, and end_session"
)
_RUN = "you are recorded by `agentprov run`; what you declare is kept beside what it sees"
_Name = Annotated[str, Field(max_length=200)]
_Text = Annotated[str, Field(max_length=4_000)]
_Path = Annotated[str, Field(max_length=4_096, description="path from the top of the work tree")]
_SESSION = Field(description="id of the session; needed over HTTP only")
_TOKEN = Field(description="token that start_session gave; needed over HTTP only")
_Session = Annotated[str | None, Field(max_length=128), _SESSION]
_Token = Annotated[str | None, Field(max_length=128), _TOKEN]


def register(server: MCPServer[Any], desk: Desk) -> None:
    """Add the tools that record."""
    _register_session(server, desk)
    _register_declarations(server, desk)


def _register_session(server: MCPServer[Any], desk: Desk) -> None:
    @server.tool(title="Start or join a session", annotations=SETS)
    async def start_session(
        ctx: Context[Any, Any],
        plan: Annotated[str | None, Field(max_length=80)] = None,
        session: _Session = None,
        token: _Token = None,
    ) -> Annotated[CallToolResult, SessionAnswer]:
        """Start being recorded, or join the session you are in. Call this before you change files.

        Inside `agentprov run` it joins that run. `plan` is the sha256 of a plan that a person
        signed. With `session` and `token` it joins a session that is live already.
        """
        agent = _client(ctx)

        def work() -> dict[str, Any]:
            if plan is not None:
                # Refused before anything is opened, so that a better one can still be named.
                _signed_plan(desk.world(), plan)
            if session is not None or token is not None:
                joined = desk.join(session or "", token or "")
            else:
                joined = desk.begin(agent)
            if plan is not None:
                _put_plan(desk, joined, plan)
            return _told(desk, joined, secret=True)

        return await answer(work)

    @server.tool(title="End the session", annotations=SETS)
    async def end_session(
        session: _Session = None, token: _Token = None
    ) -> Annotated[CallToolResult, SessionAnswer]:
        """Close the session that start_session opened, when the work is done and committed."""

        def work() -> dict[str, Any]:
            joined = desk.at(session, token)
            facts = _told(desk, joined)
            own = desk.end(joined)
            return {**facts, "commits": list(own.bound), "note": "the session is closed"}

        return await answer(work)

    @server.tool(title="What is missing before a commit", annotations=READS)
    async def missing_before_commit(
        session: _Session = None, token: _Token = None
    ) -> Annotated[CallToolResult, MissingAnswer]:
        """List changed paths and what is not declared, planned or allowed yet. Ask before commit.

        It is advice: nothing is refused or changed.
        """

        def work() -> dict[str, Any]:
            from agentprov.flows.missing import missing, session_of

            joined = desk.at(session, token) if session or desk.shared else desk.look()
            world = desk.world()
            facts = session_of(joined.directory) if joined else None
            return missing(world, facts, joined.said if joined else ())

        return await answer(work)


def _register_declarations(server: MCPServer[Any], desk: Desk) -> None:
    @server.tool(title="Put the work under a signed plan", annotations=SETS)
    async def register_plan(
        digest: Annotated[str, Field(max_length=80)], session: _Session = None, token: _Token = None
    ) -> Annotated[CallToolResult, PlanDeclaredAnswer]:
        """Say which plan this work is under, by the sha256 of a plan that a person has signed.

        You cannot sign a plan. A run keeps the plan that it was started with.
        """
        return await answer(lambda: _put_plan(desk, desk.at(session, token), digest))

    @server.tool(title="Declare which agent works", annotations=ADDS)
    async def declare_agent(
        name: _Name,
        version: _Name | None = None,
        purl: Annotated[str | None, Field(max_length=400)] = None,
        session: _Session = None,
        token: _Token = None,
    ) -> Annotated[CallToolResult, DeclaredAnswer]:
        """Say which program you are: name, version, and its package URL if you know it."""
        members = _present(name=name, version=version, purl=purl)
        return await answer(_declare, desk, session, token, "agent", members)

    @server.tool(title="Declare which model answers", annotations=ADDS)
    async def declare_model(
        provider: _Name,
        model: _Name,
        requested: _Name | None = None,
        role: Literal["main", "helper", "subagent"] = "main",
        session: _Session = None,
        token: _Token = None,
    ) -> Annotated[CallToolResult, DeclaredAnswer]:
        """Say which model does the work: provider and exact model id, as you know them.

        Leave it out rather than guess; a wrong name contradicts what others see.
        """
        members = _present(provider=provider, model=model, requested=requested, role=role)
        return await answer(_declare, desk, session, token, "model", members)

    @server.tool(title="Record a decision", annotations=ADDS)
    async def record_decision(
        text: _Text,
        path: _Path | None = None,
        session: _Session = None,
        token: _Token = None,
    ) -> Annotated[CallToolResult, DeclaredAnswer]:
        """Keep a decision and its reason. The text stays on this machine; its digest is signed."""

        def work() -> dict[str, Any]:
            from agentprov.flows import declaring

            joined = desk.at(session, token)
            clean, taken = declaring.prose(text)
            label = None if path is None else declaring.label_inside(joined.world, path)
            item = joined.declare("decision", _present(text=clean, path=label))
            return _of(joined, item, taken)

        return await answer(work)

    @server.tool(title="Record a generated artifact", annotations=ADDS)
    async def record_artifact(
        path: _Path,
        purpose: _Text,
        start: Annotated[int | None, Field(ge=1)] = None,
        end: Annotated[int | None, Field(ge=1)] = None,
        model: _Name | None = None,
        session: _Session = None,
        token: _Token = None,
    ) -> Annotated[CallToolResult, ArtifactAnswer]:
        """Say that you wrote lines of a file, and what for. Call it after writing them.

        Lines `start` to `end` count from 1; without them the whole file is meant. `model` is the
        model id that wrote them; without it, the one that you declared, if it is only one.
        """

        def work() -> dict[str, Any]:
            from agentprov.flows import declaring

            joined = desk.at(session, token)
            clean, taken = declaring.prose(purpose)
            lines = declaring.lines_of(joined.world, path, start, end)
            meant = model or _only_model(joined)
            members = _present(
                path=lines.label, start=lines.start, end=lines.end, purpose=clean, model=meant
            )
            item = joined.declare("artifact", members, lines.content)
            about = {"path": lines.label, "start": lines.start, "end": lines.end, "model": meant}
            return {**_of(joined, item, taken), **about}

        return await answer(work)


def _declare(
    desk: Desk, session: str | None, token: str | None, kind: str, members: dict[str, Any]
) -> dict[str, Any]:
    joined = desk.at(session, token)
    return _of(joined, joined.declare(kind, members))


def _put_plan(desk: Desk, joined: Joined, digest: str) -> dict[str, Any]:
    from agentprov.flows.missing import session_of
    from agentprov.formats.facts import PlanRef

    record = _signed_plan(joined.world, digest)
    own = desk.own(joined)
    if own is not None:
        ref = PlanRef(
            name=record.name,
            sha256=record.sha256,
            statement_sha256=record.statement_sha256,
            signature_sha256=record.signature_sha256,
            not_after=record.not_after,
        )
        own.set_plan(ref, record.bundle, record.declared_at)
    item = joined.declare("plan", {"digest": {"sha256": record.sha256}})
    session = session_of(joined.directory)
    under = session.plan if session else None
    plan = {"name": record.name, "digest": {"sha256": record.sha256}}
    return {
        **_of(joined, item),
        "plan": plan,
        "applied": under is not None and under.sha256 == record.sha256,
    }


def _signed_plan(world: World, digest: str) -> PlanRecord:
    """Find a plan that a session may have now; raises UserError for any other."""
    from agentprov.flows.plan import why_not_now
    from agentprov.flows.plan_records import by_digest, signed_plans

    record = by_digest(signed_plans(world), digest)
    why = why_not_now(world, record)
    if why:
        raise UserError(f"{record.name}: {why}", hint="ask a person to read and sign it")
    return record


def _of(joined: Joined, item: Declaration, redactions: int = 0) -> dict[str, Any]:
    return {
        "session": joined.directory.id,
        "kind": item.kind,
        "digest": {"sha256": item.sha256},
        "basis": "declared",
        "redactions": redactions,
        "note": DECLARED,
    }


def told(desk: Desk) -> dict[str, Any] | None:
    """Give the one client's session, without its token; None where there is none."""
    joined = desk.look()
    return None if joined is None else _told(desk, joined)


def _told(desk: Desk, joined: Joined, *, secret: bool = False) -> dict[str, Any]:
    from agentprov.flows.missing import session_of
    from agentprov.formats.names import MCP_DECLARED

    facts = session_of(joined.directory)
    if facts is None:
        raise UserError("this session cannot be read", hint="`agentprov doctor` says more")
    own = desk.own(joined)
    mine = facts.builder == MCP_DECLARED
    plan = facts.plan and {"name": facts.plan.name, "digest": {"sha256": facts.plan.sha256}}
    return {
        "session": facts.id,
        "builder": facts.builder,
        "recordedBy": "this server" if own else "another server" if mine else "agentprov run",
        "startedAt": facts.started,
        "agent": facts.agent.name,
        "plan": plan,
        "declarations": dict(Counter(item.kind for item in joined.said)),
        "commits": list(own.bound) if own else [],
        "token": joined.token.decode() if secret and not joined.around else None,
        "note": _OWN if mine else _RUN,
    }


def _only_model(joined: Joined) -> str | None:
    models = {item.members["model"] for item in joined.said if item.kind == "model"}
    return models.pop() if len(models) == 1 else None


def _present(**members: Any) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value is not None}


def _client(ctx: Context[Any, Any]) -> tuple[str, str | None]:
    """Give name and version as the client introduced itself; many give those of a library."""
    from agentprov.formats import visible

    params = ctx.session.client_params
    info = params.client_info if params is not None else None
    name = visible.safe(info.name if info else "")[:200].strip()
    version = visible.safe(info.version if info else "")[:200].strip()
    return name or "unknown-agent", version or None
