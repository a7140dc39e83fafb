from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from agentprov.errors import KeyUnusable
from agentprov.sign import file_key
from agentprov.sign.verifier import KeyVerifier

# pytest-xdist runs threads beside the test; the children only run git and exit.
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes mean little here")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "human.pem"


def pem_of(key: object, password: bytes | None = None) -> bytes:
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def keep(place: Path, pem: bytes, mode: int = 0o600) -> Path:
    place.parent.mkdir(mode=0o700)
    place.write_bytes(pem)
    place.chmod(mode)
    return place


@posix
def test_a_new_key_is_private_whatever_the_umask(place: Path) -> None:
    old = os.umask(0)
    try:
        assert file_key.create(place)
    finally:
        os.umask(old)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert os.listdir(place.parent) == ["human.pem"]


def test_an_existing_key_is_never_replaced(place: Path) -> None:
    assert file_key.create(place)
    before = place.read_bytes()
    assert not file_key.create(place)
    assert place.read_bytes() == before


def test_what_a_new_key_signs_verifies_with_its_public_key_only(
    place: Path, tmp_path: Path
) -> None:
    file_key.create(place)
    other = tmp_path / "keys" / "other.pem"
    file_key.create(other)
    key = file_key.FileKey(place)
    signature = key.sign(b"DSSEv1 x")
    verify = KeyVerifier().verify
    assert verify(key.spki, b"DSSEv1 x", signature)
    assert not verify(key.spki, b"DSSEv1 y", signature)
    assert not verify(file_key.FileKey(other).spki, b"DSSEv1 x", signature)


def test_an_ed25519_key_is_accepted(place: Path) -> None:
    keep(place, pem_of(ed25519.Ed25519PrivateKey.generate()))
    key = file_key.FileKey(place)
    assert KeyVerifier().verify(key.spki, b"x", key.sign(b"x"))


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (pem_of(ec.generate_private_key(ec.SECP384R1())), "another kind of key"),
        (pem_of(rsa.generate_private_key(65537, 2048)), "another kind of key"),
        (pem_of(ec.generate_private_key(ec.SECP256R1()), b"secret"), "has a passphrase"),
        (b"", "neither a PKCS#8 PEM nor an OpenSSH"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"),
    ],
    ids=["p384", "rsa", "encrypted", "empty", "damaged"],
)
def test_any_other_key_is_refused(place: Path, pem: bytes, words: str) -> None:
    keep(place, pem)
    with pytest.raises(KeyUnusable, match=words):
        file_key.FileKey(place).sign(b"x")


@posix
def test_a_key_that_others_can_read_is_refused_with_the_way_out(place: Path) -> None:
    file_key.create(place)
    place.chmod(0o640)
    with pytest.raises(KeyUnusable, match="read by others") as caught:
        file_key.FileKey(place).sign(b"x")
    assert f"chmod 600 '{place}'" in (caught.value.hint or "")


@posix
def test_a_key_in_a_directory_that_others_can_write_is_refused(place: Path) -> None:
    file_key.create(place)
    place.parent.chmod(0o770)
    with pytest.raises(KeyUnusable, match="written by others"):
        file_key.FileKey(place).sign(b"x")
    with pytest.raises(KeyUnusable, match="written by others"):
        file_key.create(place.with_name("recorder.pem"))


@posix
def test_a_key_of_another_user_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file_key.create(place)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(KeyUnusable, match="another user"):
        file_key.FileKey(place).sign(b"x")


@posix
def test_a_link_or_a_fifo_is_no_key(place: Path) -> None:
    file_key.create(place)
    place.with_name("link.pem").symlink_to(place)
    os.mkfifo(place.with_name("fifo.pem"), 0o600)
    for name in ("link.pem", "fifo.pem"):
        with pytest.raises(KeyUnusable):
            file_key.FileKey(place.with_name(name)).sign(b"x")


def test_a_missing_key_says_how_to_make_one(place: Path) -> None:
    with pytest.raises(KeyUnusable) as caught:
        file_key.FileKey(place).sign(b"x")
    assert "keys new" in (caught.value.hint or "")


def test_a_damaged_public_half_is_named(place: Path) -> None:
    file_key.create(place)
    file_key.publish(file_key.FileKey(place))
    assert file_key.read_public(place) == file_key.FileKey(place).spki
    file_key.public_path(place).write_text("nonsense")
    with pytest.raises(KeyUnusable, match=r"human\.pub"):
        file_key.read_public(place)


def test_a_file_system_without_hard_links_gets_its_key_too(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert file_key.create(place)
    assert not file_key.create(place)
    assert file_key.FileKey(place).sign(b"x")


def _race(place: str, gate: object) -> None:
    gate.wait()  # type: ignore[attr-defined]
    file_key.create(Path(place))
    Path(f"{place}.{os.getpid()}").write_bytes(file_key.FileKey(Path(place)).spki)


@forks
def test_processes_that_race_for_a_key_all_use_the_same_one(place: Path) -> None:
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(8)
    racers = [context.Process(target=_race, args=(str(place), gate)) for _ in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    seen = {entry.read_bytes() for entry in place.parent.glob("human.pem.*")}
    assert len(list(place.parent.glob("human.pem.*"))) == 8
    assert seen == {file_key.FileKey(place).spki}
    assert not list(place.parent.glob(".*.part"))
