"""The coding agents that we know by name, and how the adapter of a command is found.

To add an agent: one file beside this one, one row here, captured samples in tests/data/agents,
one row in the docs.
"""

from __future__ import annotations

from agentprov.ports import AgentAdapter
from agentprov.record.agents.any_command import AnyCommand
from agentprov.record.agents.claude_code import ClaudeCode
from agentprov.record.agents.codex import Codex
from agentprov.record.agents.gemini_cli import GeminiCli
from agentprov.record.agents.opencode import OpenCode
from agentprov.record.agents.pi import Pi
from agentprov.record.agents.qwen_code import QwenCode
from agentprov.record.agents.scripted import Scripted

ADAPTERS: tuple[AgentAdapter, ...] = (
    ClaudeCode(),
    Codex(),
    GeminiCli(),
    OpenCode(),
    Pi(),
    QwenCode(),
    Scripted(),
)
UNKNOWN: AgentAdapter = AnyCommand()


def adapter_for(command: str, package: str | None = None) -> AgentAdapter:
    """Give the adapter of an agent; that of an unknown command if nobody recognises it.

    `command` is a program's name or path, `package` the npm or PyPI package that it came from.
    A package name is better evidence than a program's name, so it is asked first.
    """
    for adapter in ADAPTERS:
        if package is not None and adapter.recognises("", package):
            return adapter
    for adapter in ADAPTERS:
        if adapter.recognises(command, None):
            return adapter
    return UNKNOWN


def adapter_named(name: str) -> AgentAdapter:
    """Give the adapter with this name, as a session's state keeps it; else the unknown one."""
    return next((adapter for adapter in ADAPTERS if adapter.name == name), UNKNOWN)
