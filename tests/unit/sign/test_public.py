from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from agentprov.errors import MalformedInput
from agentprov.sign import public


def spki(key: object) -> bytes:
    return key.public_key().public_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


P256 = spki(ec.generate_private_key(ec.SECP256R1()))
ED25519 = spki(ed25519.Ed25519PrivateKey.generate())


def test_the_two_accepted_kinds_are_named() -> None:
    assert public.algorithm(P256) == "ecdsa-p256-sha256"
    assert public.algorithm(ED25519) == "ed25519"


def compressed() -> bytes:
    point = (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    )
    prefix = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    return prefix + point


@pytest.mark.parametrize(
    "data",
    [
        spki(ec.generate_private_key(ec.SECP384R1())),
        spki(ec.generate_private_key(ec.SECP256K1())),
        spki(rsa.generate_private_key(65537, 2048)),
        compressed(),
        P256 + b"\0",
        P256[:-1],
        b"",
        b"x" * 5000,
    ],
    ids=range(8),
)
def test_other_kinds_and_other_spellings_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedInput):
        public.load(data)


def test_a_fingerprint_is_the_digest_of_the_key() -> None:
    assert public.fingerprint(P256) == hashlib.sha256(P256).hexdigest()


@pytest.mark.parametrize("key", [P256, ED25519], ids=["p256", "ed25519"])
def test_pem_goes_there_and_back_and_other_programs_read_it(key: bytes) -> None:
    text = public.to_pem(key)
    assert public.from_pem(text) == key
    assert public.from_pem(f"\n  {text}\n") == key
    loaded = serialization.load_pem_public_key(text.encode())
    assert public.spki_of(loaded) == key  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        base64.b64encode(P256).decode(),
        public.to_pem(P256).replace("PUBLIC", "PRIVATE"),
        public.to_pem(P256) + public.to_pem(P256),
        public.to_pem(P256).replace("M", "!", 1),
        public.to_pem(P256).replace("M", "\u041c", 1),
    ],
    ids=range(6),
)
def test_what_is_not_one_public_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        public.from_pem(text)
