"""A timestamp authority (RFC 3161), alone or as part of a Sigstore instance."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.loopback_sigstore import der
from support.loopback_sigstore.fulcio import make_ca
from support.loopback_sigstore.server import Answer, LoopbackServer, Refused, Request

DIGESTS = {"2.16.840.1.101.3.4.2.1": 32, "2.16.840.1.101.3.4.2.2": 48, "2.16.840.1.101.3.4.2.3": 64}
SHA256 = "2.16.840.1.101.3.4.2.1"
POLICY = "1.3.6.1.4.1.57264.2"
SIGNED_DATA, TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_TIME, SIGNING_CERTIFICATE = "1.2.840.113549.1.9.5", "1.2.840.113549.1.9.16.2.47"
ECDSA_SHA256 = "1.2.840.10045.4.3.2"
_ALGORITHM = der.sequence(der.oid(SHA256), der.tlv(der.NULL, b""))

Defect = Literal["none", "foreign", "other-message", "flipped", "refuses"]


@dataclass(frozen=True)
class Query:
    """A timestamp request: what is to be stamped, and what the answer must repeat."""

    imprint: bytes
    algorithm: bytes
    nonce: int | None = None
    wants_certificate: bool = False


def parse(data: bytes) -> Query:
    """Read a DER TimeStampReq; raises ValueError."""
    tag, content, rest = der.read(data)
    if tag != der.SEQUENCE or rest:
        raise ValueError("not a TimeStampReq")
    (_, version), (_, imprint), *others = der.members(content)
    if version != b"\1":
        raise ValueError("not version 1")
    (algorithm_tag, algorithm), (_, digest) = der.members(imprint)
    known = {der.oid(name)[2:]: size for name, size in DIGESTS.items()}
    if known.get(der.members(algorithm)[0][1]) != len(digest):
        raise ValueError("an imprint of another size or kind")
    nonce, wants = None, False
    for tag, value in others:
        if tag == der.INTEGER:
            nonce = int.from_bytes(value, "big", signed=True)
        elif tag == der.BOOLEAN:
            wants = value != b"\0"
    return Query(digest, der.tlv(algorithm_tag, algorithm), nonce, wants)


class TimestampAuthority:
    """Stamps whatever it is asked to; `defect` says what is wrong with its answers."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.root = make_ca("loopback timestamp root")
        usage = [ExtendedKeyUsageOID.TIME_STAMPING]
        self.leaf = make_ca("loopback timestamps", self.root, usage=usage, ca=False)
        self.defect: Defect = "none"
        self._now = now

    def stamp(self, message: bytes, at: datetime | None = None) -> bytes:
        """Give a timestamp response (DER) for a message, without asking over HTTP."""
        return self.respond(Query(hashlib.sha256(message).digest(), _ALGORITHM), at)

    def respond(self, query: Query, at: datetime | None = None) -> bytes:
        """Give the DER TimeStampResp for a query."""
        if self.defect == "refuses":
            return der.sequence(der.sequence(der.integer(2)))
        moment = at or self._now()
        imprint = query.imprint
        if self.defect == "other-message":
            imprint = bytes([imprint[0] ^ 1]) + imprint[1:]
        info = der.sequence(
            der.integer(1),
            der.oid(POLICY),
            der.sequence(query.algorithm, der.octets(imprint)),
            der.integer(secrets.randbits(63)),
            der.generalized_time(moment),
            *([] if query.nonce is None else [der.integer(query.nonce)]),
        )
        granted = der.sequence(der.integer(0))
        return der.sequence(granted, self._token(info, moment, query.wants_certificate))

    def _token(self, info: bytes, moment: datetime, with_certificate: bool) -> bytes:
        leaf = self.leaf
        if self.defect == "foreign":
            usage = [ExtendedKeyUsageOID.TIME_STAMPING]
            leaf = make_ca("loopback timestamps", make_ca("someone else"), usage=usage, ca=False)
        certificate = der.sequence(der.octets(hashlib.sha256(leaf.der).digest()))
        attributes = der.set_of(
            [
                _attribute(CONTENT_TYPE, der.oid(TST_INFO)),
                _attribute(SIGNING_TIME, der.utc_time(moment)),
                _attribute(MESSAGE_DIGEST, der.octets(hashlib.sha256(info).digest())),
                _attribute(SIGNING_CERTIFICATE, der.sequence(der.sequence(certificate))),
            ]
        )
        signature = leaf.key.sign(attributes, ec.ECDSA(hashes.SHA256()))
        if self.defect == "flipped":
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        signer = der.sequence(
            der.integer(1),
            der.sequence(
                leaf.certificate.issuer.public_bytes(),
                der.integer(leaf.certificate.serial_number),
            ),
            _ALGORITHM,
            # Signed as a SET OF, sent under a tag of its own.
            der.tlv(0xA0, der.read(attributes)[1]),
            der.sequence(der.oid(ECDSA_SHA256)),
            der.octets(signature),
        )
        signed_data = der.sequence(
            der.integer(3),
            der.set_of([_ALGORITHM]),
            der.sequence(der.oid(TST_INFO), der.explicit(0, der.octets(info))),
            *([der.tlv(0xA0, leaf.der)] if with_certificate else []),
            der.set_of([signer]),
        )
        return der.sequence(der.oid(SIGNED_DATA), der.explicit(0, signed_data))

    def answer(self, request: Request) -> Answer:
        if request.path.endswith("/certchain"):
            return Answer(200, self.chain_pem, "application/pem-certificate-chain")
        if request.method != "POST":
            raise Refused("no such page", 404)
        if "json" in request.headers.get("content-type", ""):
            query = _from_json(request.json())
            status = 201
        else:
            query = parse(request.body)
            status = 200
        return Answer(status, self.respond(query), "application/timestamp-reply")

    @property
    def chain_pem(self) -> bytes:
        """Give leaf and root as PEM."""
        chain = (self.leaf.certificate, self.root.certificate)
        return b"".join(item.public_bytes(Encoding.PEM) for item in chain)


def _from_json(asked: dict[str, Any]) -> Query:
    if asked.get("hashAlgorithm", "sha256") != "sha256":
        raise Refused("SHA-256 only in JSON")
    nonce = asked.get("nonce")
    return Query(
        base64.b64decode(asked["artifactHash"]),
        _ALGORITHM,
        None if nonce is None else int(nonce),
        bool(asked.get("certificates")),
    )


def _attribute(kind: str, value: bytes) -> bytes:
    return der.sequence(der.oid(kind), der.set_of([value]))


class LoopbackTsa:
    """A timestamp authority alone behind HTTP, for as long as the ``with`` block runs.

    `url` takes DER queries (and sigstore's JSON ones); `authority` has its certificates and
    defects; `server.weather` its outages and its clock.
    """

    def __init__(self) -> None:
        self.server = LoopbackServer()
        self.authority = TimestampAuthority(lambda: self.server.weather.now("tsa"))
        self.server.mount("/tsa", "tsa", self.authority)
        self.url = f"{self.server.url}/tsa/api/v1/timestamp"

    def __enter__(self) -> LoopbackTsa:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()


__all__ = ["LoopbackTsa", "Query", "TimestampAuthority", "parse"]
