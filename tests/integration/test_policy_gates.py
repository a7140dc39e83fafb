"""Gates with rules by path, branch, agent, model, plan and origin, through the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.command_line import Answer, agentprov
from support.repository import Repository

PLAN = "# Plan\n\nChange a.\n"


@dataclass
class Site:
    """A main branch with rules, and a feature branch on which an agent (a shell) works."""

    repository: Repository
    home: Path

    def agentprov(self, *arguments: str) -> Answer:
        return agentprov(
            *arguments, cwd=self.repository.top, env={"AGENTPROV_HOME": str(self.home)}
        )

    def does(self, *arguments: str) -> Answer:
        answer = self.agentprov(*arguments)
        assert answer.status == 0, (arguments, answer.out, answer.err)
        return answer

    def rule(self, text: str) -> None:
        """Write the policy on main; the feature branch begins there."""
        self.repository.git("checkout", "-q", "main")
        self.repository.write(".agentprov/policy.yaml", "version: 1\nmode: enforce\n" + text)
        self.repository.commit("rules")
        self.repository.git("branch", "-qf", "release", "main")
        self.repository.git("checkout", "-q", "-B", "feature")

    def work(self, script: str, *options: str) -> None:
        self.does("run", *options, "--", "sh", "-c", f"{script}; git add -A; git commit -qm work")

    def gate(self, target: str = "main") -> tuple[int, dict[str, str]]:
        answer = self.agentprov("gate", f"{target}..feature", "--target", target, "--json")
        if not answer.out:
            return answer.status, {}
        found = json.loads(answer.out)["findings"]
        return answer.status, {
            item["code"]: item["message"] for item in found if item["severity"] == "error"
        }


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(Repository(tmp_path / "repository"), tmp_path / "home")
    made.repository.git("checkout", "-q", "-b", "main")
    made.repository.write("PLAN.md", PLAN)
    made.repository.write("a.py", "one\n")
    made.repository.write("payments/rates", "\n".join(str(number) for number in range(50)) + "\n")
    made.repository.commit("first")
    made.does("init")
    made.repository.commit("adopt")
    return made


GUARD = """\
rules:
  - name: payments
    for: {paths: ["payments/**"], refs: [refs/heads/main, "refs/heads/stable/**"]}
    require: {approvals: {people: 1}}
"""


def test_a_rule_by_path_and_branch_is_for_these_alone(site: Site) -> None:
    site.rule(GUARD)
    site.work("echo two > a.py")
    assert site.gate() == (0, {})
    site.work("mkdir -p lib; git mv payments/rates lib/rates")
    status, errors = site.gate()
    assert (status, set(errors)) == (13, {"policy-approvals"})
    assert errors["policy-approvals"].startswith("rule 'payments': ")
    assert site.gate("release") == (0, {})
    site.does("approve", "main..feature", "--yes")
    assert site.gate() == (0, {})


def test_a_merge_that_throws_out_what_main_has_is_a_change_of_it(site: Site) -> None:
    site.rule(GUARD)
    site.work("echo two > a.py")
    repository = site.repository
    repository.git("checkout", "-q", "main")
    repository.write("payments/rates", "safe\n")
    repository.commit("safer rates")
    repository.git("checkout", "-q", "feature")
    repository.git("merge", "-q", "-s", "ours", "-m", "catch up", "main")
    status, errors = site.gate()
    assert (status, set(errors)) == (13, {"policy-approvals"})


def test_agents_and_models_that_nobody_allowed_or_knows_are_denied(site: Site) -> None:
    site.rule("require: {agents: {allow: [{package: pkg:npm/claude}]}, models: {allow: ['**']}}\n")
    site.work("echo two > a.py")
    status, errors = site.gate()
    assert (status, set(errors)) == (13, {"policy-agent", "policy-model"})
    shown = json.loads(site.does("show", "feature", "--json").out)
    (session,) = shown["sessions"]
    digest = session["agent"]["digest"]["sha256"]
    site.rule(
        f"require: {{agents: {{allow: [{{digests: ['sha256:{digest}']}}], basis: observed}}}}\n"
    )
    site.work("echo three > a.py")
    assert site.gate() == (0, {})
    site.repository.write("a.py", "four\n")
    site.repository.commit("without a record")
    status, errors = site.gate()
    assert set(errors) == {"policy-record"}


def test_a_plan_signed_for_some_paths_is_none_for_others(site: Site) -> None:
    site.rule("require: {plan: {signed: true, role: human, maxAge: 1d, withinPaths: true}}\n")
    site.does("plan", "sign", "PLAN.md", "--allow", "*.py")
    site.work("echo two > a.py", "--plan", "PLAN.md")
    assert site.gate() == (0, {})
    site.work("echo 99 >> payments/rates", "--plan", "PLAN.md")
    status, errors = site.gate()
    assert (status, set(errors)) == (13, {"policy-plan-paths"})
    assert "'payments/rates'" in errors["policy-plan-paths"]


def test_a_plan_for_certain_models_and_no_servers_counts_with_both(site: Site) -> None:
    site.rule("require: {plan: signed}\n")
    site.does("plan", "sign", "PLAN.md", "--no-mcp-servers", "--ref", "refs/heads/feature")
    site.work("echo two > a.py", "--plan", "PLAN.md")
    assert site.gate() == (0, {})
    site.does("plan", "sign", "PLAN.md", "--model", "anthropic/claude-*")
    site.work("echo three > a.py", "--plan", "PLAN.md")
    status, errors = site.gate()
    assert (status, set(errors)) == (13, {"policy-plan-limits"})
    assert "nobody could name" in errors["policy-plan-limits"]


def test_lines_of_unknown_origin_and_sessions_with_gaps(site: Site) -> None:
    site.rule("require: {sessions: {complete: true}, origins: {maxUnknown: 0}}\n")
    site.work("echo two > a.py")
    assert set(site.gate()[1]) == {"policy-origin"}
    site.rule("require: {sessions: {complete: true}, origins: {maxUnknown: 100, noAgent: true}}\n")
    site.work("echo three > a.py")
    assert site.gate() == (0, {})


def test_what_was_there_before_adoption_is_let_in(site: Site) -> None:
    repository = site.repository
    repository.git("checkout", "-q", "-b", "old")
    repository.write("old.py", "old\n")
    old = repository.commit("before adoption")
    accept = "accept: [covered], since: "
    site.rule(f"require: {{coverage: {{{accept}{old}}}}}\n")
    repository.git("checkout", "-q", "-B", "feature", "old")
    assert site.gate() == (0, {})
    repository.write("new.py", "new\n")
    repository.commit("after it")
    assert set(site.gate()[1]) == {"policy-coverage"}


@pytest.mark.parametrize(
    "text",
    [
        "rules:\n  - {name: x, for: {path: ['**']}, require: {plan: signed}}\n",
        "rules:\n  - {name: x, for: {refs: [main]}, require: {plan: signed}}\n",
        "require: {models: {allow: ['!openai/*']}}\n",
        "requires: {plan: signed}\n",
        "require: {origins: {noagent: true}}\n",
    ],
)
def test_a_rule_that_cannot_be_read_closes_the_gate(site: Site, text: str) -> None:
    site.rule(text)
    site.work("echo two > a.py")
    assert site.gate()[0] == 16
