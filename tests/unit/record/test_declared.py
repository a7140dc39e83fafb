"""Foreign claims beside a real commit: who gets which added line, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats.foreign import content_hash
from agentprov.formats.foreign.claims import Author, Claim, model_name
from agentprov.record import declared
from agentprov.record.declared import Attribution, BareCommit
from agentprov.system.git import Git
from support.repository import Repository

AUTHORS = {
    "s": Author("s", "agent", "claude", None, model_name("claude-opus-5")),
    "t": Author("t", "agent", "cursor"),
    "h": Author("h", "human"),
}
LINES = [b"one", b"two", b"three", b"two", b"three"]


@pytest.fixture
def bare(tmp_path: Path) -> BareCommit:
    """A commit that adds lines 2 to 5 of a file, a link, bytes, and takes a file away."""
    made = Repository(tmp_path / "r")
    made.write("a.py", b"one\n")
    made.write("gone.py", b"x\n")
    made.commit("first")
    made.write("a.py", b"\n".join(LINES) + b"\n")
    made.write("bytes", b"\0\1")
    (made.top / "link").symlink_to("a.py")
    (made.top / "gone.py").unlink()
    oid = made.commit("second")
    git = Git.discover(made.top)
    with git.cat_file() as reader:
        asked = {b"a.py", b"bytes", b"link", b"gone.py", b"none"}
        return declared.Looker(git, reader).look(oid, asked)


def said(bare: BareCommit, *claims: Claim) -> Attribution:
    return declared.attribute(bare, claims)


def test_only_what_the_commit_added_is_put_down_to_anybody(bare: BareCommit) -> None:
    found = said(bare, Claim(b"a.py", 1, 3, "s"), Claim(b"none", 1, 1, "s"))
    assert found.by_path == {b"a.py": {2: "s", 3: "s"}}
    assert [complaint.code for complaint in found.complaints] == ["lines-not-added"] * 2


def test_later_claims_win_and_the_rest_is_unknown_with_its_reason(bare: BareCommit) -> None:
    found = said(
        bare,
        Claim(b"a.py", 2, 4, "s"),
        Claim(b"a.py", 3, 3, "t"),
        Claim(b"a.py", 4, 4, "h"),
    )
    (change,) = declared.commit_of(bare, found, AUTHORS, ["s"]).changes
    assert [
        (item.start, item.origin, item.basis, item.model, item.why) for item in change.ranges
    ] == [
        (2, "model", "declared", "claude-opus-5", None),
        (3, "unknown", "declared", None, "declared-another-session"),
        (4, "unknown", "declared", None, "declared-human"),
        (5, "unknown", "declared", None, "not-declared"),
    ]
    assert (change.op, change.path, change.mode) == ("modify", b"a.py", "100644")


def test_links_bytes_and_deletions_have_no_lines_to_claim(bare: BareCommit) -> None:
    paths = (b"bytes", b"link", b"gone.py")
    found = said(bare, *(Claim(path, 1, 1, "s") for path in paths))
    assert found.by_path == {}


def test_a_hash_that_fits_in_two_places_fits_in_none(bare: BareCommit) -> None:
    twice = Claim(b"a.py", 9, 10, "s", content_hash.of(LINES[1:3]))
    assert [c.code for c in said(bare, twice).complaints] == ["content-hash-differs"]
    here = Claim(b"a.py", 2, 3, "s", content_hash.of(LINES[1:3]))
    assert said(bare, here).by_path == {b"a.py": {2: "s", 3: "s"}}
    once = Claim(b"a.py", 7, 9, "s", content_hash.of(LINES[1:4]))
    assert said(bare, once).by_path == {b"a.py": {2: "s", 3: "s", 4: "s"}}


def test_a_record_that_costs_more_than_an_honest_one_is_refused(
    bare: BareCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declared, "MAX_LINES", 1_000)
    budget = declared.Budget(lines=1_000, hashed=1_000)
    monkeypatch.setattr(declared, "Budget", lambda: budget)
    with pytest.raises(MalformedInput):
        said(bare, *([Claim(b"a.py", 1, 2**31 - 1, "s")] * 1_000))
    budget.lines = 1_000
    with pytest.raises(MalformedInput):
        said(bare, *([Claim(b"a.py", 1, 1, "s", "sha256:" + "0" * 64)] * 1_000))
