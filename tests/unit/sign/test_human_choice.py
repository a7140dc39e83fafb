"""Which key is the human's: chosen once, kept, and never the recorder's."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentprov.errors import AgentUnreachable, KeyDamaged, KeyExposed, KeyRotated, KeyUnusable
from agentprov.flows import trust
from agentprov.formats import ssh_wire
from agentprov.sign import file_key, public, registry
from agentprov.sign.key_use import KeyUse
from agentprov.sign.registry import (
    choose,
    chosen_uri,
    key_path,
    local_custody,
    local_public,
    pointer_path,
    resolve,
    signer_for,
)
from agentprov.sign.ssh_key import AgentKey
from support.ssh import (
    Agent,
    agent,
    fingerprint,
    make_key,
    needs_openssh,
    odd_agent,
    request,
)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    with agent() as started:
        monkeypatch.setenv("SSH_AUTH_SOCK", started.socket)
        yield started


def git_signs_with(home: Path, value: Path) -> None:
    with (home / "gitconfig").open("a") as config:
        config.write(f"[gpg]\n\tformat = ssh\n[user]\n\tsigningkey = {value}\n")


def other_key(tmp_path: Path) -> file_key.FileKey:
    place = tmp_path / "elsewhere" / "k.pem"
    file_key.create(place)
    return file_key.FileKey(place)


def test_a_chosen_key_signs_for_the_human_from_then_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = signer_for("human", home)
    key = other_key(tmp_path)
    choose(home, key)
    assert chosen_uri(home) == key.uri
    assert stat.S_IMODE(pointer_path(home).stat().st_mode) == 0o600
    assert signer_for("human", home).spki == key.spki == local_public("human", home)
    assert first.spki != key.spki
    choose(home, resolve(first.uri))
    assert signer_for("human", home).spki == first.spki == local_public("human", home)


def test_a_key_that_was_exchanged_behind_its_uri_signs_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = other_key(tmp_path)
    choose(home, key)
    key.path.unlink()
    file_key.create(key.path)
    with pytest.raises(KeyRotated, match="another private key") as caught:
        signer_for("human", home).sign(b"x")
    assert "keys use human" in (caught.value.hint or "")
    choose(home, resolve(key.uri))
    assert signer_for("human", home).sign(b"x")


def test_the_recorders_key_and_the_humans_cannot_become_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    recorder = signer_for("recorder", home)
    with pytest.raises(KeyUnusable, match="recorder's key cannot be the human key"):
        choose(home, recorder)
    assert chosen_uri(home) is None
    # By force: a pointer that somebody wrote.
    signer_for("human", home)
    pointer_path(home).write_text(recorder.uri + "\n")
    pointer_path(home).chmod(0o600)
    with pytest.raises(KeyUnusable):
        signer_for("human", home).sign(b"x")
    file_key.write_public(key_path("human", home), recorder.spki)
    with pytest.raises(KeyUnusable, match="also the"):
        signer_for("human", home)
    with pytest.raises(KeyUnusable, match="also the human key"):
        signer_for("recorder", home)


def test_a_pointer_for_the_recorder_means_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    recorder = signer_for("recorder", home)
    place = pointer_path(home).with_name("recorder.uri")
    place.write_text(other_key(tmp_path).uri)
    place.chmod(0o600)
    assert signer_for("recorder", home).spki == recorder.spki


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes mean little here")
def test_a_pointer_that_others_could_have_written_is_not_followed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    choose(home, other_key(tmp_path))
    pointer_path(home).chmod(0o666)
    with pytest.raises(KeyExposed):
        signer_for("human", home)


@pytest.mark.parametrize("text", ["", "\n", "a\0b", "x" * 9_000, "sms:+1", "ssh:nonsense"])
def test_an_odd_pointer_is_damaged_and_no_other_key_is_taken(tmp_path: Path, text: str) -> None:
    home = tmp_path / "home"
    choose(home, other_key(tmp_path))
    pointer_path(home).write_text(text)
    with pytest.raises(KeyDamaged) as caught:
        signer_for("human", home)
    assert "keys use human" in (caught.value.hint or "")
    assert not key_path("human", home).exists()


@needs_openssh
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_the_git_signing_key_is_taken_on_first_need_if_the_agent_holds_it(
    tmp_path: Path, home: Path, running: Agent, kind: str
) -> None:
    key = make_key(tmp_path / "ssh" / "id", kind)
    running.add(key)
    git_signs_with(home, key.with_name("id.pub"))
    said: list[str] = []
    signer = signer_for("human", tmp_path / "own", use=KeyUse(say=said.append))
    assert isinstance(signer, AgentKey)
    assert chosen_uri(tmp_path / "own") == f"ssh:{fingerprint(key.with_name('id.pub'))}"
    assert "is your human key from now on" in said[0]
    assert local_custody("human", tmp_path / "own") == "agent"
    assert not key_path("human", tmp_path / "own").exists()
    assert signer_for("recorder", tmp_path / "own").custody == "file"
    # The choice stays when git's setting goes, and is known when the agent has gone.
    (home / "gitconfig").write_text("")
    running.stop()
    again = signer_for("human", tmp_path / "own")
    assert again.spki == signer.spki == local_public("human", tmp_path / "own")
    with pytest.raises(AgentUnreachable):
        again.sign(b"x")


@needs_openssh
@pytest.mark.parametrize("why", ["no agent", "not in the agent", "another kind"])
def test_a_git_signing_key_that_cannot_sign_is_passed_over_and_that_is_said(
    tmp_path: Path, home: Path, running: Agent, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    options = ("ecdsa", "-b", "384") if why == "another kind" else ("ed25519",)
    key = make_key(tmp_path / "ssh" / "id", *options)
    git_signs_with(home, key)
    if why == "no agent":
        monkeypatch.delenv("SSH_AUTH_SOCK")
    if why == "another kind":
        running.add(key)
    said: list[str] = []
    own = tmp_path / "own"
    assert signer_for("human", own, use=KeyUse(say=said.append)).custody == "file"
    assert chosen_uri(own) is None
    assert "is not taken" in said[0]
    assert "agentprov keys use human ssh:" in said[0]
    # What was made then stays the key, also when the agent has it now.
    running.add(key)
    monkeypatch.setenv("SSH_AUTH_SOCK", running.socket)
    assert signer_for("human", own).custody == "file"


@needs_openssh
def test_a_file_key_that_is_there_is_not_exchanged_for_gits(
    tmp_path: Path, home: Path, running: Agent
) -> None:
    own = tmp_path / "own"
    before = signer_for("human", own).spki
    key = make_key(tmp_path / "ssh" / "id")
    running.add(key)
    git_signs_with(home, key)
    assert signer_for("human", own).spki == before


@needs_openssh
def test_ssh_alone_means_gits_key_and_says_which_one(
    tmp_path: Path, home: Path, running: Agent
) -> None:
    key = make_key(tmp_path / "ssh" / "id")
    running.add(key)
    git_signs_with(home, key)
    print_ = fingerprint(key.with_name("id.pub"))
    assert resolve("ssh:").uri == f"ssh:{print_}"
    assert resolve("SSH:?confirm").uri == f"ssh:{print_}?confirm"
    assert resolve("ssh:?confirm").custody == "agent-confirm"
    line = key.with_name("id.pub").read_text()
    assert line.startswith(ssh_wire.public_line(resolve("ssh:").spki))


def test_the_custody_of_a_file_with_a_passphrase_is_passphrase(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert file_key.create(key_path("human", home), b"secret")
    assert local_custody("human", home) == "passphrase"
    signer = signer_for("human", home)
    assert signer.custody == "passphrase"
    assert public.algorithm(signer.spki) == "ecdsa-p256-sha256"
    assert local_public("human", home) == signer.spki
    assert registry.local_custody("recorder", home) == "file"


def test_only_a_signature_of_the_persons_own_goes_to_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    blob = ssh_wire.blob_of(other_key(tmp_path).spki)
    listing = b"\x0c\0\0\0\x01" + ssh_wire.text(blob) + ssh_wire.text(b"c")

    def answer(stream: socket.socket) -> None:
        while message := request(stream):
            asked.append(message)
            stream.sendall(len(listing).to_bytes(4, "big") + listing)

    home = tmp_path / "home"
    with odd_agent(answer) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        choose(home, resolve(f"ssh:{ssh_wire.fingerprint(blob)}"))
        assert asked == [b"\x0b"]
        assert signer_for("recorder", home).sign(b"x")
        assert len(trust.local_trust(home).keys) == 2
        assert "custody: agent\n" in trust.trust_text(home, "ada")
        assert signer_for("human", home).spki == other_key(tmp_path).spki
    assert asked == [b"\x0b"]
