"""Codex's servers: ``-c mcp_servers.NAME.command`` and ``.args``.

They merge into what is configured, so that approvals, variables and time limits stay.
"""

from __future__ import annotations

import re
from dataclasses import replace

from agentprov.ports import Launch
from agentprov.record.agents import codex_settings
from agentprov.record.mcp.wrapping import Servers, before_operands, left, relay_words, with_gaps

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,128}")


def wrap(servers: Servers) -> Launch:
    """Set command and arguments of every server whose name can stand on a command line."""
    why = _refuses(servers)
    if why:
        return with_gaps(servers.launch, *left(servers.names, why))
    ours: list[str] = []
    odd: list[str] = []
    for server in servers.local:
        if not _PLAIN.fullmatch(server.name):
            odd.append(server.name)
            continue
        relay = relay_words(servers.context, server.name)
        arguments = [*relay[1:], server.command or "", *server.arguments]
        key = f"mcp_servers.{server.name}"
        ours += [
            "-c",
            f"{key}.command={codex_settings.quoted(relay[0])}",
            "-c",
            f"{key}.args={codex_settings.quoted(arguments)}",
        ]
    launch = replace(servers.launch, argv=before_operands(servers.launch.argv, ours))
    return with_gaps(launch, *left(odd, "the name cannot stand on a command line"))


def _refuses(servers: Servers) -> str | None:
    if "mcp_servers" in codex_settings.managed(servers.context):
        return "managed settings fix the servers"
    if (codex_settings.SYSTEM / "requirements.toml").exists():
        return "an administrator's requirements may name commands"
    return None


__all__ = ["wrap"]
