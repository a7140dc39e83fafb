"""Qwen Code's servers: wrapped entries in this run's settings file and in ``--mcp-config``.

Measured with Qwen Code 0.24.4. The file of ``QWEN_CODE_SYSTEM_SETTINGS_PATH``, which carries our
hooks too, outranks user and repository, and variables in it are put in; ``--mcp-config`` outranks
everything, and they are not. So each entry goes where it means what it meant. An entry of the
repository's is started without a question from either place: it is wrapped only where Qwen Code
would not have asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentprov.ports import Launch, LaunchContext
from agentprov.record.agents.command_line import options_of, values_of, without_option
from agentprov.record.agents.gemini_settings import is_sandboxed, read
from agentprov.record.agents.qwen_code import start_of
from agentprov.record.agents.qwen_settings import FAMILY, OPTION, Entries, sources
from agentprov.record.agents.reading import mapping, within
from agentprov.record.mcp.wrapping import (
    FILE,
    Servers,
    left,
    with_gaps,
    wrapped,
    write_private,
)


def wrap(servers: Servers) -> Launch:
    """Write the wrapped entries beside our hooks, or into a file for ``--mcp-config``."""
    context, launch = servers.context, servers.launch
    start = start_of(context)
    words = context.argv[start:]
    if mapping(FAMILY.effective(context).get("tools")).get("executionSandbox"):
        return with_gaps(launch, *left(servers.names, "tools.executionSandbox allows none"))
    if is_sandboxed(FAMILY, context, words):
        return with_gaps(launch, *left(servers.names, "a sandbox starts them"))
    found = sources(context, words)
    # Lifted into settings, such a server would start also where its extension is switched off.
    brought = [name for name in servers.names if name not in found.all]
    launch = with_gaps(launch, *left(brought, "an extension brings them"))
    asked = [] if _never_asks(context, words) else _of_repository(found.all, context)
    waiting = [name for name in servers.names if name in asked]
    names = {*servers.names} - {*waiting}
    launch = with_gaps(launch, *left(waiting, "Qwen Code asks for approval first"))
    settings = _wrap_all(context, found.settings, names)
    place = launch.environment.get(FAMILY.system_variable)
    if settings and place is None:
        launch = with_gaps(launch, *left(settings, "no settings file of this run"))
    elif settings and place is not None:
        path = context.cwd / place
        held = read(path)
        write_private(path, {**held, "mcpServers": {**mapping(held.get("mcpServers")), **settings}})
    given = {name: entry for name, (entry, _) in found.option.items()}
    ours = _wrap_all(context, {**found.project, **found.option}, names)
    if ours:
        path = context.scratch / FILE
        write_private(path, {"mcpServers": {**given, **ours}})
        rest = without_option(launch.argv[start:], OPTION)
        launch = replace(launch, argv=(*launch.argv[:start], f"{OPTION}={path}", *rest))
    return launch


def _wrap_all(context: LaunchContext, entries: Entries, names: set[str]) -> dict[str, Any]:
    again = {name: wrapped(context, name, one) for name, (one, _) in entries.items()}
    return {name: one for name, one in again.items() if one is not None and name in names}


def _of_repository(entries: Entries, context: LaunchContext) -> list[str]:
    return [name for name, (_, path) in entries.items() if within(str(path), context.top)]


def _never_asks(context: LaunchContext, words: tuple[str, ...]) -> bool:
    """Say whether this run starts the repository's servers without an approval."""
    security = mapping(FAMILY.effective(context, repository=False).get("security"))
    if mapping(security.get("folderTrust")).get("enabled") is True:
        return False
    modes = values_of(words, "--approval-mode")
    return modes[-1] == "yolo" if modes else bool(options_of(words) & {"-y", "--yolo"})


__all__ = ["wrap"]
