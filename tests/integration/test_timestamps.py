"""`plan sign --tsa`: who is asked, what leaves, what is kept, and what others make of it."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentprov.formats import bundle
from agentprov.sign import timestamps
from support.command_line import agentprov
from support.openssl_tsa import OpensslTsa, Service, serving
from support.repository import Repository

PLAN = "# Do it\n\nWell.\n"


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> OpensslTsa:
    return OpensslTsa(tmp_path_factory.mktemp("tsa") / "a")


@pytest.fixture
def service(tsa: OpensslTsa) -> Iterator[Service]:
    with serving(tsa) as found:
        yield found


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("PLAN.md", PLAN)
    made.commit("first")
    return made


def sign(repository: Repository, *options: str) -> tuple[int, str]:
    answer = agentprov("plan", "sign", "PLAN.md", *options, cwd=repository.top)
    return answer.status, answer.err


def records(repository: Repository) -> list[bundle.Bundle]:
    blob = repository.git("hash-object", "PLAN.md")
    return [bundle.parse(line.encode()) for line in repository.bundles(blob)]


def test_a_stamped_plan_carries_its_time_and_only_a_digest_left(
    repository: Repository, service: Service, tsa: OpensslTsa
) -> None:
    assert sign(repository, "--tsa", service.url)[0] == 0
    (record,) = records(repository)
    (found,) = timestamps.times(record, [tsa.authority])
    assert found.authority == "stamps"
    (asked,) = service.asked
    assert len(asked) < 100
    for private in (PLAN.encode(), b"ada@example.com", b"PLAN.md", record.signature):
        assert private not in asked


def test_without_the_option_and_without_configuration_nobody_is_asked(
    repository: Repository, service: Service
) -> None:
    repository.git("config", "agentprov.tsa", service.url)  # the repository's own: not the user's
    assert sign(repository)[0] == 0
    assert service.asked == []
    assert records(repository)[0].evidence.timestamps == ()


@pytest.mark.parametrize(
    "weather", ["refuses", "redirects", "page", "nonsense", "old-answer", "endless"]
)
def test_what_was_demanded_and_failed_keeps_nothing(
    repository: Repository, service: Service, weather: str
) -> None:
    service.weather = weather
    status, said = sign(repository, "--tsa", service.url)
    assert status == 1
    assert "no timestamp" in said
    assert records(repository) == []
    assert len(service.asked) == 1


def test_an_authority_that_is_configured_is_tried_and_may_fail(
    repository: Repository, service: Service
) -> None:
    repository.git("config", "--global", "agentprov.tsa", service.url)
    assert sign(repository)[0] == 0
    assert len(records(repository)[0].evidence.timestamps) == 1
    service.weather = "refuses"
    repository.write("PLAN.md", PLAN + "More.\n")
    status, said = sign(repository)
    assert (status, "without a timestamp" in said) == (0, True)
    assert records(repository)[0].evidence.timestamps == ()
    asked = len(service.asked)
    repository.write("PLAN.md", PLAN + "Even more.\n")
    assert sign(repository, "--tsa", "none")[0] == 0
    assert len(service.asked) == asked


def test_nobody_there_is_said_in_words(repository: Repository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    status, said = sign(repository, "--tsa", f"http://127.0.0.1:{port}/")
    assert (status, "cannot be reached" in said) == (1, True)


def test_openssl_verifies_the_timestamp_over_the_bytes_of_the_signature(
    repository: Repository, service: Service, tsa: OpensslTsa, tmp_path: Path
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    assert sign(repository, "--tsa", service.url)[0] == 0
    (record,) = records(repository)
    (tmp_path / "sig").write_bytes(record.signature)
    (tmp_path / "tsr").write_bytes(record.evidence.timestamps[0])
    (tmp_path / "chain").write_bytes(tsa.chain)
    words = ["-data", tmp_path / "sig", "-in", tmp_path / "tsr", "-CAfile", tmp_path / "chain"]
    done = subprocess.run(["openssl", "ts", "-verify", *words], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def trust_file(repository: Repository, tsa: OpensslTsa, folder: Path) -> Path:
    keys = []
    for purpose, roles, builders in (
        ("human", ["human", "reviewer"], []),
        ("recorder", ["recorder"], ["https://agentprov.github.io/builders/local-wrapper/v0.1"]),
    ):
        shown = agentprov("keys", "show", purpose, cwd=repository.top).out
        start = shown.index("-----BEGIN PUBLIC KEY-----")
        pem = shown[start:].split("-----END")[0].splitlines()[1:]
        keys.append(
            {
                "publicKey": "".join(line.strip() for line in pem),
                "person": purpose,
                "roles": roles,
                **({"builders": builders} if builders else {}),
            }
        )
    place = folder / "trust.yaml"
    document = {
        "schema": "agentprov-trust/1",
        "keys": keys,
        "timestampAuthorities": [{"name": "stamps", "chain": tsa.chain.decode()}],
    }
    place.write_text(json.dumps(document))
    return place


def test_a_whole_story_with_a_stamped_plan_holds_and_names_the_time(
    repository: Repository, service: Service, tsa: OpensslTsa, tmp_path: Path
) -> None:
    assert sign(repository, "--tsa", service.url)[0] == 0
    script = "echo x > a; git add -A; git commit -qm change"
    run = ("run", "--plan", "PLAN.md", "--", "sh", "-c", script)
    assert agentprov(*run, cwd=repository.top).status == 0
    trust = trust_file(repository, tsa, tmp_path)
    answer = agentprov("verify", "--json", "--trust", str(trust), cwd=repository.top)
    assert answer.status == 0, answer.out
    (plan,) = answer.json()["commits"][0]["plans"]
    assert plan["trustedTime"]["authority"] == "stamps"
    assert [item for item in answer.json()["findings"] if item["severity"] != "note"] == []
    shown = agentprov("verify", "--trust", str(trust), cwd=repository.top)
    assert "PLAN.md (stamped 2" in shown.out
    (record,) = records(repository)
    # A decision is stamped and logged as a plan is; what was demanded and failed keeps nothing.
    before = agentprov("checkpoint", "show", "--json", cwd=repository.top).json()["checkpoint"]
    service.weather = "refuses"
    refused = agentprov("approve", "--yes", "--tsa", service.url, cwd=repository.top)
    assert (refused.status, "no timestamp" in refused.err) == (1, True)
    service.weather = "fine"
    decided = agentprov("approve", "--yes", "--tsa", service.url, cwd=repository.top)
    assert decided.status == 0, decided.err
    after = agentprov("checkpoint", "show", "--json", cwd=repository.top).json()["checkpoint"]
    assert after["size"] == before["size"] + 1
    answer = agentprov("verify", "--json", "--trust", str(trust), cwd=repository.top)
    (approval,) = answer.json()["commits"][0]["approvals"]
    assert approval["trustedTime"]["authority"] == "stamps"
    # The same record, with the timestamp exchanged for that of another signature.
    value = json.loads(bundle.encode(record))
    stamp = base64.b64encode(tsa.stamp(b"something else")).decode()
    value["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] = [
        {"signedTimestamp": stamp}
    ]
    place = tmp_path / "forged.json"
    place.write_text(json.dumps(value))
    forged = agentprov("verify", str(place), "--json", "--trust", str(trust), cwd=repository.top)
    assert forged.status == 19
    assert [item["code"] for item in forged.json()["findings"]][:1] == ["timestamp-differs"]
