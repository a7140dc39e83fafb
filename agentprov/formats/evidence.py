"""What can stand beside a signature: certificates, log entries, timestamps, and who is trusted
to have made them.

Plain values. A bundle carries evidence (formats.bundle); a trust document names the authorities
that may vouch with it (verify.trust); the port `EvidenceVerifier` puts the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentprov.formats.value import value


@value
class Evidence:
    """What a bundle carries beside its signature, as it came; nothing of it was checked.

    `certificate` is the leaf in DER. `log_entries` are the JSON objects of a Sigstore bundle's
    `tlogEntries`. `timestamps` are RFC 3161 responses in DER, over the signature's bytes.
    """

    certificate: bytes | None = None
    log_entries: tuple[Mapping[str, Any], ...] = ()
    timestamps: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is any."""
        return self.certificate is not None or bool(self.log_entries) or bool(self.timestamps)


NO_EVIDENCE = Evidence()


@value
class SigstoreRoot:
    """A Sigstore instance that a trust document names: its ``trusted_root.json``, as bytes."""

    name: str
    data: bytes
    sha256: str


@value
class TimestampAuthority:
    """A timestamp authority that a trust document names: certificates in PEM, leaf first."""

    name: str
    chain: bytes


@value
class TrustedTime:
    """A time at which a signature existed, and the authority that says so; aware, in UTC."""

    at: datetime
    authority: str


@value
class CertifiedIdentity:
    """Who a certificate authority says has signed, by whose word, and when.

    `issuer` is the OIDC issuer, `identity` the certificate's subject alternative name, `root`
    the name of the Sigstore root under which both were checked. Whether this identity may sign
    anything is not said here.
    """

    issuer: str
    identity: str
    root: str
    spki: bytes
    times: tuple[TrustedTime, ...]
