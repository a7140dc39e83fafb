"""What some records bear on, so that only that is judged anew."""

from __future__ import annotations

from agentprov.errors import MalformedInput
from agentprov.flows import claims
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.formats.schema import instant
from agentprov.verify.reading import Reading
from agentprov.verify.trust import TrustRoot


class Affected:
    """Gathers commits, sessions, plans and ranges of approvals that some records speak of.

    `now` is the time of judging (RFC 3339). Nothing is verified.
    """

    def __init__(self, now: str) -> None:
        self._now = instant(now)
        self.commits: set[str] = set()
        self.sessions: set[str] = set()
        self.plans: set[str] = set()
        self.ranges: set[tuple[str | None, str]] = set()
        self._ends: set[str] = set()

    def hear(self, line: bytes) -> None:
        """Take in one stored line; what cannot be read bears on nothing."""
        reading = Reading(line)
        try:
            view = reading.view()
        except MalformedInput:
            return
        self.commits.update(claims.commits_of(view))
        if isinstance(view, GenerationView):
            self.sessions.add(view.session)
        elif isinstance(view, OpenView | CloseView):
            self.sessions.add(view.id)
        elif isinstance(view, PlanView):
            self.plans.add(reading.statement().sha256)
        elif isinstance(view, RewriteView):
            self.commits.update(view.olds)
        elif isinstance(view, ApprovalView):
            self.commits.add(view.commit)
            self.ranges.add((view.base, view.commit))
            if view.not_after is not None:
                self._ends.add(view.not_after)

    def good_until(self, root: TrustRoot, before: str | None) -> str | None:
        """Give the next time at which a key or a decision begins or ends to count."""
        times = {before, *self._ends}
        for signer in root.signers:
            times |= {signer.not_before, signer.not_after}
            if signer.compromised is not None:
                times.add(signer.compromised.since)
        coming = [(instant(time), time) for time in times if time is not None]
        return min((pair for pair in coming if pair[0] > self._now), default=(None, None))[1]
