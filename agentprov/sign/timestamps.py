"""RFC 3161 timestamps over a signature's bytes: asking for one, and checking one offline.

Encoding, decoding and the CMS signature are rfc3161-client's. Authorities are pinned: the
signer of a timestamp must be the very certificate that the caller names first, and the chain
above it comes from the caller too; what a timestamp brings along decides nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from agentprov.errors import EvidenceInvalid, UserError
from agentprov.formats.evidence import TimestampAuthority, TrustedTime

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name
    from rfc3161_client.tsp import TimeStampResponse

    from agentprov.formats.bundle import Bundle

_DIGESTS = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_GRANTED = 0
_NEVER = datetime.min.replace(tzinfo=UTC)

Post = Callable[[bytes], bytes]


@dataclass(frozen=True)
class _Response:
    """A timestamp response as far as it is looked at here; nothing of it was checked.

    `token` is what the library made of it, `signers` are (issuer, serial number).
    """

    status: int
    said: str
    token: TimeStampResponse
    at: datetime = _NEVER
    algorithm: str = ""
    imprint: bytes = b""
    nonce: int | None = None
    signers: tuple[tuple[Name, int], ...] = ()


@dataclass(frozen=True)
class _Chain:
    """An authority's certificates: the one that signs, those between, the one that is trusted."""

    leaf: Certificate
    between: tuple[Certificate, ...]
    root: Certificate

    @property
    def all(self) -> tuple[Certificate, ...]:
        return (self.leaf, *self.between, self.root)


def times(bundle: Bundle, authorities: Sequence[TimestampAuthority]) -> list[TrustedTime]:
    """Check a bundle's timestamps; gives the times that the named authorities vouch for.

    Oldest first. Timestamps by others are left out. Raises EvidenceInvalid: `timestamp-invalid`
    (malformed, refused, its signature is bad), `timestamp-differs` (over something else),
    `timestamp-outside-validity`, `timestamp-authority-invalid`. Does not check the signature
    that is stamped, nor ask anybody whether a certificate was revoked.
    """
    chains = [(authority.name, _chain(authority)) for authority in authorities]
    found = []
    for stamp in bundle.evidence.timestamps:
        response = _decode(stamp)
        for name, chain in chains:
            if _is_by(response, chain.leaf):
                at = _verify(response, bundle.signature, name, chain)
                found.append(TrustedTime(at, name))
                break
    return sorted(found, key=lambda item: item.at)


def request(signature: bytes, post: Post) -> bytes:
    """Have a signature stamped; gives the response in DER.

    `post` sends the request and gives the answer. Only a SHA-256 digest of the signature and a
    random number leave. Makes sure that the answer is a grant for this very request; that its
    signer can be believed is for `times`. Raises UserError.
    """
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    asked = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = post(asked.as_bytes())
    try:
        response = _decode(answer)
        _require_granted(response)
        _require_imprint(response, signature)
    except EvidenceInvalid as error:
        raise UserError(
            f"the timestamp authority's answer is no good: {error.message}",
            hint="name another authority with --tsa, or sign without one",
        ) from error
    if response.nonce != asked.nonce:
        raise UserError(
            "the timestamp authority answered another request (its nonce differs)",
            hint="somebody may have put an old answer in its place; try again",
        )
    return answer


def _decode(stamp: bytes) -> _Response:
    from rfc3161_client import decode_timestamp_response

    try:
        token = decode_timestamp_response(stamp)
        if token.status != _GRANTED:
            # A refusal carries no token.
            return _Response(token.status, "; ".join(token.status_string or ()), token)
        info, signed = token.tst_info, token.signed_data
        return _Response(
            status=token.status,
            said="",
            token=token,
            at=info.gen_time.astimezone(UTC),
            algorithm=info.message_imprint.hash_algorithm.dotted_string,
            imprint=info.message_imprint.message,
            nonce=info.nonce,
            signers=tuple((item.issuer, item.serial_number) for item in signed.signer_infos),
        )
    except Exception as error:
        # The library reads parts late, and then raises whatever their classes raise.
        raise EvidenceInvalid("timestamp-invalid", f"a timestamp is malformed: {error}") from error


def _require_granted(response: _Response) -> None:
    if response.status != _GRANTED:
        said = response.said or f"status {response.status}"
        raise EvidenceInvalid("timestamp-invalid", f"the authority refused to stamp: {said}")


def _require_imprint(response: _Response, signature: bytes) -> None:
    name = _DIGESTS.get(response.algorithm)
    if name is None:
        raise EvidenceInvalid(
            "timestamp-invalid", f"a timestamp uses the digest {response.algorithm}"
        )
    if response.imprint != hashlib.new(name, signature).digest():
        raise EvidenceInvalid("timestamp-differs", "a timestamp is over another signature")


def _is_by(response: _Response, leaf: Certificate) -> bool:
    return (leaf.issuer, leaf.serial_number) in response.signers


def _verify(response: _Response, signature: bytes, name: str, chain: _Chain) -> datetime:
    from rfc3161_client import VerifierBuilder

    verifier = VerifierBuilder(
        tsa_certificate=chain.leaf, intermediates=list(chain.between), roots=[chain.root]
    ).build()
    _require_imprint(response, signature)
    at = response.at
    for certificate in chain.all:
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise EvidenceInvalid(
                "timestamp-outside-validity",
                f"{name} stamped it at {at:%Y-%m-%dT%H:%M:%SZ}, when a certificate of it was "
                "not valid",
            )
    try:
        verifier.verify_message(response.token, signature)
    except Exception as error:  # as in `_decode`
        raise EvidenceInvalid(
            "timestamp-invalid", f"a timestamp that names {name} does not hold: {error}"
        ) from error
    return at


@lru_cache(maxsize=32)
def _chain(authority: TimestampAuthority) -> _Chain:
    """Read an authority's certificates and require that its first one may stamp."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        certificates = x509.load_pem_x509_certificates(authority.chain)
        leaf, root = certificates[0], certificates[-1]
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (ValueError, IndexError, x509.ExtensionNotFound) as error:
        raise EvidenceInvalid(
            "timestamp-authority-invalid",
            f"the chain of {authority.name!r} does not begin with a certificate for timestamps: "
            f"{error}",
        ) from error
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise EvidenceInvalid(
            "timestamp-authority-invalid",
            f"the first certificate of {authority.name!r} is not for timestamps only",
        )
    if root.issuer != root.subject:
        raise EvidenceInvalid(
            "timestamp-authority-invalid",
            f"the chain of {authority.name!r} does not end with a root certificate",
        )
    return _Chain(leaf, tuple(certificates[1:-1]), root)
