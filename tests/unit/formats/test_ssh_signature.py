"""Commits signed by the real git and ssh-keygen, read and checked by us."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprov.errors import MalformedInput
from agentprov.formats.ssh_signature import SshSignature, of_commit
from agentprov.sign.verifier import KeyVerifier
from support.repository import Repository


def commit(tmp_path: Path, kind: str, *, namespace_config: str = "ssh") -> bytes:
    key = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(key)], check=True, capture_output=True
    )
    made = Repository(tmp_path / "r")
    made.git("config", "gpg.format", namespace_config)
    made.git("config", "user.signingkey", str(key))
    made.write("a", "b")
    made.commit("signed\n\nwith a body", "-S")
    done = subprocess.run(
        ["git", "cat-file", "commit", "HEAD"], cwd=made.top, capture_output=True, check=True
    )
    return done.stdout


def good(signature: SshSignature | None) -> bool:
    assert signature is not None
    return KeyVerifier().verify(signature.spki, signature.message, signature.signature)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_commit_that_git_signed_checks_out_with_its_key(tmp_path: Path, kind: str) -> None:
    assert good(of_commit(commit(tmp_path, kind)))


@pytest.mark.parametrize("part", [b"tree ", b"author ", b"signed\n", b"with a body"])
def test_any_change_to_the_commit_breaks_it(tmp_path: Path, part: bytes) -> None:
    content = commit(tmp_path, "ed25519")
    assert part in content
    changed = content.replace(part, part[:-1] + b"x", 1)
    assert not good(of_commit(changed))


def test_a_key_of_another_kind_is_refused_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(MalformedInput, match="only Ed25519"):
        of_commit(commit(tmp_path, "rsa"))


def test_an_unsigned_commit_has_no_signature() -> None:
    assert of_commit(b"tree 1\nauthor a <b> 1 +0000\n\nmessage\n") is None
    openpgp = b"tree 1\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n\nmessage\n"
    assert of_commit(openpgp) is None


@given(st.binary(max_size=200))
def test_rubbish_in_the_signature_is_malformed_and_nothing_else(rubbish: bytes) -> None:
    import base64

    armour = base64.b64encode(b"SSHSIG\0\0\0\1" + rubbish)
    head = b"tree 1\ngpgsig -----BEGIN SSH SIGNATURE-----\n " + armour
    try:
        of_commit(head + b"\n -----END SSH SIGNATURE-----\n\nmessage\n")
    except MalformedInput:
        return
