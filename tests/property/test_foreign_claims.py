"""Whatever a foreign record claims, what is stated of a commit stays inside what it added."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentprov import attest
from agentprov.formats.facts import Agent, AgentReport, Repository, Session, Source
from agentprov.formats.foreign.claims import Author, Claim, model_name
from agentprov.formats.names import TRANSCRIPT_IMPORT
from agentprov.record import declared
from agentprov.record.declared import AddedFile, BareCommit
from agentprov.system.git_objects import CommitObject
from agentprov.system.trees import RawChange

LINES = 12
AUTHORS = {
    "s": Author("s", "agent", "claude", None, model_name("claude-opus-5")),
    "t": Author("t", "agent", "cursor"),
    "h": Author("h", "human"),
    "m": Author("m", "mixed"),
}
CLAIMS = st.lists(
    st.builds(
        Claim,
        st.sampled_from([b"a.py", b"b.py", b"not-here"]),
        st.integers(1, LINES + 4) | st.just(2**31 - 1),
        st.integers(1, LINES + 4) | st.just(2**31 - 1),
        st.sampled_from(sorted(AUTHORS)),
        st.none() | st.just("sha256:" + "0" * 64) | st.just("word:1"),
    ),
    max_size=12,
)
SESSION = Session(
    id="import-x",
    started="2025-01-01T00:00:00Z",
    builder=TRANSCRIPT_IMPORT,
    repository=Repository("urn:x:y", "sha1"),
    base_commit=None,
    base_tree=None,
    ref=None,
    platform="x",
    agent=Agent("claude-code", "claude-code", "", None, "declared", why="imported"),
    command_line=("claude-code",),
    journal_genesis="0" * 64,
    sources=(Source("git-ai", "0" * 64),),
)


def bare(added: frozenset[int]) -> BareCommit:
    files = {
        path: AddedFile(
            RawChange("M", path, None, "100644", "100644", "1" * 40, "2" * 40),
            "0" * 64,
            1,
            [b"line %d" % number for number in range(1, LINES + 1)],
            sorted(added),
        )
        for path in (b"a.py", b"b.py")
    }
    commit = CommitObject("1" * 40, "2" * 40, ("3" * 40,), "", "", 0, "", False)
    return BareCommit(commit, None, files)


@settings(max_examples=300, deadline=None)
@given(CLAIMS, st.frozensets(st.integers(1, LINES)), st.sampled_from(["s", "t", "h"]))
def test_no_claim_reaches_beyond_the_added_lines_or_becomes_human(
    claims: list[Claim], added: frozenset[int], mine: str
) -> None:
    said = declared.attribute(bare(added), claims)
    commit = declared.commit_of(bare(added), said, AUTHORS, [mine])
    last = {
        (claim.path, number): claim.author
        for claim in claims
        if claim.content_hash != "sha256:" + "0" * 64 and claim.path != b"not-here"
        for number in sorted(added)
        if claim.start <= number <= claim.end
    }
    for change in commit.changes:
        stated = {
            number: item for item in change.ranges for number in range(item.start, item.end + 1)
        }
        assert stated.keys() == added
        for number, item in stated.items():
            assert item.basis == "declared"
            agents = last.get((change.path, number)) == mine and AUTHORS[mine].kind == "agent"
            assert item.origin == ("model" if agents else "unknown")
            assert item.why is not None or item.origin == "model"
    expected = {path for (path, _), author in last.items() if author == mine}
    assert {change.path for change in commit.changes} == expected
    # Whatever came out of it, the schema of our own statements takes it.
    attest.generation(SESSION, "0" * 64, commit, AgentReport())
