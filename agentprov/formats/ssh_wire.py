"""SSH's own spelling of keys and signatures (RFC 4251, 4253, 5656, 8709), to and from ours.

Ed25519 and ECDSA P-256. Bytes in, values out; nothing here says whose a key is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from agentprov.errors import MalformedInput

ED25519, P256 = b"ssh-ed25519", b"ecdsa-sha2-nistp256"
KINDS = frozenset({ED25519, P256})
_CURVE = b"nistp256"
_ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
_P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_MAX_LINE = 16 * 1024


class Reader:
    """Reads one value after another from bytes; raises MalformedInput where they end early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def ended(self) -> bool:
        """Say whether everything was read."""
        return self._position == len(self._data)

    def take(self, count: int) -> bytes:
        """Give the next so many bytes."""
        end = self._position + count
        if end > len(self._data):
            raise MalformedInput("SSH data: too short")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def number(self) -> int:
        """Give the next uint32."""
        return int.from_bytes(self.take(4), "big")

    def text(self) -> bytes:
        """Give the next string: its length, then its bytes."""
        return self.take(self.number())

    def finish(self) -> None:
        """Require that nothing follows."""
        if not self.ended:
            raise MalformedInput("SSH data: bytes after the end")


def text(data: bytes) -> bytes:
    """Write a string: its length, then its bytes."""
    return len(data).to_bytes(4, "big") + data


def kind_of(blob: bytes) -> bytes:
    """Give the key type that a public key blob begins with; raises MalformedInput."""
    return Reader(blob).text()


def spki_of(blob: bytes) -> bytes:
    """Give the SubjectPublicKeyInfo DER of a public key blob.

    Raises MalformedInput for other kinds of keys, sizes, or bytes after the end. Does not check
    that a point lies on the curve.
    """
    reader = Reader(blob)
    kind = reader.text()
    spki = b""
    if kind == ED25519:
        raw = reader.text()
        spki = _ED25519_SPKI + raw if len(raw) == 32 else b""
    elif kind == P256 and reader.text() == _CURVE:
        point = reader.text()
        spki = _P256_SPKI + point if len(point) == 65 and point[:1] == b"\4" else b""
    if not spki:
        raise MalformedInput("SSH key: only Ed25519 and ECDSA P-256 keys are read")
    reader.finish()
    return spki


def blob_of(spki: bytes) -> bytes:
    """Give the public key blob of a SubjectPublicKeyInfo DER; raises MalformedInput."""
    if spki.startswith(_ED25519_SPKI) and len(spki) == len(_ED25519_SPKI) + 32:
        return text(ED25519) + text(spki[len(_ED25519_SPKI) :])
    if spki.startswith(_P256_SPKI) and len(spki) == len(_P256_SPKI) + 65:
        return text(P256) + text(_CURVE) + text(spki[len(_P256_SPKI) :])
    raise MalformedInput("public key: only ECDSA P-256 and Ed25519 are accepted")


def fingerprint(blob: bytes) -> str:
    """Name a key as ``ssh-keygen -l`` does: ``SHA256:`` and unpadded base64."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return "SHA256:" + digest.rstrip("=")


def public_line(spki: bytes) -> str:
    """Write a key as a line of authorized_keys, without a comment or a newline."""
    blob = blob_of(spki)
    return f"{kind_of(blob).decode('ascii')} {base64.b64encode(blob).decode('ascii')}"


def from_public_line(line: str) -> bytes:
    """Give the public key blob of a line ``TYPE BASE64 [COMMENT]``, of whatever kind.

    Raises MalformedInput for anything else, options before the type included.
    """
    words = line.split(None, 2)
    if len(line) > _MAX_LINE or len(words) < 2:
        raise MalformedInput("SSH key: not a line of type, base64 and comment")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedInput("SSH key: not base64") from error
    if kind_of(blob) != words[0].encode("utf-8", "replace"):
        raise MalformedInput("SSH key: of another type than its line says")
    return blob


def signature_of(kind: bytes, blob: bytes) -> bytes:
    """Give a raw Ed25519 signature, or a DER ECDSA one, from a signature blob of this kind.

    Raises MalformedInput for another kind or size. Does not check the signature.
    """
    reader = Reader(blob)
    if reader.text() != kind:
        raise MalformedInput("SSH signature: of another kind than its key")
    raw = reader.text()
    reader.finish()
    if kind == ED25519:
        if len(raw) != 64:
            raise MalformedInput("SSH signature: not 64 bytes")
        return raw
    numbers = Reader(raw)
    pair = b"".join(_der_integer(numbers.text()) for _ in range(2))
    numbers.finish()
    return b"\x30" + bytes([len(pair)]) + pair


def _der_integer(number: bytes) -> bytes:
    # An SSH mpint has the content of a DER INTEGER: big-endian, two's complement, shortest form.
    if not 1 <= len(number) <= 33:
        raise MalformedInput("SSH signature: numbers of a wrong size")
    return b"\x02" + bytes([len(number)]) + number


__all__ = [
    "ED25519",
    "KINDS",
    "P256",
    "Reader",
    "blob_of",
    "fingerprint",
    "from_public_line",
    "kind_of",
    "public_line",
    "signature_of",
    "spki_of",
    "text",
]
