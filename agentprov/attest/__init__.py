"""Facts in, statements out; pure."""

from __future__ import annotations

from agentprov.attest.approval import Reviewed, Shown, approval_statement
from agentprov.attest.generation import generation
from agentprov.attest.plan import Limits, Presentation, plan_statement
from agentprov.attest.rewrite import Rewritten, rewrite
from agentprov.attest.session import session_close, session_open
from agentprov.attest.verification_summary import verification_summary

__all__ = [
    "Limits",
    "Presentation",
    "Reviewed",
    "Rewritten",
    "Shown",
    "approval_statement",
    "generation",
    "plan_statement",
    "rewrite",
    "session_close",
    "session_open",
    "verification_summary",
]
