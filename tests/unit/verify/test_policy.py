from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentprov.errors import ConfigurationInvalid
from agentprov.verify import policy
from agentprov.verify.finding import Verdict
from agentprov.verify.judge import Judgement
from agentprov.verify.output import verdict_json
from agentprov.verify.policy import Policy
from support.story import HUMAN, JANE, RECORDER, SESSION, Key, Story, judge, made_up, seal, trust_of

TOLD = Story().tell()
COMMIT = TOLD.commit()
BOTH = replace(HUMAN, roles=frozenset({"human", "reviewer"}))
TRUST = trust_of(BOTH, RECORDER, JANE)


def rules(mode: str = "enforce", **require: Any) -> Policy:
    document = {"version": 1, "mode": mode, "require": require}
    return policy.parse(document, sha256="ab" * 32, source="policy.yaml")


def verdict(*approvers: Key, planned: bool = True, recorded: bool = True, **said: Any) -> Judgement:
    told = Story(planned=planned).tell()
    lines = told.lines() if recorded else {}
    for number, key in enumerate(approvers):
        lines[f"approval {number}"] = seal(told.approval(reviewer=key.person, **said), key)
    return judge(lines, [told.commit()], trust=TRUST, required=False)


def errors(judged: Verdict) -> list[str]:
    return [item.code for item in judged.findings if item.severity == "error"]


def test_a_policy_that_is_met_says_nothing_and_is_named() -> None:
    judged = policy.judge(
        rules(coverage=["covered"], plan="signed", approvals={"people": 2}), verdict(BOTH, JANE)
    )
    assert judged.exit_code == 0
    assert verdict_json(judged)["policy"] == {
        "digest": {"sha256": "ab" * 32},
        "source": "policy.yaml",
    }


@pytest.mark.parametrize(
    ("require", "judged", "code"),
    [
        ({"coverage": ["covered", "human"]}, verdict(recorded=False), "policy-coverage"),
        ({"coverage": ["human"]}, verdict(), "policy-coverage"),
        ({"plan": "signed"}, verdict(planned=False), "policy-plan"),
        ({"approvals": {"people": 1}}, verdict(), "policy-approvals"),
        ({"approvals": {"people": 2}}, verdict(JANE), "policy-approvals"),
        ({"approvals": {"people": 2}}, verdict(JANE, JANE), "policy-approvals"),
        (
            {"approvals": {"people": 1}},
            verdict(JANE, decision="REJECTED"),
            "policy-approvals",
        ),
    ],
)
def test_what_is_missing_denies_where_policy_enforces(
    require: dict[str, Any], judged: Judgement, code: str
) -> None:
    denied = policy.judge(rules(**require), judged)
    assert denied.exit_code == 13 or "record-missing" in errors(denied)
    assert code in errors(denied)
    observed = policy.judge(rules("observe", **require), judged)
    assert code not in errors(observed)
    assert code in [item.code for item in observed.findings]


def test_a_rejection_outweighs_any_number_of_approvals() -> None:
    told = Story().tell()
    lines = told.lines()
    lines["yes"] = seal(told.approval(reviewer=HUMAN.person), BOTH)
    lines["no"] = seal(told.approval(decision="REJECTED"), JANE)
    judged = judge(lines, [told.commit()], trust=TRUST)
    denied = policy.judge(rules(approvals={"people": 1}), judged)
    assert "policy-approvals" in errors(denied)


def test_a_plans_author_may_be_left_out() -> None:
    own = verdict(BOTH)
    assert policy.judge(rules(approvals={"people": 1}), own).exit_code == 0
    strict = policy.judge(rules(approvals={"people": 1, "notPlanAuthor": True}), own)
    assert set(errors(strict)) == {"policy-approvals", "approval-by-author"}
    other = verdict(BOTH, JANE)
    assert policy.judge(rules(approvals={"people": 1, "notPlanAuthor": True}), other).exit_code == 0


@pytest.mark.parametrize(
    "spelling", ["ADA@example.com", "Ada <ada@example.com>", "ada@example.com."]
)
def test_a_plans_author_is_left_out_under_any_spelling(spelling: str) -> None:
    other_key = Key(66, spelling, frozenset({"reviewer"}))
    told = Story().tell()
    lines = told.lines() | {"own": seal(told.approval(reviewer=spelling), other_key)}
    trust = trust_of(HUMAN, RECORDER, other_key)
    judged = judge(lines, [told.commit()], trust=trust)
    denied = policy.judge(rules(approvals={"people": 1, "notPlanAuthor": True}), judged)
    assert set(errors(denied)) == {"policy-approvals", "approval-by-author"}


def test_who_looks_like_a_reviewer_neither_adds_to_them_nor_takes_back_their_no() -> None:
    twin = Key(67, "mailto:j\u0430ne@example.com", frozenset({"reviewer"}))
    told = Story().tell()
    trust = trust_of(HUMAN, RECORDER, JANE, twin)
    late = told.approval(reviewer=twin.person, decided_at="2026-11-24T10:55:00Z")
    for decision, wanted in (("APPROVED", 2), ("REJECTED", 1)):
        lines = told.lines() | {
            "jane": seal(told.approval(decision=decision), JANE),
            "twin": seal(late, twin),
        }
        judged = judge(lines, [told.commit()], trust=trust)
        denied = policy.judge(rules(approvals={"people": wanted}), judged)
        assert errors(denied) == ["policy-approvals"]


def test_a_plan_behind_one_session_says_nothing_for_another() -> None:
    planned = Story().tell()
    bare = Story(session=replace(SESSION, id="bare-session"), planned=False).tell()
    lines = planned.lines() | {f"bare {name}": line for name, line in bare.lines().items()}
    judged = judge(lines, [planned.commit()], trust=TRUST)
    assert len(judged.verdict.commits[0].generations) == 2
    denied = policy.judge(rules(plan="signed"), judged)
    assert errors(denied) == ["policy-plan"]
    assert "bare-session" in denied.findings[-1].message


def test_why_an_approval_is_void_becomes_the_reason_for_denial() -> None:
    told = Story().tell()
    lines = told.lines() | {"old": seal(told.approval(commit=made_up("older", 40)), JANE)}
    judged = judge(lines, [told.commit()], trust=TRUST)
    assert judged.verdict.exit_code == 0
    denied = policy.judge(rules(approvals={"people": 1}), judged)
    assert set(errors(denied)) == {"policy-approvals", "approval-void"}
    assert denied.exit_code == 12


def test_nothing_to_merge_misses_nothing() -> None:
    empty = judge([], [], trust=TRUST)
    assert policy.judge(rules(approvals={"people": 9}), empty).exit_code == 0


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"version": 1},
        {"version": 2, "mode": "observe"},
        {"version": True, "mode": "observe"},
        {"version": 1, "mode": "enforced"},
        {"version": 1, "mode": False},
        {"version": 1, "mode": "enforce", "requires": {}},
        {"version": 1, "mode": "enforce", "require": {"plans": "signed"}},
        {"version": 1, "mode": "enforce", "require": {"plan": True}},
        {"version": 1, "mode": "enforce", "require": {"coverage": []}},
        {"version": 1, "mode": "enforce", "require": {"coverage": ["uncovered"]}},
        {"version": 1, "mode": "enforce", "require": {"approvals": {"people": 0}}},
        {"version": 1, "mode": "enforce", "require": {"approvals": {"people": "2"}}},
        {"version": 1, "mode": "enforce", "require": {"approvals": {"people": 2, "not": True}}},
        {"version": 1, "mode": "enforce", "require": {"approvals": {"notPlanAuthor": True}}},
    ],
)
def test_a_policy_of_another_shape_fails_closed(document: Any) -> None:
    with pytest.raises(ConfigurationInvalid):
        policy.parse(document, sha256="ab" * 32, source="policy.yaml")
