"""Checks bundles that carry a certificate, offline, under Sigstore roots that the caller trusts.

sigstore-python gives the verdict. Around it stand our own checks: before it, those that can name
what is wrong without reading its messages; after it, whether each authority was in service at the
time that it vouches for. docs/adr/0011 says why.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentprov.errors import EvidenceInvalid, MalformedInput
from agentprov.formats import bundle as bundles
from agentprov.formats.bundle import Bundle
from agentprov.formats.envelope import pae
from agentprov.formats.evidence import CertifiedIdentity, SigstoreRoot, TrustedTime
from agentprov.sign import timestamps
from agentprov.sign.verifier import KeyVerifier

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from agentprov.sign.sigstore_root import LoadedRoot, Window

_ISSUER = "1.3.6.1.4.1.57264.1.8"
_ISSUER_RAW = "1.3.6.1.4.1.57264.1.1"
_USERNAME = "1.3.6.1.4.1.57264.1.7"
_REMEMBERED = 4096
_UTF8, _LONG = 0x0C, 0x80
_Key = tuple[str, tuple[tuple[str, str], ...]]
_verdicts: OrderedDict[_Key, CertifiedIdentity | EvidenceInvalid] = OrderedDict()


def identify(data: bytes, roots: Sequence[SigstoreRoot]) -> CertifiedIdentity:
    """Check a bundle that carries a certificate: signature, chain, log entry, time.

    `data` is the bundle as it came; exactly one log entry is required, with inclusion proof and
    checkpoint, and a time that the log or a timestamp authority of the root has signed. Raises
    EvidenceInvalid with the finding's code. Answers are remembered for the life of the process.
    Does not say whether the identity may sign anything, and does not read the statement.
    """
    key = (hashlib.sha256(data).hexdigest(), tuple((root.name, root.sha256) for root in roots))
    found = _verdicts.get(key)
    if found is None:
        try:
            found = _identify(data, roots)
        except EvidenceInvalid as error:
            found = error
        _verdicts[key] = found
        if len(_verdicts) > _REMEMBERED:
            _verdicts.popitem(last=False)
    else:
        _verdicts.move_to_end(key)
    if isinstance(found, EvidenceInvalid):
        raise EvidenceInvalid(found.code, found.message, hint=found.hint)
    return found


def _identify(data: bytes, roots: Sequence[SigstoreRoot]) -> CertifiedIdentity:
    from agentprov.sign.sigstore_root import load

    try:
        bundle = bundles.parse(data)
    except MalformedInput as error:
        raise EvidenceInvalid("bundle-malformed", error.message) from error
    certificate = _certificate(bundle)
    spki = _spki(certificate)
    signed = pae(bundle.payload_type, bundle.payload)
    if not KeyVerifier().verify(spki, signed, bundle.signature):
        raise EvidenceInvalid("signature-invalid", "the certificate's key did not sign these bytes")
    entry = _entry(bundle)
    _require_same(entry, bundle, signed)
    loaded = [load(root) for root in roots]
    vouching = [
        root
        for root in loaded
        if any(authority.issued(certificate) for authority in root.certificate_authorities)
    ]
    if not vouching:
        names = ", ".join(repr(root.name) for root in loaded) or "that could be asked"
        raise EvidenceInvalid(
            "certificate-unknown", f"no Sigstore instance {names} issued the certificate"
        )
    issuer, identity = _names(certificate)
    refusals: list[EvidenceInvalid] = []
    for root in vouching:
        try:
            times = _verify(data, bundle, certificate, entry, root)
        except EvidenceInvalid as error:
            refusals.append(error)
            continue
        return CertifiedIdentity(issuer, identity, root.name, spki, times)
    raise refusals[0]


def _certificate(bundle: Bundle) -> Certificate:
    from cryptography.x509 import load_der_x509_certificate

    assert bundle.evidence.certificate is not None
    try:
        return load_der_x509_certificate(bundle.evidence.certificate)
    except ValueError as error:
        raise EvidenceInvalid("bundle-malformed", f"the certificate is none: {error}") from error


def _spki(certificate: Certificate) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EvidenceInvalid("bundle-malformed", f"the certificate's key: {error}") from error
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(certificate: Certificate) -> tuple[str, str]:
    """Give OIDC issuer and subject alternative name; the certificate must have one of each."""
    from cryptography import x509

    try:
        extensions = certificate.extensions
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (
        ValueError,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise EvidenceInvalid("certificate-unfit", f"it names nobody: {error}") from error
    if len(names) != 1:
        raise EvidenceInvalid("certificate-unfit", f"it names {len(names)} instead of one")
    name = names[0]
    if isinstance(name, x509.RFC822Name | x509.UniformResourceIdentifier):
        identity = name.value
    elif isinstance(name, x509.OtherName) and name.type_id.dotted_string == _USERNAME:
        identity = _der_text(name.value)
    else:
        raise EvidenceInvalid("certificate-unfit", f"it names a {type(name).__name__}")
    raw = {
        item.oid.dotted_string: item.value.value
        for item in extensions
        if isinstance(item.value, x509.UnrecognizedExtension)
    }
    issuers = set()
    if _ISSUER in raw:
        issuers.add(_der_text(raw[_ISSUER]))
    if _ISSUER_RAW in raw:
        issuers.add(raw[_ISSUER_RAW].decode("utf-8", "replace"))
    if len(issuers) != 1:
        raise EvidenceInvalid("certificate-unfit", "it does not say whose word its name is")
    return issuers.pop(), identity


def _der_text(value: bytes) -> str:
    """Read a DER UTF8String of less than 64 KiB that fills the value exactly."""
    at = 2
    if len(value) >= 2 and value[0] == _UTF8:
        size = value[1]
        if size & _LONG:
            at = 2 + (size & ~_LONG)
            size = int.from_bytes(value[2:at], "big") if at <= 4 else -1
        if size == len(value) - at:
            try:
                return value[at:].decode("utf-8")
            except UnicodeDecodeError:
                pass
    raise EvidenceInvalid("certificate-unfit", "a name in it is not UTF-8 text")


def _entry(bundle: Bundle) -> Mapping[str, Any]:
    entries = bundle.evidence.log_entries
    if not entries or "inclusionProof" not in entries[0]:
        raise EvidenceInvalid(
            "log-entry-missing", "it carries no proof that a transparency log holds it"
        )
    if len(entries) > 1:
        raise EvidenceInvalid("log-entry-invalid", "it carries more than one log entry")
    if not _promised(entries[0]) and not bundle.evidence.timestamps:
        raise EvidenceInvalid(
            "signing-time-missing", "neither its log nor a timestamp says when it was signed"
        )
    return entries[0]


def _promised(entry: Mapping[str, Any]) -> int | None:
    """Give the log's time, in seconds since 1970, where a promise covers it."""
    stamp = int(entry.get("integratedTime", "0"))
    return stamp if stamp and "inclusionPromise" in entry else None


def _require_same(entry: Mapping[str, Any], bundle: Bundle, signed: bytes) -> None:
    """Compare what was logged with what is here; of the certificate, sigstore-python does."""
    kind = f"{entry['kindVersion']['kind']}/{entry['kindVersion']['version']}"
    try:
        body = json.loads(_decode(entry["canonicalizedBody"]))
        if kind == "dsse/0.0.1":
            logged = [
                bytes.fromhex(body["spec"]["payloadHash"]["value"]),
                *(_decode(item["signature"]) for item in body["spec"]["signatures"]),
            ]
            here = [hashlib.sha256(bundle.payload).digest(), bundle.signature]
        elif kind == "hashedrekord/0.0.2":
            spec = body["spec"]["hashedRekordV002"]
            logged = [_decode(spec["data"]["digest"]), _decode(spec["signature"]["content"])]
            here = [hashlib.sha256(signed).digest(), bundle.signature]
        else:
            raise EvidenceInvalid("log-entry-invalid", f"log entries {kind} are not read here")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EvidenceInvalid("log-entry-invalid", f"the log entry is no {kind}") from error
    if logged != here:
        raise EvidenceInvalid("log-entry-differs", "the log entry is about another signature")


def _decode(value: str) -> bytes:
    return binascii.a2b_base64(value.encode("ascii"), strict_mode=True)


def _verify(
    data: bytes,
    bundle: Bundle,
    certificate: Certificate,
    entry: Mapping[str, Any],
    root: LoadedRoot,
) -> tuple[TrustedTime, ...]:
    """Have one root judge the bundle; gives the times that its authorities vouch for."""
    from sigstore.errors import CertValidationError, Error, VerificationError
    from sigstore.models import Bundle as SigstoreBundle
    from sigstore.models import InvalidBundle

    times = _stamps(bundle, root)
    try:
        kind, payload = root.verifier.verify_dsse(SigstoreBundle.from_json(data), _Anybody())
    except CertValidationError as error:
        raise _not_valid_then(certificate) from error
    except VerificationError as error:
        raise _refusal(str(error), certificate) from error
    except InvalidBundle as error:
        raise EvidenceInvalid("bundle-malformed", f"sigstore-python: {error}") from error
    except Error as error:
        raise EvidenceInvalid("sigstore-root-invalid", f"{root.name!r}: {error}") from error
    except Exception as error:
        # Its parsers raise whatever theirs raise; hostile bytes must end in a refusal.
        raise EvidenceInvalid("evidence-refused", f"{type(error).__name__}: {error}") from error
    if (kind, payload) != (bundle.payload_type, bundle.payload):
        raise EvidenceInvalid("bundle-malformed", "it can be read in two ways")
    stamp = _promised(entry)
    if stamp is not None:
        at = datetime.fromtimestamp(stamp, UTC)
        times.append(TrustedTime(at, f"{root.name} log"))
    times.sort(key=lambda time: time.at)
    _require_service(certificate, entry, [time.at for time in times], root)
    return tuple(times)


class _Anybody:
    """Lets sigstore-python accept any identity: whose it is, the trust document decides."""

    def verify(self, cert: Certificate) -> None:
        """Refuse nobody."""


def _refusal(message: str, certificate: Certificate) -> EvidenceInvalid:
    """Name what sigstore-python refuses; a refusal that is not known stays one."""
    if message.startswith("invalid signing cert: expired"):
        return _not_valid_then(certificate)
    for start, code in (
        ("failed to verify SCT", "certificate-unlogged"),
        ("invalid log entry", "log-entry-invalid"),
        ("not enough sources of verified time", "signing-time-missing"),
        ("no Timestamp Authorities", "timestamp-invalid"),
        ("duplicate timestamp", "timestamp-invalid"),
        ("log entry", "log-entry-differs"),
        ("transparency log entry is inconsistent", "log-entry-differs"),
        ("Key usage", "certificate-unfit"),
        ("Extended usage", "certificate-unfit"),
    ):
        if message.startswith(start):
            return EvidenceInvalid(code, message)
    return EvidenceInvalid("evidence-refused", message)


def _not_valid_then(certificate: Certificate) -> EvidenceInvalid:
    return EvidenceInvalid(
        "certificate-expired",
        "the certificate was valid from "
        f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ} to "
        f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}, and was used outside of that",
    )


def _stamps(bundle: Bundle, root: LoadedRoot) -> list[TrustedTime]:
    """Check the timestamps; one that no authority of the root vouches for spoils the bundle.

    sigstore-python passes over bad ones while another time is left.
    """
    stamps = bundle.evidence.timestamps
    authorities = {authority.name: authority for authority in root.timestamp_authorities}
    found = timestamps.times(bundle, [item.stamps() for item in authorities.values()])
    if len(found) != len(stamps):
        raise EvidenceInvalid(
            "timestamp-invalid", f"a timestamp is not by an authority of {root.name!r}"
        )
    for time in found:
        if not authorities[time.authority].window.holds(time.at):
            raise _out_of_service("timestamp authority", time.at, root)
    return found


def _require_service(
    certificate: Certificate, entry: Mapping[str, Any], times: Sequence[datetime], root: LoadedRoot
) -> None:
    from cryptography import x509

    log = base64.b64decode(entry["logId"]["keyId"])
    if log not in root.logs:
        raise EvidenceInvalid("log-entry-invalid", f"no log of {root.name!r} has the entry's id")
    issuing = [
        authority.window
        for authority in root.certificate_authorities
        if authority.issued(certificate)
    ]
    for at in times:
        _require_window(root.logs[log], at, "transparency log", root)
        _require_window(issuing, at, "certificate authority", root)
    scts = certificate.extensions.get_extension_for_class(
        x509.PrecertificateSignedCertificateTimestamps
    ).value
    for sct in scts:
        windows = root.certificate_logs.get(sct.log_id, ())
        _require_window(windows, sct.timestamp.replace(tzinfo=UTC), "certificate log", root)


def _require_window(windows: Sequence[Window], at: datetime, what: str, root: LoadedRoot) -> None:
    if not any(window.holds(at) for window in windows):
        raise _out_of_service(what, at, root)


def _out_of_service(what: str, at: datetime, root: LoadedRoot) -> EvidenceInvalid:
    return EvidenceInvalid(
        "authority-expired",
        f"the {what} of {root.name!r} was not in service at {at:%Y-%m-%dT%H:%M:%SZ}",
    )


__all__ = ["identify"]
