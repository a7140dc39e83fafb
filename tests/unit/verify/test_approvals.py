from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentprov import attest
from agentprov.errors import MalformedInput
from agentprov.formats import review
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.verify.approvals import Surroundings
from agentprov.verify.finding import ApprovalRef
from agentprov.verify.judge import Judgement
from agentprov.verify.output import verdict_json
from agentprov.verify.subjects import CommitFacts, PathDiff
from agentprov.verify.trust import Retired
from support.story import (
    HUMAN,
    JANE,
    RECORDER,
    STRANGER,
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
TRUST = trust_of(HUMAN, RECORDER, JANE)
MAX = Key(55, "mailto:max@example.com", frozenset({"reviewer"}))


def decided(
    *approvals: bytes,
    commits: tuple[CommitFacts, ...] = (COMMIT,),
    around: Surroundings | None = None,
    **more: Any,
) -> Judgement:
    lines = TOLD.lines() | {f"approval {n}": line for n, line in enumerate(approvals, 1)}
    return judge(lines, commits, **{"trust": TRUST, "around": around, **more})


def refs(judgement: Judgement) -> tuple[ApprovalRef, ...]:
    return judgement.verdict.commits[0].approvals


def approval(key: Key = JANE, **changes: Any) -> bytes:
    return seal(TOLD.approval(**changes), key)


def test_a_reviewers_decision_stands_beside_the_commit() -> None:
    judgement = decided(approval())
    (ref,) = refs(judgement)
    assert (ref.signer, ref.role, ref.decision) == (JANE.person, "reviewer", "approved")
    assert ref.valid
    assert not ref.partial
    assert judgement.verdict.findings == ()
    (plain,) = verdict_json(judgement.verdict)["commits"][0]["approvals"]
    assert plain["decidedAt"] == "2026-11-24T10:50:00+00:00"
    assert plain["valid"] is True


@pytest.mark.parametrize(
    ("key", "trust", "code"),
    [
        (STRANGER, TRUST, "signer-unknown"),
        (RECORDER, TRUST, "signer-role"),
        (HUMAN, TRUST, "signer-role"),
        (
            JANE,
            trust_of(HUMAN, RECORDER, replace(JANE, roles=frozenset({"reviewer", "ci"}))),
            "signer-role",
        ),
    ],
    ids=["stranger", "recorder", "not a reviewer", "reviewer and machine"],
)
def test_nobody_else_can_approve(key: Key, trust: Any, code: str) -> None:
    judgement = decided(approval(key), trust=trust, named=lambda name: name == "approval 1")
    assert not any(ref.valid for ref in refs(judgement))
    assert code in codes(judgement)
    assert judgement.verdict.exit_code == 17


def test_a_decision_for_another_commit_says_nothing_here() -> None:
    other = approval(commit=made_up("elsewhere", 40), base=made_up("far away", 40))
    judgement = decided(other)
    assert refs(judgement) == ()
    assert judgement.verdict.findings == ()


def test_the_signed_tree_must_be_the_commits() -> None:
    around = Surroundings(tree_of=lambda _: made_up("another tree", 40))
    judgement = decided(approval(), around=around)
    assert not refs(judgement)[0].valid
    assert "commit-differs" in codes(judgement, "warning")


def test_a_range_speaks_for_each_commit_in_it() -> None:
    last = made_up("last", 40)
    around = Surroundings(
        between=lambda base, commit: (
            frozenset({COMMIT.oid, last}) if (base, commit) == (COMMIT.parents[0], last) else None
        )
    )
    judgement = decided(approval(commit=last), around=around)
    assert refs(judgement)[0].valid
    cannot_say = decided(approval(commit=last), around=Surroundings())
    assert refs(cannot_say) == ()


def test_an_expired_decision_no_longer_stands() -> None:
    line = approval(not_after="2026-11-24T11:00:00Z")
    judgement = decided(line)
    assert not refs(judgement)[0].valid
    assert "approval-expired" in codes(judgement, "warning")
    assert refs(decided(line, as_of="2026-11-24T10:59:59Z"))[0].valid


def test_a_decision_before_the_work_is_void() -> None:
    judgement = decided(approval(decided_at="2026-11-24T10:30:30Z"))
    assert not refs(judgement)[0].valid
    assert "approval-before-work" in codes(judgement, "warning")


def test_a_decision_in_another_repository_is_void() -> None:
    around = Surroundings(repository=lambda: "git+https://git.example.com/acme/other")
    judgement = decided(approval(), around=around)
    assert not refs(judgement)[0].valid
    assert "approval-elsewhere" in codes(judgement, "warning")
    here = Surroundings(repository=lambda: TOLD.session.repository.uri)
    assert refs(decided(approval(), around=here))[0].valid
    assert refs(decided(approval(repository=None), around=around))[0].valid


@pytest.mark.parametrize(
    ("said", "valid"),
    [
        ("refs/heads/main", True),
        ("main", True),
        (None, True),
        ("refs/heads/release", False),
        ("heads/main", False),
        ("refs/heads/refs/heads/main", False),
    ],
)
def test_a_decision_for_one_branch_is_none_for_another(said: str | None, valid: bool) -> None:
    judgement = decided(
        approval(target_ref=said), around=Surroundings(target_ref="refs/heads/main")
    )
    assert refs(judgement)[0].valid is valid
    assert ("approval-elsewhere" in codes(judgement, "warning")) is not valid
    assert refs(decided(approval(target_ref=said)))[0].valid


def test_the_newest_decision_of_a_person_replaces_the_older_one() -> None:
    no = approval(decision="REJECTED", decided_at="2026-11-24T10:51:00Z")
    judgement = decided(approval(), no)
    assert [(ref.decision, ref.valid) for ref in refs(judgement)] == [
        ("rejected", True),
        ("approved", False),
    ]
    assert codes(judgement, "warning") == {"approval-rejected"}
    yes = approval(decided_at="2026-11-24T10:52:00Z")
    assert [ref.valid for ref in refs(decided(no, yes))] == [True, False]


def test_two_people_both_stand_and_two_keys_of_one_do_not() -> None:
    trust = trust_of(HUMAN, RECORDER, JANE, MAX)
    both = decided(approval(), approval(MAX, reviewer=MAX.person), trust=trust)
    assert sorted(ref.signer for ref in refs(both) if ref.valid) == [JANE.person, MAX.person]
    second = replace(MAX, person=JANE.person)
    trust = trust_of(HUMAN, RECORDER, JANE, second)
    late = approval(second, decided_at="2026-11-24T10:53:00Z")
    assert [ref.valid for ref in refs(decided(approval(), late, trust=trust))] == [True, False]


@pytest.mark.parametrize("spelling", ["jane@example.com", "Jane <JANE@example.com.>"])
def test_one_person_under_two_spellings_is_one(spelling: str) -> None:
    second = replace(MAX, person=spelling)
    trust = trust_of(HUMAN, RECORDER, JANE, second)
    late = approval(second, decided_at="2026-11-24T10:53:00Z")
    assert [ref.valid for ref in refs(decided(approval(), late, trust=trust))] == [True, False]


def test_of_two_decisions_at_one_time_the_rejection_stands() -> None:
    for number in range(8):
        no = approval(decision="REJECTED", notes=f"attempt {number}")
        found = refs(decided(approval(), no))
        assert [(ref.decision, ref.valid) for ref in found] == [
            ("rejected", True),
            ("approved", False),
        ]


@pytest.mark.parametrize("decision", ["APPROVED", "REJECTED"])
def test_a_decision_that_expired_brings_no_older_one_back(decision: str) -> None:
    newer = approval(
        decision=decision, decided_at="2026-11-24T10:51:00Z", not_after="2026-11-24T10:52:00Z"
    )
    assert not any(ref.valid for ref in refs(decided(approval(), newer)))


def test_a_decision_from_the_future_stands_for_nothing_and_silences_nobody() -> None:
    future = approval(decided_at="2099-01-01T00:00:00Z")
    no = approval(decision="REJECTED", decided_at="2026-11-24T10:51:00Z")
    judgement = decided(future, no)
    assert [(ref.decision, ref.valid) for ref in refs(judgement)] == [
        ("approved", False),
        ("rejected", True),
    ]
    assert "time-in-future" in codes(judgement, "warning")


@pytest.mark.parametrize("first", [True, False])
def test_who_signs_anothers_rejection_too_cannot_take_it_back(first: bool) -> None:
    trust = trust_of(HUMAN, RECORDER, JANE, MAX)
    no = TOLD.approval(decision="REJECTED")
    both = [seal(no, MAX), seal(no, JANE)] if first else [seal(no, JANE), seal(no, MAX)]
    yes = approval(MAX, reviewer=MAX.person, decided_at="2026-11-24T10:55:00Z")
    found = {
        (ref.signer, ref.decision): ref.valid for ref in refs(decided(*both, yes, trust=trust))
    }
    assert found == {
        (MAX.person, "approved"): True,
        (MAX.person, "rejected"): False,
        (JANE.person, "rejected"): True,
    }


@pytest.mark.parametrize("first", [True, False])
def test_who_has_retired_does_not_count_because_a_colleague_signed_too(first: bool) -> None:
    root = trust_of(HUMAN, RECORDER, JANE, MAX)
    gone = Retired(made_up("long ago", 40), "left")
    keys = tuple(replace(key, retired=gone) if key.spki == JANE.spki else key for key in root.keys)
    yes = TOLD.approval()
    both = [seal(yes, MAX), seal(yes, JANE)] if first else [seal(yes, JANE), seal(yes, MAX)]
    found = refs(decided(*both, trust=replace(root, keys=keys)))
    assert [(ref.signer, ref.valid) for ref in found] == [(MAX.person, True)]


def test_a_partial_review_is_said() -> None:
    shown = attest.Shown("agentprov-review/1", made_up("s"), "terminal", 4, ("README.md",))
    judgement = decided(approval(shown=shown))
    assert refs(judgement)[0].partial
    assert codes(judgement, "warning") == {"approval-partial"}


def test_deciding_on_the_result_of_ones_own_plan_is_said() -> None:
    trust = trust_of(RECORDER, replace(HUMAN, roles=frozenset({"human", "reviewer"})))
    judgement = decided(approval(HUMAN), trust=trust)
    assert refs(judgement)[0].valid
    assert codes(judgement, "note") == {"approval-by-author"}


def test_a_record_that_the_reviewer_was_not_shown_is_said() -> None:
    judgement = decided(approval(reviewed=attest.Reviewed()))
    assert codes(judgement, "warning") == {"approval-without-record"}


CHANGED = {
    b"src/hello.py": PathDiff("100644", "1" * 40, "100644", "2" * 40),
    b"new.py": PathDiff(None, None, "100644", "3" * 40),
    b"run.sh": PathDiff("100755", "4" * 40, "100644", "4" * 40),
    b"old.py": PathDiff("100644", "5" * 40, None, None),
}


@pytest.mark.parametrize("relation", ["amended", "built upon"])
def test_whatever_was_changed_after_it_voids_it_and_is_named(relation: str) -> None:
    approved = made_up("approved", 40)
    here = COMMIT if relation == "amended" else replace(COMMIT, parents=(approved,))
    around = Surroundings(
        differences=lambda old, new: CHANGED if (old, new) == (approved, here.oid) else {}
    )
    judgement = decided(approval(commit=approved), commits=(here,), around=around, required=False)
    assert refs(judgement) == ()
    (void,) = (f for f in judgement.verdict.findings if f.code == "approval-void")
    assert void.message == (
        f"{JANE.person} approved {approved}; since then 'new.py' was added, 'old.py' was deleted, "
        "'run.sh' changed its mode, 'src/hello.py' was changed"
    )
    assert (void.severity, void.exit_code, void.commit) == ("note", 12, here.oid)


def test_another_base_voids_it_and_is_named() -> None:
    approved = made_up("approved", 40)
    moved = replace(COMMIT, parents=(made_up("new base", 40),))
    around = Surroundings(differences=lambda _old, _new: moved.diffs)
    line = approval(commit=approved)
    judgement = decided(line, commits=(moved,), around=around, required=False)
    (void,) = (f for f in judgement.verdict.findings if f.code == "approval-void")
    assert "the same files stand on another base now" in void.message
    assert moved.parents[0] in void.message


def test_an_approval_that_stands_keeps_others_quiet() -> None:
    around = Surroundings(differences=lambda _old, _new: CHANGED)
    judgement = decided(approval(), approval(commit=made_up("x", 40)), around=around)
    assert judgement.verdict.findings == ()


def test_a_whole_approval_by_a_person_covers_what_nobody_recorded() -> None:
    commit = replace(COMMIT, trailers=())
    line = seal(TOLD.approval(reviewed=attest.Reviewed()), JANE)
    judgement = judge([line], [commit], trust=TRUST)
    assert judgement.verdict.commits[0].coverage == "human"
    assert judgement.verdict.exit_code == 0
    shown = attest.Shown("agentprov-review/1", made_up("s"), "terminal", 4, ("README.md",))
    partial = seal(TOLD.approval(reviewed=attest.Reviewed(), shown=shown), JANE)
    assert judge([partial], [commit], trust=TRUST).verdict.exit_code == 10
    no = seal(TOLD.approval(reviewed=attest.Reviewed(), decision="REJECTED"), JANE)
    assert judge([no], [commit], trust=TRUST).verdict.exit_code == 10


MATERIAL = review.Change(
    COMMIT.oid,
    COMMIT.tree,
    COMMIT.parents[0],
    [review.ChangedPath("a", None, "100644", b"", b"1\n")],
)


def test_what_the_reviewer_was_shown_is_made_again() -> None:
    true = review.render(MATERIAL)
    shown = attest.Shown(true.renderer, true.sha256, "terminal", 1)
    judgement = decided(approval(shown=shown), shown=lambda _: MATERIAL)
    assert refs(judgement)[0].valid
    lied = replace(MATERIAL, paths=[replace(MATERIAL.paths[0], new=b"2\n")])
    judgement = decided(approval(shown=shown), shown=lambda _: lied)
    assert not refs(judgement)[0].valid
    assert "presentation-differs" in codes(judgement, "warning")
    more = attest.Shown(true.renderer, true.sha256, "terminal", 2, ("a",))
    judgement = decided(approval(shown=more), shown=lambda _: MATERIAL)
    assert "presentation-differs" in codes(judgement, "warning")


def test_a_review_of_a_part_does_not_pass_for_one_of_the_whole() -> None:
    """A path was too large to be shown, and the statement says that all was."""
    paths = [*MATERIAL.paths, review.ChangedPath("z", None, "100644", unseen="too large")]
    material = replace(MATERIAL, paths=paths)
    true = review.render(material)
    honest = attest.Shown(true.renderer, true.sha256, "terminal", 2, true.presented)
    judgement = decided(approval(shown=honest), shown=lambda _: material)
    assert refs(judgement)[0].valid
    assert refs(judgement)[0].partial
    lie = attest.Shown(true.renderer, true.sha256, "terminal", 2)
    judgement = decided(approval(shown=lie), shown=lambda _: material)
    assert not refs(judgement)[0].valid
    assert "presentation-differs" in codes(judgement, "warning")


def test_only_reviews_that_bear_on_the_question_are_made_again() -> None:
    asked: list[str] = []

    def shown(view: ApprovalView) -> None:
        asked.append(view.commit)

    others = [approval(commit=made_up(str(number), 40)) for number in range(50)]
    decided(approval(), *others, shown=shown)
    assert asked == [COMMIT.oid]
    decided(others[0], shown=shown, named=lambda name: name == "approval 1")
    assert asked == [COMMIT.oid, made_up("0", 40)]


def test_what_a_decision_does_not_prove_is_said() -> None:
    shown = attest.Shown("agentprov-review/1", made_up("s"), "none", 4)
    careless = replace(JANE, custody="agent")
    judgement = decided(approval(shown=shown), trust=trust_of(HUMAN, RECORDER, careless))
    claims = " | ".join(item.claim for item in judgement.verdict.not_proven)
    assert "jane@example.com decided in person" in claims
    assert f"jane@example.com saw all of {COMMIT.oid}" in claims
    assert "never rejected" in claims


@pytest.mark.parametrize(
    "changes",
    [
        {"not_after": "2026-11-24T10:00:00Z"},
        {"shown": attest.Shown("agentprov-review/1", made_up("s"), "none", 1, ("a", "b"))},
        {"shown": attest.Shown("agentprov-review/1", made_up("s"), "none", 3, ("a", "a"))},
        {"shown": attest.Shown("agentprov-review/1", made_up("s"), "none", 1, ("a",))},
        {"decision": "MAYBE"},
        {"decided_at": "yesterday"},
        {"base": "main"},
        {"commit": "main"},
    ],
)
def test_what_cannot_be_true_cannot_be_stated(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedInput):
        TOLD.approval(**changes)
