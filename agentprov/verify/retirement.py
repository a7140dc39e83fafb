"""Signers who stopped on good terms: what is bound to a commit before that stays, no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.verify.record import Entry
from agentprov.verify.trust import TrustedSigner

IsAncestor = Callable[[str, str], bool | None]
"""Say whether the first commit is the second or one of its ancestors; None if unknown here."""


def judge(entries: Sequence[Entry], is_ancestor: IsAncestor) -> None:
    """Blame what retired signers said of commits that are not before their retirement.

    A generation and a rewrite link carry the signers of all that they stand on, an approval its
    own. What binds to no commit by itself (a plan, a session) is judged by the commits that stand
    on it, and where none does, it does not hold: nothing says that it is old. What a link stands on
    may be bound by the link's commit alone; then it says nothing for its own (`only_behind`).
    """
    bound: set[int] = set()
    later: dict[int, set[str]] = {}
    for entry in entries:
        if isinstance(entry.view, RewriteView) and entry.statement and not entry.problems:
            for part in entry.everything():
                later.setdefault(id(part), set()).add(entry.view.commit)
    for entry in entries:
        if not isinstance(entry.view, GenerationView | ApprovalView | RewriteView):
            continue
        parts = entry.everything()
        bound.update(id(part) for part in parts)
        others = sorted(later.get(id(entry), set()) - {entry.view.commit})
        for signer in _retired(parts):
            after = signer.retired.after if signer.retired is not None else ""
            if _is_before(entry.view.commit, after, is_ancestor):
                continue
            if any(_is_before(one, after, is_ancestor) for one in others):
                entry.only_behind = True
            else:
                _judge(entry, entry.view.commit, signer, is_ancestor)
    for entry in entries:
        if id(entry) not in bound:
            for signer in _retired([entry]):
                entry.blame("signer-retired", f"{signer.person} has retired this key or identity")


def _is_before(commit: str, after: str, is_ancestor: IsAncestor) -> bool:
    return commit == after or is_ancestor(commit, after) is True


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
