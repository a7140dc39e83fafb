"""The coding agents that we know by name, and how the adapter of a command is found.

To add an agent: one file beside this one, one row here, captured samples in tests/data/agents,
one row in the docs. An adapter is imported when a command may be its own: a run should not wait
for what six other agents need.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib import import_module

from agentprov.ports import AgentAdapter
from agentprov.record.agents.any_command import AnyCommand

# A word that stands in the name of every program or package of the agent; module; class.
_ROWS: tuple[tuple[str, str, str], ...] = (
    ("claude", "claude_code", "ClaudeCode"),
    ("codex", "codex", "Codex"),
    ("gemini", "gemini_cli", "GeminiCli"),
    ("opencode", "opencode", "OpenCode"),
    ("pi", "pi", "Pi"),
    ("qwen", "qwen_code", "QwenCode"),
    ("scripted", "scripted", "Scripted"),
)
UNKNOWN: AgentAdapter = AnyCommand()


def adapter_for(command: str, package: str | None = None) -> AgentAdapter:
    """Give the adapter of an agent; that of an unknown command if nobody recognises it.

    `command` is a program's name or path, `package` the npm or PyPI package that it came from.
    A package name is better evidence than a program's name, so it is asked first.
    """
    if package is not None:
        for adapter in _with_word(package):
            if adapter.recognises("", package):
                return adapter
    for adapter in _with_word(os.path.basename(command.replace("\\", "/"))):
        if adapter.recognises(command, None):
            return adapter
    return UNKNOWN


def names() -> tuple[str, ...]:
    """Give the words by which agents are known; imports none of them."""
    return tuple(word for word, _, _ in _ROWS)


def adapters() -> tuple[AgentAdapter, ...]:
    """Give all adapters but that of unknown commands; imports them all."""
    return tuple(_load(module, name) for _, module, name in _ROWS)


def adapter_named(name: str) -> AgentAdapter:
    """Give the adapter with this name, as a session's state keeps it; else the unknown one."""
    return next((adapter for adapter in adapters() if adapter.name == name), UNKNOWN)


def _with_word(name: str) -> Iterator[AgentAdapter]:
    for word, module, class_name in _ROWS:
        if word in name.lower():
            yield _load(module, class_name)


@cache
def _load(module: str, name: str) -> AgentAdapter:
    found = getattr(import_module(f"agentprov.record.agents.{module}"), name)
    adapter: AgentAdapter = found()
    return adapter
