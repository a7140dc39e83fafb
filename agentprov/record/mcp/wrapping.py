"""What putting a relay around servers is made of, whatever the agent's configuration looks like."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext
from agentprov.record.agents.reading import items, text

FILE = "mcp-servers.json"
STATE = "mcp"
GAP = "mcp-not-watched"
_SPOOLS = ("AGENTPROV_SPOOL", "AGENTPROV_SPOOL_FALLBACK")
_SHOWN = 10


@dataclass(frozen=True)
class Servers:
    """The stdio servers that an agent's adapter found, and the launch that is to be changed."""

    context: LaunchContext
    launch: Launch
    local: Sequence[ConfiguredMcpServer]

    @property
    def names(self) -> list[str]:
        """Give the servers' names."""
        return [server.name for server in self.local]


Wrap = Callable[[Servers], Launch]


def relay_words(context: LaunchContext, name: str) -> list[str]:
    """Give the words in front of a server's own command that start it through the relay."""
    words = [sys.executable, "-I", "-m", "agentprov.record.mcp.process", "--name", name]
    for variable in _SPOOLS:
        if context.environment.get(variable):
            words += ["--spool", context.environment[variable]]
    return [*words, "--state", str(context.scratch / STATE), "--"]


def wrapped(context: LaunchContext, name: str, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give an entry ``{command, args, ...}`` that starts through the relay; None without a command.

    Everything else in it stays as it is, values of variables included: such an entry may go into
    a private file of this run and nowhere else.
    """
    command = text(entry.get("command"))
    if command is None:
        return None
    relay = relay_words(context, name)
    arguments = [*relay[1:], command, *(str(word) for word in items(entry.get("args")))]
    return {**entry, "command": relay[0], "args": arguments}


def left(names: Iterable[str], why: str) -> tuple[str, ...]:
    """Give the gap that names servers without a relay; none without such servers."""
    listed = sorted(name[:64] for name in names)
    if not listed:
        return ()
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return (f"{GAP}: {', '.join(listed[:_SHOWN])}{more}: {why}",)


def with_gaps(launch: Launch, *gaps: str) -> Launch:
    """Give a launch with more gaps."""
    return replace(launch, gaps=(*launch.gaps, *gaps))


def before_operands(argv: Sequence[str], words: Sequence[str], start: int = 0) -> tuple[str, ...]:
    """Put options behind all others: at the end, or in front of a bare ``--`` after `start`."""
    end = argv.index("--", start) if "--" in argv[start:] else len(argv)
    return (*argv[:end], *words, *argv[end:])


def write_private(path: Path, value: object) -> None:
    """Write JSON that only this user may read. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(json.dumps(value).encode())


__all__ = [
    "FILE",
    "GAP",
    "STATE",
    "Servers",
    "Wrap",
    "before_operands",
    "left",
    "relay_words",
    "with_gaps",
    "wrapped",
    "write_private",
]
