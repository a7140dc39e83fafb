"""A Sigstore instance's ``trusted_root.json``, read once: whose word counts there, and when.

sigstore-python checks signatures, proofs and certificates under it. It does not ask whether an
authority was still in service at the time in question; the windows kept here are for that.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agentprov.errors import EvidenceInvalid
from agentprov.formats.evidence import SigstoreRoot, TimestampAuthority

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.verify import Verifier

_CONFIG = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_SIGNING = "application/vnd.dev.sigstore.signingconfig.v0.2+json"


@dataclass(frozen=True)
class Window:
    """From when to when an authority was in service; an open end is None."""

    start: datetime
    end: datetime | None

    def holds(self, at: datetime) -> bool:
        """Say whether a time lies in it; both ends belong to it."""
        return self.start <= at and (self.end is None or at <= self.end)


@dataclass(frozen=True)
class Authority:
    """A certificate authority or timestamp authority: its chain, leaf or issuer first."""

    name: str
    chain: tuple[Certificate, ...]
    window: Window

    def stamps(self) -> TimestampAuthority:
        """Give it as one that a trust document names for timestamps."""
        from cryptography.hazmat.primitives.serialization import Encoding

        pem = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.chain)
        return TimestampAuthority(self.name, pem)

    def issued(self, certificate: Certificate) -> bool:
        """Say whether a certificate of the chain signed this one."""
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

        for issuer in self.chain:
            try:
                certificate.verify_directly_issued_by(issuer)
            except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
                continue
            return True
        return False


@dataclass(frozen=True)
class LoadedRoot:
    """What a trusted root says, and sigstore-python's verifier under it.

    `logs` and `certificate_logs` map a log's id to the windows in which its key was in service.
    """

    name: str
    verifier: Verifier
    certificate_authorities: tuple[Authority, ...]
    timestamp_authorities: tuple[Authority, ...]
    logs: Mapping[bytes, tuple[Window, ...]]
    certificate_logs: Mapping[bytes, tuple[Window, ...]]


def load(root: SigstoreRoot) -> LoadedRoot:
    """Read a trusted root from its bytes; no file, no network.

    Raises EvidenceInvalid with ``sigstore-root-invalid`` for what is none.
    """
    return _load(root.name, root.data)


def extract(data: bytes) -> bytes:
    """Give the trusted root that a file holds: a ``trusted_root.json`` or a client trust
    configuration around one; raises EvidenceInvalid for anything else.
    """
    try:
        document = json.loads(data)
        inner = document.get("trustedRoot", document)
        found = json.dumps(inner, indent=2).encode("utf-8") + b"\n"
    except (ValueError, AttributeError, RecursionError) as error:
        raise EvidenceInvalid(
            "sigstore-root-invalid", f"this is no JSON object: {error}"
        ) from error
    _load("named", found)
    return found


def public_good() -> bytes:
    """Fetch the public good instance's client trust configuration: over the network, by TUF.

    sigstore-python checks its signatures from a root that it ships, and keeps a copy in its own
    cache under the user's home. Raises what it raises.
    """
    from sigstore.models import ClientTrustConfig

    return ClientTrustConfig.production()._inner.to_json().encode("utf-8")


@lru_cache(maxsize=16)
def _load(name: str, data: bytes) -> LoadedRoot:
    from sigstore.errors import Error
    from sigstore.models import ClientTrustConfig
    from sigstore.verify import Verifier

    try:
        document = json.loads(data)
        # The public way to a root that lies in memory is as part of a whole configuration.
        config = ClientTrustConfig.from_json(
            json.dumps(
                {
                    "mediaType": _CONFIG,
                    "trustedRoot": document,
                    "signingConfig": {"mediaType": _SIGNING},
                }
            )
        )
        return LoadedRoot(
            name,
            Verifier(trusted_root=config.trusted_root),
            tuple(_authorities(document["certificateAuthorities"], f"{name} certificates")),
            tuple(_authorities(document.get("timestampAuthorities", ()), f"{name} timestamps")),
            _logs(document["tlogs"]),
            _logs(document["ctlogs"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, Error) as error:
        raise EvidenceInvalid(
            "sigstore-root-invalid", f"the Sigstore root {name!r} cannot be read: {error}"
        ) from error


def _authorities(items: Any, name: str) -> Iterator[Authority]:
    from cryptography.x509 import load_der_x509_certificate

    for number, item in enumerate(items, 1):
        chain = tuple(
            load_der_x509_certificate(base64.b64decode(one["rawBytes"], validate=True))
            for one in item["certChain"]["certificates"]
        )
        called = name if len(items) == 1 else f"{name} {number}"
        yield Authority(called, chain, _window(item.get("validFor")))


def _logs(items: Any) -> dict[bytes, tuple[Window, ...]]:
    found: dict[bytes, tuple[Window, ...]] = {}
    for item in items:
        window = _window(item["publicKey"].get("validFor"))
        for member in ("logId", "checkpointKeyId"):
            if member in item:
                key = base64.b64decode(item[member]["keyId"], validate=True)
                found[key] = (*found.get(key, ()), window)
    return found


def _window(value: Any) -> Window:
    value = value or {}
    end = value.get("end")
    start = value.get("start") or "0001-01-01T00:00:00Z"
    return Window(
        datetime.fromisoformat(start), datetime.fromisoformat(end) if end is not None else None
    )


__all__ = ["Authority", "LoadedRoot", "Window", "extract", "load", "public_good"]
