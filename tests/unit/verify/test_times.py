"""What trusted time decides: order, validity, compromise; and what it contradicts.

Timestamps are stood in for by their own text; that real ones are checked is
tests/unit/sign/test_timestamps.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from agentprov import verify
from agentprov.errors import EvidenceInvalid
from agentprov.formats import bundle
from agentprov.formats.bundle import Bundle
from agentprov.formats.evidence import (
    CertifiedIdentity,
    Evidence,
    SigstoreRoot,
    TimestampAuthority,
    TrustedTime,
)
from agentprov.verify import policy
from agentprov.verify.trust import Compromised, Retired, TrustedKey, TrustRoot
from support.story import HUMAN, JANE, RECORDER, Story, codes, judge, seal, trust_of

TOLD = Story().tell()  # declared 10:30, begun 10:31, finished 10:45, judged at 12:00
COMMIT = TOLD.commit()
AUTHORITIES = (TimestampAuthority("stamps", b"chain"),)


class Stamps:
    """Takes the bytes of a timestamp for the time that it proves, or for what is wrong with it."""

    def identify(self, data: bytes, roots: Sequence[SigstoreRoot]) -> CertifiedIdentity:
        raise AssertionError

    def times(
        self, bundle: Bundle, authorities: Sequence[TimestampAuthority]
    ) -> Sequence[TrustedTime]:
        found = []
        for stamp in bundle.evidence.timestamps:
            if not stamp.startswith(b"2026"):
                raise EvidenceInvalid(stamp.decode(), "it does not hold")
            found.append(TrustedTime(datetime.fromisoformat(stamp.decode()), "stamps"))
        return sorted(found, key=lambda item: item.at)


def stamped(line: bytes, *times: str) -> bytes:
    stamps = tuple(time.encode() for time in times)
    return bundle.encode(replace(bundle.parse(line), evidence=Evidence(timestamps=stamps)))


def at(time: str) -> str:
    return f"2026-11-24T{time}:00Z"


def lines(**stamps: str) -> dict[str, bytes]:
    """Give the story's bundles, some with a timestamp (HH:MM)."""
    found = TOLD.lines()
    return found | {name: stamped(found[name], at(time)) for name, time in stamps.items()}


def trust(human: Mapping[str, Any] | None = None, **recorder: Any) -> TrustRoot:
    keys: list[TrustedKey] = [
        replace(HUMAN.trusted(), **(human or {})),
        replace(RECORDER.trusted(), **recorder),
    ]
    return TrustRoot(tuple(keys), "ab" * 32, "trust.json", timestamps=AUTHORITIES)


def decide(bundles: Mapping[str, bytes] | Sequence[bytes], **options: Any) -> verify.Judgement:
    options.setdefault("trust", trust())
    return judge(bundles, [COMMIT], evidence=Stamps(), **options)


def failed(bundles: Mapping[str, bytes] | Sequence[bytes], **options: Any) -> set[str]:
    found = codes(decide(bundles, **options))
    return found - {"provenance-missing", "record-missing"}


def test_trusted_times_are_named_and_what_has_none_is_said() -> None:
    judgement = decide(lines(plan="10:30", close="10:46"))
    assert judgement.verdict.findings == ()
    (plan,) = judgement.verdict.commits[0].plans
    assert plan.proven is not None
    assert (plan.proven.authority, plan.proven.at.isoformat()) == (
        "stamps",
        "2026-11-24T10:30:00+00:00",
    )
    (about,) = [i.why for i in judgement.verdict.not_proven if i.claim.startswith("when any")]
    assert "beside 2 of 4" in about
    every = decide(lines(plan="10:30", open="10:40", generation="10:40", close="10:46"))
    assert not [i for i in every.verdict.not_proven if i.claim.startswith("when any")]


def test_trusted_time_beats_the_declared_one_for_the_order_of_plan_and_session() -> None:
    late = Story(plan={"declared_at": at("10:33")}).tell()
    assert failed(late.lines()) == {"plan-after-session"}
    proven = late.lines()
    proven["plan"] = stamped(proven["plan"], at("10:30"))
    assert failed(proven) == set()
    # Backdated: the text says 10:30, and nobody had seen the signature before 10:50.
    assert failed(lines(plan="10:50")) == {"plan-after-session", "time-contradicted"}
    # Two clocks may be five minutes apart, and not six.
    assert failed(lines(plan="10:35")) == set()
    assert "plan-after-session" in failed(lines(plan="10:37"))


@pytest.mark.parametrize(
    ("name", "time", "found"),
    [
        ("plan", "10:34", set()),
        ("plan", "10:36", {"time-contradicted"}),
        ("plan", "10:24", {"time-contradicted"}),
        ("close", "10:52", {"time-contradicted"}),
        ("close", "10:39", {"time-contradicted"}),
        ("close", "10:49", set()),
        ("open", "11:30", set()),  # signed when the first commit came, not when it began
        ("open", "10:20", {"time-contradicted"}),
        ("generation", "11:30", set()),
        ("generation", "10:20", {"time-contradicted"}),
        ("generation", "12:04", set()),
        ("generation", "12:06", {"time-in-future"}),
    ],
)
def test_more_than_five_minutes_between_declared_and_trusted_time_are_a_finding(
    name: str, time: str, found: set[str]
) -> None:
    assert failed(lines(**{name: time})) == found


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("timestamp-invalid", 19),
        ("timestamp-differs", 19),
        ("timestamp-outside-validity", 19),
        ("timestamp-authority-invalid", 16),
    ],
)
def test_a_bad_timestamp_stops_the_record_and_a_good_copy_beside_it_does_not_care(
    code: str, exit_code: int
) -> None:
    evidence = Evidence(timestamps=(code.encode(),))
    bad = bundle.encode(replace(bundle.parse(lines()["generation"]), evidence=evidence))
    judgement = decide(lines() | {"generation": bad}, anchor=COMMIT.oid)
    assert code in codes(judgement)
    assert judgement.verdict.exit_code == exit_code
    assert decide(lines() | {"copy": bad}, anchor=COMMIT.oid).verdict.exit_code == 0


@pytest.mark.parametrize(
    ("stamp", "holds"), [(None, False), ("10:46", True), ("11:00", False), ("11:30", False)]
)
def test_of_a_compromised_key_only_what_is_proven_to_be_older_stays(
    stamp: str | None, holds: bool
) -> None:
    bundles = lines(**dict.fromkeys(("open", "generation", "close"), stamp)) if stamp else lines()
    root = trust(compromised=Compromised(at("11:00"), "laptop stolen"))
    judgement = decide(bundles, trust=root)
    assert ("signer-compromised" in codes(judgement)) is not holds
    assert judgement.verdict.exit_code == (0 if holds else 18)


def test_a_backdated_text_does_not_save_a_compromised_human_key() -> None:
    root = trust({"compromised": Compromised(at("10:00"), "lost")})
    old = Story(plan={"declared_at": "2026-01-01T00:00:00Z"}).tell()
    assert "signer-compromised" in failed(old.lines(), trust=root)
    # Without the plan the rest is the recorder's own, and holds.
    free = Story(planned=False).tell()
    assert judge(free.lines(), [free.commit()], trust=root).verdict.exit_code == 0


@pytest.mark.parametrize(
    ("window", "stamp", "found"),
    [
        ({"not_after": at("13:00")}, None, set()),
        ({"not_after": at("11:00")}, None, {"signer-expired"}),
        ({"not_after": at("11:00")}, "10:30", set()),
        ({"not_after": at("10:29")}, "10:30", {"signer-expired"}),
        ({"not_before": at("10:00")}, None, set()),
        ({"not_before": at("10:31")}, "10:30", {"signer-not-yet-valid"}),
        ({"not_before": at("10:29"), "not_after": at("10:31")}, "10:30", set()),
        ({"not_before": at("12:30")}, None, {"signer-not-yet-valid"}),
    ],
)
def test_a_key_counts_inside_its_window_by_trusted_time(
    window: dict[str, str], stamp: str | None, found: set[str]
) -> None:
    bundles = lines(plan=stamp) if stamp else lines()
    judgement = decide(bundles, trust=trust(window))
    assert codes(judgement) - {"provenance-missing", "plan-missing", "record-missing"} == found
    assert judgement.verdict.exit_code == (18 if found else 0)


def test_a_copy_with_an_earlier_proof_is_the_one_that_counts() -> None:
    root = trust({"not_after": at("11:00")})
    plain = lines()["plan"]
    for order in (
        [plain, stamped(plain, at("10:30"))],
        [stamped(plain, at("10:30")), plain],
        [stamped(plain, at("11:30")), stamped(plain, at("10:30"), at("11:45"))],
    ):
        rest = [line for name, line in lines().items() if name != "plan"]
        assert failed([*order, *rest], trust=root) == set()


def test_the_word_of_an_authority_that_is_not_named_saves_nothing() -> None:
    root = replace(trust({"not_after": at("11:00")}), timestamps=())
    judgement = decide(lines(plan="10:30"), trust=root)
    assert "signer-expired" in codes(judgement)


@pytest.mark.parametrize(
    "end",
    [
        {"compromised": Compromised(at("10:00"), "lost")},
        {"not_after": at("11:00")},
        {"retired": Retired("cd" * 20, "left")},
    ],
)
def test_a_signature_on_the_commit_itself_has_no_trusted_time(end: dict[str, Any]) -> None:
    facts = TOLD.commit(signed_by=HUMAN.spki, trailers=())
    assert judge([], [facts], trust=trust()).verdict.exit_code == 0
    ended = judge([], [facts], trust=trust(end))
    assert [item.coverage for item in ended.verdict.commits] == ["uncovered"]
    assert ended.verdict.exit_code == 10


def test_other_trust_is_not_changed_by_all_this() -> None:
    assert judge(TOLD.lines(), [COMMIT], trust=trust_of()).verdict.findings == ()


REVIEWER = replace(JANE.trusted(), roles=frozenset({"reviewer"}))


def approved(*, decided_at: str = at("11:00"), stamp: str | None = None) -> dict[str, bytes]:
    """Give the story's bundles and Jane's approval of its commit."""
    line = seal(TOLD.approval(reviewer=JANE.person, decided_at=decided_at), JANE)
    return lines() | {"approval": stamped(line, at(stamp)) if stamp else line}


def judged_with_reviewer(bundles: Mapping[str, bytes]) -> verify.Judgement:
    root = trust()
    return decide(bundles, trust=replace(root, keys=(*root.keys, REVIEWER)))


def reviewed(bundles: Mapping[str, bytes]) -> verify.Verdict:
    return judged_with_reviewer(bundles).verdict


def test_an_approval_is_placed_by_its_trusted_time() -> None:
    plain = reviewed(approved())
    (ref,) = plain.commits[0].approvals
    assert (ref.valid, ref.proven) == (True, None)
    (ref,) = reviewed(approved(stamp="11:01")).commits[0].approvals
    assert ref.valid
    assert ref.proven is not None
    # Its text says that it came after the work, and it was seen before: it is void.
    forged = reviewed(approved(stamp="10:20"))
    assert not forged.commits[0].approvals[0].valid
    assert {"approval-before-work", "time-contradicted"} <= {f.code for f in forged.findings}


@pytest.mark.parametrize("name", ["plan", "open", "generation", "close", "approval"])
@pytest.mark.parametrize("first", [True, False])
def test_a_late_stamp_that_somebody_hangs_beside_takes_nothing_away(name: str, first: bool) -> None:
    good = approved()
    junk = {"junk": stamped(good[name], at("11:50"))}
    verdict = reviewed({**junk, **good} if first else {**good, **junk})
    assert verdict.exit_code == 0
    (ref,) = verdict.commits[0].approvals
    (plan,) = verdict.commits[0].plans
    assert (ref.valid, ref.proven, plan.proven) == (True, None, None)


def test_the_time_of_ones_signature_is_not_that_of_a_colleagues() -> None:
    colleague = replace(JANE, seed=45, person="mailto:max@example.com")
    root = trust()
    root = replace(root, keys=(*root.keys, REVIEWER, colleague.trusted()))
    yes = TOLD.approval(decided_at=at("11:00"))
    both = {"jane": stamped(seal(yes, JANE), at("11:01")), "max": seal(yes, colleague)}
    refs = decide(lines() | both, trust=root).verdict.commits[0].approvals
    assert {ref.signer: ref.proven is not None for ref in refs} == {
        JANE.person: True,
        colleague.person: False,
    }


def test_the_earliest_timely_proof_of_several_copies_counts() -> None:
    for order in (("10:50", "10:33", "10:30"), ("10:30", "10:50", "10:33")):
        bundles = lines()
        bundles.update({time: stamped(bundles["plan"], at(time)) for time in order})
        (plan,) = decide(bundles).verdict.commits[0].plans
        assert plan.proven is not None
        assert f"{plan.proven.at:%H:%M}" == "10:30"


@pytest.mark.parametrize(("yes", "no"), [("11:04", None), (None, "11:30"), ("11:04", "11:30")])
def test_a_stamp_that_somebody_adds_later_does_not_silence_a_rejection(
    yes: str | None, no: str | None
) -> None:
    """Anybody can have a signature stamped: it proves that it is no younger, not how old it is."""
    rejected = seal(TOLD.approval(decision="REJECTED", decided_at=at("11:01")), JANE)
    rejected = stamped(rejected, at(no)) if no else rejected
    verdict = reviewed({**approved(stamp=yes), "no": rejected})
    assert [(ref.decision, ref.valid) for ref in verdict.commits[0].approvals] == [
        ("rejected", True),
        ("approved", False),
    ]


@pytest.mark.parametrize(
    ("timed", "bundles", "missed"),
    [
        (["plan"], lines(), ["policy-time"]),
        (["plan"], lines(plan="10:30"), []),
        (["approval"], approved(), ["policy-time", "policy-approvals"]),
        (["approval"], approved(stamp="11:01"), []),
        (["plan", "approval"], approved(stamp="11:01"), ["policy-time"]),
    ],
)
def test_a_policy_can_ask_for_trusted_time(
    timed: list[str], bundles: dict[str, bytes], missed: list[str]
) -> None:
    require: dict[str, Any] = {"trustedTime": timed}
    if "approval" in timed:
        require["approvals"] = {"people": 1}
    document = {"version": 1, "mode": "enforce", "require": require}
    rules = policy.parse(document, sha256="ab" * 32, source="policy.yaml")
    judged = policy.judge(rules, judged_with_reviewer(bundles))
    found = [item.code for item in judged.findings if item.severity == "error"]
    assert found == missed
    assert judged.exit_code == (19 if missed else 0)
