"""Asks for a passphrase: on the terminal, and nowhere else."""

from __future__ import annotations

from agentprov.cli.output import safe


def ask(question: str) -> str | None:
    """Ask without echo; None where this process has no terminal. Nothing is kept."""
    from agentprov.system.terminal import ask_hidden

    return ask_hidden(safe(question))
