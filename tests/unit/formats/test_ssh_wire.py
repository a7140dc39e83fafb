from __future__ import annotations

import base64
import contextlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from agentprov.errors import MalformedInput
from agentprov.formats import ssh_wire

KEYS = [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())]


def spki(key: object) -> bytes:
    return key.public_key().public_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def line(key: object) -> str:
    return (
        key.public_key()
        .public_bytes(  # type: ignore[attr-defined,no-any-return]
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        .decode()
    )


@pytest.mark.parametrize("key", KEYS, ids=["ed25519", "p256"])
def test_keys_go_to_openssh_and_back_as_another_library_writes_them(key: object) -> None:
    assert ssh_wire.public_line(spki(key)) == line(key)
    blob = ssh_wire.from_public_line(line(key) + " a comment with words")
    assert ssh_wire.spki_of(blob) == spki(key)
    assert ssh_wire.blob_of(spki(key)) == blob


def test_other_keys_and_bytes_after_the_end_are_refused() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    blob = ssh_wire.from_public_line(line(p384))
    with pytest.raises(MalformedInput, match="only Ed25519"):
        ssh_wire.spki_of(blob)
    with pytest.raises(MalformedInput, match="only ECDSA"):
        ssh_wire.blob_of(spki(p384))
    good = ssh_wire.blob_of(spki(KEYS[0]))
    with pytest.raises(MalformedInput, match="after the end"):
        ssh_wire.spki_of(good + b"x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 " + "A" * 40_000,
        "no-pty ssh-ed25519 AAAA",
        "ssh-rsa " + line(KEYS[0]).split()[1],
    ],
    ids=["empty", "no key", "no base64", "long", "options", "another type"],
)
def test_a_line_that_is_no_key_is_malformed(text: str) -> None:
    with pytest.raises(MalformedInput):
        ssh_wire.from_public_line(text)


def test_an_ecdsa_signature_becomes_the_der_that_verifies() -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    key = KEYS[1]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    for _ in range(40):  # short numbers and set high bits come up among these
        der = key.sign(b"x", ec.ECDSA(hashes.SHA256()))
        pair = b"".join(ssh_wire.text(mpint(number)) for number in decode_dss_signature(der))
        blob = ssh_wire.text(ssh_wire.P256) + ssh_wire.text(pair)
        assert ssh_wire.signature_of(ssh_wire.P256, blob) == der


def mpint(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


@pytest.mark.parametrize(
    "blob",
    [
        ssh_wire.text(ssh_wire.P256) + ssh_wire.text(b"x" * 64),
        ssh_wire.text(ssh_wire.ED25519) + ssh_wire.text(b"x" * 63),
        ssh_wire.text(ssh_wire.ED25519) + ssh_wire.text(b"x" * 64) + b"more",
        ssh_wire.text(ssh_wire.ED25519)[:-1],
    ],
    ids=["another kind", "short", "more", "cut"],
)
def test_a_signature_of_another_kind_or_size_is_malformed(blob: bytes) -> None:
    with pytest.raises(MalformedInput):
        ssh_wire.signature_of(ssh_wire.ED25519, blob)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_a_signature_or_malformed(data: bytes) -> None:
    for read in (
        ssh_wire.spki_of,
        lambda blob: ssh_wire.signature_of(ssh_wire.P256, blob),
        lambda blob: ssh_wire.from_public_line(base64.b64encode(blob).decode()),
    ):
        with contextlib.suppress(MalformedInput):
            read(data)
