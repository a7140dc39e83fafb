"""Signatures that git puts into commits with ``gpg.format=ssh`` (OpenSSH PROTOCOL.sshsig).

Reading only: what was signed, with which public key, and the raw signature, in the forms that
`SignatureVerifier` takes. Ed25519 and ECDSA P-256; other keys, and OpenPGP or X.509 signatures,
are not read. Nothing here says that the key is anybody's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from agentprov.errors import MalformedInput

_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
_P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_HEADERS = (b"gpgsig ", b"gpgsig-sha256 ")


@dataclass(frozen=True)
class SshSignature:
    """A public key (SubjectPublicKeyInfo DER), the signed bytes, and the signature over them."""

    spki: bytes
    message: bytes
    signature: bytes


def of_commit(content: bytes) -> SshSignature | None:
    """Read the SSH signature of a commit object's bytes; None when it carries none.

    Raises MalformedInput for one that cannot be read, or that was made for another purpose than
    git's.
    """
    head, separator, message = content.partition(b"\n\n")
    kept: list[bytes] = []
    armour: list[bytes] = []
    inside = False
    for line in head.split(b"\n"):
        header = next((name for name in _HEADERS if line.startswith(name)), None)
        if header is not None:
            inside = True
            armour.append(line[len(header) :])
        elif inside and line.startswith(b" "):
            armour.append(line[1:])
        else:
            inside = False
            kept.append(line)
    if not armour or armour[0].strip() != _BEGIN:
        return None
    return _read(b"\n".join(armour), b"\n".join(kept) + separator + message)


def _read(armour: bytes, message: bytes) -> SshSignature:
    body = armour.strip().removeprefix(_BEGIN).removesuffix(_END)
    try:
        blob = base64.b64decode(b"".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedInput("commit signature: not base64") from error
    reader = _Reader(blob)
    if reader.take(len(_MAGIC)) != _MAGIC or reader.take(4) != b"\0\0\0\1":
        raise MalformedInput("commit signature: not an SSH signature of version 1")
    key, namespace, reserved = reader.text(), reader.text(), reader.text()
    algorithm, signature = reader.text(), reader.text()
    if namespace != b"git":
        raise MalformedInput("commit signature: made for another purpose than git's")
    digest = _HASHES.get(algorithm)
    if digest is None:
        raise MalformedInput("commit signature: unknown hash")
    signed = _MAGIC + b"".join(
        _text(part) for part in (namespace, reserved, algorithm, digest(message).digest())
    )
    kind, spki = _public_key(key)
    return SshSignature(spki, signed, _signature(kind, signature))


def _public_key(key: bytes) -> tuple[bytes, bytes]:
    reader = _Reader(key)
    kind = reader.text()
    if kind == b"ssh-ed25519":
        raw = reader.text()
        if len(raw) == 32:
            return kind, _ED25519_SPKI + raw
    elif kind == b"ecdsa-sha2-nistp256" and reader.text() == b"nistp256":
        point = reader.text()
        if len(point) == 65 and point[:1] == b"\4":
            return kind, _P256_SPKI + point
    raise MalformedInput("commit signature: only Ed25519 and ECDSA P-256 keys are read")


def _signature(kind: bytes, signature: bytes) -> bytes:
    reader = _Reader(signature)
    if reader.text() != kind:
        raise MalformedInput("commit signature: of another kind than its key")
    raw = reader.text()
    if kind == b"ssh-ed25519":
        return raw
    numbers = _Reader(raw)
    pair = b"".join(_der_integer(numbers.text()) for _ in range(2))
    if len(pair) > 127:
        raise MalformedInput("commit signature: numbers too large")
    return b"\x30" + bytes([len(pair)]) + pair


def _der_integer(number: bytes) -> bytes:
    # An SSH mpint has the content of a DER INTEGER: big-endian, two's complement, shortest form.
    if not 1 <= len(number) <= 33:
        raise MalformedInput("commit signature: numbers of a wrong size")
    return b"\x02" + bytes([len(number)]) + number


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise MalformedInput("commit signature: too short")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def text(self) -> bytes:
        return self.take(int.from_bytes(self.take(4), "big"))
