"""Checks signatures with public keys that the caller already trusts; says yes or no."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from agentprov.errors import MalformedInput
from agentprov.sign import public

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_SIGNATURE_BYTES = 512
_Check = Callable[[bytes, bytes], bool]
_Verify = Callable[[bytes, bytes], None]


class KeyVerifier:
    """Verifies ECDSA P-256/SHA-256 (DER) and Ed25519 signatures; implements SignatureVerifier.

    Loaded keys are cached for the life of the process. Does not know whose key it is, whether
    the key may sign this, or when it was signed.
    """

    def verify(self, spki: bytes, pae: bytes, signature: bytes) -> bool:
        """Say whether the signature is good; False also for keys and encodings we refuse."""
        if not signature or len(signature) > MAX_SIGNATURE_BYTES:
            return False
        check = _checker(spki)
        return check is not None and check(signature, pae)


@lru_cache(maxsize=256)
def _checker(spki: bytes) -> _Check | None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = public.load(spki)
    except MalformedInput:
        return None
    if isinstance(key, ec.EllipticCurvePublicKey):
        verify: _Verify = partial(_verify_p256, key, ec.ECDSA(hashes.SHA256()))
    else:
        verify = partial(_verify_ed25519, key)

    def check(signature: bytes, pae: bytes) -> bool:
        try:
            verify(signature, pae)
        except InvalidSignature:
            return False
        return True

    return check


def _verify_p256(
    key: EllipticCurvePublicKey, algorithm: ECDSA, signature: bytes, pae: bytes
) -> None:
    key.verify(signature, pae, algorithm)


def _verify_ed25519(key: Ed25519PublicKey, signature: bytes, pae: bytes) -> None:
    key.verify(signature, pae)
