"""What is brought to the judge must not depend on how a record spells what it says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from agentprov.flows.choosing import Chosen, Lost, choose
from agentprov.formats import packed
from agentprov.verify.record import Record
from support.rewrite_defects import NEW, PATH, commit_of, link, tell
from support.story import JANE, RECORDER, SESSION, Story, made_up, seal

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

    def as_it_stands(self, _reader: object) -> Notes:
        return self

    def stored_of(self, anchors: Sequence[str]) -> dict[str, list[bytes]]:
        return {anchor: list(self.notes.get(anchor, ())) for anchor in anchors}

    def stored(self) -> Iterator[tuple[str, list[bytes]]]:
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


def test_a_bundle_that_is_stored_in_both_forms_is_brought_once() -> None:
    stored = [packed.pack(GENERATION), GENERATION]
    assert stored[0] != GENERATION
    for near in (stored, stored[::-1]):
        found = [record.data for record in chosen({COMMIT: near, ELSEWHERE: OTHERS}).records]
        assert sorted(found) == sorted([GENERATION, *OTHERS])


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


# Rewritten commits.


def link_to(old: str, digest: str, new: str) -> bytes:
    """Give a link from a commit to another, by a statement of this digest."""
    facts = commit_of(NEW, new)
    sources = ((old, digest),)
    return seal(link(tell(), facts, olds=(old,), sources=sources), RECORDER)


def test_what_a_link_leads_to_is_brought_from_the_notes_of_the_old_commits() -> None:
    told = tell()
    old, middle, new = told.story.facts().oid, "a" * 40, "b" * 40
    first = link_to(old, told.generation.sha256, middle)
    second = link_to(middle, Record(first, "x").reading.bundle().payload_sha256, new)
    lines = told.lines()
    notes = {new: [second], middle: [first], old: list(lines.values())}
    found = choose(cast("Any", NeverAll(notes)), cast("Any", None), [new])
    assert {record.data for record in found.records} == {second, first, *lines.values()}
    assert (found.linked, found.bare) == ({new, middle}, frozenset())
    assert found.olds == {middle, old}


class NeverAll(Notes):
    """Notes of which nobody may read everything."""

    def stored(self) -> Iterator[tuple[str, list[bytes]]]:
        raise AssertionError


def test_a_link_and_its_sources_are_found_wherever_they_hang() -> None:
    told = tell()
    old, new = told.story.facts().oid, "b" * 40
    line = link_to(old, told.generation.sha256, new)
    notes = {ELSEWHERE: [line, *told.lines().values()]}
    found = choose(cast("Any", Notes(notes)), cast("Any", None), [new])
    assert {record.data for record in found.records} == {line, *told.lines().values()}
    assert found.bare == frozenset()


def test_links_that_lead_to_each_other_end() -> None:
    one, other = link_to("a" * 40, "0" * 64, "b" * 40), link_to("b" * 40, "0" * 64, "a" * 40)
    notes = {"a" * 40: [other], "b" * 40: [one]}
    found = choose(cast("Any", Notes(notes)), cast("Any", None), ["b" * 40])
    assert {record.data for record in found.records} == {one, other}


@pytest.mark.parametrize(
    ("away", "touched", "brought"),
    [(True, {PATH}, True), (True, {"other"}, False), (False, {PATH}, False)],
)
def test_only_lost_records_that_touch_the_same_are_brought_for_a_bare_commit(
    away: bool, touched: set[str], brought: bool
) -> None:
    told = tell()
    old, bare = told.story.facts().oid, "b" * 40
    lost = Lost(
        lambda anchors, commits: frozenset({old} & set(anchors) if away else ()),
        lambda commits: frozenset(touched),
    )
    notes = {old: list(told.lines().values())}
    found = choose(cast("Any", Notes(notes)), cast("Any", None), [bare], lost=lost)
    assert found.bare == {bare}
    assert found.gone == ({old} if brought else set())
    assert {record.data for record in found.records} == (set(notes[old]) if brought else set())


def test_where_all_commits_have_records_nobody_asks_what_is_lost() -> None:
    def ask(*_: object) -> frozenset[str]:
        raise AssertionError

    lost = Lost(ask, ask)
    choose(
        cast("Any", Notes({COMMIT: list(LINES.values())})), cast("Any", None), [COMMIT], lost=lost
    )
