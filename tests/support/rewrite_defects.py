"""The cases of tests/vectors that are about rewritten commits; see tests/support/defects.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agentprov import attest
from agentprov.attest.rewrite import Rewritten
from agentprov.formats import carrying, digest
from agentprov.formats.carrying import Claim
from agentprov.formats.names import BUILDER_PREFIX
from agentprov.formats.predicates.rewrite import RewrittenPath
from agentprov.formats.statement import Statement
from agentprov.verify.rewritten import History
from agentprov.verify.subjects import CommitFacts, PathDiff
from support.defects import Vector, case, edited, failing
from support.story import (
    HUMAN,
    RECORDER,
    SESSION,
    STRANGER,
    File,
    Key,
    Story,
    Told,
    blob_id,
    made_up,
    seal,
)

PATH = "src/hello.py"
MODEL = "claude-sonnet-4-5-20250929"
OLD = b"print('hello, wide world')\nprint('and good morning to all')\nprint('and good bye')\n"
NEW = b"# by hand\n" + OLD
EDITED = OLD.replace(b"and good morning to all", b"by hand")
NEW_COMMIT = made_up("new commit", 40)
BASE = made_up("base commit", 40)


@dataclass(frozen=True)
class Past:
    """What git knows of lines and of commits that are gone, as vectors write it down."""

    others: tuple[CommitFacts, ...] = ()
    contents: Mapping[str, bytes] = field(default_factory=dict)
    added: Mapping[str, Mapping[str, list[tuple[int, int]]]] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    whole: bool = True

    def about(self) -> dict[str, Any]:
        """Give the members of a case."""
        blobs = {
            facts.oid: {
                path.decode(): (diff.old_blob, diff.new_blob) for path, diff in facts.diffs.items()
            }
            for facts in self.others
        }
        return {
            "others": self.others,
            "history": History(blobs.get, self.contents.get, self.added.get),
            "gone": self.gone,
            "whole": self.whole,
        }


def commit_of(content: bytes, oid: str = NEW_COMMIT, **changes: Any) -> CommitFacts:
    """Give the facts of a commit that adds the file with this content."""
    blob, sha256 = blob_id(content), digest.sha256(content)
    made = CommitFacts(
        oid,
        made_up(f"tree of {oid}", 40),
        (BASE,),
        {PATH.encode(): PathDiff(None, None, "100644", blob)},
        lambda asked: sha256 if asked == blob else None,
    )
    return replace(made, **changes)


def tell(content: bytes = OLD, **session: Any) -> Told:
    """Tell the story of the old commit; whose added lines have their digest."""
    story = Story(files=(File(PATH.encode(), content),), planned=False)
    facts = story.facts()
    spans = [(1, content.count(b"\n"))]
    changes = tuple(
        replace(change, added=carrying.added_digest(content, spans)) for change in facts.changes
    )
    commit = replace(facts, changes=changes)
    return replace(story, commit=commit, session=replace(SESSION, plan=None, **session)).tell()


def past(told: Told, *new: CommitFacts, content: bytes = NEW, bytes_here: bool = True) -> Past:
    contents = {blob_id(one): one for one in (OLD, NEW, EDITED)} if bytes_here else {}
    if not bytes_here:
        contents = {blob_id(content): content}
    lines = content.count(b"\n")
    return Past(
        others=(told.commit(trailers=()),) if bytes_here else (),
        contents=contents,
        added={facts.oid: {PATH: [(1, lines)]} for facts in new},
    )


def link(
    told: Told,
    new: CommitFacts,
    *claims: Claim,
    builder: str = SESSION.builder,
    content: bytes = NEW,
    **changes: Any,
) -> Statement:
    """State that the new commit was made of the told one; by default its lines moved by one."""
    old = told.story.facts()
    made = Rewritten(
        commit=new.oid,
        tree=new.tree,
        parents=new.parents,
        method="amend",
        olds=(old.oid,),
        sources=((old.oid, told.generation.sha256),),
        changes=(
            RewrittenPath(
                PATH, "add", "100644", blob_id(content), None, PATH, claims or (claim(2, 4),), None
            ),
        ),
        claimed=3,
    )
    return attest.rewrite(
        replace(made, **changes),
        builder=builder,
        version={"agentprov": "0"},
        repository=SESSION.repository.uri,
    )


def claim(start: int, end: int, origin: str = "model", basis: str = "reported") -> Claim:
    return Claim(start, end, origin, basis, MODEL if origin == "model" else None, None, 0)


def linked(
    told: Told, statement: Statement | bytes, new: CommitFacts, key: Key = RECORDER
) -> tuple[dict[str, bytes], list[CommitFacts]]:
    """Hang the link beside the old commit's records, on the new commit."""
    return {**told.lines(), "rewrite": seal(statement, key)}, [new]


def refused(about: str, exit_code: int, *codes: str, **facts: Any) -> Vector:
    """Make a vector of one bad link."""
    told = tell()
    new = commit_of(NEW)
    key = facts.pop("key", RECORDER)
    claims = facts.pop("claims", ())
    lines, commits = linked(told, link(told, new, *claims, **facts), new, key)
    return failing(
        about, told, lines, commits, exit_code, *codes, "provenance-missing", past=past(told, new)
    )


@case
def valid_rewritten() -> Vector:
    told = tell()
    new = commit_of(NEW)
    lines, commits = linked(told, link(told, new), new)
    return Vector(
        "A commit was amended; the link says where its lines went, and all bytes are here.",
        told, lines, commits, past=past(told, new),
    )  # fmt: skip


@case
def valid_rewritten_and_the_old_bytes_are_gone() -> Vector:
    told = tell()
    new = commit_of(EDITED)
    statement = link(told, new, claim(1, 1), claim(3, 3), content=EDITED)
    lines, commits = linked(told, statement, new)
    return Vector(
        "An edited amend in a clone without the old commit: the link cannot be made again, keeps "
        "within its bounds, and counts.",
        told, lines, commits, past=past(told, new, content=EDITED, bytes_here=False),
    )  # fmt: skip


@case
def valid_rewritten_twice() -> Vector:
    told = tell()
    middle, new = commit_of(NEW, made_up("middle", 40)), commit_of(NEW)
    first = link(told, middle)
    old = told.story.facts().oid
    second = link(
        told,
        new,
        Claim(2, 4, "model", "reported", MODEL, None, 1),
        olds=(middle.oid,),
        sources=((middle.oid, first.sha256), (old, told.generation.sha256)),
    )
    lines, commits = linked(told, second, new)
    lines["first"] = seal(first, RECORDER)
    known = past(told, new, middle)
    return Vector(
        "A commit that was rewritten is rewritten again; one link stands on the other.",
        told, lines, commits, past=replace(known, others=(*known.others, middle)),
    )  # fmt: skip


@case
def valid_found_by_content() -> Vector:
    told = tell()
    new = commit_of(OLD)
    known = past(told, new, content=OLD)
    return Vector(
        "Nobody saw the rewrite; every path is the recorded blob of a commit that is gone.",
        told, told.lines(), [new], past=replace(known, gone=frozenset({told.story.facts().oid})),
    )  # fmt: skip


@case
def valid_linked_by_content() -> Vector:
    told = tell()
    new = commit_of(OLD)
    statement = link(told, new, claim(1, 3), content=OLD, method="content")
    lines, commits = linked(told, statement, new)
    return Vector(
        "A recorder saw that a commit is like another; the very file stands behind the link.",
        told, lines, commits, past=past(told, new, content=OLD),
    )  # fmt: skip


@case
def link_by_content_of_lines_alone() -> Vector:
    told = tell()
    new = commit_of(EDITED)
    statement = link(told, new, claim(1, 1), claim(3, 3), content=EDITED, method="content")
    lines, commits = linked(told, statement, new)
    return failing(
        "A recorder saw that some lines are like those of another commit; nobody saw it made so.",
        told, lines, commits, 10, "provenance-missing", past=past(told, new, content=EDITED),
    )  # fmt: skip


@case
def content_that_replaces_something_else() -> Vector:
    told = tell()
    old = blob_id(EDITED)
    new = commit_of(OLD, diffs={PATH.encode(): PathDiff("100644", old, "100644", blob_id(OLD))})
    return failing(
        "The recorded file of a commit that is gone, put in place of one that it never replaced.",
        told, told.lines(), new, 10, "provenance-missing",
        past=replace(
            past(told, new, content=OLD), gone=frozenset({told.story.facts().oid}),
        ),
    )  # fmt: skip


@case
def valid_found_by_the_content_of_a_whole_commit() -> Vector:
    told = tell()
    new = and_a_file_nobody_speaks_of(told, told.story.facts().parents)
    known = past(told, new, content=OLD)
    return Vector(
        "All that a recorded commit did, from its parent to its tree, said by another commit; one "
        "of the files the record does not speak of.",
        told, told.lines(), [new], past=replace(known, gone=frozenset({told.story.facts().oid})),
    )  # fmt: skip


@case
def content_of_a_tree_upon_another_commit() -> Vector:
    told = tell()
    new = and_a_file_nobody_speaks_of(told, (made_up("another parent", 40),))
    known = past(told, new, content=OLD)
    return failing(
        "The recorded tree upon another parent, so that the commit brings a file, too, of which "
        "no record speaks.",
        told, told.lines(), new, 10, "provenance-missing",
        past=replace(known, gone=frozenset({told.story.facts().oid})),
    )  # fmt: skip


def and_a_file_nobody_speaks_of(told: Told, parents: tuple[str, ...]) -> CommitFacts:
    """Give a commit that leaves a recorded tree, with one more file than the record has."""
    made = commit_of(OLD, tree=told.story.facts().tree, parents=parents)
    more = {**made.diffs, b"more": PathDiff(None, None, "100644", made_up("more", 40))}
    return replace(made, diffs=more)


@case
def content_of_two_sessions() -> Vector:
    told, other = tell(), tell(id="another-session")
    other = replace(
        other.story, commit=replace(other.story.facts(), oid=made_up("rival", 40))
    ).tell()
    new = commit_of(OLD)
    lines = {**told.lines(), **{f"rival-{name}": line for name, line in other.lines().items()}}
    known = past(told, new, content=OLD)
    gone = frozenset({told.story.facts().oid, other.story.facts().oid})
    return failing(
        "Two sessions recorded these bytes on branches that are gone; nobody can say whose it is.",
        told, lines, new, 10, "provenance-missing", warnings=("content-ambiguous",),
        past=replace(known, gone=gone),
    )  # fmt: skip


@case
def content_of_a_commit_that_is_still_there() -> Vector:
    told = tell()
    new = commit_of(OLD)
    return failing(
        "A copy of a file whose recorded commit is in the history still: it was not rewritten.",
        told, told.lines(), new, 10, "provenance-missing", past=past(told, new, content=OLD),
    )  # fmt: skip


@case
def content_in_a_shallow_clone() -> Vector:
    told = tell()
    new = commit_of(OLD)
    known = past(told, new, content=OLD)
    return failing(
        "The clone cannot say whether the recorded commit is an ancestor of this one.",
        told, told.lines(), new, 10, "provenance-missing", warnings=("content-ambiguous",),
        past=replace(known, gone=frozenset({told.story.facts().oid}), whole=False),
    )  # fmt: skip


@case
def content_of_lines_alone() -> Vector:
    told = tell()
    new = commit_of(EDITED)
    known = past(told, new, content=EDITED)
    return failing(
        "Some lines are those of a recorded commit that is gone; that covers nothing.",
        told, told.lines(), new, 10, "provenance-missing",
        past=replace(known, gone=frozenset({told.story.facts().oid})),
    )  # fmt: skip


@case
def rewrite_by_a_stranger() -> Vector:
    return refused("A stranger signs a link.", 17, "signer-unknown", key=STRANGER)


@case
def rewrite_by_the_human() -> Vector:
    return refused("A person's key signs a link.", 17, "signer-role", "signer-builder", key=HUMAN)


@case
def rewrite_of_another_builder() -> Vector:
    return refused(
        "The recorder speaks for a builder that it may not speak for.",
        17, "signer-builder", builder=BUILDER_PREFIX + "isolated/v0.1",
    )  # fmt: skip


@case
def rewrite_basis_above_the_cap() -> Vector:
    return refused(
        "A link knows better where lines are from than its builder can.",
        14, "basis-above-cap", claims=(claim(2, 4, basis="isolated"),),
    )  # fmt: skip


@case
def rewrite_without_its_source() -> Vector:
    told = tell()
    new = commit_of(NEW)
    lines, commits = linked(told, link(told, new), new)
    return failing(
        "The statement that a link stands on was deleted.",
        told, {"rewrite": lines["rewrite"]}, commits, 10,
        "rewrite-source-missing", "provenance-missing", past=past(told, new),
    )  # fmt: skip


@case
def rewrite_of_a_source_that_does_not_hold() -> Vector:
    told = tell()
    new = commit_of(NEW)
    lines, commits = linked(told, link(told, new), new)
    del lines["open"]
    del lines["close"]
    return failing(
        "A link stands on a generation whose session's opening was deleted.",
        told, lines, commits, 10, "session-open-missing", "provenance-missing",
        past=past(told, new),
    )  # fmt: skip


@case
def rewrite_of_somebody_elses_statement() -> Vector:
    told = tell()
    return refused(
        "A link says that its source is about the old commit; it is about another.",
        15, "rewrite-source-differs",
        olds=(made_up("somebody else's", 40),),
        sources=((made_up("somebody else's", 40), told.generation.sha256),),
    )  # fmt: skip


@case
def rewrite_of_a_session() -> Vector:
    told = tell()
    return refused(
        "A link stands on a session's opening statement.",
        15, "edge-forbidden", sources=((told.story.facts().oid, told.open.sha256),),
    )  # fmt: skip


@case
def rewrite_launders_origins() -> Vector:
    return refused(
        "A link makes a person's lines of the model's.",
        15, "rewrite-claims-more", claims=(claim(2, 4, "human"),),
    )  # fmt: skip


@case
def rewrite_knows_better() -> Vector:
    return refused(
        "A link knows better than its source where lines are from.",
        15, "rewrite-claims-more", claims=(claim(2, 4, basis="intercepted"),),
    )  # fmt: skip


@case
def rewrite_claims_more_lines() -> Vector:
    return refused(
        "A link claims more lines than its source states.",
        15, "rewrite-claims-more", claims=(claim(1, 4),),
        claimed=4,
    )  # fmt: skip


@case
def rewrite_of_other_lines() -> Vector:
    return refused(
        "Made again, the link has other lines.", 12, "rewrite-differs", claims=(claim(1, 3),)
    )


@case
def rewrite_leaves_lines_out() -> Vector:
    return refused(
        "Made again, the link has more lines than it says.",
        12, "rewrite-differs", claims=(claim(2, 3),),
    )  # fmt: skip


@case
def rewrite_with_another_tree() -> Vector:
    return refused(
        "A link says of the new commit what git does not.",
        12, "commit-differs", tree=made_up("another tree", 40),
    )  # fmt: skip


@case
def rewrite_with_another_blob() -> Vector:
    return refused(
        "A link names another blob than the new commit has.",
        12, "content-differs", content=OLD,
    )  # fmt: skip


@case
def rewrite_replayed_on_another_commit() -> Vector:
    told = tell()
    new = commit_of(NEW)
    lines, _ = linked(told, link(told, new), new)
    other = commit_of(NEW, made_up("other", 40))
    return failing(
        "A link hangs on a commit that it is not about.",
        told, {"rewrite": lines["rewrite"], **told.lines()}, other, 15,
        "record-of-another-commit", "provenance-missing", past=past(told, other),
    )  # fmt: skip


@case
def rewrite_in_a_circle() -> Vector:
    told = tell()
    there, back = commit_of(NEW, made_up("there", 40)), commit_of(NEW, made_up("back", 40))
    old = told.story.facts().oid
    first = link(told, there, olds=(old, back.oid))
    second = link(
        told,
        back,
        Claim(2, 4, "model", "reported", MODEL, None, 1),
        olds=(there.oid,),
        sources=((there.oid, first.sha256), (old, told.generation.sha256)),
    )
    lines, commits = linked(told, second, back)
    lines["first"] = seal(first, RECORDER)
    return failing(
        "Two commits are said to be made of each other.",
        told, lines, commits, 15, "rewrite-chain", "provenance-missing", past=past(told, back),
    )  # fmt: skip


def _bent(about: str, edit: Callable[[dict[str, Any]], object]) -> Vector:
    told = tell()
    new = commit_of(NEW)
    lines, commits = linked(told, link(told, new), new)
    lines["rewrite"] = edited(link(told, new), edit, RECORDER)
    return failing(
        about, told, lines, commits, 14, "statement-malformed", "provenance-missing",
        past=past(told, new),
    )  # fmt: skip


@case
def rewrite_that_leads_elsewhere() -> Vector:
    def edit(value: dict[str, Any]) -> None:
        value["predicate"]["pairs"][0]["new"]["gitCommit"] = made_up("elsewhere", 40)

    return _bent("A pair of a link leads to another commit than the link is about.", edit)


@case
def rewrite_from_itself() -> Vector:
    def edit(value: dict[str, Any]) -> None:
        value["predicate"]["pairs"][0]["old"]["gitCommit"] = NEW_COMMIT

    return _bent("A link makes a commit out of itself.", edit)


@case
def rewrite_with_a_source_that_is_not_listed() -> Vector:
    def edit(value: dict[str, Any]) -> None:
        value["predicate"]["changes"][0]["ranges"][0]["source"] = 7

    return _bent("A range of a link points at a source that is not there.", edit)


@case
def rewrite_subject_of_another_commit() -> Vector:
    def edit(value: dict[str, Any]) -> None:
        value["subject"][0]["digest"]["gitCommit"] = made_up("elsewhere", 40)

    return _bent("The subject of a link is another commit than it describes.", edit)
