"""opencode's servers: another ``command`` for each in ``OPENCODE_CONFIG_CONTENT``.

Measured with opencode 1.18.33: the variable is merged key by key over every file of the user
and the repository, so that the rest of an entry stays where it is; ``{env:NAME}`` in it is put
in as elsewhere. Only the administrator's folder outranks it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from agentprov.ports import Launch
from agentprov.record.agents import opencode_settings
from agentprov.record.agents.redirection import with_environment
from agentprov.record.agents.settings_text import lay_over, read_commented
from agentprov.record.mcp.wrapping import Servers, left, relay_words, with_gaps

MANAGED = Path(
    "/Library/Application Support/opencode" if sys.platform == "darwin" else "/etc/opencode"
)


def wrap(servers: Servers) -> Launch:
    """Lay the wrapped commands over what the user's variable, or our redirection, already holds."""
    context, launch = servers.context, servers.launch
    variable = opencode_settings.CONTENT
    held = launch.environment.get(variable) or context.environment.get(variable) or ""
    content = read_commented(held)
    if held.strip() and not content:
        return with_gaps(launch, *left(servers.names, f"{variable} cannot be read"))
    if any((MANAGED / name).exists() for name in opencode_settings.NAMES[:2]):
        return with_gaps(launch, *left(servers.names, "managed settings outrank the run's own"))
    ours = {}
    elsewhere = []
    for server in servers.local:
        words = [server.command or "", *server.arguments]
        # Such a path is relative to the file that names it.
        if any("{file:" in word for word in words):
            elsewhere.append(server.name)
            continue
        command = [*relay_words(context, server.name), *words]
        ours[server.name] = {"type": "local", "command": command}
    launch = with_gaps(launch, *left(elsewhere, "the command is read from a file"))
    if not ours:
        return launch
    lay_over(content, {"mcp": ours})
    return with_environment(launch, {variable: json.dumps(content)})


__all__ = ["MANAGED", "wrap"]
