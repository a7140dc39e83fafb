"""Repositories that somebody made so that judging them never ends."""

from __future__ import annotations

import time
from hashlib import sha1, sha256
from pathlib import Path

import pytest

from agentprov import attest
from agentprov.attest.rewrite import Rewritten
from agentprov.formats.carrying import Claim
from agentprov.formats.predicates.rewrite import RewrittenPath
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
        link, builder=SESSION.builder, version={"agentprov": "0"}, repository=None
    )
    return seal(statement, key)


@pytest.mark.parametrize("place", ["on its commit", "elsewhere"])
def test_links_that_lead_on_and_on_cost_one_look_each(team: Team, place: str) -> None:
    chain = [team.repository.git("rev-parse", "HEAD")]
    chain += [sha1(b"%d" % number).hexdigest() for number in range(1_500)]
    notes: dict[str, list[bytes]] = {}
    for new, old in zip(chain, chain[1:], strict=False):
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
    team.world.notes.add(
        {
            new: [made_up_link(new, old, RECORDER)]
            for new, old in zip(chain, chain[1:], strict=False)
        }
    )
    began = time.process_time()
    assert team.judge().verdict.commits[0].coverage == "uncovered"
    assert time.process_time() - began < 10
