"""Examples at the end of a help text, one on a line, so that each can be copied as it stands."""

from __future__ import annotations


def examples(*lines: str) -> str:
    r"""Give an epilog of command lines; ``\b`` keeps click from wrapping them into each other."""
    return "\b\n" + "\n".join(["Examples:" if len(lines) > 1 else "Example:", *lines])
