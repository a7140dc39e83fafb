"""What a statement says of its own time, in its signer's words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.session import CloseView, OpenView

CLOCK_SLACK = timedelta(minutes=5)
"""How far two clocks may be apart before what they say counts as a contradiction."""


def time_of(view: Any) -> tuple[str | None, bool]:
    """Give the time that a statement declares, and whether it is that of its signature.

    Where it is not, the signature is younger by as long as the session took.
    """
    if isinstance(view, PlanView):
        return view.declared_at, True
    if isinstance(view, ApprovalView):
        # Anybody can have a rejection stamped late, and must not silence it so.
        return view.decided_at, view.decision != "REJECTED"
    if isinstance(view, CloseView):
        return view.finished, True
    if isinstance(view, OpenView | GenerationView):
        return view.started, False
    return None, False
