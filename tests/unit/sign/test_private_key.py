"""Key files as other programs write them: every form, with and without a passphrase."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from agentprov.errors import (
    KeyDamaged,
    KeyExposed,
    KeyKindRefused,
    KeyMissing,
    KeyRotated,
    KeyUnusable,
    PassphraseNeeded,
    PassphraseWrong,
)
from agentprov.formats import ssh_wire
from agentprov.sign import private_key, public
from agentprov.sign.file_key import FileKey
from agentprov.sign.key_use import KeyUse
from agentprov.sign.verifier import KeyVerifier
from support.ssh import make_key, needs_openssh

ED, EC = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
FORMS = {
    "PKCS8": serialization.PrivateFormat.PKCS8,
    "OpenSSH": serialization.PrivateFormat.OpenSSH,
    "traditional": serialization.PrivateFormat.TraditionalOpenSSL,
}
PASSPHRASE = "correct horse \u00e9"
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes mean little here")


def file_of(key: object, form: str, passphrase: str | None = None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase and form == "OpenSSH":
        encryption = (
            serialization.PrivateFormat.OpenSSH.encryption_builder()
            .kdf_rounds(1)
            .build(passphrase.encode())
        )
    elif passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.PEM, FORMS[form], encryption
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir(mode=0o700)
    return tmp_path / "keys" / "some_key"


def keep(place: Path, data: bytes) -> Path:
    place.write_bytes(data)
    place.chmod(0o600)
    return place


class Person:
    """Answers questions in turn, and remembers them."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, question: str) -> str | None:
        self.asked.append(question)
        return self.answers.pop(0)


def use(person: Person) -> KeyUse:
    return KeyUse("human key", "to sign the plan PLAN.md", person)


@pytest.mark.parametrize("form", ["PKCS8", "OpenSSH"])
@pytest.mark.parametrize("key", [ED, EC], ids=["ed25519", "p256"])
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["open", "encrypted"])
def test_every_form_signs_with_the_key_it_holds(
    place: Path, form: str, key: ec.EllipticCurvePrivateKey, passphrase: str | None
) -> None:
    keep(place, file_of(key, form, passphrase))
    person = Person(PASSPHRASE)
    signer = FileKey(place, use(person))
    assert signer.custody == ("passphrase" if passphrase else "file")
    spki = public.spki_of(key.public_key())
    assert KeyVerifier().verify(spki, b"x", signer.sign(b"x"))
    signer.sign(b"y")
    assert signer.spki == spki
    assert len(person.asked) == (1 if passphrase else 0)


def test_the_passphrase_is_asked_for_by_name_and_purpose(place: Path) -> None:
    keep(place, file_of(ED, "OpenSSH", PASSPHRASE))
    person = Person(PASSPHRASE)
    FileKey(place, use(person)).sign(b"x")
    assert person.asked == [f"Passphrase for the human key {place}, to sign the plan PLAN.md: "]


def test_the_public_key_of_an_encrypted_openssh_file_is_known_without_asking(place: Path) -> None:
    keep(place, file_of(EC, "OpenSSH", PASSPHRASE))
    assert FileKey(place, use(Person())).spki == public.spki_of(EC.public_key())


def test_the_public_key_beside_an_encrypted_pkcs8_file_saves_a_question(place: Path) -> None:
    keep(place, file_of(EC, "PKCS8", PASSPHRASE))
    spki = public.spki_of(EC.public_key())
    place.with_name("some_key.pub").write_text(ssh_wire.public_line(spki) + " comment\n")
    assert FileKey(place, use(Person())).spki == spki


def test_a_wrong_passphrase_is_asked_for_again_and_at_most_three_times(place: Path) -> None:
    for form in ("PKCS8", "OpenSSH"):
        keep(place, file_of(ED, form, PASSPHRASE))
        person = Person("swordfish", "", PASSPHRASE)
        assert FileKey(place, use(person)).sign(b"x")
        assert [q.startswith("Not that one. ") for q in person.asked] == [False, True, True]
        person = Person("swordfish", "swordfish 2", "swordfish 3", PASSPHRASE)
        with pytest.raises(PassphraseWrong, match="no passphrase") as caught:
            FileKey(place, use(person)).sign(b"x")
        assert len(person.asked) == 3
        assert "swordfish" not in caught.value.message + str(caught.value.__context__)


@pytest.mark.parametrize("asking", [KeyUse(), KeyUse(ask=Person(None))], ids=["nobody", "headless"])
def test_without_a_terminal_an_encrypted_key_says_what_to_do(place: Path, asking: KeyUse) -> None:
    keep(place, file_of(ED, "OpenSSH", PASSPHRASE))
    with pytest.raises(PassphraseNeeded, match="no terminal") as caught:
        FileKey(place, asking).sign(b"x")
    assert "ssh-add" in (caught.value.hint or "")


def test_a_weakly_derived_file_is_read_and_said_to_be_weak(place: Path) -> None:
    said: list[str] = []
    asking = KeyUse(ask=Person(PASSPHRASE), say=said.append)
    FileKey(keep(place, file_of(ED, "PKCS8", PASSPHRASE)), asking).sign(b"x")
    assert "2,048 rounds of PBKDF2" in said[0]
    said.clear()
    asking = KeyUse(ask=Person(PASSPHRASE), say=said.append)
    FileKey(keep(place, file_of(ED, "OpenSSH", PASSPHRASE)), asking).sign(b"x")
    assert said == []


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (file_of(ec.generate_private_key(ec.SECP384R1()), "OpenSSH"), KeyKindRefused, "nistp384"),
        (file_of(rsa.generate_private_key(65537, 2048), "OpenSSH"), KeyKindRefused, "ssh-rsa"),
        (file_of(rsa.generate_private_key(65537, 2048), "PKCS8"), KeyKindRefused, "another kind"),
        (file_of(EC, "traditional"), KeyDamaged, "neither a PKCS#8 PEM nor"),
        (b"", KeyDamaged, "neither"),
        (b"ssh-ed25519 AAAA", KeyDamaged, "neither"),
        (private_key.OPENSSH + b"\n!\n", KeyDamaged, "damaged"),
        (private_key.OPENSSH + b"\nb3BlbnNzaC1rZXk=\n", KeyDamaged, "damaged"),
        (private_key.PKCS8 + b"\nAAAA\n-----END PRIVATE KEY-----\n", KeyDamaged, "damaged"),
    ],
)
def test_what_is_no_key_for_us_says_why_and_what_to_do(
    place: Path, data: bytes, error: type[KeyUnusable], words: str
) -> None:
    signer = FileKey(keep(place, data), use(Person()))
    assert signer.custody == "file"
    with pytest.raises(error, match=words) as caught:
        signer.sign(b"x")
    assert caught.value.hint


def openssh(blob: bytes, *, cipher: bytes = b"aes256-ctr", rounds: int = 16) -> bytes:
    text = ssh_wire.text
    options = text(b"s" * 16) + rounds.to_bytes(4, "big")
    body = b"openssh-key-v1\0" + text(cipher) + text(b"bcrypt") + text(options)
    body += (1).to_bytes(4, "big") + text(blob) + text(b"p" * 64)
    return (
        private_key.OPENSSH + b"\n" + base64.encodebytes(body)
        + b"-----END OPENSSH PRIVATE KEY-----\n"
    )  # fmt: skip


def test_a_file_that_would_derive_for_hours_is_refused_before_it_is_tried(place: Path) -> None:
    blob = ssh_wire.blob_of(public.spki_of(ED.public_key()))
    with pytest.raises(KeyDamaged, match="rounds of bcrypt"):
        FileKey(keep(place, openssh(blob, rounds=2**31)), use(Person("x"))).sign(b"x")


def test_a_security_key_is_refused_with_the_reason(place: Path) -> None:
    blob = ssh_wire.text(b"sk-ssh-ed25519@openssh.com") + ssh_wire.text(b"x" * 32)
    with pytest.raises(KeyKindRefused, match="flags and a counter"):
        FileKey(keep(place, openssh(blob)), use(Person())).sign(b"x")


def test_a_public_half_that_lies_signs_nothing(place: Path) -> None:
    keep(place, file_of(EC, "PKCS8", PASSPHRASE))
    other = public.spki_of(ec.generate_private_key(ec.SECP256R1()).public_key())
    place.with_name("some_key.pub").write_text(ssh_wire.public_line(other))
    with pytest.raises(KeyRotated, match="another private key"):
        FileKey(place, use(Person(PASSPHRASE))).sign(b"x")


def test_a_key_that_took_the_place_of_the_chosen_one_signs_nothing(place: Path) -> None:
    keep(place, file_of(ED, "OpenSSH"))
    expected = public.spki_of(EC.public_key())
    with pytest.raises(KeyRotated, match="another private key") as caught:
        FileKey(place, KeyUse(expected=expected)).sign(b"x")
    assert "agentprov keys use human" in (caught.value.hint or "")


@posix
def test_files_that_are_not_safe_have_errors_of_their_own(place: Path) -> None:
    with pytest.raises(KeyMissing):
        FileKey(place).sign(b"x")
    keep(place, file_of(ED, "OpenSSH"))
    link = place.with_name("link")
    link.symlink_to(place)
    with pytest.raises(KeyExposed, match="symbolic link") as caught:
        FileKey(link).sign(b"x")
    assert "not a link" in (caught.value.hint or "")
    place.chmod(0o644)
    with pytest.raises(KeyExposed, match="read by others"):
        FileKey(place).sign(b"x")


@given(st.binary(max_size=120))
def test_any_bytes_after_a_label_are_a_key_or_a_typed_error(data: bytes) -> None:
    for label in (private_key.OPENSSH, private_key.PKCS8, private_key.PKCS8_ENCRYPTED):
        text = label + b"\n" + base64.encodebytes(b"openssh-key-v1\0" + data)
        private_key.is_encrypted(text[: private_key.HEAD_BYTES])
        try:
            private_key.open_key(private_key.look(text, "f"), b"x")
        except (KeyUnusable, private_key.WrongPassphrase):
            continue
        raise AssertionError("opened")


def test_the_head_tells_encryption_and_holds_no_private_byte() -> None:
    for key in (ED, EC):
        for form in ("PKCS8", "OpenSSH"):
            head = file_of(key, form)[: private_key.HEAD_BYTES]
            assert not private_key.is_encrypted(head)
            assert private_key.is_encrypted(file_of(key, form, "x")[: private_key.HEAD_BYTES])
    scalar = EC.private_numbers().private_value.to_bytes(32, "big")
    body = file_of(EC, "PKCS8")[len(private_key.PKCS8) : private_key.HEAD_BYTES].strip()
    assert scalar[:3] not in base64.b64decode(body[: len(body) // 4 * 4])


@needs_openssh
@pytest.mark.parametrize(
    ("kind", "options"), [("ed25519", ()), ("ecdsa", ("-b", "256")), ("ed25519", ("-a", "4"))]
)
@pytest.mark.parametrize("passphrase", ["", PASSPHRASE], ids=["open", "encrypted"])
def test_what_ssh_keygen_makes_is_read(
    place: Path, kind: str, options: tuple[str, ...], passphrase: str
) -> None:
    make_key(place, kind, *options, passphrase=passphrase)
    signer = FileKey(place, use(Person(PASSPHRASE)))
    line = place.with_name("some_key.pub").read_text()
    assert line.startswith(ssh_wire.public_line(signer.spki))
    assert KeyVerifier().verify(signer.spki, b"x", signer.sign(b"x"))


@needs_openssh
def test_what_we_make_with_a_passphrase_is_read_by_ssh_keygen(place: Path) -> None:
    import subprocess

    keep(place, private_key.new_pem(PASSPHRASE.encode()))
    done = subprocess.run(
        ["ssh-keygen", "-y", "-P", PASSPHRASE, "-f", str(place)], capture_output=True, check=True
    )
    spki = private_key.look(place.read_bytes(), "").spki
    assert spki is not None
    assert done.stdout.decode().startswith(ssh_wire.public_line(spki))
