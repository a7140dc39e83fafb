"""Gemini CLI's servers: a script that node loads in front of it, by ``NODE_OPTIONS``.

Measured with Gemini CLI 0.61.0: it has no option for servers, the repository's settings outrank
the user's, and a settings file of the system is read only where root owns every folder above it.
So nothing that is configured is changed: where Gemini CLI, having asked and checked whatever it
does, starts a configured command with pipes, the script starts the relay with that command
instead. It takes itself out of ``NODE_OPTIONS``, so that no other process ever loads it.
"""

from __future__ import annotations

from importlib.resources import files

from agentprov.ports import Launch
from agentprov.record.agents.gemini_cli import FAMILY, words_of
from agentprov.record.agents.gemini_settings import is_sandboxed
from agentprov.record.agents.redirection import with_environment
from agentprov.record.mcp.wrapping import Servers, left, relay_words, with_gaps, write_private

SCRIPT = "gemini-preload.cjs"
SERVERS = "gemini-servers.json"
VARIABLE = "NODE_OPTIONS"


def wrap(servers: Servers) -> Launch:
    """Write script and servers into the run's folder, and add the script to ``NODE_OPTIONS``."""
    context, launch = servers.context, servers.launch
    if not servers.local:
        return launch
    if is_sandboxed(FAMILY, context, words_of(context)):
        return with_gaps(launch, *left(servers.names, "a sandbox starts them"))
    source = files("agentprov.record.mcp.around").joinpath("gemini_preload.cjs").read_bytes()
    script = context.scratch / SCRIPT
    script.write_bytes(source)
    quoted = str(script).replace("\\", "\\\\").replace('"', '\\"')
    option = f'--require "{quoted}"'
    known = [
        {
            "command": [server.command, *server.arguments],
            "relay": relay_words(context, server.name),
        }
        for server in servers.local
    ]
    write_private(context.scratch / SERVERS, {"option": option, "servers": known})
    before = launch.environment.get(VARIABLE) or context.environment.get(VARIABLE) or ""
    return with_environment(launch, {VARIABLE: f"{before} {option}".strip()})


__all__ = ["SCRIPT", "SERVERS", "wrap"]
