"""Plans signed with every kind of key: the command line, a real ssh-agent, a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.command_line import Answer, agentprov, statement
from support.repository import Repository
from support.ssh import Agent, agent, fingerprint, make_key, needs_openssh
from support.terminal import Terminal

pytestmark = needs_openssh
PASSPHRASE = "correct horse"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repo")
    made.write("PLAN.md", "# Greet\n\nAdd greet.txt.\n")
    made.commit("first")
    return made


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    with agent() as started:
        monkeypatch.setenv("SSH_AUTH_SOCK", started.socket)
        yield started


def uri_of(key: Path) -> str:
    return f"ssh:{fingerprint(key.with_name(key.name + '.pub'))}"


def sign(repository: Repository, *options: str, **env: str) -> Answer:
    return agentprov("plan", "sign", "PLAN.md", *options, cwd=repository.top, env=env)


def custodies(repository: Repository) -> dict[str, str]:
    document = yaml.safe_load((repository.top / ".agentprov/trust.yaml").read_text())
    return {key["roles"][0]: key["custody"] for key in document["keys"]}


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_persons_git_key_signs_from_the_first_command_to_the_verdict(
    repository: Repository, running: Agent, tmp_path: Path, home: Path, kind: str
) -> None:
    key = make_key(tmp_path / "ssh" / "id", kind)
    running.add(key)
    with (home / "gitconfig").open("a") as config:
        config.write(f"[gpg]\n\tformat = ssh\n[user]\n\tsigningkey = {key}.pub\n")
    ready = agentprov("init", "--commit", cwd=repository.top)
    assert ready.status == 0
    assert f"{uri_of(key).removeprefix('ssh:')}, held by ssh-agent, is your human key" in ready.err
    assert custodies(repository) == {"human": "agent", "recorder": "file"}
    signed = sign(repository)
    assert signed.status == 0
    assert f"with {uri_of(key)}" in signed.out
    assert "is asked for the human key SHA256:" in signed.err
    assert "to sign the plan PLAN.md" in signed.err
    ran = agentprov(
        "run", "--plan", "PLAN.md", "--", "sh", "-c",
        "echo hi >greet.txt; git add -A; git commit -qm greet", cwd=repository.top,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    trust = ("--trust", ".agentprov/trust.yaml")
    verdict = agentprov("verify", "HEAD", "--json", *trust, cwd=repository.top)
    assert verdict.status == 0, verdict.out
    assert any("custody is 'agent'" in item["why"] for item in verdict.json()["notProven"])
    # The agent has gone: what needs no signature of the person goes on.
    running.stop()
    assert agentprov("verify", "HEAD", cwd=repository.top).status == 0
    assert agentprov("init", cwd=repository.top).status == 0
    refused = sign(repository)
    assert refused.status == 1
    assert "no ssh-agent answers" in refused.err


def test_any_scheme_can_be_named_for_one_plan(
    repository: Repository, running: Agent, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "ssh" / "id")
    running.add(key)
    for uri in (uri_of(key), f"file:{key}"):
        signed = sign(repository, "--key", uri, "--json")
        assert signed.status == 0, signed.err
        assert json.loads(signed.out)["signer"] == uri
    assert sign(repository, "--key", "ssh:").status == 1
    assert sign(repository, "--key", "ssh:odd").status == 2
    assert not (Path(os.environ["AGENTPROV_HOME"]) / "keys" / "human.pem").exists()


def test_each_thing_that_can_be_wrong_with_an_agent_is_said(
    repository: Repository, running: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, other = make_key(tmp_path / "ssh" / "a"), make_key(tmp_path / "ssh" / "b")

    def refused(words: str, way_out: str) -> None:
        done = sign(repository, "--key", uri_of(key))
        assert done.status == 1, done.err
        assert words in done.err
        assert way_out in done.err

    refused("holds no key, or is locked", "ssh-add -X")
    running.add(other)
    refused("does not hold the key", "ssh-add -l")
    running.add(key)
    assert sign(repository, "--key", uri_of(key)).status == 0
    running.lock(tmp_path)
    refused("holds no key, or is locked", "ssh-add -X")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "nowhere"))
    refused("no ssh-agent answers", "ssh-add")
    monkeypatch.delenv("SSH_AUTH_SOCK")
    refused("SSH_AUTH_SOCK is not set", "ssh-agent")


def test_keys_of_other_kinds_are_refused_by_their_names(
    repository: Repository, running: Agent, tmp_path: Path
) -> None:
    for kind, options, name in (
        ("rsa", ("-b", "2048"), "ssh-rsa"),
        ("ecdsa", ("-b", "384"), "ecdsa-sha2-nistp384"),
    ):
        key = make_key(tmp_path / "ssh" / kind, kind, *options)
        running.add(key)
        for uri in (uri_of(key), f"file:{key}"):
            done = sign(repository, "--key", uri)
            assert done.status == 1
            assert f"{name} key; only ECDSA P-256 and Ed25519" in done.err
            assert "ssh-keygen -t ed25519" in done.err


@pytest.mark.parametrize("answer", [0, 1])
def test_an_agent_that_asks_signs_only_when_it_is_let(
    repository: Repository, tmp_path: Path, answer: int
) -> None:
    asked = tmp_path / "asked"
    askpass = tmp_path / "askpass"
    askpass.write_text(f'#!/bin/sh\necho "$1" >>{asked}\nexit {answer}\n')
    askpass.chmod(0o755)
    key = make_key(tmp_path / "ssh" / "id")
    with agent(askpass) as running:
        running.add(key, "-c")
        env = {"SSH_AUTH_SOCK": running.socket}
        chosen = agentprov("keys", "use", "human", uri_of(key), "--confirm", cwd=tmp_path, env=env)
        assert "custody agent-confirm" in chosen.out
        done = sign(repository, **env)
        assert done.status == answer, done.err
        assert agentprov("init", cwd=repository.top, env=env).status == 0
    assert custodies(repository)["human"] == "agent-confirm"
    assert uri_of(key).removeprefix("ssh:") in asked.read_text()
    if answer:
        assert "did not sign" in done.err
        assert "not confirmed" in done.err


def on_terminal(*arguments: str, cwd: Path) -> Terminal:
    return Terminal([sys.executable, "-m", "agentprov", *arguments], cwd, os.environ)


@pytest.mark.terminal
def test_a_passphrase_is_asked_on_the_terminal_and_nowhere_else(repository: Repository) -> None:
    with on_terminal("keys", "new", "human", "--passphrase", cwd=repository.top) as terminal:
        terminal.until("New passphrase for the human key")
        terminal.type(PASSPHRASE + "\n")
        terminal.until("once more: ")
        terminal.type(PASSPHRASE + "\n")
        terminal.until("custody passphrase")
        assert terminal.status() == 0
    with on_terminal("plan", "sign", "PLAN.md", cwd=repository.top) as terminal:
        for attempt in ("no", "never", PASSPHRASE):
            asked = terminal.until(", to sign the plan PLAN.md: ")
            assert "Passphrase for the human key " in asked
            assert "Not that one. " in asked or attempt == "no"
            terminal.type(attempt + "\n")
        shown = terminal.until("next: ")
        assert terminal.status() == 0
    assert PASSPHRASE not in shown
    # Neither a pipe nor a file is a person.
    headless = subprocess.run(
        [sys.executable, "-m", "agentprov", "plan", "sign", "PLAN.md"],
        cwd=repository.top, input=f"{PASSPHRASE}\n".encode(), capture_output=True, check=False,
        start_new_session=True, timeout=60,
    )  # fmt: skip
    assert headless.returncode == 1
    assert b"there is no terminal to ask" in headless.stderr
    assert b"ssh-add" in headless.stderr
    assert agentprov("init", cwd=repository.top).status == 0
    assert custodies(repository) == {"human": "passphrase", "recorder": "file"}


@pytest.mark.terminal
def test_three_wrong_passphrases_sign_nothing(repository: Repository, tmp_path: Path) -> None:
    key = make_key(tmp_path / "ssh" / "id", passphrase=PASSPHRASE)
    arguments = ("plan", "sign", "PLAN.md", "--key", f"file:{key}")
    with on_terminal(*arguments, cwd=repository.top) as terminal:
        for _ in range(3):
            terminal.until(", to sign the plan PLAN.md: ")
            terminal.type("wrong\n")
        terminal.until("no passphrase that was given opens")
        assert terminal.status() == 1
    assert not repository.git("for-each-ref", "refs/notes")


def test_a_run_never_uses_the_persons_key(
    repository: Repository, running: Agent, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "ssh" / "id")
    running.add(key)
    top = repository.top
    assert agentprov("keys", "use", "human", uri_of(key), cwd=top).status == 0
    shown = agentprov("keys", "show", "human", "--json", cwd=top).json()["keys"][0]
    assert shown["custody"] == "agent"
    assert shown["opensshKey"] in key.with_name("id.pub").read_text()
    script = (
        "echo hi >greet.txt; git add -A; git commit -qm greet;"
        f"{sys.executable} -m agentprov plan sign PLAN.md >refused 2>&1; echo $? >>refused;"
        f"{sys.executable} -m agentprov keys use human ssh: >>refused 2>&1; echo $? >>refused"
    )
    assert agentprov("run", "--", "sh", "-c", script, cwd=top).status == 0
    refused = (top / "refused").read_text()
    assert refused.count("inside a recorded run") == 2
    assert [line for line in refused.splitlines() if line.isdigit()] == ["1", "1"]
    lines = repository.bundles()
    assert len(lines) >= 2
    hints = {json.loads(line)["verificationMaterial"]["publicKey"]["hint"] for line in lines}
    assert shown["hint"] not in hints
    assert all("plan" not in statement(line)["predicateType"] for line in lines if line)
