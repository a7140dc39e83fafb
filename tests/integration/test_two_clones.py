"""A second person, on a second machine, with nothing but a clone: can they check the record?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from support.command_line import Answer, agentprov
from support.repository import Repository


@dataclass
class Person:
    repository: Repository
    home: Path

    def agentprov(self, *arguments: str) -> Answer:
        env = {"AGENTPROV_HOME": str(self.home)}
        return agentprov(*arguments, cwd=self.repository.top, env=env)


@pytest.fixture
def forge(tmp_path: Path) -> Path:
    place = tmp_path / "forge.git"
    Repository(tmp_path / "scratch").git("init", "-q", "--bare", str(place))
    return place


def person(name: str, forge: Path, tmp_path: Path) -> Person:
    Repository(tmp_path / "scratch").git("clone", "-q", str(forge), str(tmp_path / name))
    return Person(Repository(tmp_path / name), tmp_path / f"{name}-keys")


@pytest.fixture
def ada(forge: Path, tmp_path: Path) -> Person:
    """An author whose keys are in the repository's trust file, with one recorded commit."""
    made = person("ada", forge, tmp_path)
    made.repository.write("PLAN.md", "# Plan\n")
    made.repository.commit("first")
    assert made.agentprov("init", "--commit").status == 0
    made.repository.git("push", "-q", "origin", "main")
    assert made.agentprov("plan", "sign", "PLAN.md").status == 0
    script = "echo x > x; git add x; git commit -qm 'Add x'"
    assert made.agentprov("run", "--plan", "PLAN.md", "--", "sh", "-c", script).status == 0
    made.repository.git("push", "-q", "origin", "main")
    return made


def test_without_the_records_a_clone_says_that_they_are_missing(
    ada: Person, forge: Path, tmp_path: Path
) -> None:
    bob = person("bob", forge, tmp_path)
    answer = bob.agentprov("verify", "HEAD", "--json")
    assert answer.status == 10
    codes = {finding["code"] for finding in answer.json()["findings"]}
    assert "provenance-missing" in codes


def test_with_the_records_a_clone_verifies_against_the_branch_it_came_from(
    ada: Person, forge: Path, tmp_path: Path
) -> None:
    assert ada.agentprov("sync").status == 0
    bob = person("bob", forge, tmp_path)
    assert "pushed" not in bob.agentprov("sync", "--no-push").out
    answer = bob.agentprov("verify", "HEAD", "--json")
    assert answer.status == 0, answer.out
    verdict = answer.json()
    assert verdict["trust"]["source"] == ".agentprov/trust.yaml of refs/remotes/origin/HEAD"
    assert [plan["name"] for plan in verdict["commits"][0]["plans"]] == ["PLAN.md"]
    claims = [item["claim"] for item in verdict["notProven"]]
    # The plan is tracked, so what its signer was shown can be made again in any clone.
    (shown,) = (item for item in verdict["notProven"] if "saw all of it" in item["claim"])
    assert "what was shown was made again here" in shown["why"]
    assert "that the signers are who they are said to be" not in claims


def test_a_strangers_key_is_not_trusted_although_the_signature_is_good(
    ada: Person, forge: Path, tmp_path: Path
) -> None:
    mallory = person("mallory", forge, tmp_path)
    script = "echo m > m; git add m; git commit -qm 'Add m'"
    assert mallory.agentprov("run", "--", "sh", "-c", script).status == 0
    mallory.repository.git("push", "-q", "origin", "main")
    assert mallory.agentprov("sync").status == 0
    ada.repository.git("pull", "-q", "--rebase", "origin", "main")
    assert ada.agentprov("sync").status == 0
    answer = ada.agentprov("verify", "HEAD", "--json")
    assert answer.status == 17
    codes = {finding["code"] for finding in answer.json()["findings"]}
    assert "signer-unknown" in codes


def test_a_change_cannot_widen_the_trust_it_is_judged_by(
    ada: Person, forge: Path, tmp_path: Path
) -> None:
    mallory = person("mallory", forge, tmp_path)
    (mallory.repository.top / ".agentprov/trust.yaml").unlink()
    assert mallory.agentprov("init", "--commit").status == 0
    script = "echo m > m; git add -A; git commit -qm 'Add m'"
    assert mallory.agentprov("run", "--", "sh", "-c", script).status == 0
    assert mallory.agentprov("verify", "HEAD").status == 17


def test_records_of_both_sides_survive_a_concurrent_push(
    ada: Person, forge: Path, tmp_path: Path
) -> None:
    assert ada.agentprov("sync").status == 0
    bob = person("bob", forge, tmp_path)
    for who, name in ((bob, "b"), (ada, "a")):
        script = f"echo {name} > {name}; git add {name}; git commit -qm 'Add {name}'"
        assert who.agentprov("run", "--", "sh", "-c", script).status == 0
    assert ada.agentprov("sync").status == 0
    assert bob.agentprov("sync").status == 0
    assert ada.agentprov("sync").status == 0
    ours = ada.repository.git("notes", "--ref=agentprov", "list").splitlines()
    theirs = bob.repository.git("notes", "--ref=agentprov", "list").splitlines()
    assert {line.split()[1] for line in ours} == {line.split()[1] for line in theirs}
