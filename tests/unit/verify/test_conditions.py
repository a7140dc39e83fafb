"""Every subset of what a record must fulfil, put to the judge: only all of it together passes.

The conditions are those of the procedure: a good signature, an identity that may say it, the
right types, the right subject, and freshness. Each is broken under whatever else is broken, at
every kind of statement, so that no defect hides another and none is made good by another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import pytest

from agentprov.verify.judge import Judgement
from agentprov.verify.trust import TrustRoot
from support.story import (
    HUMAN,
    RECORDER,
    STRANGER,
    Story,
    Told,
    codes,
    judge,
    made_up,
    seal,
    trust_of,
)

CODES = {
    "signature": "signature-invalid",
    "identity": "signer-role",
    "type": "payload-type",
    "subject": "commit-differs",
    "freshness": "time-in-future",
}
LINES = ("plan", "open", "generation")


def told_with(*, fresh: bool, line: str) -> Told:
    """Tell the story; where it is not fresh, the statement speaks of a time still to come."""
    if fresh:
        return Story().tell()
    if line == "plan":
        return Story(plan={"declared_at": "2099-01-01T00:00:00Z"}).tell()
    session = replace(Story().session, started="2099-01-01T00:00:00Z")
    ending = {"finished": "2099-01-01T00:10:00Z"}
    return Story(session=session, ending=ending, planned=False).tell()


def trust_with(*, identity: bool, line: str) -> TrustRoot:
    """Trust both keys; where the identity is wrong, the signer's may not say this."""
    if identity:
        return trust_of()
    wrong = frozenset({"reviewer"})
    if line == "plan":
        return trust_of(replace(HUMAN, roles=wrong), RECORDER)
    return trust_of(HUMAN, replace(RECORDER, roles=wrong))


def judged(line: str, holds: Mapping[str, bool]) -> Judgement:
    """Judge the story with one statement that fulfils these conditions and no others."""
    told = told_with(fresh=holds["freshness"], line=line)
    lines = told.lines()
    statement = {"plan": told.plan, "open": told.open, "generation": told.generation}[line]
    lines[line] = seal(
        statement,
        HUMAN if line == "plan" else RECORDER,
        **({} if holds["signature"] else {"signature": STRANGER.sign(b"something else")}),
        **({} if holds["type"] else {"payload_type": "text/plain"}),
    )
    commit = told.commit()
    if not holds["subject"]:
        commit = replace(commit, tree=made_up("another tree", 40))
    trust = trust_with(identity=holds["identity"], line=line)
    return judge(lines, [commit], trust=trust, named=True)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("holds", list(product([True, False], repeat=len(CODES))))
def test_a_record_holds_only_if_every_condition_does(line: str, holds: tuple[bool, ...]) -> None:
    judgement = judged(line, dict(zip(CODES, holds, strict=True)))
    passed = judgement.verdict.exit_code == 0
    assert passed is all(holds)
    assert (judgement.verdict.commits[0].coverage == "covered") is all(holds)
    assert bool(codes(judgement)) is not passed


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("broken", CODES)
def test_each_condition_that_is_broken_alone_has_its_own_name(line: str, broken: str) -> None:
    found = codes(judged(line, {name: name != broken for name in CODES}))
    assert found & set(CODES.values()) == {CODES[broken]}
