"""Chains of rewrite links: a commit that was made of one that was itself rewritten, and so on.

Payload digests cannot form a circle; commits that are said to be made of each other can.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.verify.record import Entry

MAX_STEPS = 500
"""How many rewrites may lie between a commit and the generation that it goes back to."""


def judge(entries: Iterable[Entry]) -> None:
    """Blame links that lead back to their own commit, and those at the end of too long a chain.

    Links must be tied to their sources (`uses`) already. Raises nothing, whatever they form.
    """
    links = [entry for entry in entries if isinstance(entry.view, RewriteView)]
    steps: dict[int, int] = {}
    behind: dict[int, frozenset[str]] = {}
    for entry in sources_first(links):
        view = entry.view
        assert isinstance(view, RewriteView)
        below = [use for use in entry.uses if isinstance(use.view, RewriteView)]
        steps[id(entry)] = 1 + max((steps.get(id(use), 0) for use in below), default=0)
        led = frozenset(view.olds).union(*(behind.get(id(use), frozenset()) for use in below))
        behind[id(entry)] = led | _commits(entry.uses)
        if view.commit in behind[id(entry)]:
            entry.blame("rewrite-chain", f"it makes {view.commit} out of itself")
        if steps[id(entry)] > MAX_STEPS:
            entry.blame("rewrite-chain", f"more than {MAX_STEPS} rewrites lie before it")
            # What comes after it is blamed by standing on it; its commits need not be carried on.
            behind[id(entry)] = frozenset()


def _commits(entries: Iterable[Entry]) -> frozenset[str]:
    return frozenset(
        entry.view.commit
        for entry in entries
        if isinstance(entry.view, GenerationView | RewriteView)
    )


def sources_first(links: Iterable[Entry]) -> list[Entry]:
    """Put links behind those that they stand on; each once, also where they form a circle."""
    ordered: list[Entry] = []
    state: dict[int, bool] = {}
    for link in links:
        waiting = [(link, False)]
        while waiting:
            entry, done = waiting.pop()
            if done:
                ordered.append(entry)
                continue
            if id(entry) in state or not isinstance(entry.view, RewriteView):
                continue
            state[id(entry)] = True
            waiting.append((entry, True))
            waiting += [(use, False) for use in entry.uses]
    return ordered


__all__ = ["MAX_STEPS", "judge", "sources_first"]
