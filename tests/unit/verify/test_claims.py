"""What holds of a commit's lines, whoever says it."""

from __future__ import annotations

from dataclasses import replace

from agentprov import verify
from agentprov.formats.facts import LineRange
from agentprov.formats.vocabulary import Origin
from agentprov.verify.claims import claims_of
from support.story import SESSION, Story, judge, made_up

COMMIT = made_up("commit", 40)


def told_by(session: str, origin: Origin, start: int = 1, end: int = 1) -> list[bytes]:
    story = Story(session=replace(SESSION, id=session, plan=None), planned=False)
    facts = story.facts()
    changes = tuple(
        replace(change, ranges=(LineRange(start, end, origin, "reported", why="told"),))
        if change.path == b"README.md"
        else replace(change, ranges=())
        for change in facts.changes
    )
    return list(replace(story, commit=replace(facts, changes=changes)).tell().lines().values())


def judged(*stories: list[bytes]) -> verify.Judgement:
    lines = [line for story in stories for line in story]
    return judge(lines, [Story().tell().commit(trailers=())])


def test_each_path_and_range_names_its_statement() -> None:
    told = Story().tell()
    found = claims_of(judge(told.lines(), [told.commit()]), COMMIT)
    assert sorted(found) == ["README.md", "old.txt", "run.sh", "src/hello.py"]
    (claim,) = found["src/hello.py"].ranges
    assert (claim.start, claim.end, claim.origin, claim.via) == (1, 1, "model", "record")
    assert [entry.payload_sha256 for entry in claim.sources] == [told.generation.sha256]
    assert found["old.txt"].ranges == ()
    assert [entry.payload_sha256 for entry in found["old.txt"].sources] == [told.generation.sha256]


def test_nothing_is_claimed_by_what_does_not_hold() -> None:
    lines = Story().tell().lines()
    del lines["open"]
    assert claims_of(judge(lines, [Story().tell().commit()]), COMMIT) == {}


def test_what_says_where_a_line_is_from_wins_over_unknown() -> None:
    for order in (1, -1):
        stories = [told_by("one", "unknown"), told_by("two", "human")][::order]
        (claim,) = claims_of(judged(*stories), COMMIT)["README.md"].ranges
        assert (claim.origin, len(claim.sources)) == ("human", 1)


def test_a_line_that_two_sessions_leave_open_may_be_of_either() -> None:
    stories = [told_by("one", "unknown", 1, 2), told_by("two", "unknown", 2, 2)]
    judgement = judged(*stories)
    one, both = claims_of(judgement, COMMIT)["README.md"].ranges
    assert (one.start, one.end, len(one.sources)) == (1, 1, 1)
    assert (both.start, both.end, both.origin, both.why) == (2, 2, "unknown", "told")
    assert {entry.view.session for entry in both.sources} == {"one", "two"}  # type: ignore[union-attr]
    assert open_lines(judgement) == ["who wrote 2 added lines"]


def test_a_line_that_one_of_two_sessions_knows_is_not_open() -> None:
    judgement = judged(told_by("one", "unknown", 1, 3), told_by("two", "human", 2, 2))
    assert open_lines(judgement) == ["who wrote 2 added lines"]


def open_lines(judgement: verify.Judgement) -> list[str]:
    return [
        item.claim for item in judgement.verdict.not_proven if item.claim.startswith("who wrote")
    ]


def test_two_records_that_say_different_things_leave_it_open() -> None:
    found = claims_of(judged(told_by("one", "model", 1, 2), told_by("two", "human", 2, 2)), COMMIT)[
        "README.md"
    ]
    assert [(claim.start, claim.end, claim.origin, claim.why) for claim in found.ranges] == [
        (1, 1, "model", "told"),
        (2, 2, "unknown", "records-disagree"),
    ]
    assert len(found.ranges[1].sources) == 2
