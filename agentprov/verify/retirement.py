"""Signers who stopped on good terms: what is bound to a commit before that stays, no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.verify.record import Entry
from agentprov.verify.trust import TrustedSigner

IsAncestor = Callable[[str, str], bool | None]
"""Say whether the first commit is the second or one of its ancestors; None if unknown here."""


def judge(entries: Sequence[Entry], is_ancestor: IsAncestor) -> None:
    """Blame what retired signers said of commits that are not before their retirement.

    A generation carries the signers of all that it stands on, an approval its own. What binds to
    no commit by itself (a plan, a session) is judged by the commits that stand on it, and where
    none does, it does not hold: nothing says that it is old.
    """
    bound: set[int] = set()
    for entry in entries:
        if not isinstance(entry.view, GenerationView | ApprovalView):
            continue
        parts = entry.everything()
        bound.update(id(part) for part in parts)
        for signer in _retired(parts):
            _judge(entry, entry.view.commit, signer, is_ancestor)
    for entry in entries:
        if id(entry) not in bound:
            for signer in _retired([entry]):
                entry.blame("signer-retired", f"{signer.person} has retired this key or identity")


def _retired(entries: Iterable[Entry]) -> Iterable[TrustedSigner]:
    """Give the signers of entries for which no signer speaks who has not retired."""
    for entry in entries:
        signers = [signed.signer for signed in entry.signatures.values()]
        if signers and all(signer.retired is not None for signer in signers):
            yield signers[0]


def _judge(entry: Entry, commit: str, signer: TrustedSigner, is_ancestor: IsAncestor) -> None:
    if signer.retired is None:
        return
    after = signer.retired.after
    if commit == after:
        return
    before = is_ancestor(commit, after)
    if before is None:
        entry.blame(
            "signer-retired",
            f"{signer.person} retired after {after}, which is not in this clone to compare with",
        )
    elif not before:
        entry.blame(
            "signer-retired", f"{signer.person} retired after {after}; {commit} is no part of that"
        )
