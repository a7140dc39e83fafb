from __future__ import annotations

from dataclasses import replace

import pytest

from agentprov import attest, verify
from agentprov.attest import Limits, Presentation
from agentprov.formats import presentation
from agentprov.formats.digest import sha256
from agentprov.formats.facts import Change, Gap, LineRange
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify.approvals import Surroundings
from agentprov.verify.subjects import PathDiff
from support.defects import edited
from support.story import (
    AS_OF,
    FILES,
    HUMAN,
    PLAN_TEXT,
    RECORDER,
    REPORT,
    SESSION,
    STRANGER,
    File,
    Story,
    codes,
    judge,
    made_up,
    seal,
    trust_of,
)

TOLD = Story().tell()
COMMIT = TOLD.commit()


def test_a_whole_story_holds_and_says_what_it_does_not_prove() -> None:
    judgement = judge(TOLD.lines(), [COMMIT], plan=PLAN_TEXT)
    verdict = judgement.verdict
    assert verdict.exit_code == 0
    assert verdict.findings == ()
    assert [item.coverage for item in verdict.commits] == ["covered"]
    assert [item.name for item in verdict.commits[0].plans] == ["PLAN.md"]
    claims = " | ".join(item.claim for item in verdict.not_proven)
    assert "the agent left the recorder alone" in claims
    assert "claude-sonnet-4-5-20250929 answered" in claims
    assert "no record was deleted" in claims


def test_every_check_reports_and_the_documented_order_picks_the_exit_code() -> None:
    told = Story(plan={"declared_at": "2026-11-24T10:40:00Z"}).tell()
    wrong = replace(told.commit(), tree=made_up("other", 40))
    judgement = judge(told.lines(), [wrong], trust=trust_of(replace(HUMAN), RECORDER))
    assert {"plan-after-session", "commit-differs", "provenance-missing"} <= codes(judgement)
    assert judgement.verdict.exit_code == 12


def test_junk_beside_a_good_record_is_a_warning_and_never_an_exit_code() -> None:
    lines = TOLD.lines() | {"junk": seal(TOLD.generation, STRANGER), "noise": b"{}"}
    judgement = judge(lines, [COMMIT], anchor=COMMIT.oid)
    assert judgement.verdict.exit_code == 0
    assert codes(judgement, "warning") == {"signer-unknown", "bundle-malformed"}


def test_a_trusted_key_without_the_role_cannot_make_a_contradiction() -> None:
    rival = attest.generation(
        TOLD.session,
        TOLD.open.sha256,
        replace(TOLD.story.facts(), patch_id=None),
        TOLD.story.report,
    )[0]
    lines = TOLD.lines() | {"rival": seal(rival, HUMAN)}
    judgement = judge(lines, [COMMIT])
    assert judgement.verdict.exit_code == 0
    assert codes(judgement, "warning") == {"signer-role", "signer-builder"}


def test_a_bad_signature_over_a_good_payload_takes_nothing_away() -> None:
    bad = seal(TOLD.generation, RECORDER, signature=b"\x01" * 64)
    judgement = judge(TOLD.lines() | {"bad": bad}, [COMMIT], anchor=COMMIT.oid)
    assert judgement.verdict.exit_code == 0


def test_the_same_record_found_twice_is_one_record() -> None:
    lines = TOLD.lines()
    judgement = judge([*lines.values(), *lines.values()], [COMMIT])
    assert judgement.verdict.findings == ()
    assert len(judgement.verdict.commits[0].generations) == 1


def test_a_plan_that_carries_two_signatures_holds_by_the_one_that_the_session_saw() -> None:
    colleague = replace(HUMAN, seed=44)
    lines = TOLD.lines() | {"again": seal(TOLD.plan, colleague)}
    judgement = judge(lines, [COMMIT], trust=trust_of(HUMAN, RECORDER, colleague))
    assert judgement.verdict.exit_code == 0


def test_what_a_note_hangs_on_does_not_matter_where_the_record_speaks_for_itself() -> None:
    judgement = judge(TOLD.lines(), [COMMIT], anchor=made_up("elsewhere", 40))
    assert judgement.verdict.exit_code == 0


def test_a_named_bundle_counts_by_itself() -> None:
    lines = {"stray.json": seal(TOLD.generation, STRANGER)}
    judgement = judge(lines, named=True)
    assert codes(judgement) == {"signer-unknown"}
    assert judgement.verdict.exit_code == 17


def test_a_named_bundle_needs_the_commit_that_it_describes() -> None:
    judgement = judge(TOLD.lines(), named=lambda name: name == "generation")
    assert codes(judgement) == {"commit-missing"}
    assert judgement.verdict.exit_code == 10


def test_a_named_bundle_answers_for_what_it_stands_on() -> None:
    lines = TOLD.lines()
    del lines["plan"]
    judgement = judge(lines, [COMMIT], named=lambda name: name == "generation", required=False)
    assert "plan-missing" in codes(judgement)


def test_in_a_range_a_commit_without_record_is_a_warning() -> None:
    bare = replace(COMMIT, trailers=())
    judgement = judge({}, [bare], required=False)
    assert judgement.verdict.exit_code == 0
    assert codes(judgement, "warning") == {"provenance-missing"}
    assert judgement.verdict.commits[0].coverage == "uncovered"


def test_a_trailer_without_its_record_is_an_error_even_in_a_range() -> None:
    judgement = judge({}, [COMMIT], required=False)
    assert codes(judgement) == {"record-missing"}
    assert judgement.verdict.exit_code == 10


def test_a_rewritten_commit_is_told_from_a_deleted_record() -> None:
    amended = replace(COMMIT, oid=made_up("amended", 40))
    judgement = judge(TOLD.lines(), [amended], required=False)
    assert judgement.verdict.exit_code == 0
    assert codes(judgement, "warning") == {"commit-rewritten", "provenance-missing"}


def test_the_record_of_an_ancestor_is_not_that_of_a_commit_before_it_was_rewritten() -> None:
    later = replace(COMMIT, oid=made_up("later", 40))
    around = Surroundings(is_ancestor=lambda old, new: (old, new) == (COMMIT.oid, later.oid))
    judgement = judge(TOLD.lines(), [later], required=False, around=around)
    assert codes(judgement) == {"record-missing"}
    # A commit that changes nothing needs no record.
    empty = replace(later, diffs={})
    judgement = judge(TOLD.lines(), [empty], required=False, around=around)
    assert codes(judgement) == set()


def test_a_forged_record_cannot_turn_a_deletion_into_a_rewrite() -> None:
    lines = {"forged": seal(TOLD.generation, HUMAN)}
    amended = replace(COMMIT, oid=made_up("amended", 40))
    judgement = judge(lines, [amended], required=False)
    assert "record-missing" in codes(judgement)


@pytest.mark.parametrize("trailer", ["", "x", "x/", "/3", "x/y", "x/\u0663", "x/999999999"])
def test_a_trailer_that_is_none_is_said_to_be_malformed(trailer: str) -> None:
    judgement = judge(TOLD.lines(), [replace(COMMIT, trailers=(trailer,))])
    assert codes(judgement, "warning") == {"trailer-malformed"}
    assert judgement.verdict.exit_code == 0


def test_a_commit_signed_by_a_trusted_person_is_human() -> None:
    signed = replace(COMMIT, trailers=(), signed_by=HUMAN.spki)
    verdict = judge({}, [signed]).verdict
    assert verdict.exit_code == 0
    assert verdict.commits[0].coverage == "human"


@pytest.mark.parametrize("signer", [RECORDER, STRANGER], ids=["recorder", "stranger"])
def test_a_commit_signed_by_anybody_else_is_not(signer: object) -> None:
    signed = replace(COMMIT, trailers=(), signed_by=signer.spki)  # type: ignore[attr-defined]
    verdict = judge({}, [signed]).verdict
    assert verdict.exit_code == 10
    assert verdict.commits[0].coverage == "uncovered"


def test_two_opening_statements_for_one_session_contradict_each_other() -> None:
    other = Story(session=replace(SESSION, platform="darwin/arm64")).tell()
    lines = TOLD.lines() | {"other": seal(other.open, RECORDER)}
    assert "session-twice" in codes(judge(lines, [COMMIT]))


def test_one_session_states_a_commit_once() -> None:
    again = replace(TOLD.story.facts(), sequence=2)
    second = attest.generation(TOLD.session, TOLD.open.sha256, again, TOLD.story.report)[0]
    lines = TOLD.lines() | {"second": seal(second, RECORDER)}
    judgement = judge(lines, [COMMIT])
    assert "commit-twice" in codes(judgement)
    assert judgement.verdict.exit_code == 15


def test_two_sessions_may_both_have_fed_a_commit() -> None:
    other = Story(session=replace(SESSION, id="second-session")).tell()
    lines = TOLD.lines() | {f"other {name}": line for name, line in other.lines().items()}
    verdict = judge(lines, [COMMIT]).verdict
    assert verdict.exit_code == 0
    assert len(verdict.commits[0].generations) == 2


def test_the_session_must_have_read_the_bytes_that_were_signed() -> None:
    plan = TOLD.session.plan
    assert plan is not None
    other = replace(TOLD.session, plan=replace(plan, sha256=made_up("other bytes")))
    judgement = judge(Story(session=other).tell().lines(), [COMMIT])
    assert "plan-differs" in codes(judgement)
    assert judgement.verdict.exit_code == 15


def test_a_plan_that_expired_later_is_a_note() -> None:
    told = Story(plan={"limits": Limits(not_after="2026-11-24T11:00:00Z")}).tell()
    judgement = judge(told.lines(), [told.commit()])
    assert judgement.verdict.exit_code == 0
    assert codes(judgement, "note") == {"plan-expired-since"}


def test_limits_that_no_record_tells_of_are_not_said_to_hold() -> None:
    limits = Limits(
        allowed_paths=("**",), constraints={"network": "deny", "agents": ["pkg:npm/**"]}
    )
    told = Story(plan={"limits": limits}).tell()
    verdict = judge(told.lines(), [told.commit()]).verdict
    assert verdict.exit_code == 0
    (said,) = [item.why for item in verdict.not_proven if "limits" in item.claim]
    assert "constraints.network" in said
    assert "agents" not in said
    assert "allowedPaths" not in said


def test_gaps_are_noted() -> None:
    gap = Gap("recorder-restarted", "2026-11-24T10:32:00Z", "2026-11-24T10:33:00Z")
    told = Story(ending={"gaps": [gap]}).tell()
    judgement = judge(told.lines(), [told.commit()])
    assert judgement.verdict.exit_code == 0
    assert codes(judgement, "note") == {"session-gaps"}


def test_lines_that_only_the_agent_put_there_are_a_warning_that_names_the_file() -> None:
    facts = Story().facts()
    alarm = (LineRange(1, 1, "agent", "intercepted"),)
    changes = (replace(facts.changes[0], ranges=alarm), *facts.changes[1:])
    told = Story(commit=replace(facts, changes=changes)).tell()
    judgement = judge(told.lines(), [told.commit()])
    assert judgement.verdict.exit_code == 0
    (found,) = [f for f in judgement.verdict.findings if f.code == "agent-origin-lines"]
    assert (found.severity, found.exit_code) == ("warning", 13)
    assert found.message.startswith("1 lines of 'src/hello.py'")


def test_channels_that_contradict_each_other_are_a_warning() -> None:
    report = replace(REPORT, contradictions=("the wire says A, the transcript says B",))
    told = Story(ending={"report": report}).tell()
    judgement = judge(told.lines(), [told.commit()])
    assert judgement.verdict.exit_code == 0
    assert "channels-contradict" in codes(judgement, "warning")


def test_a_session_whose_end_was_not_seen_is_incomplete() -> None:
    told = Story(ending={"outcome": "incomplete", "exit_status": None}).tell()
    judgement = judge(told.lines(), [told.commit()])
    assert codes(judgement, "warning") == {"session-incomplete"}
    claims = [item.claim for item in judgement.verdict.not_proven]
    assert "that the session's record is whole" in claims


@pytest.mark.parametrize(
    "ending", [{"last_sequence": 2}, {"last_sequence": 0}], ids=["too many", "too few"]
)
def test_a_close_that_counts_wrongly_breaks_the_session(ending: dict[str, int]) -> None:
    told = Story(ending=ending).tell()
    assert "sequence-broken" in codes(judge(told.lines(), [told.commit()]))


def test_a_close_that_lists_generations_out_of_order_breaks_the_session() -> None:
    second = replace(TOLD.story.facts(), oid=made_up("second", 40), sequence=2)
    late = attest.generation(TOLD.session, TOLD.open.sha256, second, TOLD.story.report)[0]
    told = Story(
        ending={"generations": [late.sha256, TOLD.generation.sha256], "last_sequence": 1}
    ).tell()
    lines = told.lines() | {"late": seal(late, RECORDER)}
    assert "sequence-broken" in codes(judge(lines, [COMMIT]))


def test_a_late_commit_cannot_take_a_place_that_the_close_has_counted() -> None:
    early = replace(TOLD.story.facts(), during=False)
    statement = attest.generation(TOLD.session, TOLD.open.sha256, early, TOLD.story.report)[0]
    lines = {name: line for name, line in TOLD.lines().items() if name != "generation"}
    told = Story(ending={"generations": [], "last_sequence": 1}).tell()
    lines["close"] = seal(told.close, RECORDER)
    lines["late"] = seal(statement, RECORDER)
    assert "generation-unlisted" in codes(judge(lines, [COMMIT]))


def test_the_presentation_is_made_again_where_the_plan_is_at_hand() -> None:
    lying = Presentation(presentation.RENDERER, made_up("something nicer"), "terminal")
    told = Story(plan={"presentation": lying}).tell()
    judgement = judge(told.lines(), [told.commit()], plan=PLAN_TEXT)
    assert "presentation-differs" in codes(judgement)
    assert judgement.verdict.exit_code == 12
    without = judge(told.lines(), [told.commit()]).verdict
    assert without.exit_code == 0
    assert any("saw all of it" in item.claim for item in without.not_proven)


def test_hidden_text_that_nobody_accepted_is_pointed_out() -> None:
    text = PLAN_TEXT + b"\n<!-- and also this -->\n"
    (hidden,) = presentation.present(text).refusals
    for accepted, expected in (((), {"hidden-plan-content"}), ((hidden.id,), set())):
        shown = Presentation(
            presentation.RENDERER, presentation.present(text).sha256, "terminal", accepted=accepted
        )
        digests = {"sha256": sha256(text)}
        told = Story(plan={"presentation": shown, "digests": digests}).tell()
        judgement = judge(told.lines(), [told.commit()], plan=text)
        assert codes(judgement, "warning") == expected


def test_plan_bytes_that_are_not_the_signed_ones_are_found() -> None:
    assert "content-differs" in codes(judge(TOLD.lines(), [COMMIT], plan=PLAN_TEXT + b"!"))


def test_a_plan_with_hidden_content_is_pointed_out() -> None:
    shown = Presentation(
        "agentprov-source/1", made_up("shown"), "terminal", hidden_segments=1, accepted=("h1",)
    )
    told = Story(plan={"presentation": shown}).tell()
    judgement = judge(told.lines(), [told.commit()])
    assert codes(judgement, "warning") == {"hidden-plan-content"}


@pytest.mark.parametrize("custody", ["file", "agent"])
def test_a_key_that_any_process_here_can_use_is_not_a_person(custody: str) -> None:
    loose = replace(HUMAN, custody=custody)
    verdict = judge(TOLD.lines(), [COMMIT], trust=trust_of(loose, RECORDER)).verdict
    assert any("any process of this user" in item.why for item in verdict.not_proven)
    strict = judge(TOLD.lines(), [COMMIT]).verdict
    assert not any("any process of this user" in item.why for item in strict.not_proven)


def test_self_trust_is_said() -> None:
    trust = trust_of(HUMAN, RECORDER, self_trust=True, source="this user's own keys")
    verdict = judge(TOLD.lines(), [COMMIT], trust=trust).verdict
    assert verdict.not_proven[0].claim == "that the signers are who they are said to be"


def test_a_deletion_and_a_mode_change_alone_make_a_record() -> None:
    told = Story(files=FILES[2:]).tell()
    assert [subject.name for subject in told.generation.subjects] == ["."]
    assert judge(told.lines(), [told.commit()]).verdict.exit_code == 0


def test_an_empty_commit_makes_a_record() -> None:
    told = Story(files=()).tell()
    assert judge(told.lines(), [told.commit()]).verdict.exit_code == 0


def test_a_rename_is_checked_on_both_sides() -> None:
    content = b"same\n"
    after = File(b"new name.txt", content)
    blob = after.diff().new_blob
    assert blob is not None
    facts = replace(
        Story().facts(),
        changes=(
            Change(after.path, "rename", "100644", blob, made_up("x"), old_path=b"old name.txt"),
        ),
    )
    told = Story(commit=facts).tell()
    diffs = {
        after.path: after.diff(),
        b"old name.txt": PathDiff("100644", blob, None, None),
    }
    real = replace(COMMIT, diffs=diffs, sha256_of=lambda _: made_up("x"))
    assert judge(told.lines(), [real]).verdict.exit_code == 0
    kept = {**diffs, b"old name.txt": PathDiff("100644", blob, "100644", made_up("o", 40))}
    assert "change-differs" in codes(judge(told.lines(), [replace(real, diffs=kept)]))


def test_a_thousand_files_take_several_statements_that_all_must_be_there() -> None:
    files = tuple(File(b"f%04d" % number, b"%d\n" % number) for number in range(1_500))
    told = Story(files=files).tell()
    assert [len(item.subjects) for item in told.generations] == [1000, 502]
    lines = told.lines()
    assert judge(lines, [told.commit()]).verdict.exit_code == 0
    del lines["generation-2"]
    assert {"part-missing", "generation-missing"} <= codes(judge(lines, [told.commit()]))


def test_nothing_in_an_unverified_record_reaches_the_rules() -> None:
    forged = edited(
        TOLD.generation,
        lambda value: value["predicate"]["runDetails"]["builder"].update(id="https://evil.example"),
        STRANGER,
    )
    judgement = judge({"forged": forged}, [COMMIT], anchor=COMMIT.oid)
    assert codes(judgement) == {"signer-unknown", "provenance-missing", "record-missing"}


def test_a_finding_names_where_the_record_was_found() -> None:
    judgement = judge({"notes line 7": seal(TOLD.generation, STRANGER)}, named=True)
    assert [item.subject for item in judgement.verdict.findings] == ["notes line 7"]


def test_the_json_has_the_documented_keys_and_offsets() -> None:
    judgement = judge(TOLD.lines(), [COMMIT], plan=PLAN_TEXT)
    said = verify.verdict_json(judgement.verdict)
    assert list(said) == [
        "schema",
        "verdict",
        "exitCode",
        "target",
        "findings",
        "commits",
        "notProven",
        "policy",
        "trust",
        "asOf",
    ]
    assert said["asOf"] == AS_OF.removesuffix("Z") + "+00:00"
    assert said["trust"] == {"digest": {"sha256": made_up("trust")}, "source": "trust.json"}
    (commit,) = said["commits"]
    assert commit["generations"][0]["digest"] == {"sha256": TOLD.generation.sha256}
    assert commit["plans"][0]["signedAt"] == "2026-11-24T10:30:00+00:00"
    failed = verify.verdict_json(judge({}, [COMMIT]).verdict)
    assert set(failed["findings"][0]) == {
        "code",
        "severity",
        "exitCode",
        "subject",
        "commit",
        "path",
        "message",
        "remedy",
    }


def test_an_empty_question_holds_and_proves_nothing() -> None:
    case = verify.Case("HEAD", (), (), trust_of(), AS_OF)
    verdict = verify.judge(case, KeyVerifier()).verdict
    assert verdict.exit_code == 0
    assert verdict.commits == ()


def test_a_copy_hung_on_another_commit_takes_nothing_from_the_commit_it_describes() -> None:
    other = replace(COMMIT, oid=made_up("other", 40), trailers=())
    judgement = judge(TOLD.lines(), [other, COMMIT], anchor=other.oid)
    assert [item.coverage for item in judgement.verdict.commits] == ["uncovered", "covered"]
    assert "record-of-another-commit" in codes(judgement)
    assert judgement.verdict.exit_code == 15


def test_a_copy_on_a_commit_with_other_bytes_says_which_bytes_differ() -> None:
    changed = Story(files=(replace(FILES[0], after=b"print('bye')\n"), *FILES[1:])).tell().commit()
    other = replace(changed, oid=made_up("other", 40), trailers=())
    judgement = judge(TOLD.lines(), [other], anchor=other.oid)
    assert {"record-of-another-commit", "changed-since-recorded"} <= codes(judgement)
    assert judgement.verdict.exit_code == 12


def test_a_copy_beside_a_good_record_is_not_even_mentioned() -> None:
    second = replace(TOLD.story.facts(), oid=made_up("second", 40), sequence=2, during=False)
    late = attest.generation(TOLD.session, TOLD.open.sha256, second, TOLD.story.report)[0]
    lines = TOLD.lines() | {"late": seal(late, RECORDER)}
    judgement = judge(lines, [COMMIT], anchor=COMMIT.oid)
    assert judgement.verdict.findings == ()


def test_a_trusted_key_without_the_role_spoils_no_good_signature() -> None:
    lines = {
        "plan by the recorder": seal(TOLD.plan, RECORDER),
        "generation by the human": seal(TOLD.generation, HUMAN),
        **TOLD.lines(),
    }
    judgement = judge(lines, [COMMIT])
    assert judgement.verdict.exit_code == 0
    assert judgement.verdict.commits[0].plans[0].signer == HUMAN.person


def test_a_plan_that_the_recorder_signed_first_is_not_healed_by_a_person_later() -> None:
    told = Story(human=RECORDER).tell()
    lines = told.lines() | {"later": seal(told.plan, HUMAN)}
    judgement = judge(lines, [told.commit()])
    assert "plan-signature-differs" in codes(judgement)
    assert judgement.verdict.exit_code == 15


def test_the_signer_that_is_named_is_the_one_that_the_session_saw() -> None:
    colleague = replace(HUMAN, seed=44, person="mailto:grace@example.com")
    lines = {"later": seal(TOLD.plan, colleague), **TOLD.lines()}
    judgement = judge(lines, [COMMIT], trust=trust_of(HUMAN, RECORDER, colleague))
    assert judgement.verdict.exit_code == 0
    assert judgement.verdict.commits[0].plans[0].signer == HUMAN.person
