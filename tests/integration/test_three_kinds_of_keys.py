"""Author with ssh-agent, reviewer by login, recorder with a file: one change to CI's gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.command_line import Answer, agentprov
from support.loopback_sigstore import LoopbackSigstore
from support.repository import Repository
from support.ssh import Agent, agent, fingerprint, make_key, needs_openssh

pytestmark = needs_openssh
POLICY = """\
version: 1
mode: enforce
require:
  coverage: [covered, human]
  plan: signed
  approvals: {people: 1, notPlanAuthor: true}
"""
WORK = "printf 'one\\nTWO\\n' > a.py; git add a.py; git commit -qm 'Change a'"
RANGE = "origin/main..origin/feature"


@dataclass
class Machine:
    """A clone with a home of its own, and nothing in the environment but what is given."""

    repository: Repository
    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def asks(self, *arguments: str, **env: str) -> Answer:
        own = {"AGENTPROV_HOME": str(self.home), "SSH_AUTH_SOCK": ""}
        return agentprov(*arguments, cwd=self.repository.top, env={**own, **self.env, **env})

    def does(self, *arguments: str, **env: str) -> Answer:
        answer = self.asks(*arguments, **env)
        assert answer.status == 0, (arguments, answer.out, answer.err)
        return answer

    def fetch(self) -> None:
        self.repository.git("fetch", "-q", "origin")
        self.repository.git("remote", "set-head", "origin", "main")
        self.does("sync", "--no-push")


@pytest.fixture
def sigstore() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore() as instance:
        yield instance


@pytest.fixture
def running() -> Iterator[Agent]:
    with agent() as started:
        yield started


def clone(forge: Path, tmp_path: Path, name: str) -> Machine:
    Repository(tmp_path / "scratch").git("clone", "-q", str(forge), str(tmp_path / name))
    made = Machine(Repository(tmp_path / name), tmp_path / f"{name}-home")
    made.repository.git("config", "user.email", f"{name}@example.com")
    return made


def test_three_people_with_three_kinds_of_keys_take_a_change_to_the_gate(
    sigstore: LoopbackSigstore, running: Agent, tmp_path: Path
) -> None:
    forge = tmp_path / "forge.git"
    Repository(tmp_path / "scratch").git("init", "-q", "--bare", str(forge))
    config = tmp_path / "config.json"
    config.write_bytes(sigstore.client_trust_config_json())

    ada = clone(forge, tmp_path, "ada")
    ada.env["SSH_AUTH_SOCK"] = running.socket
    key = make_key(tmp_path / "ssh" / "id", "ecdsa")
    running.add(key)
    ada.repository.write("PLAN.md", "# Plan\n\nShout.\n")
    ada.repository.write("a.py", "one\ntwo\n")
    ada.repository.commit("first")
    ada.does("keys", "use", "human", f"ssh:{fingerprint(key.with_name('id.pub'))}")
    ada.does("init")
    ada.does("trust", "root", str(config), "--name", "ours")
    ada.does(
        *("trust", "add", "--issuer", sigstore.oidc.url, "--identity", "jane@example.com"),
        *("--root", "ours", "--person", "jane@example.com", "--role", "reviewer"),
    )
    ada.repository.write(".agentprov/policy.yaml", POLICY)
    ada.repository.commit("Adopt agentprov")
    ada.repository.git("push", "-q", "origin", "main")
    ada.repository.git("checkout", "-q", "-b", "feature")
    ada.does("plan", "sign", "PLAN.md")
    ada.does("run", "--plan", "PLAN.md", "--", "sh", "-c", WORK)
    ada.repository.git("push", "-q", "origin", "feature")
    ada.does("sync")

    ci = clone(forge, tmp_path, "ci")
    jane = clone(forge, tmp_path, "jane")
    jane.fetch()

    def gate() -> tuple[int, set[str]]:
        ci.fetch()
        answer = ci.asks("gate", RANGE, "--target", "origin/main", "--json")
        found = json.loads(answer.out)["findings"]
        return answer.status, {one["code"] for one in found if one["severity"] == "error"}

    def approve(user: str) -> None:
        token = sigstore.oidc.token(user)
        jane.does(
            *("approve", RANGE, "--yes", "--key", f"sigstore:?config={config}&flow=ambient"),
            GITLAB_CI="true",
            SIGSTORE_ID_TOKEN=token,
        )
        jane.does("sync")

    assert gate() == (13, {"policy-approvals"})
    approve("evil-jane@example.com")
    assert gate() == (13, {"policy-approvals"})
    approve("jane@example.com")
    sigstore.server.close()
    assert gate() == (0, set())
    shown = ci.does("show", "origin/feature", "--json").json()
    assert [one["signer"] for one in shown["approvals"] if one["valid"]] == ["jane@example.com"]
    assert not (ci.home / "keys").exists()
