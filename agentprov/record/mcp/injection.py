"""Puts our relay around an agent's stdio MCP servers, for one run; edits no file of anybody's.

Servers keep their names, so that permissions by name still hold. How an agent is told lies in
one file for each in `around`; what is left alone is named in a gap.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module

from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext
from agentprov.record.mcp.wrapping import Servers, Wrap, left, with_gaps

AROUND = {
    "claude-code": "claude_code",
    "codex": "codex",
    "gemini-cli": "gemini_cli",
    "opencode": "opencode",
    "qwen-code": "qwen_code",
}


def inject(
    agent_name: str,
    context: LaunchContext,
    launch: Launch,
    servers: Sequence[ConfiguredMcpServer],
) -> Launch:
    """Give a launch in which the agent's stdio servers are started through the relay.

    `launch` is what `prepare` gave, redirected or not; `servers` what the adapter says is
    configured. The same launch comes back where there is nothing to watch; with gaps for
    servers that are left as they are. Raises OSError if the scratch folder cannot be written.
    """
    if not launch.channels and agent_name in AROUND:
        return launch  # no session: such a command starts no server
    remote = [server.name for server in servers if not server.command]
    found = Servers(context, launch, [server for server in servers if server.command])
    if agent_name not in AROUND:
        launch = with_gaps(launch, *left(found.names, "this agent's servers cannot be wrapped"))
    elif os.name == "nt":
        launch = with_gaps(launch, *left(found.names, "no relay on this system"))
    else:
        launch = _wrap(agent_name)(found)
    return with_gaps(launch, *left(remote, "reached over the network"))


def _wrap(agent_name: str) -> Wrap:
    wrap: Wrap = import_module(f"agentprov.record.mcp.around.{AROUND[agent_name]}").wrap
    return wrap


__all__ = ["AROUND", "inject"]
