"""The numbers that scripts rely on; docs/spec/exit-codes.md tells what they mean."""

from __future__ import annotations

from agentprov.errors import AgentprovError

HOLDS = 0
USER = 1
USAGE = 2
BUG = 3
CANNOT_START = 125
INTERRUPTED = 130

MEANING = {
    0: "holds",
    1: "could not do it; the user can fix it (a hint is printed)",
    2: "usage: the words of the command are off",
    3: "a bug of ours; a report file was written",
    10: "provenance missing",
    11: "signature invalid",
    12: "bytes differ from what was attested",
    13: "policy says no",
    14: "malformed statement, bundle or schema",
    15: "chain broken: reference, order, replay or forbidden edge",
    16: "policy or trust configuration invalid or missing; fails closed",
    17: "signer not trusted for this",
    18: "expired or revoked",
    19: "required time or transparency evidence missing or invalid",
    125: "run refused before starting the agent",
    126: "run found the agent's program but could not execute it",
    127: "run found no such program",
    130: "interrupted",
}

_BY_KIND = {
    "user": USER,
    "usage": USAGE,
    "malformed": 14,
    "evidence": 19,
    "configuration": 16,
    "cannot-start": CANNOT_START,
    "interrupted": INTERRUPTED,
}


def exit_code(error: AgentprovError) -> int:
    """Give the exit code of an error that reached the CLI."""
    return _BY_KIND.get(error.kind, BUG)
