"""What is brought to the judge must not depend on how a record spells what it says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from agentprov.flows.choosing import Chosen, choose
from agentprov.verify.record import Record
from support.story import JANE, SESSION, Story, made_up, seal

TOLD = Story().tell()
COMMIT = TOLD.commit().oid
ELSEWHERE = "e" * 40
LINES = TOLD.lines()
GENERATION, PLAN = LINES["generation"], LINES["plan"]
OTHERS = [LINES["open"], LINES["close"]]


class Notes:
    """Notes as a plain mapping."""

    def __init__(self, notes: Mapping[str, Sequence[bytes]]) -> None:
        self.notes = notes

    def get_many(self, anchors: Sequence[str], _reader: object) -> dict[str, list[bytes]]:
        return {anchor: list(self.notes.get(anchor, ())) for anchor in anchors}

    def everything(self, _reader: object) -> Iterator[tuple[str, list[bytes]]]:
        for anchor, lines in self.notes.items():
            yield anchor, list(lines)


def chosen(notes: Mapping[str, Sequence[bytes]], *bundles: Record) -> Chosen:
    commits = () if bundles else (COMMIT,)
    return choose(cast("Any", Notes(notes)), cast("Any", None), commits, (), bundles)


def brought(notes: Mapping[str, Sequence[bytes]], *bundles: Record) -> set[bytes]:
    return {record.data for record in chosen(notes, *bundles).records}


def escaped_inside(line: bytes) -> bytes:
    """Spell every letter e of the statement's texts as an escape; a valid bundle, badly signed."""
    value = json.loads(line)
    payload = base64.b64decode(value["dsseEnvelope"]["payload"])
    spelled = payload.replace(b"e", b"\\u0065").replace(b"tru\\u0065", b"true")
    spelled = spelled.replace(b"fals\\u0065", b"false")
    assert json.loads(spelled) == json.loads(payload)
    value["dsseEnvelope"]["payload"] = base64.b64encode(spelled).decode()
    return json.dumps(value).encode()


def escaped_outside(line: bytes) -> bytes:
    """Spell the bundle's own member names with an escape."""
    return line.replace(b'"payload"', b'"p\\u0061yload"')


SPELLINGS: list[Callable[[bytes], bytes]] = [bytes, escaped_inside, escaped_outside]


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_a_sessions_other_statements_are_found_wherever_they_hang(
    spelled: Callable[[bytes], bytes],
) -> None:
    others = [spelled(line) for line in OTHERS]
    assert brought({COMMIT: [GENERATION], ELSEWHERE: others}) >= {GENERATION, *others}


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_a_generation_that_hangs_elsewhere_brings_itself_and_its_session(
    spelled: Callable[[bytes], bytes],
) -> None:
    notes = {ELSEWHERE: [spelled(GENERATION), *OTHERS]}
    assert brought(notes) == {spelled(GENERATION), *OTHERS}
    assert chosen(notes).about == {COMMIT}


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_approvals_are_found_wherever_they_hang(spelled: Callable[[bytes], bytes]) -> None:
    approval = spelled(seal(TOLD.approval(commit=made_up("another commit", 40)), JANE))
    assert approval in brought({COMMIT: [GENERATION], ELSEWHERE: [approval]})


def test_a_named_bundle_brings_what_it_stands_on_and_not_itself() -> None:
    named = Record(GENERATION, "file", named=True)
    assert brought({ELSEWHERE: OTHERS}, named) == set(OTHERS)


def test_what_bears_on_nothing_judged_stays_away() -> None:
    facts = replace(Story().facts(), oid=made_up("another commit", 40))
    plan = {"declared_at": "2026-11-24T10:29:00Z"}
    other = Story(session=replace(SESSION, id="another"), commit=facts, plan=plan).tell()
    junk = [b"junk", b'{"payload":"%%%"}', GENERATION[:-1], b"\xff"]
    notes = {COMMIT: [GENERATION], ELSEWHERE: [*other.lines().values(), *junk]}
    assert brought(notes) == {GENERATION}


def test_junk_on_the_judged_commit_itself_is_brought() -> None:
    assert brought({COMMIT: [b"junk", GENERATION]}) == {b"junk", GENERATION}


def test_a_plan_is_brought_by_digest_alone() -> None:
    assert brought({COMMIT: [GENERATION], ELSEWHERE: [PLAN]}) == {GENERATION, PLAN}
    assert brought({COMMIT: [GENERATION], ELSEWHERE: [escaped_inside(PLAN)]}) == {GENERATION}
    assert brought({ELSEWHERE: [GENERATION, escaped_outside(PLAN)]}) == {
        GENERATION,
        escaped_outside(PLAN),
    }
