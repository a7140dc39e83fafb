"""A commit that no session made, and that a trusted human signed with git itself."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from agentprov.formats.ssh_signature import of_commit
from support.command_line import agentprov
from support.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    key = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)],
        check=True,
        capture_output=True,
    )
    made = Repository(tmp_path / "r")
    made.git("config", "gpg.format", "ssh")
    made.git("config", "user.signingkey", str(key))
    made.write("a", "b")
    made.commit("by hand", "-S")
    return made


def trust_file(repository: Repository, place: Path, role: str) -> Path:
    done = subprocess.run(
        ["git", "cat-file", "commit", "HEAD"], cwd=repository.top, capture_output=True, check=True
    )
    signature = of_commit(done.stdout)
    assert signature is not None
    key = base64.b64encode(signature.spki).decode()
    place.write_text(
        "schema: agentprov-trust/1\nkeys:\n"
        f"- publicKey: {key}\n  person: ada@example.com\n  roles: [{role}]\n"
    )
    return place


def test_a_trusted_humans_own_commit_is_covered_by_their_signature(
    repository: Repository, tmp_path: Path
) -> None:
    trust = trust_file(repository, tmp_path / "trust.yaml", "human")
    answer = agentprov("verify", "HEAD", "--json", "--trust", str(trust), cwd=repository.top)
    assert answer.status == 0, answer.out
    assert answer.json()["commits"][0]["coverage"] == "human"


@pytest.mark.parametrize("role", ["recorder", "ci"])
def test_a_machines_key_makes_no_human_commit(
    repository: Repository, tmp_path: Path, role: str
) -> None:
    trust = trust_file(repository, tmp_path / "trust.yaml", role)
    answer = agentprov("verify", "HEAD", "--json", "--trust", str(trust), cwd=repository.top)
    assert answer.status == 10
    assert answer.json()["commits"][0]["coverage"] == "uncovered"


def test_an_unsigned_commit_of_the_same_author_is_uncovered(
    repository: Repository, tmp_path: Path
) -> None:
    trust = trust_file(repository, tmp_path / "trust.yaml", "human")
    repository.write("c", "d")
    repository.commit("no signature")
    answer = agentprov("verify", "HEAD", "--json", "--trust", str(trust), cwd=repository.top)
    assert answer.status == 10
