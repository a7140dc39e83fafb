"""The real command in every format: one document on stdout, and the same exit code in all."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from agentprov.flows import trust
from support.command_line import Answer, agentprov
from support.repository import Repository

STRICT = "version: 1\nmode: enforce\nrequire:\n  approvals: {people: 1}\n"
FORMATS = ["text", "json", "sarif", "junit", "markdown"]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.git("checkout", "-q", "-b", "main")
    made.write(".agentprov/policy.yaml", STRICT)
    made.write(".agentprov/trust.yaml", trust.trust_text(tmp_path / "home", "ada@example.com"))
    made.commit("rules")
    made.git("checkout", "-q", "-b", "feature")
    made.write("a.py", "a\n")
    made.commit("work")
    return made


def judged(repository: Repository, command: str, *words: str) -> Answer:
    rules = ["--target", "main"] if command == "gate" else ["--trust", ".agentprov/trust.yaml"]
    return agentprov(command, "main..feature", *rules, *words, cwd=repository.top)


@pytest.mark.parametrize(("command", "status"), [("verify", 0), ("gate", 13)])
def test_the_exit_code_is_the_same_in_every_format(
    repository: Repository, command: str, status: int
) -> None:
    said = {form: judged(repository, command, "--format", form) for form in FORMATS}
    assert {answer.status for answer in said.values()} == {status}
    assert said["json"].json()["exitCode"] == status
    assert judged(repository, command, "--json").json().keys() == said["json"].json().keys()
    assert json.loads(said["sarif"].out)["runs"][0]["invocations"][0]["exitCode"] == status
    failures = ET.fromstring(said["junit"].out).get("failures")
    assert (failures == "0") == (status == 0)
    assert f"(exit code {status})" in said["markdown"].out
    assert f"(exit code {status})" in said["text"].out


def test_a_gates_result_without_a_file_stands_at_the_policy_unless_that_is_elsewhere(
    repository: Repository, tmp_path: Path
) -> None:
    def uris(*words: str) -> set[str | None]:
        answer = judged(repository, "gate", "--format", "sarif", *words)
        places = [item["locations"][0] for item in answer.json()["runs"][0]["results"]]
        return {
            place.get("physicalLocation", {}).get("artifactLocation", {}).get("uri")
            for place in places
        }

    assert uris() == {".agentprov/policy.yaml"}
    elsewhere = tmp_path / "policy.yaml"
    elsewhere.write_text(STRICT)
    assert uris("--policy", str(elsewhere)) == {None}


def test_two_formats_at_once_are_refused(repository: Repository) -> None:
    assert judged(repository, "verify", "--json", "--format", "junit").status == 2
    assert judged(repository, "verify", "--json", "--format", "json").status == 0
    assert judged(repository, "verify", "--format", "xml").status == 2
