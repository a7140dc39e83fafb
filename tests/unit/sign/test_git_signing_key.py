from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from agentprov.errors import KeyKindRefused, KeyMissing, KeyUnusable
from agentprov.formats import ssh_wire
from agentprov.sign import git_signing_key, public
from support.repository import Repository

KEY = ed25519.Ed25519PrivateKey.generate()
BLOB = ssh_wire.blob_of(public.spki_of(KEY.public_key()))
LINE = ssh_wire.public_line(public.spki_of(KEY.public_key()))


@pytest.fixture
def configure(home: Path) -> object:
    def write(value: str, form: str = "ssh") -> None:
        with (home / "gitconfig").open("a") as config:
            config.write(f"[gpg]\n\tformat = {form}\n[user]\n\tsigningkey = {value}\n")

    return write


@pytest.mark.parametrize(
    "literal",
    [f"key::{LINE}", f"key::{LINE} ada@example.com", LINE],
    ids=["literal", "with a comment", "older"],
)
def test_a_literal_key_is_read(configure: object, literal: str) -> None:
    configure(literal)  # type: ignore[operator]
    assert git_signing_key.blob() == BLOB


def test_a_public_file_a_private_one_and_one_under_home_are_read(
    configure: object, home: Path
) -> None:
    private = home / ".ssh" / "id"
    private.parent.mkdir(mode=0o700)
    private.write_bytes(
        KEY.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    configure(str(private))  # type: ignore[operator]
    assert git_signing_key.blob() == BLOB
    private.write_text("never opened where the public one stands beside it")
    private.with_name("id.pub").write_text(LINE + "\n")
    assert git_signing_key.blob() == BLOB
    for value in (f"{private}.pub", "~/.ssh/id.pub", "~/.ssh/id"):
        configure(value)  # type: ignore[operator]
        assert git_signing_key.blob() == BLOB


def test_without_ssh_as_the_format_there_is_no_key(configure: object) -> None:
    assert git_signing_key.blob() is None
    configure(LINE, "openpgp")  # type: ignore[operator]
    assert git_signing_key.blob() is None
    with pytest.raises(KeyMissing, match=r"gpg\.format") as caught:
        git_signing_key.required_blob()
    assert "ssh:SHA256:" in (caught.value.hint or "")


def test_a_repository_does_not_choose_a_persons_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path / "r")
    repository.git("config", "gpg.format", "ssh")
    repository.git("config", "user.signingkey", LINE)
    monkeypatch.chdir(repository.top)
    assert git_signing_key.blob() is None


def test_the_program_that_git_would_ask_for_a_key_is_not_run(home: Path, tmp_path: Path) -> None:
    canary = tmp_path / "ran"
    program = tmp_path / "keys"
    program.write_text(f"#!/bin/sh\n: >{canary}\necho 'key::{LINE}'\n")
    program.chmod(0o755)
    with (home / "gitconfig").open("a") as config:
        config.write(f'[gpg]\n\tformat = ssh\n[gpg "ssh"]\n\tdefaultKeyCommand = {program}\n')
    assert git_signing_key.blob() is None
    assert not canary.exists()


def test_settings_that_lead_nowhere_say_so(configure: object, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.pub"
    os.mkfifo(fifo)
    for value, words in (
        ("/nowhere/id.pub", "there is no /nowhere/id.pub"),
        ("id.pub", "not an absolute path"),
        ("key::ssh-ed25519 !!", "not base64"),
        (str(fifo), "a FIFO"),
    ):
        configure(value)  # type: ignore[operator]
        with pytest.raises(KeyUnusable, match=words) as caught:
            git_signing_key.blob()
        assert caught.value.hint


def test_a_key_of_another_kind_is_refused(configure: object) -> None:
    other = rsa.generate_private_key(65537, 2048).public_key()
    line = other.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    configure("key::" + line.decode())  # type: ignore[operator]
    with pytest.raises(KeyKindRefused, match="ssh-rsa"):
        git_signing_key.blob()
