"""Encrypts text to a public key, so that only its owner reads what a session kept.

HPKE (RFC 9180) as the cryptography library has it: DHKEM(P-256), HKDF-SHA256, AES-128-GCM.
"""

from __future__ import annotations

from pathlib import Path

from agentprov.errors import KeyUnusable
from agentprov.sign import file_key

_INFO = b"agentprov transcript 1"


def seal_to(spki: bytes, text: bytes) -> bytes:
    """Encrypt text to a P-256 public key (SubjectPublicKeyInfo DER); raises KeyUnusable."""
    from cryptography.hazmat.primitives import hpke, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = serialization.load_der_public_key(spki)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise KeyUnusable(
            "only an ECDSA P-256 key can be encrypted to", hint="make one with `agentprov keys new`"
        )
    suite = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    return suite.encrypt(text, key, _INFO)


def open_with(path: Path, sealed: bytes) -> bytes:
    """Decrypt with a local private key; raises KeyUnusable when it is not the right one."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import hpke, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = serialization.load_pem_private_key(file_key.read_private(path), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyUnusable(f"{path} is no ECDSA P-256 key")
    suite = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    try:
        return suite.decrypt(sealed, key, _INFO)
    except (InvalidTag, ValueError) as error:
        raise KeyUnusable(
            f"{path} is not the key that this transcript was encrypted to",
            hint="use the key of the person who ran the session",
        ) from error
