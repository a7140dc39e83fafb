"""Checkpoints: a log's name, size and root as a signed note (C2SP tlog-checkpoint, signed-note).

A note is text, an empty line, and signature lines. A signature's key id depends on the signer's
name and key, so that the same key under another name does not pass. Ed25519 only; signing and
checking a signature is done elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from agentprov.errors import MalformedInput
from agentprov.formats.value import value

MAX_BYTES = 16 * 1024
_ED25519 = b"\x01"
_DASH = "\u2014"


@value
class Checkpoint:
    """How a log stood: its origin (a name without spaces), its number of entries, its root."""

    origin: str
    size: int
    root: bytes

    @property
    def body(self) -> bytes:
        """Give the text that is signed, with the newline at its end."""
        root = base64.b64encode(self.root).decode("ascii")
        return f"{self.origin}\n{self.size}\n{root}\n".encode()


@value
class NoteSignature:
    """One signature line: who is said to have signed, the four bytes of its key id, the rest."""

    name: str
    key_id: bytes
    signature: bytes


@value
class SignedCheckpoint:
    """A checkpoint as it was read: what it says, the very bytes that are signed, signatures."""

    checkpoint: Checkpoint
    signed: bytes
    signatures: tuple[NoteSignature, ...]

    def by(self, name: str, public: bytes) -> bytes | None:
        """Give the signature that claims to be by this name and raw Ed25519 key, or None."""
        wanted = key_id(name, public)
        for item in self.signatures:
            if item.name == name and item.key_id == wanted:
                return item.signature
        return None


def key_id(name: str, public: bytes) -> bytes:
    """Give the four bytes that stand for a name and a raw Ed25519 public key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def verifier_key(name: str, public: bytes) -> str:
    """Write a name and key as other tools take them: ``name+id+base64``."""
    encoded = base64.b64encode(_ED25519 + public).decode("ascii")
    return f"{name}+{key_id(name, public).hex()}+{encoded}"


def encode(checkpoint: Checkpoint, public: bytes, signature: bytes) -> bytes:
    """Write a signed checkpoint; the signer's name is the log's origin."""
    name = checkpoint.origin
    blob = base64.b64encode(key_id(name, public) + signature).decode("ascii")
    return checkpoint.body + f"\n{_DASH} {name} {blob}\n".encode()


def parse(data: bytes) -> SignedCheckpoint:
    """Read a signed checkpoint; raises MalformedInput and nothing else.

    Lines after the root, and signatures by witnesses, are allowed. Checks no signature.
    """
    if len(data) > MAX_BYTES:
        raise MalformedInput("checkpoint: too large")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedInput("checkpoint: not UTF-8") from None
    if any(ord(char) < 0x20 and char != "\n" for char in text) or not text.endswith("\n"):
        raise MalformedInput("checkpoint: control characters, or no newline at its end")
    body, found, rest = text.rpartition("\n\n")
    lines = body.split("\n")
    if not found or len(lines) < 3 or not all(lines):
        raise MalformedInput("checkpoint: not a note of origin, size and root")
    checkpoint = Checkpoint(lines[0], _size(lines[1]), _base64(lines[2], "root"))
    if len(checkpoint.root) != 32:
        raise MalformedInput("checkpoint: the root is no SHA-256 digest")
    signatures = tuple(_signature(line) for line in rest.splitlines())
    if not signatures:
        raise MalformedInput("checkpoint: nobody signed it")
    return SignedCheckpoint(checkpoint, (body + "\n").encode(), signatures)


def _size(text: str) -> int:
    plain = text.isascii() and text.isdigit() and len(text) <= 19
    if not plain or str(int(text)) != text:
        raise MalformedInput("checkpoint: the size is no plain number")
    return int(text)


def _signature(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH or not parts[1] or "+" in parts[1]:
        raise MalformedInput("checkpoint: a signature line is malformed")
    blob = _base64(parts[2], "signature")
    if len(blob) < 5:
        raise MalformedInput("checkpoint: a signature is too short")
    return NoteSignature(parts[1], blob[:4], blob[4:])


def _base64(text: str, what: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (ValueError, binascii.Error):
        raise MalformedInput(f"checkpoint: the {what} is not base64") from None
