from __future__ import annotations

from dataclasses import replace

from agentprov import verify
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify.approvals import Surroundings
from agentprov.verify.judge import Judgement
from agentprov.verify.trust import Retired, TrustRoot
from support import rewrite_defects
from support.story import (
    AS_OF,
    HUMAN,
    JANE,
    RECORDER,
    Key,
    Story,
    codes,
    judge,
    made_up,
    seal,
    trust_of,
)

TOLD = Story().tell()
COMMIT = TOLD.commit()
LAST = made_up("last good commit", 40)


def retired(key: Key, after: str = LAST) -> TrustRoot:
    root = trust_of(HUMAN, RECORDER, JANE)
    keys = tuple(
        replace(item, retired=Retired(after, "new laptop")) if item.spki == key.spki else item
        for item in root.keys
    )
    return TrustRoot(keys, root.sha256, root.source)


def judged(trust: TrustRoot, is_ancestor: bool | None, *more: bytes) -> Judgement:
    lines = TOLD.lines() | {f"more {n}": line for n, line in enumerate(more)}
    around = Surroundings(is_ancestor=lambda first, second: is_ancestor)
    return judge(lines, [COMMIT], trust=trust, around=around)


def test_what_is_bound_to_a_commit_before_the_retirement_stays() -> None:
    for key in (RECORDER, HUMAN):
        assert judged(retired(key), True).verdict.exit_code == 0
        assert judged(retired(key, COMMIT.oid), False).verdict.exit_code == 0


def test_what_is_bound_to_a_later_commit_fails_whoever_of_the_chain_retired() -> None:
    for key in (RECORDER, HUMAN):
        judgement = judged(retired(key), False)
        assert "signer-retired" in codes(judgement)
        assert judgement.verdict.exit_code == 18


def test_where_the_clone_cannot_compare_it_fails() -> None:
    judgement = judged(retired(RECORDER), None)
    assert "signer-retired" in codes(judgement)


def test_a_later_commit_does_not_spoil_an_earlier_one_of_the_same_session() -> None:
    late = replace(TOLD.story.facts(), oid=made_up("late", 40), sequence=2, during=False)
    from agentprov import attest

    second = attest.generation(TOLD.session, TOLD.open.sha256, late, TOLD.story.report)[0]
    lines = TOLD.lines() | {"late": seal(second, RECORDER)}
    around = Surroundings(is_ancestor=lambda first, _: first == COMMIT.oid)
    early = judge(lines, [COMMIT], trust=retired(HUMAN), around=around)
    assert early.verdict.exit_code == 0
    other = replace(COMMIT, oid=late.oid)
    assert judge(lines, [other], trust=retired(HUMAN), around=around).verdict.exit_code == 18


def test_a_plan_that_nothing_stands_on_does_not_hold() -> None:
    line = TOLD.lines()["plan"]
    judgement = judge([line], [], trust=retired(HUMAN), named=True)
    assert codes(judgement) == {"signer-retired"}


def test_an_approval_retires_with_its_signer() -> None:
    line = seal(TOLD.approval(), JANE)
    before, after = judged(retired(JANE), True, line), judged(retired(JANE), False, line)
    assert [ref.valid for ref in before.verdict.commits[0].approvals] == [True]
    assert [ref.valid for ref in after.verdict.commits[0].approvals] == [False]
    assert "signer-retired" in codes(after, "warning")


def test_without_anybody_retired_git_is_not_asked() -> None:
    def ask(_first: str, _second: str) -> bool:
        raise AssertionError

    judge(TOLD.lines(), [COMMIT], around=Surroundings(is_ancestor=ask))


def test_a_link_to_an_old_commit_binds_what_it_stands_on_for_that_commit_alone() -> None:
    told, new = rewrite_defects.tell(), rewrite_defects.commit_of(rewrite_defects.NEW)
    old = told.commit(trailers=())
    lines = {**told.lines(), "rewrite": seal(rewrite_defects.link(told, new), RECORDER)}
    around = Surroundings(is_ancestor=lambda first, _: first == new.oid)
    known = rewrite_defects.past(told, new)
    records = [verify.Record(line, name) for name, line in lines.items()]
    case = verify.Case("HEAD", records, [new, old], retired(RECORDER), AS_OF, around=around)
    found = verify.judge(replace(case, **known.about()), KeyVerifier()).verdict
    assert [item.coverage for item in found.commits] == ["covered", "uncovered"]
    # Nor is its content found again as that of a good record.
    copy = rewrite_defects.commit_of(rewrite_defects.OLD, made_up("copy", 40))
    known = replace(known, gone=frozenset({old.oid}), added={copy.oid: {"src/hello.py": [(1, 3)]}})
    case = replace(case, commits=[copy], **known.about())
    assert verify.judge(case, KeyVerifier()).verdict.commits[0].coverage == "uncovered"
    after = Surroundings(is_ancestor=lambda first, second: False)
    late = verify.judge(replace(case, commits=[new], around=after), KeyVerifier()).verdict
    assert late.commits[0].coverage == "uncovered"
