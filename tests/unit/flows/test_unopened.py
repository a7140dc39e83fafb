"""Generations that are only listed need not be opened; whatever could decide something must be."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from agentprov import attest, verify
from agentprov.flows.choosing import NOTHING_ELSE, Asked, Chosen, choose
from agentprov.formats import packed
from agentprov.formats.facts import Commit
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify.judge import Judgement
from agentprov.verify.record import Record
from agentprov.verify.subjects import CommitFacts
from support.story import (
    AS_OF,
    JANE,
    RECORDER,
    STRANGER,
    Story,
    codes,
    made_up,
    seal,
    trust_of,
)

STORY = Story(planned=False)
TOLD = STORY.tell()


class Notes:
    """Notes as a plain mapping, stored in one form or the other."""

    def __init__(
        self, notes: Mapping[str, Sequence[bytes]], form: Callable[[bytes], bytes]
    ) -> None:
        self.notes = notes
        self.form = form

    def as_it_stands(self, _reader: object) -> Notes:
        return self

    def stored_of(self, anchors: Sequence[str]) -> dict[str, list[bytes]]:
        return {
            anchor: [self.form(line) for line in self.notes.get(anchor, ())] for anchor in anchors
        }

    def stored(self) -> Iterator[tuple[str, list[bytes]]]:
        for anchor, lines in self.notes.items():
            yield anchor, [self.form(line) for line in lines]


def commit(number: int) -> Commit:
    facts = STORY.facts()
    return replace(facts, oid=made_up(f"commit {number}", 40), sequence=number)


def facts_of(number: int) -> CommitFacts:
    return replace(TOLD.commit(), oid=commit(number).oid)


def generation(number: int, **changes: Any) -> bytes:
    """Give the payload of the statement about one commit of the session."""
    made = attest.generation(
        TOLD.session, TOLD.open.sha256, replace(commit(number), **changes), STORY.report
    )
    return made[0].payload


def session(order: Sequence[int] = (1, 2, 3)) -> dict[str, list[bytes]]:
    """Give the notes of a session of three commits; its ends hang on the first."""
    made = {
        number: attest.generation(TOLD.session, TOLD.open.sha256, commit(number), STORY.report)[0]
        for number in (1, 2, 3)
    }
    close = (
        replace(STORY, ending={"generations": [made[n].sha256 for n in order], "last_sequence": 3})
        .tell()
        .close
    )
    notes = {commit(n).oid: [seal(statement, RECORDER)] for n, statement in made.items()}
    notes[commit(1).oid] += [seal(TOLD.open, RECORDER), seal(close, RECORDER)]
    return notes


FORMS = pytest.mark.parametrize("form", [bytes, packed.pack], ids=["bundles", "packed"])
JUDGED = 2


def chosen(
    notes: Mapping[str, Sequence[bytes]],
    form: Callable[[bytes], bytes] = packed.pack,
    asked: Asked = NOTHING_ELSE,
) -> Chosen:
    oid = commit(JUDGED).oid
    return choose(cast("Any", Notes(notes, form)), cast("Any", None), [oid], asked=asked)


def judged(found: Chosen) -> Judgement:
    case = verify.Case(
        target="x",
        records=found.records,
        commits=[facts_of(JUDGED)],
        trust=trust_of(RECORDER),
        as_of=AS_OF,
        required=frozenset({commit(JUDGED).oid}),
        unopened=found.unopened,
    )
    return verify.judge(case, KeyVerifier())


def brought(found: Chosen) -> set[bytes]:
    return {record.data for record in found.records}


@FORMS
def test_what_a_session_only_lists_stays_unopened_and_its_commit_is_covered(
    form: Callable[[bytes], bytes],
) -> None:
    notes = session()
    found = chosen(notes, form)
    first, judged_line, last = (notes[commit(n).oid][0] for n in (1, 2, 3))
    assert brought(found) == {judged_line, *notes[commit(1).oid][1:]}
    digests = [Record(line, "x").reading.bundle().payload_sha256 for line in (first, last)]
    assert {key: value.sequence for key, value in found.unopened.items()} == dict(
        zip(digests, (1, 3), strict=True)
    )
    verdict = judged(found).verdict
    assert (verdict.exit_code, verdict.commits[0].coverage) == (0, "covered")
    assert not any(item.severity == "error" for item in verdict.findings)


@FORMS
def test_one_that_was_deleted_or_changed_is_missed_as_ever(form: Callable[[bytes], bytes]) -> None:
    notes = session()
    notes[commit(3).oid] = []
    assert "generation-missing" in codes(judged(chosen(notes, form)))
    other = generation(3, patch_id=made_up("other", 40))
    notes[commit(3).oid] = [seal(other, RECORDER)]
    assert "generation-missing" in codes(judged(chosen(notes, form)))


def test_presence_is_by_the_payloads_digest_whoever_signed_the_copy() -> None:
    notes = session()
    notes[commit(3).oid] = [seal(generation(3), STRANGER)]
    found = judged(chosen(notes))
    assert found.verdict.commits[0].coverage == "covered"


def test_the_order_of_what_is_unopened_is_judged() -> None:
    assert "sequence-broken" in codes(judged(chosen(session(order=(3, 2, 1)))))


@FORMS
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sequence": JUDGED}, "sequence-twice"),
        ({"oid": commit(JUDGED).oid, "sequence": 9}, "commit-twice"),
    ],
)
def test_what_contradicts_the_judged_record_is_opened_wherever_it_hangs(
    form: Callable[[bytes], bytes], changes: dict[str, Any], code: str
) -> None:
    notes = session()
    against = seal(generation(7, **changes), RECORDER)
    notes[made_up("elsewhere", 40)] = [against]
    found = chosen(notes, form)
    assert against in brought(found)
    verdict = judged(found)
    assert code in codes(verdict)
    assert verdict.verdict.commits[0].coverage == "uncovered"


def test_a_place_that_a_trailer_names_is_opened() -> None:
    notes = session()
    asked = Asked(frozenset({(TOLD.session.id, 3)}))
    assert notes[commit(3).oid][0] in brought(chosen(notes, asked=asked))


def test_what_an_approval_names_is_opened() -> None:
    notes = session()
    line = notes[commit(3).oid][0]
    told = replace(TOLD, generations=[Record(line, "x").reading.statement()])
    notes[made_up("elsewhere", 40)] = [seal(told.approval(), JANE)]
    assert line in brought(chosen(notes))


def test_whoever_hands_on_what_was_judged_gets_entire_sessions() -> None:
    notes = session()
    found = chosen(notes, asked=Asked(entire=True))
    assert brought(found) == {line for lines in notes.values() for line in lines}
    assert not found.unopened


@FORMS
@pytest.mark.parametrize(
    "spelled",
    [
        lambda payload: payload.replace(b'"sequence":3', b'"sequence": 3'),
        lambda payload: payload.replace(b'"sequence":3', b'"seq\\u0075ence":3'),
        lambda payload: payload.replace(b'"sequence":3', b'"sequence":3,"x":{"sequence":4}'),
        lambda payload: payload.replace(b'"startedOn"', b'"invocationId":"x","startedOn"'),
    ],
)
def test_a_place_that_a_glance_cannot_tell_is_opened(
    form: Callable[[bytes], bytes], spelled: Callable[[bytes], bytes]
) -> None:
    notes = session()
    odd = spelled(generation(3))
    assert odd != generation(3)
    line = seal(odd, RECORDER)
    notes[commit(3).oid] = [line]
    found = chosen(notes, form)
    assert Record(line, "x").reading.bundle().payload_sha256 not in found.unopened
    assert json.loads(line)


def _mutated(chance: random.Random) -> dict[str, list[bytes]]:
    """Give the session's notes with records lost, moved, copied, contradicted; all well signed."""
    order = [1, 2, 3]
    if chance.random() < 0.2:
        chance.shuffle(order)
    notes = {**session(order), made_up("elsewhere", 40): []}
    for _ in range(chance.randrange(4)):
        here, there = (notes[chance.choice([*notes])] for _ in range(2))
        kind = chance.choice(["lose", "move", "copy", "contradict", "close", "junk"])
        if kind == "contradict":
            number, sequence = chance.randrange(1, 5), chance.randrange(1, 5)
            key = chance.choice([RECORDER, STRANGER])
            here.append(seal(generation(number, sequence=sequence), key))
        elif kind == "close":
            here.append(session(chance.sample([1, 2, 3], 2))[commit(1).oid][-1])
        elif kind == "junk":
            here.append(b"junk")
        elif here:
            line = here[chance.randrange(len(here))]
            if kind != "copy":
                here.remove(line)
            if kind != "lose":
                there.append(line)
    return notes


NAMED_BY_TRAILER = frozenset({(TOLD.session.id, 1)})


def test_what_is_left_unopened_changes_no_verdict() -> None:
    chance = random.Random(1)
    unopened = 0
    for _ in range(150):
        notes = _mutated(chance)
        least = chosen(notes, asked=Asked(NAMED_BY_TRAILER))
        all_of_it = chosen(notes, bytes, Asked(NAMED_BY_TRAILER, entire=True))
        one, other = judged(least).verdict, judged(all_of_it).verdict
        unopened += len(least.unopened)
        assert one.commits == other.commits
        assert {(item.code, item.severity) for item in one.findings} == {
            (item.code, item.severity) for item in other.findings
        }
    assert unopened > 100
