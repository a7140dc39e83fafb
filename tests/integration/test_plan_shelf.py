from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from agentprov.formats.names import PLANS_REF
from agentprov.store.plans import PlanShelf
from agentprov.system.git import Git
from support.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "r")


def test_a_kept_plan_survives_garbage_collection_byte_for_byte(repository: Repository) -> None:
    repository.write(".gitattributes", "* text=auto eol=crlf\n")
    shelf = PlanShelf(Git.discover(repository.top))
    plan = b"# Plan\r\n\xef\xbb\xbfmixed\nend"
    blob = shelf.keep_plan(plan)
    assert shelf.keep_plan(plan) == blob
    repository.git("gc", "-q", "--prune=now")
    assert shelf.plan_bytes(sha256(plan).hexdigest()) == plan
    assert shelf.kept() == {sha256(plan).hexdigest(): blob}


def test_a_ref_that_points_to_other_bytes_gives_nothing(repository: Repository) -> None:
    shelf = PlanShelf(Git.discover(repository.top))
    other = shelf.keep_plan(b"other")
    digest = sha256(b"plan").hexdigest()
    repository.git("update-ref", PLANS_REF + digest, other)
    assert shelf.plan_bytes(digest) is None


@pytest.mark.parametrize("name", ["", "HEAD", "../../heads/main", "0" * 64])
def test_unknown_names_give_nothing(repository: Repository, name: str) -> None:
    assert PlanShelf(Git.discover(repository.top)).plan_bytes(name) is None
