"""Repositories that somebody made so that judging them never ends."""

from __future__ import annotations

import time
from hashlib import sha1, sha256
from itertools import pairwise
from pathlib import Path

import pytest

from agentprov import attest
from agentprov.attest.rewrite import Rewritten
from agentprov.flows import rewrite_facts
from agentprov.formats.carrying import Claim
from agentprov.formats.predicates.rewrite import RewrittenPath
from agentprov.verify import policy_facts
from agentprov.verify.claims import claims_of
from support.repository import Repository
from support.rewritten import Team, lines
from support.story import RECORDER, SESSION, STRANGER, Key, seal


@pytest.fixture
def team(tmp_path: Path) -> Team:
    repository = Repository(tmp_path / "work")
    repository.git("branch", "-M", "main")
    repository.write("base.txt", lines(1, 3, "base"))
    repository.commit("Begin")
    return Team(repository, tmp_path / "home")


def made_up_link(new: str, old: str, key: Key) -> bytes:
    change = RewrittenPath(
        "a.txt", "modify", "100644", "3" * 40, None, "a.txt",
        (Claim(1, 1, "model", "reported", None, None, 0),), None,
    )  # fmt: skip
    source = (old, sha256(old.encode()).hexdigest())
    link = Rewritten(new, "4" * 40, (), "rebase", (old,), (source,), (change,), 1)
    statement = attest.rewrite(
        link,
        builder=SESSION.builder,
        version={"agentprov": "0"},
        repository="git+https://git.example/a",
    )
    return seal(statement, key)


@pytest.mark.parametrize("place", ["on its commit", "elsewhere"])
def test_links_that_lead_on_and_on_cost_one_look_each(team: Team, place: str) -> None:
    chain = [team.repository.git("rev-parse", "HEAD")]
    chain += [sha1(b"%d" % number).hexdigest() for number in range(1_500)]
    notes: dict[str, list[bytes]] = {}
    for new, old in pairwise(chain):
        anchor = new if place == "on its commit" else sha1(new.encode()).hexdigest()
        notes[anchor] = [made_up_link(new, old, STRANGER)]
    team.world.notes.add(notes)
    began = time.process_time()
    verdict = team.judge().verdict
    assert verdict.commits[0].coverage == "uncovered"
    # When each step read all of them again this took 15 seconds, and 100 for 4,000 links.
    assert time.process_time() - began < 5


def test_a_long_chain_of_a_trusted_signer_ends_at_its_bound(team: Team) -> None:
    team.repository.write("a.txt", lines(1, 3))
    head = team.repository.commit("agent")
    chain = [head, *(sha1(b"%d" % number).hexdigest() for number in range(700))]
    team.world.notes.add({new: [made_up_link(new, old, RECORDER)] for new, old in pairwise(chain)})
    began = time.process_time()
    assert team.judge().verdict.commits[0].coverage == "uncovered"
    assert time.process_time() - began < 10


def lost_work(team: Team, path: str, versions: list[str]) -> None:
    """Record versions of a file on a branch that nobody merged."""
    team.repository.git("checkout", "-q", "-b", "topic")
    for number, content in enumerate(versions):
        team.repository.write(path, content)
        team.record(team.repository.commit(f"version {number}"), f"session-{number}")
    team.repository.git("checkout", "-q", "main")


def test_a_small_blob_at_many_paths_is_not_read_to_the_end(team: Team) -> None:
    lost_work(team, "a/x0", [lines(1, 3)])
    blob = team.repository.git("hash-object", "-w", "--stdin", input=b"x\n" * 10_000_000)
    listing = "".join(f"100644 blob {blob}\tx{number}\n" for number in range(100))
    within = team.repository.git("mktree", input=listing.encode())
    tree = team.repository.git("mktree", input=f"040000 tree {within}\ta\n".encode())
    commit = team.repository.git("commit-tree", "-m", "two gigabytes of patch", "-p", "main", tree)
    began = time.monotonic()
    assert team.judge(commit).verdict.commits[0].coverage == "uncovered"
    assert time.monotonic() - began < 60


def test_many_versions_of_large_files_are_followed_within_a_bound(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [lines(1, 50 + number) for number in range(8)]
    lost_work(team, "a.txt", versions)
    team.repository.write("a.txt", "by hand\n" + versions[-1])
    team.repository.commit("squashed, and changed")
    whole = team.judge()
    assert claims_of(whole, whole.verdict.commits[0].commit)["a.txt"].ranges
    monkeypatch.setattr(rewrite_facts, "_FOLLOWED_BYTES", 2_000)
    monkeypatch.setattr(rewrite_facts, "_FOLLOWED_BYTES_EACH", 0)
    bounded = team.judge()
    assert not claims_of(bounded, bounded.verdict.commits[0].commit)
    assert bounded.verdict.commits[0].coverage == "uncovered"


def test_where_lines_were_not_read_a_like_file_accounts_for_none(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost_work(team, "a.txt", [lines(1, 5)])
    team.repository.write("a.txt", lines(1, 5))
    team.repository.commit("as it was recorded")
    for most, untold in ((10_000, ()), (10, ("a.txt",))):
        monkeypatch.setattr(rewrite_facts, "_PATCH_BYTES", most)
        judgement = team.judge()
        assert judgement.verdict.commits[0].via == "content"
        (commit,) = policy_facts.collect(
            judgement, judgement.case.around, (), by_path=False
        ).commits
        assert commit.untold == untold
