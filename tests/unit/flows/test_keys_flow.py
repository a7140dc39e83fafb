from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentprov.errors import AgentEmpty, PassphraseNeeded, UsageError, UserError
from agentprov.flows import keys
from agentprov.sign.key_use import KeyUse
from agentprov.sign.registry import key_path, signer_for
from support.ssh import agent, fingerprint, make_key, needs_openssh


def test_a_new_key_is_described_without_its_private_half(tmp_path: Path) -> None:
    made = keys.new(tmp_path, "human")
    assert made.algorithm == "ecdsa-p256-sha256"
    assert len(made.fingerprint) == 64
    assert made.public_key.startswith("-----BEGIN PUBLIC KEY-----")
    assert made.problem is None
    secret = key_path("human", tmp_path).read_text().splitlines()[1]
    assert secret not in repr(made)


def test_a_key_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    keys.new(tmp_path, "human")
    before = key_path("human", tmp_path).read_bytes()
    with pytest.raises(UserError, match="already"):
        keys.new(tmp_path, "human")
    assert key_path("human", tmp_path).read_bytes() == before


def test_keys_are_listed_and_found_by_purpose_or_fingerprint(tmp_path: Path) -> None:
    assert keys.list_keys(tmp_path) == []
    human, recorder = keys.new(tmp_path, "human"), keys.new(tmp_path, "recorder")
    assert keys.list_keys(tmp_path) == [human, recorder]
    assert keys.show(tmp_path, "recorder") == recorder
    assert keys.show(tmp_path, "sha256:" + human.fingerprint[:10]) == human
    for name in ("", "abc", "nobody", human.fingerprint[:7]):
        with pytest.raises(UserError, match="no key"):
            keys.show(tmp_path, name)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes mean little here")
def test_a_key_that_cannot_be_used_is_listed_with_the_way_out(tmp_path: Path) -> None:
    keys.new(tmp_path, "human")
    key_path("human", tmp_path).chmod(0o644)
    (listed,) = keys.list_keys(tmp_path)
    assert "read by others" in (listed.problem or "")
    assert "chmod 600" in (listed.remedy or "")
    assert listed.fingerprint


def test_damaged_halves_are_problems_and_no_crash(tmp_path: Path) -> None:
    signer_for("human", tmp_path)
    key_path("human", tmp_path).with_suffix(".pub").write_text("nonsense")
    (listed,) = keys.list_keys(tmp_path)
    assert listed.problem
    assert listed.fingerprint == ""


@needs_openssh
def test_a_key_is_shown_as_openssh_and_trust_files_write_it(tmp_path: Path) -> None:
    made = keys.new(tmp_path, "human")
    assert made.openssh_key.startswith("ecdsa-sha2-nistp256 AAAA")
    assert made.openssh_fingerprint.startswith("SHA256:")
    assert keys.show(tmp_path, made.openssh_fingerprint) == made
    line = tmp_path / "line.pub"
    line.write_text(made.openssh_key)
    assert fingerprint(line) == made.openssh_fingerprint


def test_a_passphrase_is_asked_for_twice_and_the_key_needs_it(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "secret"

    made = keys.new(tmp_path, "human", passphrase=True, ask=ask)
    assert made.custody == "passphrase"
    assert len(asked) == 2
    assert "New passphrase for the human key" in asked[0]
    with pytest.raises(PassphraseNeeded):
        signer_for("human", tmp_path).sign(b"x")
    assert signer_for("human", tmp_path, use=KeyUse(ask=ask)).sign(b"x")
    with pytest.raises(UserError, match="already"):
        keys.new(tmp_path, "human", passphrase=True, ask=ask)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("answers", "error"),
    [([None], PassphraseNeeded), (["a", "b", "c", "d"], UserError), (["", ""], UserError)],
)
def test_without_a_passphrase_given_twice_alike_no_key_is_made(
    tmp_path: Path, answers: list[str | None], error: type[UserError]
) -> None:
    with pytest.raises(error):
        keys.new(tmp_path, "human", passphrase=True, ask=lambda _: answers.pop(0))
    assert not key_path("human", tmp_path).exists()


def test_the_recorder_has_no_passphrase_and_is_not_chosen(tmp_path: Path) -> None:
    other = signer_for("human", tmp_path / "other")
    with pytest.raises(UsageError, match="unattended"):
        keys.new(tmp_path, "recorder", passphrase=True, ask=lambda _: "secret")
    with pytest.raises(UsageError, match="is not chosen"):
        keys.use(tmp_path, "recorder", other.uri)
    recorder = signer_for("recorder", tmp_path)
    with pytest.raises(UserError, match="signs unattended"):
        keys.use(tmp_path, "human", recorder.uri)
    assert [key.purpose for key in keys.list_keys(tmp_path)] == ["recorder"]


def test_a_chosen_key_is_listed_and_not_made_anew(tmp_path: Path) -> None:
    other = signer_for("human", tmp_path / "other")
    chosen = keys.use(tmp_path, "human", other.uri)
    assert chosen.uri == other.uri
    assert keys.list_keys(tmp_path) == [chosen]
    assert chosen.problem is None
    with pytest.raises(UserError, match="already"):
        keys.new(tmp_path, "human")
    key_path("human", tmp_path / "other").unlink()
    signer_for("human", tmp_path / "other")
    (rotated,) = keys.list_keys(tmp_path)
    assert "another private key" in (rotated.problem or "")
    key_path("human", tmp_path / "other").unlink()
    (lost,) = keys.list_keys(tmp_path)
    assert "there is no key at" in (lost.problem or "")
    assert lost.fingerprint == chosen.fingerprint


def test_confirmation_is_said_of_agents_only(tmp_path: Path) -> None:
    other = signer_for("human", tmp_path / "other")
    with pytest.raises(UsageError, match="ssh-agent"):
        keys.use(tmp_path, "human", other.uri, confirm=True)


def test_no_key_is_chosen_inside_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = signer_for("human", tmp_path / "other")
    monkeypatch.setenv("AGENTPROV_SESSION", "s")
    with pytest.raises(UserError, match="inside a recorded run"):
        keys.use(tmp_path, "human", other.uri)
    assert keys.list_keys(tmp_path) == []


@needs_openssh
def test_a_key_in_an_agent_is_chosen_and_its_absence_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path / "ssh" / "id")
    uri = f"ssh:{fingerprint(key.with_name('id.pub'))}"
    with agent() as running:
        monkeypatch.setenv("SSH_AUTH_SOCK", running.socket)
        with pytest.raises(AgentEmpty):
            keys.use(tmp_path, "human", uri)
        assert keys.list_keys(tmp_path) == []
        running.add(key)
        chosen = keys.use(tmp_path, "human", uri, confirm=True)
        assert (chosen.uri, chosen.custody) == (f"{uri}?confirm", "agent-confirm")
        assert chosen.problem is None
        running.empty()
        (listed,) = keys.list_keys(tmp_path)
    assert "holds no key" in (listed.problem or "")
    assert listed.fingerprint == chosen.fingerprint
