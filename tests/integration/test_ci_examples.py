"""The shell of the CI examples in docs/howto/ci.md, run against a forge that is a directory.

The services themselves are not here: what they check out and set is imitated.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml

from support.command_line import agentprov
from support.repository import Repository

TOP = Path(__file__).resolve().parents[2]
SARIF = TOP / "tests" / "data" / "sarif" / "sarif-schema-2.1.0.json"
POLICY = "version: 1\nmode: enforce\nrequire:\n  coverage: [covered]\n"


def examples() -> dict[str, Any]:
    """Give the two documents of the page: GitHub's by the name of its job, GitLab's by its own."""
    page = (TOP / "docs" / "howto" / "ci.md").read_text(encoding="utf-8")
    found = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    (github,) = [item for item in found if "jobs" in item]
    (gitlab,) = [item for item in found if "provenance" in item]
    return {"github": github, "gitlab": gitlab["provenance"]}


@dataclass
class Job:
    """A checkout as a runner has it: a detached commit, and `agentprov` on the path."""

    repository: Repository
    env: dict[str, str]

    def run(self, script: str, **env: str) -> int:
        """Run a script as the services do: bash, ended by the first command that fails."""
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.repository.top, env={**os.environ, **self.env, **env},
            capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode

    def file(self, name: str) -> Path:
        return self.repository.top / name


@pytest.fixture(params=[True, False], ids=["may merge", "may not"])
def job(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Job, bool]:
    forge = tmp_path / "forge.git"
    scratch = Repository(tmp_path / "scratch")
    scratch.git("init", "-q", "--bare", "-b", "main", str(forge))
    work = Repository(tmp_path / "work")
    work.git("checkout", "-q", "-b", "main")
    work.git("remote", "add", "origin", str(forge))
    work.commit("first")
    assert agentprov("init", cwd=work.top).status == 0
    work.write(".agentprov/policy.yaml", POLICY)
    work.commit("adopt")
    work.git("push", "-q", "origin", "main")
    work.git("checkout", "-q", "-b", "feature")
    script = "echo hi >greet.txt; git add greet.txt; git commit -qm greet"
    assert agentprov("run", "--", "sh", "-c", script, cwd=work.top).status == 0
    if not request.param:
        work.write("hand.txt", "x")
        work.commit("by hand")
    work.git("push", "-q", "origin", "feature")
    assert agentprov("sync", cwd=work.top).status == 0
    scratch.git("clone", "-q", str(forge), str(tmp_path / "checkout"))
    checkout = Repository(tmp_path / "checkout")
    checkout.git("checkout", "-q", "--detach", "origin/feature")
    checkout.git("update-ref", "-d", "refs/remotes/origin/main")
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "agentprov"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m agentprov "$@"\n')
    program.chmod(0o755)
    env = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "AGENTPROV_HOME": str(tmp_path / "runner-home"),
    }
    return Job(checkout, env), request.param


def test_the_steps_for_github_decide_and_leave_a_sarif_file(job: tuple[Job, bool]) -> None:
    runner, good = job
    example = examples()["github"]["jobs"]["gate"]
    assert example["env"] == {"TARGET": "${{ github.base_ref }}"}
    steps = {step["name"]: step for step in example["steps"] if "name" in step}
    assert runner.run(steps["Fetch"]["run"], TARGET="main") == 0
    assert runner.run(steps["Gate"]["run"], TARGET="main") == (0 if good else 13)
    log = json.loads(runner.file(steps["Upload"]["with"]["sarif_file"]).read_text())
    jsonschema.Draft4Validator(json.loads(SARIF.read_text())).validate(log)
    errors = [item for item in log["runs"][0]["results"] if item["level"] == "error"]
    assert bool(errors) != good
    assert all("physicalLocation" in item["locations"][0] for item in errors)


def test_a_gate_without_rules_fails_the_step_and_leaves_nothing_to_upload(
    job: tuple[Job, bool],
) -> None:
    runner, _ = job
    steps = examples()["github"]["jobs"]["gate"]["steps"]
    (gate,) = [step["run"] for step in steps if step.get("name") == "Gate"]
    assert runner.run(gate, TARGET="gone") == 16
    assert not runner.file("gate.sarif").exists()


@pytest.mark.parametrize("merged", [False, True], ids=["branch", "merged results"])
def test_the_script_for_gitlab_decides_and_leaves_a_junit_file(
    job: tuple[Job, bool], merged: bool
) -> None:
    runner, good = job
    example = examples()["gitlab"]
    tip = runner.repository.git("rev-parse", "HEAD")
    env = {"TARGET": "main", "CI_COMMIT_SHA": tip}
    if merged:
        # The pipeline's own commit is then a merge that GitLab made; the branch's is named.
        env |= {"CI_COMMIT_SHA": "0" * 40, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": tip}
    assert runner.run("\n".join(example["script"]), **env) == (0 if good else 13)
    report = ET.parse(runner.file(example["artifacts"]["reports"]["junit"])).getroot()
    assert (report.get("failures") == "0") == good
    assert f"agentprov.commit {tip}" in {
        f"{case.get('classname')} {case.get('name')}" for case in report.iter("testcase")
    }


def test_the_page_says_that_the_services_were_not_asked() -> None:
    page = (TOP / "docs" / "howto" / "ci.md").read_text(encoding="utf-8")
    for name in ("GitHub", "GitLab"):
        assert f"**Not run on {name} by us.**" in page
