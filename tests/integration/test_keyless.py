"""From a login to a verdict: plans and approvals signed keyless by the real command line."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentprov.flows import trust_edit
from agentprov.flows.world import World
from agentprov.verify.catalogue import CATALOGUE
from support import sigstore_js
from support.command_line import Answer, agentprov
from support.loopback_sigstore import LoopbackSigstore
from support.repository import Repository

PLAN = "# Plan\n\nAdd a file x.\n"
WORK = "echo x > x; git add x; git commit -qm 'Add x'"
CI = ("GITHUB_", "ACTIONS_", "GITLAB_", "CI_", "CIRCLE", "BUILDKITE", "SIGSTORE_", "GOOGLE_")


@pytest.fixture
def sigstore(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackSigstore]:
    for name in list(os.environ):
        if name.startswith(CI):
            monkeypatch.delenv(name)
    with LoopbackSigstore() as instance:
        yield instance


@dataclass
class Jane:
    """Somebody who signs in as jane@example.com, in a repository that trusts her for it."""

    repository: Repository
    sigstore: LoopbackSigstore
    folder: Path

    def agentprov(self, *arguments: str, user: str | None = None) -> Answer:
        token = self.sigstore.oidc.token(user)
        env = {"GITLAB_CI": "true", "SIGSTORE_ID_TOKEN": token}
        return agentprov(*arguments, cwd=self.repository.top, env=env)

    def key(self, rekor: Any = 2, **changes: Any) -> str:
        path = self.folder / f"config-{rekor}.json"
        path.write_bytes(self.sigstore.client_trust_config_json(rekor, **changes))
        return f"sigstore:?config={path}&flow=ambient"

    def sign(self, rekor: Any = 2, *, user: str | None = None, **changes: Any) -> Answer:
        key = self.key(rekor, **changes)
        return self.agentprov("plan", "sign", "PLAN.md", "--key", key, "--json", user=user)

    def record(self) -> bytes:
        """Give the newest bundle on the plan, as it was signed."""
        blob = self.repository.git("hash-object", "PLAN.md")
        lines = self.repository.bundles(blob)
        (path := self.folder / "record.json").write_text(lines[-1])
        return path.read_bytes()

    def verify(self, bundle: dict[str, Any] | bytes) -> Answer:
        """Verify a bundle under the committed trust, where nobody answers and nobody is home."""
        path = self.folder / "given.json"
        path.write_bytes(bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode())
        trust = self.repository.top / ".agentprov" / "trust.yaml"
        return agentprov(
            "verify", str(path), "--trust", str(trust), "--json", cwd=self.repository.top
        )


@pytest.fixture
def jane(sigstore: LoopbackSigstore, tmp_path: Path) -> Jane:
    made = Jane(Repository(tmp_path / "r"), sigstore, tmp_path)
    made.repository.write("PLAN.md", PLAN)
    made.repository.commit("first")
    world = World.here(made.repository.top)
    trust_edit.name_instance(world, "ours", sigstore.client_trust_config_json())
    trust_edit.add(
        world,
        trust_edit.Added(
            person="mailto:jane@example.com",
            roles=["human", "reviewer"],
            issuer=sigstore.oidc.url,
            identity="jane@example.com",
            root="ours",
        ),
    )
    made.repository.commit("trust")
    return made


def codes(answer: Answer) -> set[str]:
    return {item["code"] for item in answer.json()["findings"] if item["severity"] == "error"}


def require(answer: Answer, code: str, exit_code: int) -> None:
    assert code in codes(answer), answer.out
    assert CATALOGUE[code].exit_code == answer.status == exit_code


def test_from_nothing_to_a_verdict_by_commands_alone(
    sigstore: LoopbackSigstore, tmp_path: Path
) -> None:
    jane = Jane(Repository(tmp_path / "r"), sigstore, tmp_path)
    jane.repository.write("PLAN.md", PLAN)
    jane.repository.commit("first")
    key = jane.key()
    config = key.removeprefix("sigstore:?config=").partition("&")[0]
    assert jane.agentprov("init").status == 0
    assert jane.agentprov("trust", "root", config, "--name", "ours").status == 0
    who = ["--issuer", sigstore.oidc.url, "--identity", "jane@example.com", "--root", "ours"]
    roles = ["--person", "mailto:jane@example.com", "--role", "human", "--role", "reviewer"]
    assert jane.agentprov("trust", "add", *who, *roles).status == 0
    jane.repository.commit("trust")

    signed = jane.sign()
    assert signed.status == 0, signed.err
    assert "signed as jane@example.com" in signed.err
    assert signed.json()["signer"] == key
    listed = jane.agentprov("plan", "list", "--json").json()["plans"]
    assert [(plan["signer"], plan["trusted"]) for plan in listed] == [
        ("mailto:jane@example.com", True)
    ]
    top = jane.repository.top
    ran = agentprov("run", "--plan", "PLAN.md", "--", "sh", "-c", WORK, cwd=top)
    assert ran.status == 0, ran.err
    trust = ["--trust", str(top / ".agentprov" / "trust.yaml")]
    verdict = agentprov("verify", "HEAD", *trust, "--json", cwd=top)
    assert verdict.status == 0, verdict.out
    assert [plan["name"] for plan in verdict.json()["commits"][0]["plans"]] == ["PLAN.md"]
    unproven = " ".join(item["claim"] for item in verdict.json()["notProven"])
    assert "signed the plan in person" not in unproven

    approve = ["approve", "HEAD", "--key", key, *trust, "--yes", "--json"]
    stranger = jane.agentprov(*approve, user="joan@example.com")
    assert stranger.status == 0, stranger.err
    assert "no reviewer's role" in stranger.json()["doubt"]
    decided = jane.agentprov(*approve)
    assert decided.status == 0, decided.err
    assert decided.json()["doubt"] is None
    verdict = agentprov("verify", "HEAD", *trust, "--json", cwd=top)
    (commit,) = verdict.json()["commits"]
    valid = [item["signer"] for item in commit["approvals"] if item["valid"]]
    assert valid == ["mailto:jane@example.com"]


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_keyless_plan_verifies_here_and_with_sigstore_js(jane: Jane, rekor: Any) -> None:
    assert jane.sign(rekor).status == 0
    line = jane.record()
    answer = jane.verify(line)
    assert (answer.status, codes(answer)) == (0, set()), answer.out
    root = (jane.repository.top / ".agentprov" / "sigstore-ours.json").read_bytes()
    assert sigstore_js.verify(line, root, identity="jane@example.com") == "good"
    assert "UNTRUSTED" in sigstore_js.verify(line, root, identity="joan@example.com")


@pytest.mark.parametrize("user", ["evil-jane@example.com", "jane@example.com.evil"])
def test_a_look_alike_signs_what_nobody_counts(jane: Jane, user: str) -> None:
    signed = jane.sign(user=user)
    assert signed.status == 0
    require(jane.verify(jane.record()), "signer-unknown", 17)
    ran = agentprov("run", "--plan", "PLAN.md", "--", "sh", "-c", WORK, cwd=jane.repository.top)
    assert ran.status == 125


def test_the_right_name_by_another_issuers_word_is_nobody(jane: Jane) -> None:
    token = jane.sigstore.other_oidc.token("jane@example.com")
    env = {"GITLAB_CI": "true", "SIGSTORE_ID_TOKEN": token}
    key = jane.key()
    signed = agentprov("plan", "sign", "PLAN.md", "--key", key, cwd=jane.repository.top, env=env)
    assert signed.status == 0, signed.err
    require(jane.verify(jane.record()), "signer-unknown", 17)


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ("fulcio", "certificate"),
        ("rekor", "log and timestamps"),
        ("tsa", "no timestamp came"),
    ],
)
def test_an_outage_leaves_no_record_and_says_what_to_do(
    jane: Jane, service: str, message: str
) -> None:
    answer = jane.sign(unreachable=[service])
    assert answer.status == 1
    assert message in answer.err and "hint:" in answer.err
    assert "Traceback" not in answer.err
    assert "eyJ" not in answer.err + answer.out  # how every token begins
    assert jane.repository.git("notes", "--ref=agentprov", "list") == ""


def browser(folder: Path, body: str) -> str:
    """Give a BROWSER that is a program of ours."""
    (program := folder / "browser.py").write_text(f"import sys, time, urllib.request\n{body}\n")
    return f"{sys.executable} {program} %s"


def test_a_person_signs_in_with_the_browser_of_the_environment(jane: Jane, tmp_path: Path) -> None:
    key = jane.key().replace("ambient", "browser")
    env = {"BROWSER": browser(tmp_path, "urllib.request.urlopen(sys.argv[1]).read()")}
    answer = agentprov(
        "plan", "sign", "PLAN.md", "--key", key, "--json", cwd=jane.repository.top, env=env
    )
    assert answer.status == 0, answer.err
    assert answer.json()["signer"] == key
    assert jane.verify(jane.record()).status == 0


def test_waiting_for_a_person_can_be_interrupted(jane: Jane, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    body = f"open({str(opened)!r}, 'w').close()"
    key = jane.key().replace("ambient", "browser")
    command = [sys.executable, "-m", "agentprov", "plan", "sign", "PLAN.md", "--key", key]
    waiting = subprocess.Popen(
        command,
        cwd=jane.repository.top,
        env={**os.environ, "BROWSER": browser(tmp_path, body)},
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not opened.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 130, err
    assert b"Traceback" not in err
    assert jane.repository.git("notes", "--ref=agentprov", "list") == ""


def test_another_timestamp_authority_cannot_be_asked_for(jane: Jane) -> None:
    answer = jane.agentprov(
        "plan", "sign", "PLAN.md", "--key", jane.key(), "--tsa", jane.sigstore.url + "/tsa"
    )
    assert answer.status == 2
    assert "brings its own timestamps" in answer.err
    assert jane.sigstore.server.requests == []
    jane.repository.git("config", "--global", "agentprov.tsa", "http://127.0.0.1:9/nobody")
    assert jane.sign().status == 0
    assert jane.verify(jane.record()).status == 0


def test_an_expired_token_signs_nothing(jane: Jane) -> None:
    env = {"GITLAB_CI": "true", "SIGSTORE_ID_TOKEN": jane.sigstore.oidc.token(exp=1_000_000_000)}
    answer = agentprov(
        "plan", "sign", "PLAN.md", "--key", jane.key(), cwd=jane.repository.top, env=env
    )
    assert answer.status == 1
    assert "identity token is refused" in answer.err


def test_the_public_log_needs_a_word_of_consent_and_nothing_is_asked_before(jane: Jane) -> None:
    answer = jane.agentprov("plan", "sign", "PLAN.md", "--key", "sigstore:public-good")
    assert answer.status == 2
    assert "for ever and for everybody" in answer.err
    assert "consent=public-log" in answer.err
    assert jane.sigstore.server.requests == []


def test_an_agent_in_a_run_cannot_sign_in_for_the_person(jane: Jane) -> None:
    answer = agentprov(
        "plan", "sign", "PLAN.md", "--key", jane.key(), cwd=jane.repository.top,
        env={"AGENTPROV_SESSION": "s"},
    )  # fmt: skip
    assert answer.status == 1
    assert jane.sigstore.server.requests == []


def test_a_bundle_whose_certificate_expired_since_verifies(jane: Jane) -> None:
    assert jane.sign().status == 0
    said = json.loads(base64.b64decode(json.loads(jane.record())["dsseEnvelope"]["payload"]))
    jane.sigstore.weather.shift = timedelta(days=-30)
    then = jane.sigstore.weather.now("oidc") - timedelta(minutes=1)
    said["predicate"]["declaredAt"] = then.strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = jane.verify(jane.sigstore.sign(json.dumps(said).encode()))
    assert (answer.status, codes(answer)) == (0, set()), answer.out


def test_a_plan_that_says_another_time_than_its_evidence_is_told(jane: Jane) -> None:
    assert jane.sign().status == 0
    payload = base64.b64decode(json.loads(jane.record())["dsseEnvelope"]["payload"])
    jane.sigstore.weather.shift = timedelta(days=-30)
    require(jane.verify(jane.sigstore.sign(payload)), "time-contradicted", 19)


def test_a_root_that_the_change_brings_is_not_the_pinned_one(jane: Jane) -> None:
    assert jane.sign().status == 0
    line = jane.record()
    root = jane.repository.top / ".agentprov" / "sigstore-ours.json"
    with LoopbackSigstore() as evil:
        root.write_bytes(evil.trusted_root_json())
        answer = jane.verify(line)
    assert answer.status == 16
    assert "not the file whose digest" in answer.err


def test_the_target_branchs_root_counts_and_not_the_work_trees(jane: Jane, tmp_path: Path) -> None:
    with LoopbackSigstore() as evil:
        forge = tmp_path / "forge.git"
        jane.repository.git("init", "-q", "--bare", str(forge))
        jane.repository.git("remote", "add", "origin", str(forge))
        jane.repository.git("push", "-q", "origin", "main")
        jane.repository.git("remote", "set-head", "origin", "main")
        world = World.here(jane.repository.top)
        trust_edit.name_instance(world, "ours", evil.client_trust_config_json())
        jane.repository.commit("widen trust")
        assert jane.sign().status == 0
        payload = json.loads(jane.record())["dsseEnvelope"]["payload"]
        forged = evil.sign(base64.b64decode(payload), "jane@example.com", jane.sigstore.oidc.url)
        path = tmp_path / "forged.json"
        path.write_text(json.dumps(forged))
        answer = agentprov("verify", str(path), "--json", cwd=jane.repository.top)
    require(answer, "certificate-unknown", 17)


def test_verifying_opens_no_connection(jane: Jane) -> None:
    assert jane.sign().status == 0
    line = jane.record()
    before = len(jane.sigstore.server.requests)
    assert jane.verify(line).status == 0
    assert len(jane.sigstore.server.requests) == before
    jane.sigstore.server.close()
    assert jane.verify(line).status == 0
