from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from agentprov.ports import SignatureVerifier
from agentprov.sign.verifier import KeyVerifier

P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


def spki(key: object) -> bytes:
    return key.public_key().public_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture
def verifier() -> SignatureVerifier:
    return KeyVerifier()


def test_good_signatures_of_both_kinds_hold(verifier: SignatureVerifier) -> None:
    assert verifier.verify(spki(P256), b"x", P256.sign(b"x", ec.ECDSA(hashes.SHA256())))
    assert verifier.verify(spki(ED25519), b"x", ED25519.sign(b"x"))


def test_another_digest_than_sha256_does_not_hold(verifier: SignatureVerifier) -> None:
    assert not verifier.verify(spki(P256), b"x", P256.sign(b"x", ec.ECDSA(hashes.SHA384())))


def test_a_signature_in_another_encoding_does_not_hold(verifier: SignatureVerifier) -> None:
    signature = P256.sign(b"x", ec.ECDSA(hashes.SHA256()))
    for odd in (signature + b"\0", signature[:-1], b"", b"\x30\x00", b"\0" * 64, b"x" * 4096):
        assert not verifier.verify(spki(P256), b"x", odd)
        assert not verifier.verify(spki(ED25519), b"x", odd)


def test_a_key_of_another_kind_verifies_nothing(verifier: SignatureVerifier) -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    assert not verifier.verify(spki(p384), b"x", p384.sign(b"x", ec.ECDSA(hashes.SHA256())))
    assert not verifier.verify(b"", b"x", b"y")
    assert not verifier.verify(spki(P256) + b"\0", b"x", P256.sign(b"x", ec.ECDSA(hashes.SHA256())))


def test_every_flipped_bit_of_a_signature_is_noticed(verifier: SignatureVerifier) -> None:
    signature = ED25519.sign(b"x")
    for bit in range(len(signature) * 8):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << (bit % 8)
        assert not verifier.verify(spki(ED25519), b"x", bytes(flipped))
