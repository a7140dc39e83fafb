"""Checks certificates, log entries and timestamps offline; implements EvidenceVerifier.

What each kind needs is imported when a bundle carries it, so that verifying plain keys stays
quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentprov.formats.bundle import Bundle
    from agentprov.formats.evidence import (
        CertifiedIdentity,
        SigstoreRoot,
        TimestampAuthority,
        TrustedTime,
    )


class OfflineEvidence:
    """Opens no connection and reads no file; authorities come from the caller."""

    def identify(self, data: bytes, roots: Sequence[SigstoreRoot]) -> CertifiedIdentity:
        """Check a bundle that carries a certificate; raises EvidenceInvalid."""
        from agentprov.sign import sigstore_verifier

        return sigstore_verifier.identify(data, roots)

    def times(
        self, bundle: Bundle, authorities: Sequence[TimestampAuthority]
    ) -> Sequence[TrustedTime]:
        """Check the timestamps of a bundle; raises EvidenceInvalid (sign.timestamps)."""
        from agentprov.sign import timestamps

        return timestamps.times(bundle, authorities)
