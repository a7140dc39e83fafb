"""A certificate authority as Fulcio is one: identity token in, ten-minute certificate out."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from support.loopback_sigstore import der
from support.loopback_sigstore.oidc import Issuer
from support.loopback_sigstore.server import Answer, Refused, Request, as_json

ISSUER_V1 = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
ISSUER_V2 = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
USERNAME = ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
ALWAYS = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 1, 1, tzinfo=UTC))
_DIGITAL_SIGNATURE = (True, *(False,) * 8)
_SIGNS_CERTIFICATES = (*(False,) * 5, True, True, False, False)

Sct = Literal["good", "foreign", "flipped", "missing"]


def spki(key: Any) -> bytes:
    """Give the public half of a private or public key as SubjectPublicKeyInfo."""
    public = key.public_key() if hasattr(key, "public_key") else key
    return bytes(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@dataclass(frozen=True)
class Ca:
    """A key with a certificate for it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def make_ca(
    name: str, parent: Ca | None = None, *, usage: Sequence[ObjectIdentifier] = (), ca: bool = True
) -> Ca:
    """Make a root, an intermediate (with `parent`) or a long-lived leaf (`ca` false)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "loopback"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    signer = parent.key if parent else key
    bits = _SIGNS_CERTIFICATES if ca else _DIGITAL_SIGNATURE
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent.certificate.subject if parent else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ALWAYS[0])
        .not_valid_after(ALWAYS[1])
        .add_extension(x509.KeyUsage(*bits), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    if usage:
        # RFC 3161 wants it critical for a timestamp authority.
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=not ca)
    return Ca(key, builder.sign(signer, hashes.SHA256()))


class Fulcio:
    """Issues certificates for identity tokens of its issuers, with an embedded SCT.

    `lifetime` and `age` say how long a certificate holds and how long ago it was issued; `sct`
    what is wrong with its signed certificate timestamp.
    """

    def __init__(self, issuers: Sequence[Issuer], now: Callable[[], datetime]) -> None:
        self.root = make_ca("loopback root")
        self.intermediate = make_ca(
            "loopback intermediate", self.root, usage=[ExtendedKeyUsageOID.CODE_SIGNING]
        )
        self.log_key = ec.generate_private_key(ec.SECP256R1())
        self.lifetime = timedelta(minutes=10)
        self.age = timedelta()
        self.sct: Sct = "good"
        self._issuers = {issuer.url: issuer for issuer in issuers}
        self._now = now

    def certify(self, public_key: Any, name: x509.GeneralName, issuer: str) -> x509.Certificate:
        """Issue a certificate for a key, without asking anybody."""
        start = self._now() - self.age
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.intermediate.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + self.lifetime)
            .add_extension(x509.KeyUsage(*_DIGITAL_SIGNATURE), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    self.intermediate.key.public_key()
                ),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.UnrecognizedExtension(ISSUER_V1, issuer.encode()), critical=False)
            .add_extension(x509.UnrecognizedExtension(ISSUER_V2, der.utf8(issuer)), critical=False)
        )
        # What a CT log signs is the certificate without the extension that carries its word.
        without = builder.sign(self.intermediate.key, hashes.SHA256())
        if self.sct == "missing":
            return without
        listed = x509.UnrecognizedExtension(SCT_LIST, self._sct_list(without))
        return builder.add_extension(listed, critical=False).sign(
            self.intermediate.key, hashes.SHA256()
        )

    def _sct_list(self, certificate: x509.Certificate) -> bytes:
        tbs = certificate.tbs_certificate_bytes
        stamp = int(self._now().timestamp() * 1000)
        issuer_hash = hashlib.sha256(spki(self.intermediate.key)).digest()
        signed = struct.pack("!BBQH", 0, 0, stamp, 1) + issuer_hash
        signed += len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
        foreign = self.sct == "foreign"
        key = ec.generate_private_key(ec.SECP256R1()) if foreign else self.log_key
        signature = bytearray(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        if self.sct == "flipped":
            signature[-1] ^= 1
        log_id = hashlib.sha256(spki(key)).digest()
        one = struct.pack("!B32sQHBBH", 0, log_id, stamp, 0, 4, 3, len(signature)) + signature
        entry = len(one).to_bytes(2, "big") + one
        return der.octets(len(entry).to_bytes(2, "big") + entry)

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) != ("POST", "signingCert"):
            raise Refused("no such page", 404)
        asked = request.json()
        if "certificateSigningRequest" in asked:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            csr = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
            if not csr.is_signature_valid:
                raise Refused("the request is not signed by its key")
            key: Any = csr.public_key()
        else:
            token = asked["credentials"]["oidcIdentityToken"]
            wanted = asked["publicKeyRequest"]
            key = load_pem_public_key(wanted["publicKey"]["content"].encode())
            proof = base64.b64decode(wanted["proofOfPossession"])
            key.verify(proof, self._subject(token).encode(), ec.ECDSA(hashes.SHA256()))
        claims = self._claims(token)
        certificate = self.certify(key, name_of(claims), claims["iss"])
        chain = (certificate, self.intermediate.certificate, self.root.certificate)
        pems = [item.public_bytes(Encoding.PEM).decode() for item in chain]
        return as_json({"signedCertificateEmbeddedSct": {"chain": {"certificates": pems}}}, 201)

    def _claims(self, token: str) -> dict[str, Any]:
        for issuer in self._issuers.values():
            try:
                claims = issuer.check(token)
            except Refused as error:
                refusal = error
                continue
            if claims["iss"] != issuer.url:
                raise Refused("the token names another issuer", 401)
            return claims
        raise refusal

    def _subject(self, token: str) -> str:
        claims = self._claims(token)
        return str(claims.get("email") or claims["sub"])


def name_of(claims: dict[str, Any]) -> x509.GeneralName:
    """Give the subject alternative name that Fulcio would give these claims."""
    if claims.get("email_verified"):
        return x509.RFC822Name(claims["email"])
    if "job_workflow_ref" in claims:
        return x509.UniformResourceIdentifier(f"https://github.com/{claims['job_workflow_ref']}")
    if "ci_config_ref_uri" in claims:
        return x509.UniformResourceIdentifier(f"https://{claims['ci_config_ref_uri']}")
    if claims["sub"].startswith("https://"):
        return x509.UniformResourceIdentifier(claims["sub"])
    return x509.OtherName(USERNAME, der.utf8(claims["sub"]))
