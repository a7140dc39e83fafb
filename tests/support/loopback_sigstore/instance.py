"""A whole Sigstore instance on loopback, and the trust configuration that names it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from support.loopback_sigstore.fulcio import Fulcio, name_of, spki
from support.loopback_sigstore.oidc import Issuer, WorkflowTokens
from support.loopback_sigstore.rekor import Logged, RekorV1, RekorV2, b64
from support.loopback_sigstore.server import LoopbackServer, Weather
from support.loopback_sigstore.tsa import TimestampAuthority

Version = Literal[1, 2]
START = "2020-01-01T00:00:00Z"
IN_TOTO = "application/vnd.in-toto+json"
WORKFLOW = "https://github.com/acme/app/.github/workflows/record.yml@refs/heads/main"
NOBODY = "http://127.0.0.1:9"
"""An address where nobody listens."""


class LoopbackSigstore:
    """OIDC issuers, certificate authority, both logs and a timestamp authority, in one process.

    Use as a context manager. Everything about it can be broken: `weather` for all services,
    and `fulcio`, `rekor1`, `rekor2`, `tsa`, `oidc` each for what they hand out.
    """

    def __init__(self, user: str = "jane@example.com") -> None:
        self.weather = Weather()
        self.server = LoopbackServer(self.weather)
        self.url = self.server.url
        self.oidc = Issuer(f"{self.url}/oidc", lambda: self.weather.now("oidc"), user)
        self.other_oidc = Issuer(f"{self.url}/other-oidc", lambda: self.weather.now("oidc"), user)
        self.ci = Issuer(f"{self.url}/ci", lambda: self.weather.now("ci"), "runner")
        self.workflow = WorkflowTokens(self.ci, WORKFLOW)
        self.fulcio = Fulcio(
            [self.oidc, self.other_oidc, self.ci], lambda: self.weather.now("fulcio")
        )
        name = self.url.removeprefix("http://")
        self.rekor1 = RekorV1(name, lambda: self.weather.now("rekor1"))
        # Go clients look for checkpoints by the host name of the log's address, and only that.
        self.rekor2 = RekorV2("127.0.0.1", lambda: self.weather.now("rekor2"))
        self.tsa = TimestampAuthority(lambda: self.weather.now("tsa"))
        for prefix, service_name, service in (
            ("/oidc", "oidc", self.oidc),
            ("/other-oidc", "oidc", self.other_oidc),
            ("/ci", "ci", self.ci),
            ("/ci/token", "ci", self.workflow),
            ("/api/v2/", "fulcio", self.fulcio),
            ("/rekor1/api/v1/", "rekor1", self.rekor1),
            ("/rekor2", "rekor2", self.rekor2),
            ("/tsa", "tsa", self.tsa),
        ):
            self.server.mount(prefix, service_name, service)  # type: ignore[arg-type]

    def __enter__(self) -> LoopbackSigstore:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()

    def trusted_root(self) -> dict[str, Any]:
        """Give the trusted root: what a verifier must know of this instance, and all it may."""
        valid = {"start": START}
        v1 = _log(f"{self.url}/rekor1", spki(self.rekor1.key), "PKIX_ECDSA_P256_SHA_256")
        v2 = _log(f"{self.url}/rekor2", spki(self.rekor2.key), "PKIX_ED25519", self.rekor2.log_id)
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [v1, v2],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "loopback", "commonName": "loopback root"},
                    "uri": self.url,
                    "certChain": _chain(
                        self.fulcio.intermediate.certificate, self.fulcio.root.certificate
                    ),
                    "validFor": valid,
                }
            ],
            "ctlogs": [
                _log(f"{self.url}/ct", spki(self.fulcio.log_key), "PKIX_ECDSA_P256_SHA_256")
            ],
            "timestampAuthorities": [
                {
                    "subject": {"organization": "loopback", "commonName": "loopback timestamps"},
                    "certChain": _chain(self.tsa.leaf.certificate, self.tsa.root.certificate),
                    "validFor": valid,
                }
            ],
        }

    def trusted_root_json(self) -> bytes:
        return json.dumps(self.trusted_root()).encode()

    def client_trust_config(
        self, rekor: Version = 2, *, tsa: bool = True, unreachable: Collection[str] = ()
    ) -> dict[str, Any]:
        """Give the ClientTrustConfig: the trusted root, and where to go for a signature.

        Services in `unreachable` (oidc, fulcio, rekor, tsa) are at an address where nobody is.
        """

        def service(name: str, path: str, version: int = 1) -> dict[str, Any]:
            return {
                "url": (NOBODY if name in unreachable else self.url) + path,
                "majorApiVersion": version,
                "validFor": {"start": START},
                "operator": "loopback",
            }

        signing: dict[str, Any] = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service("fulcio", "")],
            "oidcUrls": [service("oidc", "/oidc")],
            "rekorTlogUrls": [service("rekor", f"/rekor{rekor}", rekor)],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [service("tsa", "/tsa/api/v1/timestamp")] if tsa else [],
            "tsaConfig": {"selector": "ANY"},
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": signing,
        }

    def client_trust_config_json(self, rekor: Version = 2, **changes: Any) -> bytes:
        return json.dumps(self.client_trust_config(rekor, **changes)).encode()

    def sign(
        self,
        payload: bytes,
        identity: str | x509.GeneralName | None = None,
        issuer: str | None = None,
        *,
        rekor: Version = 2,
        timestamp: bool = True,
        payload_type: str = IN_TOTO,
    ) -> dict[str, Any]:
        """Sign a payload by hand, through the services but without their HTTP and any client.

        Gives the bundle, for tests that need odd ones.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = identity if isinstance(identity, x509.GeneralName) else None
        if name is None:
            claims = {"sub": identity or self.oidc.user}
            if "@" in claims["sub"] and "/" not in claims["sub"]:
                claims |= {"email": claims["sub"], "email_verified": "true"}
            name = name_of(claims)
        certificate = self.fulcio.certify(key.public_key(), name, issuer or self.oidc.url)
        kind = payload_type.encode()
        pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        signature = key.sign(pae, ec.ECDSA(hashes.SHA256()))
        envelope = {
            "payload": b64(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": b64(signature)}],
        }
        entry = self._log(rekor, envelope, certificate, pae, signature)
        stamps = [{"signedTimestamp": b64(self.tsa.stamp(signature))}] if timestamp else []
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [entry.as_bundle_entry()],
                "timestampVerificationData": {"rfc3161Timestamps": stamps},
            },
            "dsseEnvelope": envelope,
        }

    def _log(
        self,
        rekor: Version,
        envelope: dict[str, Any],
        certificate: x509.Certificate,
        pae: bytes,
        signature: bytes,
    ) -> Logged:
        if rekor == 1:
            return self.rekor1.add_dsse(envelope, certificate.public_bytes(Encoding.PEM))
        material = {"rawBytes": b64(certificate.public_bytes(Encoding.DER))}
        verifier = {"x509Certificate": material, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
        return self.rekor2.add_hashed(
            hashlib.sha256(pae).digest(), {"content": b64(signature), "verifier": verifier}
        )


def _log(url: str, key: bytes, details: str, log_id: bytes | None = None) -> dict[str, Any]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": b64(key), "keyDetails": details, "validFor": {"start": START}},
        "logId": {"keyId": b64(log_id or hashlib.sha256(key).digest())},
    }


def _chain(*certificates: x509.Certificate) -> dict[str, Any]:
    return {
        "certificates": [
            {"rawBytes": base64.b64encode(item.public_bytes(Encoding.DER)).decode()}
            for item in certificates
        ]
    }
