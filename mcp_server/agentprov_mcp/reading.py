"""The tools and resources that answer from the record; they change nothing but what waited."""

from __future__ import annotations

import json
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult
from pydantic import Field

from agentprov.errors import AgentprovError, UserError
from agentprov_mcp.answers import READS, ProvenanceAnswer, answer
from agentprov_mcp.desk import Desk
from agentprov_mcp.recording import told

_Revision = Annotated[str, Field(max_length=1_000, description="a commit, branch or tag")]
_Path = Annotated[str, Field(max_length=4_096, description="path from the top of the work tree")]


def register(server: MCPServer[Any], desk: Desk) -> None:
    """Add the tools that read."""
    _register_commits(server, desk)
    _register_lines(server, desk)
    _register_resources(server, desk)


def _register_commits(server: MCPServer[Any], desk: Desk) -> None:
    @server.tool(title="Verify commits", annotations=READS)
    async def verify(
        ctx: Context[Any, Any],
        target: Annotated[str, Field(max_length=1_000, description="a commit or A..B")] = "HEAD",
    ) -> Annotated[CallToolResult, dict[str, Any]]:
        """Verify a commit or range (A..B): verdict, findings, coverage, and what is not proven."""

        def work() -> dict[str, Any]:
            from agentprov.flows.verify import verify as judge
            from agentprov.verify.output import verdict_json

            world = desk.world()
            # Files of bundles are for the command line; a tool reads the repository only.
            if ".." not in target and world.git.resolve(target) is None:
                raise UserError(
                    f"{target!r} is no revision or range here",
                    hint="name a commit (HEAD) or a range (main..HEAD)",
                )
            return verdict_json(judge(world, [target]).verdict)

        await ctx.report_progress(0, 2, "taking in what waits")
        await answer(_take_in, desk)
        await ctx.report_progress(1, 2, "judging")
        result = await answer(work)
        await ctx.report_progress(2, 2, "judged")
        return result

    @server.tool(title="Provenance of a commit", annotations=READS)
    async def show_commit(
        revision: _Revision = "HEAD",
    ) -> Annotated[CallToolResult, dict[str, Any]]:
        """Show what is recorded of a commit: plan, agent, models, files and line origins."""

        def work() -> dict[str, Any]:
            from agentprov.flows.show import show
            from agentprov.flows.verify import trust_for

            world = desk.reading()
            if world.git.resolve(revision) is None:
                raise UserError(f"{revision!r} is no commit here", hint="name a commit: HEAD")
            return show(world, revision, trust_for(world, None))

        return await answer(work)

    @server.tool(title="Recent commits and their records", annotations=READS)
    async def log(
        revision: _Revision = "HEAD", count: Annotated[int, Field(ge=1, le=1_000)] = 20
    ) -> Annotated[CallToolResult, dict[str, Any]]:
        """List commits, newest first, with plan, agent and models of the records that hold."""

        def work() -> dict[str, Any]:
            from agentprov.flows.log import log as look
            from agentprov.flows.verify import trust_for

            world = desk.reading()
            return look(world, revision, trust_for(world, None), count)

        return await answer(work)


def _register_lines(server: MCPServer[Any], desk: Desk) -> None:
    @server.tool(title="Provenance of a line", annotations=READS)
    async def line_provenance(
        path: _Path, line: Annotated[int, Field(ge=1)], revision: _Revision = "HEAD"
    ) -> Annotated[CallToolResult, ProvenanceAnswer]:
        """Say which commit, session, plan, agent and model stand behind a line, and how known."""

        def work() -> dict[str, Any]:
            from agentprov.flows.provenance import lines

            return lines(desk.reading(), path, revision, line, line)

        return await answer(work)

    @server.tool(title="Provenance of a file", annotations=READS)
    async def file_provenance(
        path: _Path,
        revision: _Revision = "HEAD",
        start: Annotated[int | None, Field(ge=1)] = None,
        end: Annotated[int | None, Field(ge=1)] = None,
    ) -> Annotated[CallToolResult, ProvenanceAnswer]:
        """Say for the lines of a file which commits and records stand behind them."""

        def work() -> dict[str, Any]:
            from agentprov.flows.provenance import lines

            return lines(desk.reading(), path, revision, start, end)

        return await answer(work)


def _register_resources(server: MCPServer[Any], desk: Desk) -> None:
    @server.resource(
        "agentprov://session",
        title="Current session",
        description="The session that your declarations go to, or null.",
        mime_type="application/json",
    )
    def session() -> str:
        return json.dumps({"session": told(desk)}, ensure_ascii=True)

    @server.resource(
        "agentprov://policy",
        title="Policy",
        description="The policy in the work tree; a gate reads the target branch's.",
        mime_type="application/json",
    )
    def policy() -> str:
        return json.dumps(_policy(desk), ensure_ascii=True)


def _policy(desk: Desk) -> dict[str, Any]:
    from agentprov.flows import strict_yaml, trust
    from agentprov.flows.missing import working_policy
    from agentprov.system.files import read_bounded

    world = desk.world()
    try:
        rules = working_policy(world)
    except AgentprovError as error:
        return {"source": trust.POLICY_PATH, "valid": False, "why": str(error)}
    if rules is None:
        return {"source": None, "valid": True, "why": "this work tree holds no policy"}
    text = read_bounded(world.git.top / trust.POLICY_PATH, strict_yaml.MAX_BYTES, follow=False)
    return {
        "source": rules.source,
        "valid": True,
        "mode": rules.mode,
        "digest": {"sha256": rules.sha256},
        "text": text.decode("utf-8", "replace"),
    }


def _take_in(desk: Desk) -> dict[str, Any]:
    desk.reading()
    return {}
