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
from dataclasses import dataclass, field
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats import canonical, digest, schema
from agentprov.formats.names import BUNDLE_TYPE, PAYLOAD_TYPE

MAX_SIGNATURE_BYTES = 1024


@dataclass(frozen=True)
class Bundle:
    """One payload, its declared type, one signature over both, and a hint at the key."""

    payload: bytes
    signature: bytes
    hint: str | None = None
    payload_type: str = PAYLOAD_TYPE
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
    public_key: dict[str, str] = {} if bundle.hint is None else {"hint": bundle.hint}
    data = canonical.encode(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                "publicKey": public_key,
                "tlogEntries": [],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": {
                "payload": base64.b64encode(bundle.payload).decode("ascii"),
                "payloadType": bundle.payload_type,
                "signatures": [{"sig": base64.b64encode(bundle.signature).decode("ascii")}],
            },
        }
    )
    parse(data)
    return data


def parse(data: bytes) -> Bundle:
    """Read a bundle; raises MalformedInput and nothing else.

    Accepts the spellings that protobuf writers use for nothing (absent or empty ``keyid``,
    ``tlogEntries`` and timestamps). Does not check the signature, and does not look into the
    payload. Bundles with a certificate, log entries or timestamps are refused: evidence that
    nobody judges must not travel as if it had been.
    """
    value = canonical.parse(data, what="bundle")
    schema.require(_BUNDLE, value, "bundle")
    envelope = value["dsseEnvelope"]
    signature = envelope["signatures"][0]
    hint = value["verificationMaterial"]["publicKey"].get("hint") or None
    keyid = signature.get("keyid", "")
    if keyid and hint is not None and keyid != hint:
        raise MalformedInput("bundle: keyid and hint name different keys")
    return Bundle(
        payload=_decode(envelope["payload"], "/dsseEnvelope/payload"),
        signature=_decode(signature["sig"], "/dsseEnvelope/signatures/0/sig"),
        hint=hint,
        payload_type=envelope["payloadType"],
    )


def _decode(value: str, pointer: str) -> bytes:
    try:
        decoded = binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
    except (ValueError, binascii.Error):
        raise MalformedInput(f"bundle at {pointer}: not standard padded base64") from None
    if binascii.b2a_base64(decoded, newline=False) != value.encode("ascii"):
        raise MalformedInput(f"bundle at {pointer}: base64 with stray bits")
    return decoded


def _media_type(value: Any) -> None:
    if value != BUNDLE_TYPE:
        raise schema.Mismatch(f"must be {BUNDLE_TYPE}")


_NOTHING = schema.array(schema.anything, most=0)
_BUNDLE = schema.members(
    {
        "mediaType": _media_type,
        "verificationMaterial": schema.members(
            {"publicKey": schema.members({}, {"hint": schema.text(least=0, most=256)})},
            {
                "tlogEntries": _NOTHING,
                "timestampVerificationData": schema.members({}, {"rfc3161Timestamps": _NOTHING}),
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
