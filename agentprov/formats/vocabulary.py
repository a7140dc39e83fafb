"""Closed lists of words that facts, predicates and the judge share (docs/glossary.md).

They stand apart from `facts` because the judge needs the words and none of the facts' classes,
and its start is a hot path.
"""

from __future__ import annotations

from typing import Literal

Basis = Literal["declared", "reported", "observed", "intercepted", "isolated"]
BASES: tuple[Basis, ...] = ("declared", "reported", "observed", "intercepted", "isolated")
"""How a claim is known, from the weakest to the strongest."""

Origin = Literal["model", "command", "human", "agent", "unknown"]
ORIGINS: tuple[Origin, ...] = ("model", "command", "human", "agent", "unknown")

Operation = Literal["add", "modify", "delete", "rename", "mode"]
OPERATIONS: tuple[Operation, ...] = ("add", "modify", "delete", "rename", "mode")

DeclarationKind = Literal["agent", "model", "plan", "decision", "artifact"]
DECLARATIONS: tuple[DeclarationKind, ...] = ("agent", "model", "plan", "decision", "artifact")
"""What an agent can say of its own work."""
