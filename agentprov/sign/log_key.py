"""The key that signs checkpoints of the signing logs: Ed25519, one for this user.

It is neither the human's key nor the recorder's: a plan's signer appends to a log too, and a key
that signs statements must sign nothing else. Readers of C2SP notes know Ed25519 only.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agentprov.errors import KeyUnusable
from agentprov.sign import file_key, public

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_SPKI_PREFIX_BYTES = 12


class LogKey:
    """The key in a file; implements CheckpointKey. Made at the first signature, if it may be.

    With `create` false nothing is ever made and the private key is not opened to verify.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._create = create

    @cached_property
    def _file(self) -> file_key.FileKey:
        if self._create and not os.path.lexists(self.path):
            file_key.create(self.path, algorithm="ed25519")
        key = file_key.FileKey(self.path)
        if public.algorithm(key.spki) != "ed25519":
            raise KeyUnusable(
                f"{self.path} is no Ed25519 key, and readers of checkpoints know no other",
                hint=f"move {self.path} away; a new one is made when it is needed",
            )
        if self._create:
            file_key.publish(key)
        return key

    @cached_property
    def public(self) -> bytes:
        """Give the public key as 32 raw bytes. Raises KeyUnusable."""
        spki = None if self._create else file_key.read_public(self.path)
        return (spki or self._file.spki)[_SPKI_PREFIX_BYTES:]

    @cached_property
    def _verifier(self) -> Ed25519PublicKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        return Ed25519PublicKey.from_public_bytes(self.public)

    def sign(self, text: bytes) -> bytes:
        """Sign the text of a checkpoint; 64 bytes. Raises KeyUnusable."""
        return self._file.sign(text)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Say whether this very key made the signature."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._verifier.verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True
