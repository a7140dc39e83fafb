from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.errors import ConfigurationInvalid
from agentprov.flows import trust
from agentprov.formats.names import LOCAL_WRAPPER, MCP_DECLARED
from agentprov.sign import file_key
from agentprov.sign.registry import key_path, signer_for
from agentprov.system.git import Git
from support.repository import Repository


def test_without_keys_nobody_is_trusted_and_no_key_is_made(tmp_path: Path) -> None:
    root = trust.local_trust(tmp_path)
    assert root.keys == ()
    assert root.self_trust
    assert not (tmp_path / "keys").exists()


def test_own_keys_are_trusted_for_their_own_purpose_only(tmp_path: Path) -> None:
    human, recorder = signer_for("human", tmp_path), signer_for("recorder", tmp_path)
    by_key = {key.spki: key for key in trust.local_trust(tmp_path, "ada").keys}
    assert by_key[human.spki].may("human")
    assert not by_key[human.spki].may("recorder")
    assert by_key[human.spki].builders == frozenset()
    assert by_key[recorder.spki].may("recorder")
    assert not by_key[recorder.spki].may("human")
    assert by_key[recorder.spki].builders == {LOCAL_WRAPPER, MCP_DECLARED}
    assert {key.custody for key in by_key.values()} == {"file"}


def test_the_trust_file_that_init_writes_reads_back_as_the_local_keys(tmp_path: Path) -> None:
    text = trust.trust_text(tmp_path, "ada: #1 'quoted' \u00e9")
    assert text == trust.trust_text(tmp_path, "ada: #1 'quoted' \u00e9")
    root = trust.read(text.encode(), "trust.yaml")
    local = trust.local_trust(tmp_path, "ada: #1 'quoted' \u00e9")
    assert {(k.spki, k.person, k.roles) for k in root.keys} == {
        (k.spki, k.person, k.roles) for k in local.keys
    }
    # What agents say of themselves counts for oneself; for a team only if it says so.
    assert {k.builders for k in root.keys} == {frozenset(), frozenset({LOCAL_WRAPPER})}
    assert not root.self_trust


def test_the_trust_file_holds_no_private_key(tmp_path: Path) -> None:
    text = trust.trust_text(tmp_path, "ada")
    for pem in (tmp_path / "keys").glob("*.pem"):
        for line in pem.read_text().splitlines()[1:-1]:
            assert line not in text


def test_the_trust_file_says_how_each_key_is_kept(tmp_path: Path) -> None:
    file_key.create(key_path("human", tmp_path), b"secret")
    for root in (
        trust.read(trust.trust_text(tmp_path, "ada").encode(), "trust.yaml"),
        trust.local_trust(tmp_path),
    ):
        assert {key.custody for key in root.keys if key.may("human")} == {"passphrase"}
        assert {key.custody for key in root.keys if key.may("recorder")} == {"file"}


def test_the_starting_policy_observes(tmp_path: Path) -> None:
    from agentprov.flows.strict_yaml import parse

    assert parse(trust.policy_text().encode(), source="p") == {"version": 1, "mode": "observe"}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("person: ada", "person: ada\n  admin: true"), "admin"),
        (("custody: file", "custody: pocket"), "custody"),
        (("- recorder\n", "- wizard\n"), "roles"),
        (("publicKey: M", "publicKey: '!M"), "f"),
        (("keys:", "keyz:"), "keyz|keys"),
        (("agentprov-trust/1", "agentprov-trust/9"), "schema"),
    ],
)
def test_a_trust_file_with_anything_unknown_is_invalid(
    tmp_path: Path, edit: tuple[str, str], words: str
) -> None:
    text = trust.trust_text(tmp_path, "ada")
    assert edit[0] in text
    with pytest.raises(ConfigurationInvalid, match=words):
        trust.read(text.replace(*edit, 1).encode(), "f")


def test_a_missing_trust_file_is_invalid_when_it_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="No such file"):
        trust.read_file(tmp_path / "trust.yaml")


def test_work_counts_own_keys_and_those_of_the_repositorys_file(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    git = Git.discover(repository.top)
    ada, bob = tmp_path / "ada", tmp_path / "bob"
    signer_for("human", ada)
    assert trust.working_trust(git, ada).self_trust
    repository.write(trust.TRUST_PATH, trust.trust_text(bob, "bob"))
    root = trust.working_trust(git, ada)
    assert not root.self_trust
    assert sorted(key.person for key in root.keys) == ["ada@example.com", "bob", "bob"]
    repository.write(trust.TRUST_PATH, "keys: [")
    with pytest.raises(ConfigurationInvalid):
        trust.working_trust(git, ada)


def test_a_person_is_named_as_git_names_them(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    git = Git.discover(repository.top)
    assert trust.person(git) == "ada@example.com"
    repository.git("config", "user.email", "")
    assert trust.person(git) == "Ada Tester"
