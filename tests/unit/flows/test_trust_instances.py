"""Naming a Sigstore instance in the trust file: its root is pinned, or nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentprov.errors import ConfigurationInvalid, KeyUnusable, UserError
from agentprov.flows import trust_edit
from agentprov.flows.world import World
from agentprov.formats import digest
from support.loopback_sigstore import LoopbackSigstore
from support.repository import Repository


@pytest.fixture
def world(tmp_path: Path) -> World:
    Repository(tmp_path / "r")
    return World.here(tmp_path / "r")


@pytest.fixture
def sigstore() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore() as instance:
        yield instance


def test_a_root_is_taken_alone_or_out_of_a_configuration(
    world: World, sigstore: LoopbackSigstore
) -> None:
    for content in (sigstore.trusted_root_json(), sigstore.client_trust_config_json()):
        path = trust_edit.name_instance(world, "ours", content)
        assert json.loads(path.read_bytes()) == sigstore.trusted_root()
        (root,) = trust_edit.work_tree(world).sigstore
        assert (root.name, root.data) == ("ours", path.read_bytes())
        assert root.sha256 == digest.sha256(path.read_bytes())


def test_a_name_that_was_given_is_given_anew_and_others_stay(
    world: World, sigstore: LoopbackSigstore
) -> None:
    trust_edit.name_instance(world, "first", sigstore.trusted_root_json())
    trust_edit.name_instance(world, "second", sigstore.trusted_root_json())
    with LoopbackSigstore() as other:
        trust_edit.name_instance(world, "first", other.trusted_root_json())
        roots = {root.name: json.loads(root.data) for root in trust_edit.work_tree(world).sigstore}
        assert roots == {"first": other.trusted_root(), "second": sigstore.trusted_root()}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"trustedRoot": 1}', b"\xff", b"[" * 10**5]
)
def test_what_is_no_root_changes_nothing(
    world: World, sigstore: LoopbackSigstore, content: bytes
) -> None:
    path = trust_edit.name_instance(world, "ours", sigstore.trusted_root_json())
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(UserError):
        trust_edit.name_instance(world, "ours", content)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "a" * 65, "x\n"])
def test_a_name_cannot_lead_elsewhere(
    world: World, sigstore: LoopbackSigstore, name: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationInvalid):
        trust_edit.name_instance(world, name, sigstore.trusted_root_json())
    assert not (world.git.top / ".agentprov").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_the_public_instances_root_is_fetched_only_when_asked_for(
    world: World, sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sigstore.models import ClientTrustConfig

    config = ClientTrustConfig.from_json(sigstore.client_trust_config_json().decode())
    monkeypatch.setattr(ClientTrustConfig, "production", lambda: config)
    path = trust_edit.name_instance(world, "public-good", None)
    assert trust_edit.work_tree(world).sigstore[0].name == "public-good"
    assert json.loads(path.read_bytes())["tlogs"]

    def unreachable() -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ClientTrustConfig, "production", unreachable)
    with pytest.raises(KeyUnusable, match="no connection"):
        trust_edit.name_instance(world, "public-good", None)
