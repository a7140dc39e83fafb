from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.errors import ConfigurationInvalid
from agentprov.flows import trust_edit
from agentprov.flows.trust_edit import Added
from agentprov.flows.world import World
from agentprov.sign.registry import signer_for
from agentprov.system.clock import SystemClock
from agentprov.system.git import Git
from support.repository import Repository


@pytest.mark.parametrize("what", ["folder", "file"])
def test_no_link_of_the_repository_leads_the_trust_file_elsewhere(
    tmp_path: Path, what: str
) -> None:
    repository = Repository(tmp_path / "repository")
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = repository.top / ".agentprov"
    if what == "folder":
        folder.symlink_to(outside)
    else:
        folder.mkdir()
        (folder / "trust.yaml").symlink_to(outside / "trust.yaml")
    world = World(Git.discover(repository.top), tmp_path / "home", SystemClock())
    key = signer_for("human", world.home).spki
    added = Added("jane@example.com", ["reviewer"], spki=key)
    with pytest.raises(ConfigurationInvalid):
        trust_edit.add(world, added)
    assert list(outside.iterdir()) == []
