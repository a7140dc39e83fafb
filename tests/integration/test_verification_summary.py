"""`gate --vsa`: what it says, who may sign it, and that verifiers that are not ours take it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import foreign_verifiers as foreign
from support.command_line import Answer, agentprov, statement
from support.repository import Repository

POLICY = "version: 1\nmode: enforce\nrequire:\n  plan: signed\n"
APPROVALS = "  approvals: {people: 1}\n"
VSA = "https://slsa.dev/verification_summary/v1"


class Gated:
    """One repository with a recorded change on a branch, and the home of who judges it."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder / "repository")
        self.repository.git("checkout", "-q", "-b", "main")
        self.home = folder / "agentprov"
        self.out = folder / "gate.sigstore.json"
        self.repository.write("PLAN.md", "# Plan\n\nGreet.\n")
        self.repository.commit("first")
        self.does("init")
        self.repository.write(".agentprov/policy.yaml", POLICY)
        self.repository.commit("adopt")
        self.repository.git("checkout", "-q", "-b", "feature")
        self.does("plan", "sign", "PLAN.md")
        script = "echo hi >greet.txt; git add greet.txt; git commit -qm greet"
        self.does("run", "--plan", "PLAN.md", "--", "sh", "-c", script)

    def agentprov(self, *arguments: str) -> Answer:
        env = {"AGENTPROV_HOME": str(self.home)}
        return agentprov(*arguments, cwd=self.repository.top, env=env)

    def does(self, *arguments: str) -> Answer:
        answer = self.agentprov(*arguments)
        assert answer.status == 0, (arguments, answer.out, answer.err)
        return answer

    def gate(self, *arguments: str, span: str = "main..feature") -> Answer:
        return self.agentprov(
            "gate", span, "--target", "main", "--json", "--vsa", str(self.out), *arguments
        )

    def summary(self) -> dict[str, Any]:
        """Take the summary that was written, and make room for another."""
        text = self.out.read_text()
        self.out.unlink()
        return statement(text)

    def digests(self, revision: str) -> dict[str, str]:
        """Give payload digest -> kind of what hangs on a commit."""
        folder = self.home / "bundles"
        shown = self.does("show", revision, "--bundles", str(folder), "--json").json()
        return {item["digest"]["sha256"]: item["kind"] for item in shown["bundles"]}


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Gated:
    return Gated(tmp_path_factory.mktemp("gated"))


@pytest.fixture(autouse=True)
def _nothing_left(gated: Gated) -> None:
    gated.out.unlink(missing_ok=True)


def test_a_summary_says_what_was_decided_by_which_rules_from_which_statements(
    gated: Gated,
) -> None:
    gated.repository.git("config", "remote.origin.url", "git@git.example.com:acme/app.git")
    answer = gated.gate()
    assert answer.status == 0, answer.out
    assert "signed with file:" in answer.err
    verdict, said = answer.json(), gated.summary()
    head = gated.repository.git("rev-parse", "feature")
    refs = ["refs/heads/feature"]
    assert said["predicateType"] == VSA
    assert said["subject"] == [
        {
            "name": "commit",
            "uri": f"https://git.example.com/acme/app/commit/{head}",
            "digest": {"gitCommit": head},
            "annotations": {"sourceRefs": refs, "source_refs": refs},
        }
    ]
    predicate = said["predicate"]
    inputs = predicate.pop("inputAttestations")
    app = "git+https://git.example.com/acme/app"
    assert predicate == {
        "verifier": {"id": "https://agentprov.github.io/verifiers/gate/v0.1"},
        "timeVerified": verdict["asOf"].replace("+00:00", "Z"),
        "resourceUri": app,
        "policy": {
            "uri": f"{app}@refs/heads/main#.agentprov/policy.yaml",
            "digest": verdict["policy"]["digest"],
        },
        "verificationResult": "PASSED",
        "verifiedLevels": [
            "SLSA_SOURCE_LEVEL_UNEVALUATED",
            "ORG_SOURCE_AGENT_ATTRIBUTED",
            "ORG_SOURCE_AGENT_PLAN_SIGNED",
        ],
        "slsaVersion": "1.2",
    }
    kinds = {"session-open": "session", "session-close": "session"}
    assert {item["digest"]["sha256"]: item["uri"] for item in inputs} == {
        digest: f"urn:agentprov:{kinds.get(kind, kind)}"
        for digest, kind in gated.digests("feature").items()
    }


def test_what_fails_is_said_to_have_failed_and_keeps_its_exit_code(
    gated: Gated, tmp_path: Path
) -> None:
    stricter = tmp_path / "policy.yaml"
    stricter.write_text(POLICY + APPROVALS)
    answer = gated.gate("--policy", str(stricter))
    assert answer.status == answer.json()["exitCode"] == 13
    predicate = gated.summary()["predicate"]
    assert predicate["verificationResult"] == "FAILED"
    assert predicate["verifiedLevels"] == ["FAILED"]
    assert "uri" not in predicate["policy"]
    assert str(tmp_path) not in json.dumps(predicate)


def test_an_uncovered_commit_takes_the_levels_away_though_the_policy_lets_it_pass(
    gated: Gated, tmp_path: Path
) -> None:
    observing = tmp_path / "policy.yaml"
    observing.write_text(POLICY.replace("enforce", "observe"))
    gated.repository.git("checkout", "-q", "-b", "by-hand", "feature")
    gated.repository.write("by-hand.txt", "x")
    gated.repository.commit("by hand")
    assert gated.gate("--policy", str(observing), span="main..by-hand").status == 0
    predicate = gated.summary()["predicate"]
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["verifiedLevels"] == ["SLSA_SOURCE_LEVEL_UNEVALUATED"]


def test_where_there_are_no_rules_there_is_no_summary(gated: Gated) -> None:
    answer = gated.agentprov("gate", "main..feature", "--target", "gone", "--vsa", str(gated.out))
    assert answer.status == 16
    assert not gated.out.exists()


def test_a_file_that_is_there_is_not_replaced(gated: Gated) -> None:
    gated.out.write_text("older")
    answer = gated.gate()
    assert (answer.status, answer.out) == (1, "")
    assert gated.out.read_text() == "older"


def test_no_persons_key_signs_it(gated: Gated, tmp_path: Path) -> None:
    human = gated.home / "keys" / "human.pem"
    for home in (gated.home, tmp_path / "another"):
        answer = agentprov(
            *("gate", "main..feature", "--target", "main"),
            *("--vsa", str(gated.out), "--vsa-key", f"file:{human}"),
            cwd=gated.repository.top,
            env={"AGENTPROV_HOME": str(home)},
        )
        assert answer.status == 1, answer.err
        assert "cannot sign a verification summary" in answer.err
        assert not gated.out.exists()


def test_no_key_is_made_for_it(gated: Gated, tmp_path: Path) -> None:
    answer = agentprov(
        *("gate", "main..feature", "--target", "main", "--vsa", str(gated.out)),
        cwd=gated.repository.top,
        env={"AGENTPROV_HOME": str(tmp_path / "empty")},
    )
    assert answer.status == 1
    assert not gated.out.exists()
    assert not (tmp_path / "empty").exists()
    assert gated.agentprov("gate", "main..feature", "--vsa-key", "file:/x").status == 2


@pytest.mark.parametrize("span", ["main...feature", "main..main"])
def test_a_range_that_leads_to_no_one_commit_has_no_summary(gated: Gated, span: str) -> None:
    assert gated.gate(span=span).status == 1
    assert not gated.out.exists()


def key_made(folder: Path) -> tuple[Path, Path]:
    """Make a key for a gate, as docs/howto/ci.md does; give it and its public half."""
    private, public = folder / "gate.pem", folder / "gate.pub"
    openssl = foreign.openssl()
    made = [openssl, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run([*made, "-out", private], check=True, capture_output=True)
    private.chmod(0o600)
    subprocess.run([openssl, "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def test_in_toto_and_cosign_take_it(gated: Gated, tmp_path: Path) -> None:
    private, public = key_made(tmp_path)
    assert gated.gate("--vsa-key", f"file:{private}").status == 0
    payload = base64.b64decode(json.loads(gated.out.read_text())["dsseEnvelope"]["payload"])
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    read = json_format.Parse(payload, statement_pb2.Statement())
    Statement.copy_from_pb(read).validate()
    cosign = foreign.cosign()
    for revision, status in (("feature", 0), ("main", 1)):
        done = subprocess.run(
            [cosign, "verify-blob-attestation", "--insecure-ignore-tlog", "--key", public,
             "--bundle", gated.out, "--type", VSA, "--digestAlg", "gitCommit",
             "--digest", gated.repository.git("rev-parse", revision)],
            env={"PATH": os.defpath, "HOME": str(tmp_path)},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.returncode == 0) == (status == 0), done.stderr


def test_our_own_verifier_knows_no_such_record_and_takes_it_for_none(gated: Gated) -> None:
    assert gated.gate().status == 0
    answer = gated.agentprov("verify", str(gated.out), "--json")
    assert answer.status == 14
    assert [item["code"] for item in answer.json()["findings"]] == ["predicate-unknown"]
