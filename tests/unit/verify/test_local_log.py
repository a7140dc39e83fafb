"""What the judge makes of this machine's log: a break is an error, a missing entry a warning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentprov.formats import bundle, tile_log
from agentprov.verify.finding import Problem
from agentprov.verify.local_log import LogFacts
from support.story import RECORDER, STRANGER, Story, codes, judge

TOLD = Story().tell()
COMMIT = TOLD.commit()


def entry(line: bytes) -> bytes:
    parsed = bundle.parse(line)
    return tile_log.entry(parsed.payload_sha256, parsed.signature_sha256)


ENTRIES = {entry(line) for line in TOLD.lines().values()}
WHOLE = LogFacts(
    problem=None,
    includes=ENTRIES.__contains__,
    began="2026-11-01T00:00:00Z",
    own_keys=frozenset({RECORDER.trusted().hint}),
    recorded_here=lambda session: session == TOLD.session.id,
)


@pytest.mark.parametrize("code", ["log-rollback", "log-split-view", "log-damaged"])
def test_a_broken_log_fails_what_holds_otherwise(code: str) -> None:
    log = LogFacts(Problem(code, "it is not what it was"))
    judgement = judge(TOLD.lines(), [COMMIT], log=log)
    assert codes(judgement) == {code}
    assert judgement.verdict.exit_code == 19


def test_a_log_that_is_gone_with_all_else_is_a_warning() -> None:
    log = LogFacts(Problem("log-gone", "it is not here"))
    judgement = judge(TOLD.lines(), [COMMIT], log=log)
    assert codes(judgement, "warning") == {"log-gone"}
    assert judgement.verdict.exit_code == 0


def test_a_log_that_holds_all_of_it_adds_nothing() -> None:
    assert judge(TOLD.lines(), [COMMIT], log=WHOLE).verdict.findings == ()


def test_what_the_log_does_not_hold_is_said_of_each_statement_and_is_no_error() -> None:
    judgement = judge(TOLD.lines(), [COMMIT], log=replace(WHOLE, includes=lambda _: False))
    assert judgement.verdict.exit_code == 0
    assert codes(judgement, "warning") == {"log-inclusion-missing"}
    assert len(judgement.verdict.findings) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"began": "2026-12-01T00:00:00Z"},
        {"began": None},
        {"own_keys": frozenset({STRANGER.trusted().hint})},
        {"recorded_here": lambda session: False},
    ],
)
def test_what_need_not_be_in_the_log_is_not_missed(other: dict[str, object]) -> None:
    log = replace(WHOLE, includes=lambda _: False, **other)  # type: ignore[arg-type]
    assert judge(TOLD.lines(), [COMMIT], log=log).verdict.findings == ()
