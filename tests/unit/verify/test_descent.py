"""Chains of links: how far they go, and that they never go round."""

from __future__ import annotations

import pytest

from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.verify import descent
from agentprov.verify.record import Entry


def link(commit: str, *olds: str) -> Entry:
    view = RewriteView("b", "r", "amend", "c", commit, "t", (), olds, (), (), 0, 0)
    return Entry([commit], False, set(), commit, None, view, {})


def chain(length: int) -> list[Entry]:
    links = [link(f"c{number}", f"c{number - 1}") for number in range(1, length + 1)]
    for later, earlier in zip(links[1:], links, strict=False):
        later.uses.append(earlier)
    return links


def blamed(links: list[Entry]) -> list[str]:
    descent.judge(links)
    return [entry.sources[0] for entry in links if entry.problems]


def test_too_long_a_chain_is_blamed_and_ends() -> None:
    assert blamed(chain(descent.MAX_STEPS)) == []
    assert blamed(list(reversed(chain(descent.MAX_STEPS + 2)))) == ["c502", "c501"]


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_circle_of_any_length_is_found(length: int) -> None:
    links = chain(length)
    links.append(link("c0", f"c{length}"))
    links[-1].uses.append(links[-2])
    assert blamed(links) == ["c0"]


def test_entries_that_stand_on_each_other_end_the_walk_all_the_same() -> None:
    one, other = link("a", "b"), link("b", "a")
    one.uses.append(other)
    other.uses.append(one)
    assert len(descent.sources_first([one, other])) == 2
    assert blamed([one, other]) != []


def test_sources_come_before_what_stands_on_them() -> None:
    links = chain(5)
    assert descent.sources_first(list(reversed(links))) == links
