"""Public keys: which we accept, how we write them, and what names them.

Two kinds and no others: ECDSA on P-256 with SHA-256, and Ed25519. Only these verify in every
independent verifier. One key has one spelling here: canonical SubjectPublicKeyInfo DER.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Literal

from agentprov.errors import MalformedInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Algorithm = Literal["ecdsa-p256-sha256", "ed25519"]
MAX_SPKI_BYTES = 1024
_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


def load(spki: bytes) -> EllipticCurvePublicKey | Ed25519PublicKey:
    """Load a public key from DER SubjectPublicKeyInfo.

    Raises MalformedInput for another kind of key, another curve, or another spelling of an
    accepted key (compressed point, explicit parameters, trailing bytes).
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if len(spki) > MAX_SPKI_BYTES:
        raise MalformedInput("public key: larger than any key that is accepted")
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedInput(f"public key: not SubjectPublicKeyInfo DER ({error})") from error
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise MalformedInput(f"public key: curve {key.curve.name} is not accepted, only P-256")
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise MalformedInput("public key: only ECDSA P-256 and Ed25519 are accepted")
    if spki_of(key) != spki:
        raise MalformedInput("public key: not in its canonical encoding")
    return key


def spki_of(key: EllipticCurvePublicKey | Ed25519PublicKey) -> bytes:
    """Give the canonical DER SubjectPublicKeyInfo of a loaded key."""
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def algorithm(spki: bytes) -> Algorithm:
    """Name the algorithm of an accepted key; raises MalformedInput as `load` does."""
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return "ed25519" if isinstance(load(spki), ed25519.Ed25519PublicKey) else "ecdsa-p256-sha256"


def fingerprint(spki: bytes) -> str:
    """Name a key: lower-case hex SHA-256 of its SubjectPublicKeyInfo."""
    return hashlib.sha256(spki).hexdigest()


def to_pem(spki: bytes) -> str:
    """Write SubjectPublicKeyInfo as PEM, with a newline at the end."""
    text = base64.b64encode(spki).decode("ascii")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def from_pem(text: str) -> bytes:
    """Read one PEM public key and give its SubjectPublicKeyInfo.

    Raises MalformedInput for anything around or instead of it; does not check the kind of key.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise MalformedInput("public key: not one PEM block of type PUBLIC KEY")
    try:
        return base64.b64decode("".join(lines[1:-1]), validate=True)
    except ValueError as error:
        raise MalformedInput(f"public key: bad base64 ({error})") from error
