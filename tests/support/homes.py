"""A home of its own for tests: no variable, file or key of the developer's is in reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_FOREIGN = ("GIT_", "AGENTPROV_", "CLAUDE", "CODEX", "ANTHROPIC", "OPENAI", "XDG_", "SSH_")


def private_home(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point HOME, git's configuration and AGENTPROV_HOME of this process into a directory."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN) and name != "AGENTPROV_TEST_AGENTS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(base))
    monkeypatch.setenv("USERPROFILE", str(base))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(base / ".config"))
    monkeypatch.setenv("AGENTPROV_HOME", str(base / "agentprov"))
    config = base / "gitconfig"
    config.write_text(
        "[user]\n\tname = Ada Tester\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n"
        '[commit]\n\tgpgsign = false\n[protocol "file"]\n\tallow = always\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("NO_COLOR", "1")
