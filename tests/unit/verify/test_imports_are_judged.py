"""What the judge makes of imports: at most reported, and never unseen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentprov.formats.facts import Change, LineRange, Source
from agentprov.formats.names import LOCAL_WRAPPER, TRANSCRIPT_IMPORT
from agentprov.formats.vocabulary import Basis
from agentprov.verify import policy_facts
from agentprov.verify.approvals import Surroundings
from agentprov.verify.trust import TrustRoot
from support.story import (
    FILES,
    HUMAN,
    RECORDER,
    REPORT,
    SESSION,
    Story,
    changes_of,
    codes,
    judge,
    made_up,
    trust_of,
)

BUILDERS = frozenset({LOCAL_WRAPPER, TRANSCRIPT_IMPORT})


def imported(basis: Basis = "declared") -> Story:
    """Tell the story as one that nobody saw: every claim of it has this basis."""
    session = replace(
        SESSION,
        id="import-1",
        builder=TRANSCRIPT_IMPORT,
        agent=replace(SESSION.agent, basis=basis),
        materials=(),
        mcp_servers=(),
        principal=None,
        gaps=(),
        sources=(Source("git-ai", made_up("source")),),
    )
    report = replace(
        REPORT, models=tuple(replace(use, basis=basis) for use in REPORT.models), mcp_connected=()
    )
    changes = tuple(_with(change, basis) for change in changes_of(FILES))
    story = Story(planned=False, session=session, report=report)
    return replace(story, commit=replace(Story().facts(), changes=changes))


def _with(change: Change, basis: Basis) -> Change:
    ranges = tuple(
        LineRange(item.start, item.end, "model", basis, item.model) for item in change.ranges
    )
    return replace(change, ranges=ranges)


def listing() -> TrustRoot:
    """Trust the recorder for imports too."""
    recorder = replace(RECORDER.trusted(), builders=BUILDERS)
    return replace(trust_of(HUMAN), keys=(HUMAN.trusted(), recorder))


def lines_of(story: Story) -> list[bytes]:
    told = story.tell()
    return [line for name, line in told.lines().items() if name != "plan" or story.planned]


def test_an_import_of_a_key_without_the_builder_is_no_alarm_and_no_coverage() -> None:
    story = imported()
    found = judge(lines_of(story), [story.tell().commit(trailers=())])
    assert found.verdict.commits[0].coverage == "uncovered"
    assert codes(found) == {"import-not-counted", "provenance-missing"}
    assert found.verdict.exit_code == 10
    told = [item for item in found.verdict.findings if item.code == "import-not-counted"]
    assert len(told) == 1


def test_an_import_of_a_listed_builder_covers_and_is_seen_to_be_one() -> None:
    story = imported()
    found = judge(lines_of(story), [story.tell().commit()], trust=listing())
    assert found.verdict.commits[0].coverage == "covered"
    assert found.verdict.commits[0].generations[0].builder == TRANSCRIPT_IMPORT
    assert (found.verdict.exit_code, codes(found), codes(found, "warning")) == (0, set(), set())
    assert "imported-record" in codes(found, "note")
    claims = [item.claim for item in found.verdict.not_proven]
    assert "that what was imported from git-ai is true" in claims


@pytest.mark.parametrize("basis", ["observed", "intercepted", "isolated"])
def test_an_import_cannot_claim_to_have_seen(basis: Basis) -> None:
    story = imported(basis)
    found = judge(lines_of(story), [story.tell().commit()], trust=listing())
    assert found.verdict.commits[0].coverage == "uncovered"
    assert "basis-above-cap" in codes(found)
    assert found.verdict.exit_code == 14


def test_beside_a_recorded_session_nothing_of_an_import_counts() -> None:
    own = Story()
    commit = own.tell().commit()
    alone = judge(lines_of(own), [commit], trust=listing())
    both = judge([*lines_of(own), *lines_of(imported())], [commit], trust=listing())
    assert both.verdict.commits == alone.verdict.commits
    assert both.verdict.not_proven == alone.verdict.not_proven
    assert codes(both, "note") - codes(alone, "note") == {"import-set-aside", "imported-record"}
    facts = [
        policy_facts.collect(judgement, Surroundings(), (), by_path=False)
        for judgement in (alone, both)
    ]
    assert facts[0] == facts[1]


def test_a_recorded_session_that_does_not_hold_does_not_push_an_import_aside() -> None:
    own = Story().tell()
    broken = {**own.lines()}
    broken.pop("open")
    found = judge([*broken.values(), *lines_of(imported())], [own.commit()], trust=listing())
    assert [ref.builder for ref in found.verdict.commits[0].generations] == [TRANSCRIPT_IMPORT]


def test_an_import_is_never_complete_and_never_better_than_its_word_for_a_policy() -> None:
    story = imported()
    story.ending = {"outcome": "incomplete"}
    found = judge(lines_of(story), [story.tell().commit()], trust=listing())
    (commit,) = policy_facts.collect(found, Surroundings(), (), by_path=False).commits
    (session,) = commit.sessions
    assert not session.complete
    assert {session.agent.basis, *(model.basis for model in session.models)} == {"declared"}
    assert {item.basis for item in session.lines} == {"declared"}
