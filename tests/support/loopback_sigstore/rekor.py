"""Transparency logs as Rekor v1 and v2 are: check an entry, log it, prove that it is logged."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from support.loopback_sigstore.fulcio import spki
from support.loopback_sigstore.merkle import TILE, MerkleTree
from support.loopback_sigstore.server import Answer, Refused, Request, as_json

Defect = Literal["none", "foreign", "proof", "checkpoint", "promise"]
_FIRST = b"an entry that was here before"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def canonical(value: Any) -> bytes:
    """Write JSON as RFC 8785 does, for values that hold only text and small integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _pae(payload_type: str, payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (
        len(payload_type.encode()), payload_type.encode(), len(payload), payload,
    )  # fmt: skip


def key_from(material: bytes) -> Any:
    """Read a public key out of a certificate or a key, PEM or DER."""
    if material.startswith(b"-----BEGIN CERTIFICATE"):
        return x509.load_pem_x509_certificate(material).public_key()
    if material.startswith(b"-----"):
        return load_pem_public_key(material)
    try:
        return x509.load_der_x509_certificate(material).public_key()
    except ValueError:
        return load_der_public_key(material)


def _require(key: Any, signature: bytes, digest: bytes, message: bytes | None = None) -> None:
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            if message is None:
                raise Refused("a digest says nothing about a pure Ed25519 signature")
            key.verify(signature, message)
        else:
            key.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature as error:
        raise Refused("verifying signature: invalid signature") from error


@dataclass(frozen=True)
class Logged:
    """An entry with everything that proves it, before it is written for a version of the API."""

    index: int
    proof_index: int
    log_id: bytes
    kind: str
    version: str
    body: bytes
    integrated: int
    promise: bytes
    root: bytes
    size: int
    hashes: list[bytes]
    checkpoint: str

    def as_bundle_entry(self) -> dict[str, Any]:
        """Write it as a bundle's `tlogEntries` wants it; v2 has neither time nor promise."""
        entry: dict[str, Any] = {
            "logIndex": str(self.index),
            "logId": {"keyId": b64(self.log_id)},
            "kindVersion": {"kind": self.kind, "version": self.version},
            "inclusionProof": {
                "logIndex": str(self.proof_index),
                "rootHash": b64(self.root),
                "treeSize": str(self.size),
                "hashes": [b64(item) for item in self.hashes],
                "checkpoint": {"envelope": self.checkpoint},
            },
            "canonicalizedBody": b64(self.body),
        }
        if self.promise:
            entry["integratedTime"] = str(self.integrated)
            entry["inclusionPromise"] = {"signedEntryTimestamp": b64(self.promise)}
        return entry

    def as_v1_response(self) -> dict[str, Any]:
        """Write it as the first API answers, under an id."""
        leaf = hashlib.sha256(b"\0" + self.body).hexdigest()
        return {
            leaf: {
                "body": b64(self.body),
                "integratedTime": self.integrated,
                "logID": self.log_id.hex(),
                "logIndex": self.index,
                "verification": {
                    "signedEntryTimestamp": b64(self.promise),
                    "inclusionProof": {
                        "logIndex": self.proof_index,
                        "rootHash": self.root.hex(),
                        "treeSize": self.size,
                        "hashes": [item.hex() for item in self.hashes],
                        "checkpoint": self.checkpoint,
                    },
                },
            }
        }


class _Log:
    """What both versions share. `defect` says what is wrong with what the log hands out."""

    def __init__(self, origin: str, now: Callable[[], datetime]) -> None:
        self.origin = origin
        self.tree = MerkleTree()
        # Index 0 is written as nothing by some protobuf writers and refused by some readers.
        self.tree.append(_FIRST)
        self.defect: Defect = "none"
        self._now = now

    @property
    def log_id(self) -> bytes:
        raise NotImplementedError

    def sign(self, note: bytes) -> bytes:
        raise NotImplementedError

    def checkpoint(self) -> str:
        """Give a signed note of how large the tree is and what its root is."""
        note = f"{self.origin}\n{self.tree.size}\n{b64(self.tree.root)}\n"
        signature = self.sign(note.encode())
        if self.defect == "checkpoint":
            signature = _flip(signature)
        name = self.origin.split(" ")[0]
        return f"{note}\n\u2014 {name} {b64(self.log_id[:4] + signature)}\n"

    def log(self, kind: str, version: str, body: bytes) -> Logged:
        """Add a body to the tree and prove that it is there."""
        index = self.tree.append(body)
        proof = self.tree.proof(index)
        if self.defect == "proof":
            proof = [_flip(proof[0]), *proof[1:]]
        return Logged(
            index, index, self.log_id, kind, version, body, int(self._now().timestamp()),
            b"", self.tree.root, self.tree.size, proof, self.checkpoint(),
        )  # fmt: skip


class RekorV1(_Log):
    """The first version: `dsse` and `hashedrekord` 0.0.1, with a signed entry timestamp.

    Its index runs over all shards, so it differs from the index in the proof.
    """

    shard_start = 1_000

    def __init__(self, origin: str, now: Callable[[], datetime]) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        super().__init__(f"{origin} - 4242", now)

    @property
    def log_id(self) -> bytes:
        return hashlib.sha256(spki(self.key)).digest()

    def sign(self, note: bytes) -> bytes:
        return self.key.sign(note, ec.ECDSA(hashes.SHA256()))

    def add_dsse(self, envelope: dict[str, Any], verifier_pem: bytes) -> Logged:
        """Log a DSSE envelope whose one signature a certificate or key verifies."""
        payload = base64.b64decode(envelope["payload"])
        signature = base64.b64decode(envelope["signatures"][0]["sig"])
        pae = _pae(envelope["payloadType"], payload)
        _require(key_from(verifier_pem), signature, hashlib.sha256(pae).digest(), pae)
        spec = {
            "envelopeHash": _sha256(canonical(envelope)),
            "payloadHash": _sha256(payload),
            "signatures": [{"signature": b64(signature), "verifier": b64(verifier_pem)}],
        }
        return self.promised("dsse", spec)

    def promised(self, kind: str, spec: dict[str, Any]) -> Logged:
        """Log a spec of a kind and sign a promise about it."""
        body = canonical({"apiVersion": "0.0.1", "kind": kind, "spec": spec})
        logged = self.log(kind, "0.0.1", body)
        logged = replace(logged, index=logged.index + self.shard_start)
        promise = self.sign(
            canonical(
                {
                    "body": b64(body),
                    "integratedTime": logged.integrated,
                    "logID": self.log_id.hex(),
                    "logIndex": logged.index,
                }
            )
        )
        return replace(logged, promise=_flip(promise) if self.defect == "promise" else promise)

    def answer(self, request: Request) -> Answer:
        if request.path == "log" and request.method == "GET":
            return as_json(
                {
                    "rootHash": self.tree.root.hex(),
                    "treeSize": self.tree.size,
                    "signedTreeHead": self.checkpoint(),
                    "treeID": "4242",
                }
            )
        if (request.method, request.path) != ("POST", "log/entries"):
            raise Refused("no such page", 404)
        asked = request.json()
        if asked["kind"] == "dsse":
            proposed = asked["spec"]["proposedContent"]
            envelope = json.loads(proposed["envelope"])
            logged = self.add_dsse(envelope, base64.b64decode(proposed["verifiers"][0]))
        elif asked["kind"] == "hashedrekord":
            spec = asked["spec"]
            material = base64.b64decode(spec["signature"]["publicKey"]["content"])
            signature = base64.b64decode(spec["signature"]["content"])
            _require(key_from(material), signature, bytes.fromhex(spec["data"]["hash"]["value"]))
            logged = self.promised("hashedrekord", spec)
        else:
            raise Refused(f"no entries of kind {asked['kind']} here")
        return as_json(logged.as_v1_response(), 201)


class RekorV2(_Log):
    """The second version: `hashedrekord` 0.0.2 only, no time of its own, tiles to read."""

    def __init__(self, origin: str, now: Callable[[], datetime]) -> None:
        self.key = ed25519.Ed25519PrivateKey.generate()
        super().__init__(origin, now)

    @property
    def log_id(self) -> bytes:
        """Give the id as C2SP signed notes name an Ed25519 key."""
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return hashlib.sha256(self.origin.encode() + b"\n\x01" + raw).digest()

    def sign(self, note: bytes) -> bytes:
        return self.key.sign(note)

    def add_hashed(self, digest: bytes, signature: dict[str, Any]) -> Logged:
        """Log a signature over a SHA-256, as the API and the bundle write it."""
        verifier = signature["verifier"]
        material = verifier.get("x509Certificate") or verifier["publicKey"]
        key = key_from(base64.b64decode(material["rawBytes"]))
        _require(key, base64.b64decode(signature["content"]), digest)
        spec = {
            "hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": b64(digest)},
                "signature": signature,
            }
        }
        body = canonical({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec})
        return self.log("hashedrekord", "0.0.2", body)

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) == ("POST", "/api/v2/log/entries"):
            asked = request.json()["hashedRekordRequestV002"]
            logged = self.add_hashed(base64.b64decode(asked["digest"]), asked["signature"])
            return as_json(logged.as_bundle_entry(), 201)
        if request.path == "/checkpoint":
            return Answer(200, self.checkpoint().encode(), "text/plain")
        if request.path.startswith("/tile/"):
            return self._tile(request.path.removeprefix("/tile/"))
        raise Refused("no such page", 404)

    def _tile(self, path: str) -> Answer:
        """Serve ``L/N``, ``L/N.p/W`` and ``entries/N`` of the C2SP layout, up to 1,000 tiles."""
        where, _, width = path.partition(".p/")
        level, _, number = where.partition("/")
        take = int(width) if width else TILE
        data = (
            self.tree.bundle(int(number), take)
            if level == "entries"
            else self.tree.tile(int(level), int(number), take)
        )
        if data is None:
            raise Refused("no such tile", 404)
        return Answer(200, data, "application/octet-stream")


def _sha256(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
