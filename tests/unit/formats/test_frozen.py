from __future__ import annotations

import json

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats.facts import Agent, FileDigest, Gap, PlanRef, Repository, Session
from agentprov.formats.frozen import from_plain, to_plain

SESSION = Session(
    id="s",
    started="2026-01-01T00:00:00Z",
    builder="b",
    repository=Repository("git+https://example.com/r", "sha1"),
    base_commit=None,
    base_tree=None,
    ref="refs/heads/main",
    platform="linux/x86_64",
    agent=Agent("a", "a", "/a", "00", "observed", parts=(FileDigest("/p", "11", 3),)),
    command_line=("a", "--flag"),
    plan=PlanRef("PLAN.md", "aa", "bb", "cc"),
    labels=(("k", "v"),),
    gaps=(Gap("why", "s", "e"),),
)


def test_facts_survive_being_kept() -> None:
    assert from_plain(Session, json.loads(json.dumps(to_plain(SESSION)))) == SESSION


def test_a_member_that_is_missing_takes_its_default() -> None:
    plain = to_plain(SESSION)
    del plain["gaps"]
    assert from_plain(Session, plain).gaps == ()


@pytest.mark.parametrize("damage", [{"id": 3}, {"labels": "kv"}, {"agent": []}])
def test_what_does_not_fit_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(MalformedInput, match="does not fit Session"):
        from_plain(Session, {**to_plain(SESSION), **damage})
