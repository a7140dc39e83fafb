"""What git makes of recorded commits is judged by links, and by content where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentprov import verify
from agentprov.cli.rendering import print_verdict
from agentprov.errors import UserError
from agentprov.formats.carrying import Claim
from agentprov.verify.claims import claims_of
from agentprov.verify.finding import CommitVerdict
from support.repository import Repository
from support.rewritten import Team, lines
from support.story import codes

Claimed = list[tuple[int, int, str, str, str]]


@pytest.fixture
def team(tmp_path: Path) -> Team:
    repository = Repository(tmp_path / "work")
    repository.git("branch", "-M", "main")
    repository.write("base.txt", lines(1, 3, "base"))
    repository.commit("Begin")
    return Team(repository, tmp_path / "home")


def only(judgement: verify.Judgement) -> CommitVerdict:
    return judgement.verdict.commits[-1]


def claimed(judgement: verify.Judgement, path: str) -> Claimed:
    found = claims_of(judgement, only(judgement).commit)
    if path not in found:
        return []
    return [
        (one.start, one.end, one.origin, one.sources[0].view.session, one.via)  # type: ignore[union-attr]
        for one in found[path].ranges
    ]


def test_an_amended_commit_is_covered_by_its_link(team: Team) -> None:
    team.repository.write("a.txt", lines(1, 5))
    old = team.repository.commit("agent")
    team.record(old)
    team.repository.write("a.txt", "by hand, before all others\n" + lines(1, 5))
    new = team.repository.commit("amended", "--amend")
    assert only(team.judge()).coverage == "uncovered"
    team.link(new, [old], "amend")
    judgement = team.judge()
    verdict = only(judgement)
    assert judgement.verdict.exit_code == 0, judgement.verdict.findings
    assert (verdict.coverage, verdict.via) == ("covered", "rewrite")
    (link,) = verdict.rewrites
    assert (link.commits, link.replayed, link.claimed, link.carried) == ((old,), True, 5, 5)
    assert [one.commit for one in link.generations] == [old]
    assert claimed(judgement, "a.txt") == [(2, 6, "model", "one", "rewrite")]


def test_who_recorded_what_was_rewritten_did_not_import_it(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    team.repository.write("a.txt", lines(1, 5))
    old = team.repository.commit("agent")
    team.record(old)
    new = team.repository.commit("amended", "--amend")
    team.link(new, [old], "amend")
    print_verdict(team.judge().verdict)
    told = capsys.readouterr().out
    assert f"{new[:12]}  covered" in told
    assert "recorded by" in told
    assert "imported by" not in told


def test_rebased_and_picked_commits_are_covered(team: Team) -> None:
    olds = []
    team.repository.git("checkout", "-q", "-b", "topic")
    for number in range(3):
        team.repository.write("a.txt", lines(1, 4 + 4 * number))
        olds.append(team.repository.commit(f"agent {number}"))
        team.record(olds[-1], f"session-{number}")
    team.repository.git("checkout", "-q", "main")
    team.repository.write("b.txt", "another\n")
    team.repository.commit("elsewhere")
    team.repository.git("checkout", "-q", "topic")
    team.repository.git("rebase", "-q", "main")
    news = team.repository.git("rev-list", "--reverse", "main..topic").split()
    for new, old in zip(news, olds, strict=True):
        team.link(new, [old], "rebase")
    judgement = team.judge("main..topic")
    assert [item.via for item in judgement.verdict.commits] == ["rewrite"] * 3
    assert all(item.rewrites[0].replayed for item in judgement.verdict.commits)
    assert claimed(judgement, "a.txt") == [(9, 12, "model", "session-2", "rewrite")]


def test_a_squash_is_covered_by_one_link_to_all(team: Team) -> None:
    team.repository.git("checkout", "-q", "-b", "topic")
    olds = []
    for number, session in enumerate(("one", "two"), 1):
        team.repository.write("a.txt", lines(1, 4 * number))
        olds.append(team.repository.commit(f"part {number}"))
        team.record(olds[-1], session)
    team.repository.git("checkout", "-q", "main")
    team.repository.git("merge", "-q", "--squash", "topic")
    new = team.repository.commit("squashed")
    team.link(new, olds, "squash")
    judgement = team.judge()
    assert judgement.verdict.exit_code == 0
    assert only(judgement).rewrites[0].replayed
    assert claimed(judgement, "a.txt") == [
        (1, 4, "model", "one", "rewrite"),
        (5, 8, "model", "two", "rewrite"),
    ]


def test_a_fresh_clone_without_the_old_commits_takes_what_signed_statements_show(
    team: Team, tmp_path: Path
) -> None:
    team.repository.write("a.txt", lines(1, 5))
    old = team.repository.commit("agent")
    team.record(old)
    new = team.repository.commit("amended", "--amend")
    assert old != new
    team.link(new, [old], "amend")
    there = team.clone(tmp_path / "there")
    assert there.git("cat-file", "-t", old, check=False) == ""
    judgement = team.judge(repository=there)
    assert only(judgement).coverage == "covered"
    # The file is the very blob that the source states.
    assert only(judgement).rewrites[0].replayed


def test_the_same_added_lines_elsewhere_in_a_file_are_made_again_without_old_bytes(
    team: Team, tmp_path: Path
) -> None:
    team.repository.write("base.txt", lines(1, 3, "base") + lines(1, 5))
    old = team.repository.commit("agent")
    team.record(old)
    team.repository.git("checkout", "-q", "--detach", "HEAD~1")
    team.repository.write("base.txt", "moved\n" + lines(1, 3, "base"))
    team.repository.commit("human")
    team.repository.write("base.txt", "moved\n" + lines(1, 3, "base") + lines(1, 5))
    new = team.repository.commit("rebased")
    team.link(new, [old])
    there = team.clone(tmp_path / "there")
    judgement = team.judge(repository=there)
    assert only(judgement).rewrites[0].replayed
    assert claimed(judgement, "base.txt") == [(5, 9, "model", "one", "rewrite")]


def test_what_cannot_be_made_again_is_said_and_counts_as_the_recorders_word(
    team: Team, tmp_path: Path
) -> None:
    team.repository.write("a.txt", lines(1, 6))
    old = team.repository.commit("agent")
    team.record(old)
    team.repository.write("a.txt", lines(1, 2) + "by hand\n" + lines(5, 6))
    new = team.repository.commit("amended", "--amend")
    team.link(new, [old], "amend")
    assert only(team.judge()).rewrites[0].replayed
    there = team.clone(tmp_path / "there")
    judgement = team.judge(repository=there)
    assert only(judgement).coverage == "covered"
    assert not only(judgement).rewrites[0].replayed
    assert "rewrite-not-replayed" in codes(judgement, "note")
    assert any(new in item.claim for item in judgement.verdict.not_proven)
    assert [one.replayed for one in claims_of(judgement, new)["a.txt"].ranges] == [False, False]


def test_a_path_that_can_be_made_again_stands_beside_one_that_cannot(
    team: Team, tmp_path: Path
) -> None:
    team.repository.write("a.txt", lines(1, 6))
    team.repository.write("b.txt", lines(1, 6, "b"))
    old = team.repository.commit("agent")
    team.record(old)
    team.repository.write("b.txt", lines(1, 2, "b") + "by hand\n" + lines(5, 6, "b"))
    new = team.repository.commit("amended", "--amend")
    team.link(new, [old], "amend")
    judgement = team.judge(repository=team.clone(tmp_path / "there"))
    assert not only(judgement).rewrites[0].replayed
    found = claims_of(judgement, new)
    assert [one.replayed for one in found["a.txt"].ranges] == [True]
    assert {one.replayed for one in found["b.txt"].ranges} == {False}


def forged(team: Team, **changes: object) -> tuple[str, str, verify.Judgement]:
    team.repository.write("a.txt", lines(1, 6))
    old = team.repository.commit("agent")
    team.record(old, origin="agent")
    team.repository.write("a.txt", lines(1, 2) + "by hand\n" + lines(5, 6))
    new = team.repository.commit("amended", "--amend")
    made = team.rewritten(new, [old], "amend")
    (change,) = made.changes
    claims = changes.pop("claims", None)
    team.link(
        new,
        [old],
        "amend",
        changes=(change._replace(claims=tuple(claims)),),  # type: ignore[arg-type]
    )
    return old, new, team.judge()


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        # Other lines than were carried, though no more of them.
        ([Claim(1, 3, "agent", "reported", None, None, 0)], "rewrite-differs"),
        # One that the new commit did not add at all.
        ([Claim(5, 6, "agent", "reported", None, None, 0)], "rewrite-differs"),
        # An alarm that is left out.
        ([Claim(1, 2, "agent", "reported", None, None, 0)], "rewrite-differs"),
        # An origin that nobody stated: laundering.
        ([Claim(1, 2, "human", "reported", None, None, 0)], "rewrite-claims-more"),
        # A better basis than the source has.
        ([Claim(1, 2, "agent", "intercepted", None, None, 0)], "rewrite-claims-more"),
    ],
)
def test_a_link_that_says_anything_else_grants_nothing(
    team: Team, claims: list[Claim], code: str
) -> None:
    _, new, judgement = forged(team, claims=claims)
    assert only(judgement).coverage == "uncovered"
    assert code in codes(judgement)
    assert claims_of(judgement, new) == {}
    assert judgement.verdict.exit_code in (12, 15)


def test_a_link_without_its_source_grants_nothing(team: Team) -> None:
    team.repository.write("a.txt", lines(1, 5))
    old = team.repository.commit("agent")
    team.record(old)
    new = team.repository.commit("amended", "--amend")
    statement = team.link(new, [old], "amend")
    team.repository.git("update-ref", "-d", "refs/notes/agentprov")
    team.put(new, statement)
    judgement = team.judge()
    assert only(judgement).coverage == "uncovered"
    assert "rewrite-source-missing" in codes(judgement)
    assert judgement.verdict.exit_code == 10


def test_a_link_on_another_commit_says_nothing_for_it(team: Team) -> None:
    team.repository.write("a.txt", lines(1, 5))
    old = team.repository.commit("agent")
    team.record(old)
    new = team.repository.commit("amended", "--amend")
    statement = team.link(new, [old], "amend", put=False)
    team.repository.write("evil.txt", "else\n")
    other = team.repository.commit("other")
    team.put(other, statement)
    judgement = team.judge()
    assert only(judgement).coverage == "uncovered"
    assert "record-of-another-commit" in codes(judgement)
    # The commit that it is about finds it there all the same.
    assert only(team.judge(new)).via == "rewrite"


# Without a link: content.


def squash_by_a_forge(team: Team, *sessions: str) -> tuple[list[str], str]:
    team.repository.git("checkout", "-q", "-b", "topic")
    olds = []
    for number, session in enumerate(sessions, 1):
        team.repository.write("a.txt", lines(1, 4 * number))
        olds.append(team.repository.commit(f"part {number}"))
        team.record(olds[-1], session)
    team.repository.git("checkout", "-q", "main")
    team.repository.write("c.txt", "meanwhile\n")
    team.repository.commit("meanwhile")
    team.repository.git("merge", "-q", "--squash", "topic")
    new = team.repository.commit("squashed by a forge")
    team.repository.git("branch", "-q", "-D", "topic")
    return olds, new


def test_a_squash_that_nobody_saw_is_found_by_content_and_says_so(team: Team) -> None:
    olds, _ = squash_by_a_forge(team, "one", "two")
    judgement = team.judge()
    verdict = only(judgement)
    assert judgement.verdict.exit_code == 0, judgement.verdict.findings
    assert (verdict.coverage, verdict.via, verdict.rewrites) == ("covered", "content", ())
    assert {one.commit for one in verdict.content} == set(olds)
    assert {one.key for one in verdict.content} == {"path-blob"}
    assert verdict.matched
    assert "content-found" in codes(judgement, "note")
    assert claimed(judgement, "a.txt") == [
        (1, 4, "model", "one", "content"),
        (5, 8, "model", "two", "content"),
    ]


def test_in_a_fresh_clone_content_says_what_the_last_statement_says(
    team: Team, tmp_path: Path
) -> None:
    squash_by_a_forge(team, "one", "two")
    there = team.clone(tmp_path / "there")
    judgement = team.judge(repository=there)
    assert (only(judgement).coverage, only(judgement).via) == ("covered", "content")
    assert claimed(judgement, "a.txt") == [(5, 8, "model", "two", "content")]
    assert not only(judgement).matched


def test_a_shallow_clone_lists_what_it_cannot_tell_apart(team: Team, tmp_path: Path) -> None:
    squash_by_a_forge(team, "one", "two")
    there = team.clone(tmp_path / "there", "--depth=2")
    judgement = team.judge(repository=there)
    assert only(judgement).coverage == "uncovered"
    assert {one.generation.session for one in only(judgement).candidates} >= {"two"}
    assert "content-ambiguous" in codes(judgement, "warning")


def test_lines_alone_claim_and_do_not_cover(team: Team) -> None:
    team.repository.git("checkout", "-q", "-b", "topic")
    team.repository.write("a.txt", lines(1, 8))
    team.record(team.repository.commit("agent"), basis="intercepted")
    team.repository.git("checkout", "-q", "main")
    team.repository.write("a.txt", lines(1, 4) + "by hand\n" + lines(6, 8))
    team.repository.commit("squashed and edited")
    judgement = team.judge()
    assert (only(judgement).coverage, only(judgement).via) == ("uncovered", None)
    assert claimed(judgement, "a.txt") == [
        (1, 4, "model", "one", "content"),
        (6, 8, "model", "one", "content"),
    ]
    found = claims_of(judgement, only(judgement).commit)["a.txt"].ranges
    assert {one.basis for one in found} == {"reported"}
    assert {one.key for one in only(judgement).content} == {"lines"}


def test_two_sessions_with_the_same_content_leave_it_open(team: Team) -> None:
    for session in ("one", "two"):
        team.repository.git("checkout", "-q", "-b", session, "main")
        team.repository.write("a.txt", lines(1, 5))
        team.repository.git("commit", "-q", "--allow-empty", "-m", session)
        team.record(team.repository.commit(f"by {session}"), session)
    team.repository.git("checkout", "-q", "main")
    team.repository.write("a.txt", lines(1, 5))
    team.repository.commit("whose")
    judgement = team.judge()
    assert only(judgement).coverage == "uncovered"
    assert claims_of(judgement, only(judgement).commit) == {}
    assert {one.generation.session for one in only(judgement).candidates} == {"one", "two"}
    assert "content-ambiguous" in codes(judgement, "warning")


def test_a_copy_of_what_is_still_in_the_history_is_nobodys(team: Team) -> None:
    """A licence that a session wrote, and that a person puts in another place, is a copy."""
    team.repository.write("LICENSE", lines(1, 9, "licence"))
    team.record(team.repository.commit("agent"))
    team.repository.write("vendor/LICENSE", lines(1, 9, "licence"))
    team.repository.commit("vendored")
    judgement = team.judge()
    assert only(judgement).coverage == "uncovered"
    assert (only(judgement).content, only(judgement).candidates) == ((), ())


def test_a_file_of_a_lost_commit_in_another_place_claims_and_does_not_cover(team: Team) -> None:
    team.repository.git("checkout", "-q", "-b", "topic")
    team.repository.write("LICENSE", lines(1, 9, "licence"))
    team.record(team.repository.commit("agent"))
    team.repository.git("checkout", "-q", "main")
    team.repository.write("vendor/LICENSE", lines(1, 9, "licence"))
    team.repository.commit("vendored")
    judgement = team.judge()
    assert only(judgement).coverage == "uncovered"
    assert {one.key for one in only(judgement).content} == {"blob"}


@pytest.mark.parametrize("options", [("--filter=blob:none",), ("--depth=1",), ("--depth=2",)])
def test_a_clone_that_lacks_contents_or_history_takes_links_within_their_bounds(
    team: Team, tmp_path: Path, options: tuple[str, ...]
) -> None:
    team.repository.git("config", "uploadpack.allowFilter", "true")
    team.repository.write("a.txt", lines(1, 6))
    old = team.repository.commit("agent")
    team.record(old)
    team.repository.write("a.txt", lines(1, 2) + "by hand\n" + lines(5, 6))
    new = team.repository.commit("amended", "--amend")
    team.link(new, [old], "amend")
    there = Repository(tmp_path / "there")
    there.git("remote", "add", "origin", f"file://{team.repository.top}")
    notes = "+refs/notes/*:refs/notes/*"
    there.git("fetch", "-q", "origin", notes)
    there.git("fetch", "-q", *options, "origin", "HEAD:refs/heads/there")
    if options == ("--depth=1",):
        with pytest.raises(UserError, match="parent"):
            team.judge("there", repository=there)
        return
    judgement = team.judge("there", repository=there)
    assert (only(judgement).coverage, only(judgement).via) == ("covered", "rewrite")
    assert not only(judgement).rewrites[0].replayed


def test_odd_names_are_found_again_as_well(team: Team) -> None:
    name = 'a b/Grüße "quoted" \t.txt'
    team.repository.git("checkout", "-q", "-b", "topic")
    team.repository.write(name, lines(1, 5))
    team.repository.write(b"not \xff utf-8.txt", lines(1, 5, "raw"))
    team.record(team.repository.commit("agent"))
    team.repository.git("checkout", "-q", "main")
    team.repository.git("merge", "-q", "--squash", "topic")
    team.repository.commit("squashed")
    judgement = team.judge()
    assert (only(judgement).coverage, only(judgement).matched) == ("covered", True)
    assert claimed(judgement, name) == [(1, 5, "model", "one", "content")]


def test_an_empty_file_and_a_deletion_are_nobodys_content(team: Team) -> None:
    team.repository.git("checkout", "-q", "-b", "topic")
    team.repository.write("package/__init__.py", "")
    team.repository.write("b.txt", lines(1, 3))
    (team.repository.top / "base.txt").unlink()
    team.record(team.repository.commit("agent"))
    team.repository.git("checkout", "-q", "main")
    team.repository.write("package/__init__.py", "")
    (team.repository.top / "base.txt").unlink()
    team.repository.commit("by hand")
    judgement = team.judge()
    assert only(judgement).coverage == "uncovered"
    assert "content-found" in codes(judgement, "warning") | codes(judgement, "note")
    team.repository.write("b.txt", lines(1, 3))
    team.repository.commit("the whole of it", "--amend")
    assert (only(team.judge()).coverage, only(team.judge()).via) == ("covered", "content")


# What goes with the lines that were recorded: by content alone, with and without a link that says
# nothing else.

LINKED = pytest.mark.parametrize("linked", [False, True])


def _topic(team: Team, *texts: str) -> list[str]:
    """Record versions of one file on a branch of their own; leaves main checked out."""
    team.repository.git("checkout", "-q", "-b", "topic")
    olds = []
    for number, text in enumerate(texts, 1):
        team.repository.write("base.txt", text)
        olds.append(team.repository.commit(f"part {number}"))
        team.record(olds[-1], f"s{number}")
    team.repository.git("checkout", "-q", "main")
    return olds


def _by_content(team: Team, new: str, olds: list[str], *, linked: bool) -> CommitVerdict:
    if linked:
        team.link(new, olds, "content")
    verdict = only(team.judge())
    assert bool(verdict.rewrites) is linked
    assert verdict.content
    return verdict


@LINKED
def test_recorded_lines_with_others_taken_out_claim_and_do_not_cover(
    team: Team, linked: bool
) -> None:
    more = lines(4, 9)
    olds = _topic(team, lines(1, 3, "base") + more)
    team.repository.write("base.txt", lines(2, 3, "base") + more)
    new = team.repository.commit("the same lines, and no first one")
    verdict = _by_content(team, new, olds, linked=linked)
    assert {one.key for one in verdict.content} == {"added"}
    assert (verdict.coverage, verdict.via, verdict.plans) == ("uncovered", None, ())
    assert claimed(team.judge(), "base.txt")[0][:2] == (3, 8)


@LINKED
def test_the_same_change_where_the_file_went_on_is_covered(team: Team, linked: bool) -> None:
    before = lines(1, 20, "base")
    team.repository.write("base.txt", before)
    team.repository.commit("more to begin with")
    olds = _topic(team, before.replace("base number 15 of", "not base number 15 of"))
    team.repository.write("base.txt", "first\n" + before)
    team.repository.commit("meanwhile")
    team.repository.write(
        "base.txt", "first\n" + before.replace("base number 15 of", "not base number 15 of")
    )
    new = team.repository.commit("rebased by a forge")
    verdict = _by_content(team, new, olds, linked=linked)
    assert {one.key for one in verdict.content} == {"added"}
    assert (verdict.coverage, verdict.via) == ("covered", "content")
    assert verdict.way.endswith("as a link says" if linked else "without a link")


@LINKED
def test_a_way_back_to_an_earlier_version_is_nobodys(team: Team, linked: bool) -> None:
    olds = _topic(team, lines(1, 9), lines(1, 9) + "check what comes in, as it was missing\n")
    team.repository.git("merge", "-q", "--squash", "topic")
    squashed = team.repository.commit("squashed")
    if linked:
        team.link(squashed, olds, "content")
    assert (only(team.judge()).coverage, only(team.judge()).via) == ("covered", "content")
    team.repository.write("base.txt", "else\n")
    team.repository.commit("by a person")
    team.repository.write("base.txt", lines(1, 9))
    new = team.repository.commit("and back, without the check")
    verdict = _by_content(team, new, olds, linked=linked)
    assert {one.key for one in verdict.content} == {"tree"}
    assert verdict.coverage == "uncovered"


def test_a_link_that_somebody_saw_needs_no_likeness(team: Team) -> None:
    more = lines(4, 9)
    olds = _topic(team, lines(1, 3, "base") + more)
    team.repository.write("base.txt", lines(2, 3, "base") + more)
    new = team.repository.commit("the same lines, and no first one")
    team.link(new, olds, "content")
    assert only(team.judge()).coverage == "uncovered"
    team.link(new, olds, "cherry-pick")
    assert (only(team.judge()).coverage, only(team.judge()).via) == ("covered", "rewrite")
