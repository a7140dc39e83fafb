"""Keyless bundles with one thing taken out or changed, and what our check says of each."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from support.loopback_sigstore.instance import Version

Bundle = dict[str, Any]
Bend = Callable[[Bundle], None]


def material(bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = bundle["verificationMaterial"]
    return found


def log(bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = material(bundle)["tlogEntries"][0]
    return found


def flip(text: str, at: int = -3) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[at] ^= 1
    return base64.b64encode(raw).decode()


def drop_log(bundle: Bundle) -> None:
    material(bundle)["tlogEntries"] = []


def drop_proof(bundle: Bundle) -> None:
    del log(bundle)["inclusionProof"]


def drop_times(bundle: Bundle) -> None:
    material(bundle)["timestampVerificationData"] = {"rfc3161Timestamps": []}
    log(bundle).pop("inclusionPromise", None)


def drop_promise_keep_time(bundle: Bundle) -> None:
    material(bundle)["timestampVerificationData"] = {}
    log(bundle).pop("inclusionPromise", None)


def twice(bundle: Bundle) -> None:
    material(bundle)["tlogEntries"] *= 2


def flip_hash(bundle: Bundle) -> None:
    hashes_ = log(bundle)["inclusionProof"]["hashes"]
    hashes_[0] = flip(hashes_[0])


def flip_root(bundle: Bundle) -> None:
    proof = log(bundle)["inclusionProof"]
    proof["rootHash"] = flip(proof["rootHash"])


def move(bundle: Bundle) -> None:
    proof = log(bundle)["inclusionProof"]
    proof["logIndex"] = str(int(proof["logIndex"]) - 1)


def flip_checkpoint(bundle: Bundle) -> None:
    checkpoint = log(bundle)["inclusionProof"]["checkpoint"]
    note, _, signature = checkpoint["envelope"].rpartition(" ")
    checkpoint["envelope"] = f"{note} {flip(signature.strip(), 20)}\n"


def flip_promise(bundle: Bundle) -> None:
    promise = log(bundle)["inclusionPromise"]
    promise["signedEntryTimestamp"] = flip(promise["signedEntryTimestamp"])


def shift_time(bundle: Bundle) -> None:
    entry = log(bundle)
    entry["integratedTime"] = str(int(entry["integratedTime"]) + 60)


def flip_stamp(bundle: Bundle) -> None:
    stamp = material(bundle)["timestampVerificationData"]["rfc3161Timestamps"][0]
    stamp["signedTimestamp"] = flip(stamp["signedTimestamp"])


def no_stamp(bundle: Bundle) -> None:
    stamp = material(bundle)["timestampVerificationData"]["rfc3161Timestamps"][0]
    stamp["signedTimestamp"] = base64.b64encode(b"noon").decode()


def flip_payload(bundle: Bundle) -> None:
    bundle["dsseEnvelope"]["payload"] = flip(bundle["dsseEnvelope"]["payload"])


def flip_type(bundle: Bundle) -> None:
    bundle["dsseEnvelope"]["payloadType"] = "application/vnd.in-toto+yaml"


def flip_signature(bundle: Bundle) -> None:
    signature = bundle["dsseEnvelope"]["signatures"][0]
    signature["sig"] = flip(signature["sig"])


def flip_certificate(bundle: Bundle) -> None:
    certificate = material(bundle)["certificate"]
    certificate["rawBytes"] = flip(certificate["rawBytes"])


def no_certificate(bundle: Bundle) -> None:
    material(bundle)["certificate"]["rawBytes"] = base64.b64encode(b"a certificate").decode()


def no_body(bundle: Bundle) -> None:
    log(bundle)["canonicalizedBody"] = base64.b64encode(b"[" * 100_000).decode()


def other_kind(bundle: Bundle) -> None:
    log(bundle)["kindVersion"] = {"kind": "intoto", "version": "0.0.2"}


BENDS: list[tuple[Version, Bend, str]] = [
    (1, drop_log, "log-entry-missing"),
    (2, drop_log, "log-entry-missing"),
    (1, drop_proof, "log-entry-missing"),
    (1, drop_times, "signing-time-missing"),
    (2, drop_times, "signing-time-missing"),
    (1, drop_promise_keep_time, "signing-time-missing"),
    (1, twice, "log-entry-invalid"),
    (1, flip_hash, "log-entry-invalid"),
    (2, flip_hash, "log-entry-invalid"),
    (1, flip_root, "log-entry-invalid"),
    (2, flip_root, "log-entry-invalid"),
    (2, move, "log-entry-invalid"),
    (1, flip_checkpoint, "log-entry-invalid"),
    (2, flip_checkpoint, "log-entry-invalid"),
    (1, flip_promise, "log-entry-invalid"),
    (1, shift_time, "log-entry-invalid"),
    (2, no_body, "log-entry-invalid"),
    (2, other_kind, "log-entry-invalid"),
    (1, flip_stamp, "timestamp-invalid"),
    (2, flip_stamp, "timestamp-invalid"),
    (2, no_stamp, "timestamp-invalid"),
    (2, flip_payload, "signature-invalid"),
    (2, flip_type, "signature-invalid"),
    (1, flip_signature, "signature-invalid"),
    (2, flip_certificate, "certificate-unknown"),
    (2, no_certificate, "bundle-malformed"),
]
