"""Author, reviewer and CI on three machines: plan, work, approval, gate, and those who cheat."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.command_line import Answer, agentprov, statement
from support.repository import Repository

POLICY = """\
version: 1
mode: enforce
require:
  coverage: [covered, human]
  plan: signed
  approvals: {people: 1, notPlanAuthor: true}
"""
WORK = "printf 'one\\nTWO\\n' > a.py; git add a.py; git commit -qm 'Change a'"


@dataclass
class Person:
    repository: Repository
    home: Path

    def agentprov(self, *arguments: str, **env: str) -> Answer:
        env = {"AGENTPROV_HOME": str(self.home), **env}
        return agentprov(*arguments, cwd=self.repository.top, env=env)

    def does(self, *arguments: str) -> Answer:
        answer = self.agentprov(*arguments)
        assert answer.status == 0, (arguments, answer.out, answer.err)
        return answer

    def fetch(self) -> None:
        self.repository.git("fetch", "-q", "origin")
        self.repository.git("remote", "set-head", "origin", "main")
        self.does("sync", "--no-push")

    def gate(self, *arguments: str) -> tuple[int, set[str]]:
        answer = self.agentprov("gate", *arguments, "--json")
        found = answer.json() if answer.out else {"findings": []}
        errors = {item["code"] for item in found["findings"] if item["severity"] == "error"}
        return answer.status, errors


@dataclass
class Team:
    ada: Person
    jane: Person
    ci: Person

    def ship(self) -> None:
        self.ada.repository.git("push", "-q", "--force", "origin", "feature")
        self.ada.does("sync")
        for person in (self.jane, self.ci):
            person.fetch()

    def gate(self) -> tuple[int, set[str]]:
        return self.ci.gate("origin/main..origin/feature", "--target", "origin/main")

    def approve(self, *arguments: str) -> Answer:
        answer = self.jane.does(
            "approve", "origin/main..origin/feature", "--yes", *arguments, "--json"
        )
        self.jane.does("sync")
        self.ci.fetch()
        return answer


def clone(forge: Path, tmp_path: Path, name: str) -> Person:
    Repository(tmp_path / "scratch").git("clone", "-q", str(forge), str(tmp_path / name))
    made = Person(Repository(tmp_path / name), tmp_path / f"{name}-home")
    made.repository.git("config", "user.email", f"{name}@example.com")
    return made


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """A change on a branch, recorded under a signed plan and waiting for review."""
    forge = tmp_path / "forge.git"
    Repository(tmp_path / "scratch").git("init", "-q", "--bare", str(forge))
    ada = clone(forge, tmp_path, "ada")
    ada.repository.write("PLAN.md", "# Plan\n\nShout.\n")
    ada.repository.write("a.py", "one\ntwo\n")
    ada.repository.commit("first")
    ada.does("init")
    jane = clone(forge, tmp_path, "jane")
    jane.does("keys", "new", "human")
    ada.does(
        *("trust", "add", str(jane.home / "keys" / "human.pub")),
        *("--person", "jane@example.com", "--role", "reviewer"),
    )
    ada.repository.write(".agentprov/policy.yaml", POLICY)
    ada.repository.commit("Adopt agentprov")
    ada.repository.git("push", "-q", "origin", "main")
    ada.repository.git("checkout", "-q", "-b", "feature")
    ada.does("plan", "sign", "PLAN.md")
    ada.does("run", "--plan", "PLAN.md", "--", "sh", "-c", WORK)
    made = Team(ada, jane, clone(forge, tmp_path, "ci"))
    made.ship()
    return made


def test_one_change_goes_from_plan_through_approval_to_the_gate(team: Team) -> None:
    assert team.gate() == (13, {"policy-approvals"})
    answer = team.approve("--notes", "Looks right.")
    assert answer.json()["reviewer"] == "mailto:jane@example.com"
    assert "+      2 ?   | TWO" in answer.err
    assert "Shout." in answer.err
    assert team.gate() == (0, set())
    shown = team.ci.does("show", "origin/feature", "--json").json()
    (approval,) = shown["approvals"]
    assert (approval["signer"], approval["decision"]) == ("jane@example.com", "approved")
    assert approval["valid"] is True
    text = team.ci.does("verify", "origin/feature").out
    assert "approved by jane@example.com" in text
    assert "what was shown was made again here" in text


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("printf 'one\\nTWO!\\n' > a.py; git commit -qa --amend --no-edit", "'a.py' was changed"),
        ("echo x > extra; git add extra; git commit -qm more", "'extra' was added"),
        ("git rm -q a.py; git commit -qm less", "'a.py' was deleted"),
        (
            "git checkout -q main; echo y > y; git add y; git commit -qm main; "
            "git checkout -q feature; git rebase -q main",
            "the same files stand on another base now",
        ),
    ],
    ids=["a byte", "a file more", "a file less", "the base"],
)
def test_any_change_after_it_voids_the_approval_and_is_named(
    team: Team, script: str, words: str
) -> None:
    team.approve()
    assert team.gate() == (0, set())
    team.ada.does("run", "--plan", "PLAN.md", "--", "sh", "-c", script)
    team.ada.repository.git("push", "-q", "origin", "main")
    team.ship()
    answer = team.ci.agentprov(
        "gate", "origin/main..origin/feature", "--target", "origin/main", "--json"
    )
    # A link says what a rebase was made of; it carries no approval.
    assert answer.status == (13 if "base" in words else 12)
    void = [item for item in answer.json()["findings"] if item["code"] == "approval-void"]
    assert any(words in item["message"] for item in void), answer.out


def test_a_partial_review_approves_nothing(team: Team) -> None:
    team.ada.repository.write("b.py", "b\n")
    team.ada.does("run", "--plan", "PLAN.md", "--", "sh", "-c", "git add .; git commit -qm b")
    team.ship()
    assert team.approve("--path", "a.py").json()["partial"] is True
    status, errors = team.gate()
    assert (status, errors) == (13, {"policy-approvals"})


def test_an_approval_for_another_branch_does_not_pass_this_ones_gate(team: Team) -> None:
    team.approve("--ref", "refs/heads/release")
    assert team.gate() == (13, {"policy-approvals"})
    team.approve("--ref", "refs/heads/main")
    assert team.gate() == (0, set())


def test_a_rejection_denies_until_the_same_person_changes_their_mind(team: Team) -> None:
    team.approve("--decision", "rejected")
    assert team.gate() == (13, {"policy-approvals"})
    team.approve()
    assert team.gate() == (0, set())


def test_a_plans_author_cannot_approve_their_own_result(team: Team) -> None:
    team.ada.does("approve", "main..feature", "--yes")
    team.ship()
    status, errors = team.gate()
    assert status == 13
    assert errors == {"policy-approvals", "approval-by-author"}


def test_a_recorders_key_cannot_approve(team: Team) -> None:
    recorder = f"file:{team.ada.home / 'keys' / 'recorder.pem'}"
    answer = team.ada.agentprov("approve", "main..feature", "--yes", "--key", recorder)
    assert answer.status == 1
    assert "recorder's key cannot sign for a person" in answer.err


def test_an_agent_cannot_approve_from_inside_its_run(team: Team) -> None:
    before = team.ada.repository.git("rev-parse", "refs/notes/agentprov")
    answer = team.ada.agentprov("approve", "main..feature", "--yes", AGENTPROV_SESSION="x")
    assert answer.status == 1
    assert "this is inside one" in answer.err
    assert team.ada.repository.git("rev-parse", "refs/notes/agentprov") == before


def test_a_change_cannot_widen_the_trust_that_judges_it(team: Team) -> None:
    mallory = team.ci.home.parent / "mallory"
    other = Person(team.ada.repository, mallory)
    other.does("keys", "new", "human")
    team.ada.does(
        *("trust", "add", str(mallory / "keys" / "human.pub")),
        *("--person", "mallory@example.com", "--role", "reviewer"),
    )
    team.ada.repository.write(".agentprov/policy.yaml", "version: 1\nmode: observe\n")
    team.ada.does("run", "--plan", "PLAN.md", "--", "sh", "-c", "git commit -qam sneak")
    answer = other.does("approve", "main..feature", "--yes")
    team.ship()
    assert "doubt" not in answer.out
    status, errors = team.gate()
    assert status == 13
    assert "policy-approvals" in errors


def test_a_stranger_is_told_that_nobody_will_count_it(team: Team) -> None:
    answer = team.ci.does("approve", "origin/feature", "--yes", "--json")
    assert "no reviewer's role" in answer.json()["doubt"]


def test_an_expired_approval_no_longer_passes(team: Team) -> None:
    team.approve("--not-after", "2200-01-01T00:00:00Z")
    assert team.gate() == (0, set())
    answer = team.jane.agentprov(
        "approve", "origin/feature", "--yes", "--not-after", "2020-01-01T00:00:00Z"
    )
    assert answer.status == 1
    assert "expired before it was decided" in answer.err


def test_a_reviewer_who_retires_keeps_what_was_approved_before(team: Team) -> None:
    team.approve()
    ada = team.ada.repository
    ada.git("checkout", "-q", "main")
    ada.git("merge", "-q", "--ff-only", "feature")
    team.ada.does("trust", "revoke", "jane@example.com", "--retired", "--reason", "left")
    ada.commit("Jane has left")
    ada.git("push", "-q", "origin", "main")
    team.ship()
    old = team.ci.does("verify", "origin/feature", "--json").json()
    assert [item["valid"] for item in old["commits"][0]["approvals"]] == [True]
    ada.git("checkout", "-q", "-b", "next")
    ada.write("n.py", "n\n")
    team.ada.does("run", "--plan", "PLAN.md", "--", "sh", "-c", "git add .; git commit -qm n")
    ada.git("push", "-q", "origin", "next")
    team.ship()
    team.jane.does("approve", "origin/main..origin/next", "--yes")
    team.jane.does("sync")
    team.ci.fetch()
    status, errors = team.ci.gate("origin/main..origin/next", "--target", "origin/main")
    assert status in (13, 18)
    assert "policy-approvals" in errors


def test_a_forged_approval_inside_the_notes_changes_nothing(team: Team) -> None:
    team.approve()
    notes = team.ci.repository.bundles("origin/feature")
    line = next(line for line in notes if "approval" in json.dumps(statement(line)))
    signature = json.loads(line)["dsseEnvelope"]["signatures"][0]["sig"]
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    forged = line.replace(signature, signature[:middle] + other + signature[middle + 1 :])
    assert forged != line
    kept = [item for item in notes if item != line]
    team.ci.repository.git(
        *("notes", "--ref=agentprov", "add", "-f", "-F", "-", "origin/feature"),
        input="\n".join([*kept, forged]).encode(),
    )
    for anchor in ("origin/main",):
        team.ci.repository.git("notes", "--ref=agentprov", "remove", anchor, check=False)
    assert team.gate()[0] != 0


def test_hidden_text_in_the_change_stops_the_approval_until_it_is_accepted(team: Team) -> None:
    team.ada.repository.write("a.py", "ok = 1\nadmin = '\u202e x \u2066'\n")
    team.ada.does("run", "--plan", "PLAN.md", "--", "sh", "-c", "git commit -qam odd")
    team.ship()
    answer = team.jane.agentprov("approve", "origin/main..origin/feature", "--yes")
    assert answer.status == 13
    assert "a.py, line 2" in answer.err
    assert "\u202e" not in answer.err
    command = next(line for line in answer.err.splitlines() if "--accept-finding" in line)
    identity = command.rpartition("--accept-finding ")[2].strip().strip("'")
    assert team.approve("--accept-finding", identity).json()["decision"] == "approved"
    assert team.gate() == (0, set())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["approve", "nonsense", "--yes"], "no commit here"),
        (["approve", "HEAD..HEAD", "--yes"], "is empty"),
        (["approve", "main...HEAD", "--yes"], "two dots"),
        (["approve", "--path", "missing", "--yes"], "does not change here"),
        (["approve"], "nobody here to ask"),
        (["gate", "HEAD"], "is no range"),
    ],
)
def test_a_wrong_question_gets_a_way_out(team: Team, arguments: list[str], words: str) -> None:
    answer = team.ada.agentprov(*arguments)
    assert answer.status in (1, 16)
    assert words in answer.err


@pytest.mark.parametrize("break_", ["no target", "misspelled", "in the work tree", "no trust"])
def test_a_gate_without_its_rules_fails_closed(team: Team, break_: str) -> None:
    ci = team.ci
    outside = ci.home.parent
    arguments = ["origin/main..origin/feature"]
    if break_ == "no target":
        arguments += ["--target", "origin/none"]
    elif break_ == "misspelled":
        (outside / "p.yaml").write_text(POLICY.replace("approvals", "aprovals"))
        arguments += ["--target", "origin/main", "--policy", str(outside / "p.yaml")]
    elif break_ == "in the work tree":
        arguments += ["--target", "origin/main", "--policy", ".agentprov/policy.yaml"]
    else:
        arguments += ["--target", "origin/main~1"]
    assert ci.gate(*arguments)[0] == 16


def test_trust_is_listed_and_refuses_what_it_cannot_say(team: Team) -> None:
    ada = team.ada
    listed = ada.does("trust", "list", "--json").json()["signers"]
    assert [(item["person"], item["roles"]) for item in listed] == [
        ("ada@example.com", ["human", "reviewer"]),
        ("ada@example.com", ["recorder"]),
        ("jane@example.com", ["reviewer"]),
    ]
    assert all(item["publicKey"] for item in listed)
    assert "jane@example.com" in ada.does("trust", "list", "--from", "main").out
    public = str(team.jane.home / "keys" / "human.pub")
    private = str(team.jane.home / "keys" / "human.pem")
    refused = {
        "stands there already": ["add", public, "--person", "p", "--role", "human"],
        "private key": ["add", private, "--person", "p", "--role", "human"],
        "nobody is called": ["revoke", "zoe", "--retired", "--reason", "r"],
        "2 signers": ["revoke", "ada@example.com", "--retired", "--reason", "r"],
        "no Sigstore root": [
            *("add", "--issuer", "https://i.example.com", "--identity", "x"),
            *("--person", "p", "--role", "human"),
        ],
        "name a KEY file": ["add", "--person", "p", "--role", "human"],
        "say --retired": ["revoke", "jane@example.com", "--reason", "r"],
    }
    before = Path(ada.repository.top / ".agentprov" / "trust.yaml").read_bytes()
    for words, arguments in refused.items():
        answer = ada.agentprov("trust", *arguments)
        assert answer.status in (1, 2, 16)
        assert words in answer.err, (words, answer.err)
    assert Path(ada.repository.top / ".agentprov" / "trust.yaml").read_bytes() == before
    assert before.startswith(b"# Who may sign what")
    assert os.path.exists(public)
