"""What a link is worth, with and without the bytes that it speaks of."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from agentprov import verify
from agentprov.formats.carrying import Claim
from agentprov.formats.policy_facts import JudgedCommit
from agentprov.formats.predicates.rewrite import RewrittenPath
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify import policy
from agentprov.verify.approvals import Surroundings
from agentprov.verify.claims import claims_of
from agentprov.verify.output_junit import verdict_junit
from agentprov.verify.output_markdown import verdict_markdown
from agentprov.verify.output_sarif import verdict_sarif
from agentprov.verify.policy_facts import collect
from support.defects import Vector
from support.rewrite_defects import (
    EDITED,
    MODEL,
    NEW,
    NEW_COMMIT,
    OLD,
    PATH,
    Past,
    claim,
    commit_of,
    link,
    past,
    tell,
    valid_found_by_content,
    valid_linked_by_content,
    valid_rewritten,
    valid_rewritten_and_the_old_bytes_are_gone,
    valid_rewritten_twice,
)
from support.story import AS_OF, HUMAN, JANE, RECORDER, blob_id, codes, made_up, seal, trust_of


def judged(vector: Vector, **changes: Any) -> verify.Judgement:
    known = vector.past or Past()
    case = verify.Case(
        target="HEAD",
        records=[
            verify.Record(line, name, anchor=NEW_COMMIT if name == "rewrite" else None)
            for name, line in vector.lines.items()
        ],
        commits=vector.commits,
        as_of=AS_OF,
        required=frozenset(facts.oid for facts in vector.commits),
        **{"trust": trust_of(), **known.about(), **changes},
    )
    return verify.judge(case, KeyVerifier())


def laid_out(judgement: verify.Judgement) -> JudgedCommit:
    (commit,) = collect(judgement, Surroundings(), (), by_path=False).commits
    return commit


def against(judgement: verify.Judgement, **required: Any) -> set[str]:
    document = {"version": 1, "mode": "enforce", "require": required}
    rules = policy.parse(document, sha256="ab" * 32, source="policy.yaml")
    verdict = policy.judge(rules, judgement)
    return {item.code for item in verdict.findings if item.severity == "error"}


def test_a_replayed_link_is_all_a_policy_asks_for() -> None:
    judgement = judged(valid_rewritten())
    assert codes(judgement) == set()
    assert codes(judgement, "note") == set()
    assert against(judgement, coverage=["covered"], rewrites={"replayed": True}) == set()
    assert "rewritten from" in judgement.verdict.commits[0].way


def test_a_link_that_is_not_made_again_says_so_and_a_policy_can_refuse_it() -> None:
    judgement = judged(valid_rewritten_and_the_old_bytes_are_gone())
    assert codes(judgement, "note") == {"rewrite-not-replayed"}
    assert any("made again" in item.why for item in judgement.verdict.not_proven)
    assert "not made again" in judgement.verdict.commits[0].way
    assert against(judgement, coverage=["covered"]) == set()
    assert against(judgement, rewrites={"replayed": True}) == {"policy-rewrite"}
    assert against(judgement, rewrites={"content": "refuse"}) == set()


def test_content_that_covers_says_so_and_a_policy_can_refuse_it() -> None:
    judgement = judged(valid_found_by_content())
    assert codes(judgement, "note") == {"content-found"}
    (commit,) = judgement.verdict.commits
    assert (commit.coverage, commit.via, [one.key for one in commit.content]) == (
        "covered",
        "content",
        ["path-blob"],
    )
    assert against(judgement, coverage=["covered"], rewrites={"replayed": True}) == set()
    assert against(judgement, rewrites={"content": "refuse"}) == {"policy-rewrite"}


def test_a_link_by_content_is_worth_what_content_is_worth() -> None:
    judgement = judged(valid_linked_by_content())
    assert codes(judgement, "note") == {"content-found"}
    (commit,) = judgement.verdict.commits
    assert (commit.coverage, commit.via, len(commit.rewrites)) == ("covered", "content", 1)
    assert against(judgement, coverage=["covered"]) == set()
    assert against(judgement, rewrites={"content": "refuse"}) == {"policy-rewrite"}


def test_without_a_clone_that_knows_nothing_is_made_again() -> None:
    judgement = judged(valid_rewritten(), **Past().about())
    assert judgement.verdict.commits[0].coverage == "covered"
    assert not judgement.verdict.commits[0].rewrites[0].replayed


def test_the_digest_of_added_lines_alone_makes_a_link_again() -> None:
    told = tell()
    new = commit_of(NEW)
    known = replace(past(told, new, bytes_here=False), added={NEW_COMMIT: {PATH: [(2, 4)]}})
    vector = replace(valid_rewritten(), past=known)
    assert judged(vector).verdict.commits[0].rewrites[0].replayed
    # Other lines were added as well: the digest is another one, and only the bounds are left.
    wider = replace(known, added={NEW_COMMIT: {PATH: [(1, 4)]}})
    assert not judged(vector, **wider.about()).verdict.commits[0].rewrites[0].replayed


def test_in_the_same_blob_a_link_cannot_move_lines_though_the_old_bytes_are_gone() -> None:
    told = tell()
    new = commit_of(OLD)
    statement = link(told, new, claim(1, 2), content=OLD)
    known = past(told, new, content=OLD, bytes_here=False)
    lines = {**told.lines(), "rewrite": seal(statement, RECORDER)}
    vector = Vector("", told, lines, [new], past=known)
    # Fewer lines than the source states, none of them elsewhere: open.
    assert not judged(vector).verdict.commits[0].rewrites[0].replayed
    outside = replace(known, added={NEW_COMMIT: {PATH: [(2, 3)]}})
    judgement = judged(vector, **outside.about())
    assert "rewrite-differs" in codes(judgement)
    assert judgement.verdict.commits[0].coverage == "uncovered"


def test_an_unknown_rule_is_not_replayed_and_stays_within_its_bounds() -> None:
    vector = valid_rewritten()
    told, new = vector.told, vector.commits[0]
    text = link(told, new).payload.replace(b"agentprov-carry/1", b"agentprov-carry/9")
    vector.lines["rewrite"] = seal(text, RECORDER)
    judgement = judged(vector)
    assert judgement.verdict.commits[0].coverage == "covered"
    assert codes(judgement, "note") == {"rewrite-not-replayed"}
    more = link(told, new, claim(1, 4), claimed=4).payload
    vector.lines["rewrite"] = seal(
        more.replace(b"agentprov-carry/1", b"agentprov-carry/9"), RECORDER
    )
    assert "rewrite-claims-more" in codes(judged(vector))


def test_one_files_claims_cannot_be_spread_over_two() -> None:
    told = tell()
    new = commit_of(NEW)
    paths = {**new.diffs, b"b.py": new.diffs[PATH.encode()]}
    new = replace(new, diffs=paths)
    change = RewrittenPath(PATH, "add", "100644", blob_id(NEW), None, PATH, (claim(2, 4),), None)
    statement = link(told, new, changes=(change, change._replace(path="b.py")), claimed=6)
    lines = {**told.lines(), "rewrite": seal(statement, RECORDER)}
    judgement = judged(Vector("", told, lines, [new], past=Past()))
    assert "rewrite-claims-more" in codes(judgement)


@pytest.mark.parametrize(
    ("change", "good"),
    [
        (("old.bin", "delete", "100644", None), True),
        (("other.bin", "delete", "100644", None), False),
    ],
)
def test_a_path_without_lines_needs_a_source_that_says_so(
    change: tuple[str, str, str, str | None], good: bool
) -> None:
    story = tell().story
    facts = story.facts()
    removed = replace(facts.changes[0], path=b"old.bin", op="delete", blob=None, sha256=None)
    removed = replace(removed, size=None, ranges=(), added=None)
    told = replace(story, commit=replace(facts, changes=(*facts.changes, removed))).tell()
    path, op, mode, blob = change
    new = commit_of(NEW)
    diff = verify.PathDiff("100644", made_up("gone", 40), None, None)
    new = replace(new, diffs={**new.diffs, path.encode(): diff})
    statement = link(
        told,
        new,
        changes=(RewrittenPath(path, op, mode, blob, None, "old.bin", (), 0),)
        if good
        else (RewrittenPath(path, op, mode, blob, None, PATH, (), 0),),
        claimed=0,
    )
    lines = {**told.lines(), "rewrite": seal(statement, RECORDER)}
    judgement = judged(Vector("", told, lines, [new], past=Past()))
    assert (judgement.verdict.commits[0].coverage == "covered") is good


def test_claims_go_through_a_chain_to_the_generation() -> None:
    vector = valid_rewritten_twice()
    judgement = judged(vector)
    assert judgement.verdict.commits[0].rewrites[0].replayed
    (found,) = claims_of(judgement, NEW_COMMIT)[PATH].ranges
    assert (found.start, found.end, found.via, found.replayed) == (2, 4, "rewrite", True)
    assert [entry.payload_sha256 for entry in found.sources] == [vector.told.generation.sha256]
    # Where the first step cannot be made again, the second is no better.
    assert not judged(vector, others=()).verdict.commits[0].rewrites[0].replayed


def test_a_policy_sees_the_sessions_behind_with_the_lines_that_are_left() -> None:
    told = tell()
    new = commit_of(EDITED)
    statement = link(told, new, claim(1, 1), claim(3, 3), content=EDITED)
    lines = {**told.lines(), "rewrite": seal(statement, RECORDER)}
    commit = laid_out(judged(Vector("", told, lines, [new], past=past(told, new, content=EDITED))))
    (session,) = commit.sessions
    assert [(item.path, item.origin, item.count) for item in session.lines] == [(PATH, "model", 2)]
    assert (commit.via, commit.replayed) == ("rewrite", True)
    # The line by hand is nobody's, so the file is not accounted for.
    assert commit.untold == (PATH,)
    assert laid_out(judged(valid_found_by_content())).untold == ()


def test_matched_takes_a_commit_whose_lines_are_all_found() -> None:
    told = tell()
    # A line of the recorded ones was dropped: no exact key, yet every line here was recorded.
    content = OLD.replace(b"print('and good bye')\n", b"")
    new = commit_of(content)
    known = replace(past(told, new, content=content), gone=frozenset({told.story.facts().oid}))
    known = replace(known, contents={**known.contents, blob_id(content): content})
    judgement = judged(Vector("", told, told.lines(), [new], past=known))
    (commit,) = judgement.verdict.commits
    assert (commit.coverage, commit.matched) == ("uncovered", True)
    assert against(judgement, coverage=["covered"]) >= {"policy-coverage"}
    assert "policy-coverage" not in against(judgement, coverage=["covered", "matched"])
    # Nor is it a record for rules that ask what was at work.
    assert "policy-record" in against(
        judgement, coverage=["matched"], models={"allow": ["anthropic/*"]}
    )


def test_a_better_basis_in_a_chain_is_found() -> None:
    vector = valid_rewritten_twice()
    told, new = vector.told, vector.commits[0]
    middle = commit_of(NEW, made_up("middle", 40))
    first = link(told, middle)
    old = told.story.facts().oid
    vector.lines["rewrite"] = seal(
        link(
            told,
            new,
            Claim(2, 4, "model", "observed", MODEL, None, 1),
            olds=(middle.oid,),
            sources=((middle.oid, first.sha256), (old, told.generation.sha256)),
        ),
        RECORDER,
    )
    assert "rewrite-claims-more" in codes(judged(vector))


def test_an_approval_of_the_old_commit_approves_nothing_that_was_made_of_it() -> None:
    vector = valid_rewritten()
    vector.lines["approval"] = seal(vector.told.approval(), JANE)
    judgement = judged(vector, trust=trust_of(HUMAN, RECORDER, JANE))
    (commit,) = judgement.verdict.commits
    assert (commit.coverage, commit.approvals) == ("covered", ())
    assert "policy-approvals" in against(judgement, approvals={"people": 1})


def test_old_commits_that_are_here_must_be_what_was_recorded_of_them() -> None:
    vector = valid_rewritten()
    assert vector.past is not None
    (old,) = vector.past.others
    bent = replace(old, tree=made_up("another tree", 40))
    judgement = judged(vector, others=[bent])
    assert judgement.verdict.commits[0].coverage == "uncovered"
    assert "commit-differs" in codes(judgement)
    # Contents that were not fetched are no lie.
    without = replace(old, sha256_of=lambda _: None)
    assert judged(vector, others=[without]).verdict.commits[0].coverage == "covered"


def test_every_format_says_by_what_a_commit_is_covered() -> None:
    open_ = judged(valid_rewritten_and_the_old_bytes_are_gone()).verdict
    found = judged(valid_found_by_content()).verdict
    for verdict, said, via in (
        (open_, "not made again here", "rewrite"),
        (found, "without a link", "content"),
    ):
        assert said in verdict_markdown(verdict)
        assert said in verdict_junit(verdict)
        assert f'"via": {{"{NEW_COMMIT}": "{via}"}}' in json.dumps(verdict_sarif(verdict))
        assert verify.verdict_json(verdict)["commits"][0]["via"] == via
