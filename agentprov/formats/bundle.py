"""The signed record as it is stored: a Sigstore bundle v0.3 around one DSSE signature.

`encode` writes one line of canonical JSON, byte for byte the same for the same input. `parse`
reads strictly: no member that we do not know, one signature, standard padded base64 in its only
spelling. What a bundle says about keys is a hint and never evidence; signatures are checked in
`agentprov.verify.signatures`. docs/spec/bundle.md is the page.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats import canonical, digest, schema
from agentprov.formats.evidence import NO_EVIDENCE, Evidence
from agentprov.formats.names import BUNDLE_TYPE, PAYLOAD_TYPE
from agentprov.formats.value import value

MAX_SIGNATURE_BYTES = 1024
MAX_CERTIFICATE_BYTES = 16 * 1024
MAX_LOG_ENTRIES = 8
MAX_LOG_BODY = 8 * 1024 * 1024
MAX_TIMESTAMPS = 8
MAX_TIMESTAMP_BYTES = 32 * 1024

# What `encode` writes for a key's signature with nothing beside it: nearly every bundle there is.
_HEAD = b'{"dsseEnvelope":{"payload":"'
_PLAIN = re.compile(
    rb'","payloadType":"'
    + re.escape(PAYLOAD_TYPE.encode())
    + rb'","signatures":\[\{"sig":"([A-Za-z0-9+/=]{1,1024})"\}\]\},"mediaType":"'
    + re.escape(BUNDLE_TYPE.encode())
    + rb'","verificationMaterial":\{"publicKey":\{"hint":"([A-Za-z0-9+/=]{1,256})"\},'
    rb'"timestampVerificationData":\{"rfc3161Timestamps":\[\]\},"tlogEntries":\[\]\}\}'
)


@value
class Bundle:
    """One payload, its declared type, one signature over both, and what stands beside it.

    A bundle has a hint at a key, or a certificate in its evidence, or neither, never both.
    """

    payload: bytes
    signature: bytes
    hint: str | None = None
    payload_type: str = PAYLOAD_TYPE
    evidence: Evidence = NO_EVIDENCE
    payload_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "payload_sha256", digest.sha256(self.payload))

    @property
    def signature_sha256(self) -> str:
        """Give the SHA-256 of the raw signature bytes, as edges to plans carry it."""
        return digest.sha256(self.signature)


def key_hint(spki: bytes) -> str:
    """Give the hint for a public key: base64 of the SHA-256 of its SubjectPublicKeyInfo DER."""
    return base64.b64encode(hashlib.sha256(spki).digest()).decode("ascii")


def encode(bundle: Bundle) -> bytes:
    """Write a bundle as one line without a newline; the same bundle gives the same bytes.

    Raises MalformedInput for one that `parse` would refuse.
    """
    evidence = bundle.evidence
    material: dict[str, Any]
    if evidence.certificate is not None:
        material = {"certificate": {"rawBytes": _text(evidence.certificate)}}
    else:
        material = {"publicKey": {} if bundle.hint is None else {"hint": bundle.hint}}
    data = canonical.encode(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                **material,
                "tlogEntries": [dict(entry) for entry in evidence.log_entries],
                "timestampVerificationData": {
                    "rfc3161Timestamps": [
                        {"signedTimestamp": _text(stamp)} for stamp in evidence.timestamps
                    ]
                },
            },
            "dsseEnvelope": {
                "payload": _text(bundle.payload),
                "payloadType": bundle.payload_type,
                "signatures": [{"sig": _text(bundle.signature)}],
            },
        }
    )
    parse(data)
    return data


def parse(data: bytes) -> Bundle:
    """Read a bundle; raises MalformedInput and nothing else.

    Accepts the spellings that protobuf writers use for nothing (absent or empty ``keyid``,
    ``tlogEntries`` and timestamps). Does not check the signature, and looks neither into the
    payload nor into certificates, log entries and timestamps.
    """
    end = data.find(b'"', len(_HEAD)) if data.startswith(_HEAD) else -1
    plain = _PLAIN.fullmatch(data, end) if 0 < end <= canonical.MAX_BYTES else None
    if plain is not None and len(data) <= canonical.MAX_BYTES:
        return Bundle(
            payload=_decoded(data[len(_HEAD) : end], "/dsseEnvelope/payload"),
            signature=_decoded(plain[1], "/dsseEnvelope/signatures/0/sig"),
            hint=plain[2].decode(),
        )
    value = canonical.parse(data, what="bundle")
    schema.require(_BUNDLE, value, "bundle")
    envelope = value["dsseEnvelope"]
    signature = envelope["signatures"][0]
    material = value["verificationMaterial"]
    if ("publicKey" in material) == ("certificate" in material):
        raise MalformedInput(
            "bundle at /verificationMaterial: must hold a publicKey or a certificate"
        )
    hint = material.get("publicKey", {}).get("hint") or None
    keyid = signature.get("keyid", "")
    if keyid and hint is not None and keyid != hint:
        raise MalformedInput("bundle: keyid and hint name different keys")
    return Bundle(
        payload=_decode(envelope["payload"], "/dsseEnvelope/payload"),
        signature=_decode(signature["sig"], "/dsseEnvelope/signatures/0/sig"),
        hint=hint,
        payload_type=envelope["payloadType"],
        evidence=_evidence(material),
    )


def _evidence(material: Mapping[str, Any]) -> Evidence:
    place = "/verificationMaterial"
    certificate = material.get("certificate")
    entries = material.get("tlogEntries", ())
    stamps = material.get("timestampVerificationData", {}).get("rfc3161Timestamps", ())
    if certificate is None and not entries and not stamps:
        return NO_EVIDENCE
    return Evidence(
        certificate=(
            _decode(certificate["rawBytes"], f"{place}/certificate/rawBytes")
            if certificate is not None
            else None
        ),
        log_entries=tuple(entries),
        timestamps=tuple(
            _decode(
                stamp["signedTimestamp"],
                f"{place}/timestampVerificationData/rfc3161Timestamps/{index}/signedTimestamp",
            )
            for index, stamp in enumerate(stamps)
        ),
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(value: str, pointer: str) -> bytes:
    try:
        return _decoded(value.encode("ascii"), pointer)
    except UnicodeEncodeError:
        raise MalformedInput(f"bundle at {pointer}: not standard padded base64") from None


def _decoded(value: bytes, pointer: str) -> bytes:
    try:
        decoded = binascii.a2b_base64(value, strict_mode=True)
    except binascii.Error:
        raise MalformedInput(f"bundle at {pointer}: not standard padded base64") from None
    if binascii.b2a_base64(decoded, newline=False) != value:
        raise MalformedInput(f"bundle at {pointer}: base64 with stray bits")
    return decoded


def _media_type(value: Any) -> None:
    if value != BUNDLE_TYPE:
        raise schema.Mismatch(f"must be {BUNDLE_TYPE}")


def _base64(most: int) -> schema.Check:
    return schema.text(most=(most + 2) // 3 * 4)


_NUMBER = schema.text(most=20, pattern=r"0|[1-9][0-9]*")
_LOG_ENTRY = schema.members(
    {
        "logIndex": _NUMBER,
        "logId": schema.members({"keyId": _base64(64)}),
        "kindVersion": schema.members(
            {"kind": schema.text(most=64), "version": schema.text(most=16)}
        ),
        "canonicalizedBody": _base64(MAX_LOG_BODY),
    },
    {
        "integratedTime": _NUMBER,
        "inclusionPromise": schema.members({"signedEntryTimestamp": _base64(1_024)}),
        "inclusionProof": schema.members(
            {
                "logIndex": _NUMBER,
                "rootHash": _base64(64),
                "treeSize": _NUMBER,
                "checkpoint": schema.members({"envelope": schema.text(most=16_384)}),
            },
            {"hashes": schema.array(_base64(64), most=64)},
        ),
    },
)
_BUNDLE = schema.members(
    {
        "mediaType": _media_type,
        "verificationMaterial": schema.members(
            {},
            {
                "publicKey": schema.members({}, {"hint": schema.text(least=0, most=256)}),
                "certificate": schema.members({"rawBytes": _base64(MAX_CERTIFICATE_BYTES)}),
                "tlogEntries": schema.array(_LOG_ENTRY, most=MAX_LOG_ENTRIES),
                "timestampVerificationData": schema.members(
                    {},
                    {
                        "rfc3161Timestamps": schema.array(
                            schema.members({"signedTimestamp": _base64(MAX_TIMESTAMP_BYTES)}),
                            most=MAX_TIMESTAMPS,
                        )
                    },
                ),
            },
        ),
        "dsseEnvelope": schema.members(
            {
                "payload": schema.text(most=canonical.MAX_BYTES),
                "payloadType": schema.text(most=256),
                "signatures": schema.array(
                    schema.members(
                        {"sig": schema.text(most=MAX_SIGNATURE_BYTES * 4 // 3)},
                        {"keyid": schema.text(least=0, most=256)},
                    ),
                    least=1,
                    most=1,
                ),
            }
        ),
    }
)
