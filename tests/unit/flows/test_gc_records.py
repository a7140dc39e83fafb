"""Which notes nothing needs, where no rewrite link and no reflog helps to tell."""

from __future__ import annotations

import pytest

from agentprov.flows.gc_records import _unneeded
from support.story import FILES, Story, blob_id, made_up

LINES = Story().tell().lines()
COMMIT, PLAN = made_up("commit", 40), made_up("plan blob", 40)
SESSION = frozenset(LINES[name] for name in ("open", "generation", "close"))
CONTENT = [blob_id(file.after) for file in FILES if file.after is not None]


def test_content_that_is_reachable_keeps_the_record_of_a_commit_that_is_not() -> None:
    assert CONTENT
    for blob in CONTENT:
        assert _unneeded({COMMIT: SESSION}, frozenset({blob})) == set()
    assert _unneeded({COMMIT: SESSION}, frozenset({COMMIT})) == set()


@pytest.mark.parametrize("reachable", [(), (made_up("base commit", 40), made_up("tree", 40))])
def test_what_a_commit_began_with_does_not_keep_its_record(reachable: tuple[str, ...]) -> None:
    """Every session names where it began; that is reachable nearly always."""
    assert _unneeded({COMMIT: SESSION}, frozenset(reachable)) == {COMMIT}


def test_plans_and_lines_that_nobody_reads_stay_with_what_they_name() -> None:
    notes = {
        COMMIT: SESSION,
        PLAN: frozenset({LINES["plan"]}),
        made_up("other", 40): frozenset({b"by hand"}),
    }
    assert _unneeded(notes, frozenset()) == {COMMIT}
    beside = {**notes, COMMIT: SESSION | {b"by hand"}}
    assert _unneeded(beside, frozenset()) == set()


def test_an_opening_stays_for_a_generation_that_hangs_elsewhere() -> None:
    first, second = made_up("first", 40), made_up("second", 40)
    notes = {
        first: frozenset({LINES["open"], LINES["close"]}),
        second: frozenset({LINES["generation"]}),
    }
    assert _unneeded(notes, frozenset({second})) == set()
    assert _unneeded(notes, frozenset()) == {first, second}
