"""Content found again: which branch's it is, and when nobody can say."""

from __future__ import annotations

from dataclasses import replace

from agentprov import verify
from agentprov.formats.facts import LineRange
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify.finding import CommitVerdict
from agentprov.verify.judge import Judgement
from agentprov.verify.rewritten import History
from agentprov.verify.subjects import PathDiff
from support.rewrite_defects import OLD, PATH, commit_of, past, tell
from support.story import AS_OF, Told, blob_id, made_up, trust_of

BLANK = blob_id(b"")


def at(told: Told, word: str, parent: str, **changes: object) -> Told:
    """Tell the same story of another commit, which stands on a given parent."""
    facts = replace(
        told.story.facts(),
        oid=made_up(word, 40),
        tree=made_up(f"tree {word}", 40),
        parents=(made_up(parent, 40),),
    )
    return replace(told.story, commit=replace(facts, **changes)).tell()  # type: ignore[arg-type]


def judged(commit: verify.CommitFacts, history: History, *stories: Told) -> Judgement:
    records = [line for told in stories for line in told.lines().values()]
    return verify.judge(
        verify.Case(
            target="HEAD",
            records=[verify.Record(line, "line") for line in records],
            commits=[commit],
            trust=trust_of(),
            as_of=AS_OF,
            history=history,
            gone=frozenset(told.story.facts().oid for told in stories),
        ),
        KeyVerifier(),
    )


def verdict(commit: verify.CommitFacts, *stories: Told) -> CommitVerdict:
    history = past(stories[0], commit, content=OLD).about()["history"]
    return judged(commit, history, *stories).verdict.commits[0]


def test_two_commits_of_one_branch_by_different_sessions_leave_it_open() -> None:
    first = at(tell(), "first", "base commit")
    second = at(tell(id="another"), "second", "first")
    found = verdict(commit_of(OLD), first, second)
    assert found.coverage == "uncovered"
    assert {one.generation.session for one in found.candidates} == {
        first.session.id,
        second.session.id,
    }


def test_what_one_says_is_unknown_and_another_is_the_models_is_open() -> None:
    story = tell(id="another").story
    change = replace(story.facts().changes[0], ranges=(LineRange(1, 3, "unknown", "observed"),))
    other = at(replace(story).tell(), "other", "elsewhere", changes=(change,))
    found = verdict(commit_of(OLD), tell(), other)
    assert (found.coverage, len(found.candidates)) == ("uncovered", 2)


def test_a_path_that_no_record_has_keeps_a_commit_uncovered() -> None:
    new = commit_of(OLD)
    more = {**new.diffs, b"more": PathDiff(None, None, "100644", BLANK)}
    found = verdict(replace(new, diffs=more), tell())
    assert (found.coverage, [one.paths for one in found.content]) == ("uncovered", [(PATH,)])


def with_more(like: Told, parent: str) -> verify.CommitFacts:
    """Give a commit that leaves the tree of a told one, with a file that no record speaks of."""
    made = commit_of(OLD, tree=like.story.facts().tree, parents=(made_up(parent, 40),))
    return replace(made, diffs={**made.diffs, b"more": PathDiff(None, None, "100644", BLANK)})


def test_all_that_a_row_of_recorded_commits_did_is_covered_with_the_files_it_says_nothing_of() -> (
    None
):
    said = replace(tell().story.facts().changes[0], path=b"other.txt")
    first = at(tell(), "first", "base commit", changes=(said,))
    second = at(tell(id="another"), "second", "first")
    found = verdict(with_more(second, "base commit"), first, second)
    assert (found.coverage, found.via) == ("covered", "content")
    assert verdict(with_more(second, "first"), first, second).coverage == "covered"
    assert verdict(with_more(first, "base commit"), first, second).coverage == "covered"


def test_a_recorded_tree_upon_something_else_covers_only_what_its_records_speak_of() -> None:
    told = at(tell(), "alone", "base commit")
    new = with_more(told, "elsewhere")
    assert verdict(new, told).coverage == "uncovered"
    history = past(told, new, content=OLD).about()["history"]
    for moved, coverage in ((frozenset[str](), "covered"), (frozenset({"x"}), "uncovered")):
        where = replace(history, moved=lambda _older, _commit, moved=moved: moved)
        assert judged(new, where, told).verdict.commits[0].coverage == coverage


def test_a_row_with_an_unrecorded_commit_or_a_merge_in_it_is_not_covered_as_a_whole() -> None:
    first = at(tell(), "first", "base commit")
    third = at(tell(id="another"), "third", "second, by nobody")
    assert verdict(with_more(third, "base commit"), first, third).coverage == "uncovered"
    both = (made_up("first", 40), made_up("another side", 40))
    merge = at(tell(id="another"), "merge", "first", parents=both)
    assert verdict(with_more(merge, "base commit"), first, merge).coverage == "uncovered"


def test_another_mode_is_another_file() -> None:
    new = commit_of(OLD)
    found = verdict(
        replace(new, diffs={PATH.encode(): PathDiff(None, None, "100755", blob_id(OLD))}), tell()
    )
    assert (found.coverage, {one.key for one in found.content}) == ("uncovered", {"blob"})


def test_a_deletion_is_found_only_where_one_was_recorded() -> None:
    told = tell()
    removed = replace(
        told.story.facts().changes[0],
        path=b"gone.txt", op="delete", blob=None, sha256=None, size=None, ranges=(), added=None,
    )  # fmt: skip
    recorded = at(told, "removing", "base commit", changes=(removed,))
    new = replace(
        commit_of(OLD),
        diffs={b"gone.txt": PathDiff("100644", made_up("was", 40), None, None)},
    )
    assert [one.key for one in verdict(new, recorded).content] == ["path-blob"]
    # Anybody can delete a file; by that alone nobody is known.
    assert verdict(new, recorded).coverage == "uncovered"
    other = replace(new, diffs={b"other.txt": PathDiff("100644", made_up("was", 40), None, None)})
    assert not verdict(other, recorded).content


def test_a_merge_is_not_searched() -> None:
    new = replace(commit_of(OLD), parents=(made_up("a", 40), made_up("b", 40)))
    found = verdict(new, tell())
    assert (found.coverage, found.content, found.candidates) == ("uncovered", (), ())


def test_a_record_that_does_not_hold_finds_nothing() -> None:
    told = tell()
    records = [line for name, line in told.lines().items() if name == "generation"]
    new = commit_of(OLD)
    judgement = verify.judge(
        verify.Case(
            target="HEAD",
            records=[verify.Record(line, "line") for line in records],
            commits=[new],
            trust=trust_of(),
            as_of=AS_OF,
            gone=frozenset({told.story.facts().oid}),
            history=past(told, new, content=OLD).about()["history"],
        ),
        KeyVerifier(),
    )
    assert judgement.verdict.commits[0].coverage == "uncovered"


def test_without_contents_the_blob_alone_says_whose_file_it_is_and_nothing_of_lines() -> None:
    told = tell()
    judgement = judged(commit_of(OLD), History(), told)
    (found,) = judgement.verdict.commits
    assert (found.via, found.content[0].key) == ("content", "path-blob")
    assert judgement.bindings[found.commit].paths[0].ranges == ()
