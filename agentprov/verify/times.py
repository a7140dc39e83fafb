"""When a signature is known to have existed, and what follows from it for its signer.

A trusted time is an upper bound: the signature existed then, and may be older. Without one, all
that is known is that it exists at the time of judging. So the end of a validity window, and a
compromise, are judged by the first trusted time, else by the time of judging; its beginning is
judged by a trusted time alone, because a signature's age cannot be shown in any other way.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from agentprov.formats.evidence import TrustedTime
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.schema import instant
from agentprov.formats.statement import Statement
from agentprov.verify.declared import CLOCK_SLACK, time_of
from agentprov.verify.finding import Problem
from agentprov.verify.record import Entry
from agentprov.verify.signatures import Verified
from agentprov.verify.trust import TrustedSigner


def first(signed: Verified[Statement] | None) -> TrustedTime | None:
    """Give the first time at which a signature is proven to have existed, or None."""
    return signed.times[0] if signed is not None and signed.times else None


def of(entry: Entry, person: str | None = None) -> TrustedTime | None:
    """Give the first time at which any good signature of a statement is proven, or None.

    With `person`, of that person's signatures only.
    """
    signatures = entry.signatures.values()
    theirs = [signed for signed in signatures if person in (None, signed.signer.person)]
    found = [time for time in map(first, theirs) if time is not None]
    return min(found, key=lambda time: time.at, default=None)


def why_not(
    signer: TrustedSigner, proven: TrustedTime | None, as_of: datetime
) -> Iterator[Problem]:
    """Say why a signer's word does not count for a signature that was first proven then.

    Whether a retired signer's record is bound to an old commit is for `retirement` to judge.
    """
    at = proven.at if proven else as_of
    since = signer.compromised
    if since is not None and (proven is None or at >= instant(since.since)):
        yield Problem(
            "signer-compromised",
            f"the key of {signer.person} is not believed since {since.since} ({since.reason}), "
            f"and {_no_proof(proven)}",
        )
    if signer.not_after is not None and at > instant(signer.not_after):
        yield Problem(
            "signer-expired",
            f"the key of {signer.person} counts until {signer.not_after}, and {_no_proof(proven)}",
        )
    if signer.not_before is not None and at < instant(signer.not_before):
        yield Problem(
            "signer-not-yet-valid",
            f"the key of {signer.person} counts from {signer.not_before}, and it was used before",
        )


def contradictions(entry: Entry, as_of: datetime) -> Iterator[Problem]:
    """Say where what a statement declares of its time and what is proven of it do not fit."""
    proven = of(entry)
    if proven is None:
        return
    if proven.at > as_of + CLOCK_SLACK:
        yield Problem(
            "time-in-future", f"{proven.authority} stamped it at {_text(proven)}, still to come"
        )
    declared, exact = time_of(entry.view)
    if declared is None:
        return
    too_early = instant(declared) > proven.at + CLOCK_SLACK
    too_late = exact and instant(declared) < proven.at - CLOCK_SLACK
    if too_early or too_late:
        yield Problem(
            "time-contradicted",
            f"it says that it is of {declared}, {proven.authority} stamped it at {_text(proven)}",
        )


def is_after(plan: PlanView, signed: Verified[Statement] | None, started: str) -> bool:
    """Say whether a plan was signed after a session began, by the best time that is known.

    A trusted time beats the declared one; as it is of another clock than the session's, five
    minutes are allowed for.
    """
    proven = first(signed)
    if proven is None:
        return instant(plan.declared_at) > instant(started)
    return proven.at > instant(started) + CLOCK_SLACK


def is_before(entry: Entry, declared: str, started: str) -> bool:
    """Say whether a statement was signed before a session began, by the best time that is known."""
    proven = of(entry)
    if proven is None:
        return instant(declared) < instant(started)
    return proven.at < instant(started) - CLOCK_SLACK


def _no_proof(proven: TrustedTime | None) -> str:
    if proven is None:
        return "no trusted time says that this signature is older"
    return f"{proven.authority} stamped this signature at {_text(proven)}"


def _text(time: TrustedTime) -> str:
    return f"{time.at:%Y-%m-%dT%H:%M:%SZ}"
