"""The bytes of private key files: PKCS#8 PEM and OpenSSH, with and without a passphrase.

An OpenSSH file carries its public key in clear, so that nobody is asked for a passphrase only to
be told which key it is. What it says there is held against the private half before it signs.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from agentprov.errors import KeyDamaged, KeyKindRefused, MalformedInput
from agentprov.formats import ssh_wire
from agentprov.formats.value import value

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from agentprov.sign import public

    PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey

PKCS8 = b"-----BEGIN PRIVATE KEY-----"
PKCS8_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_OPENSSH_END = b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
HEAD_BYTES = 72
"""So much of a key file says whether it is encrypted, and holds no byte of an open private key."""
# 16 rounds of bcrypt take 0.15 s; a file must not be able to keep us busy for an hour.
_MAX_ROUNDS = 1_024
_NEW_ROUNDS = 32
_ONLY = "only ECDSA P-256 and Ed25519 are accepted"
_MAKE = "make one with `agentprov keys new human`, or `ssh-keygen -t ed25519`"


class WrongPassphrase(Exception):
    """This passphrase does not open this key, or the key is damaged: both look the same."""


@value
class KeyFile:
    """A private key file, as far as it can be read without its passphrase.

    `spki` is the public key that an OpenSSH file names; None for PKCS#8. `place` is for errors.
    """

    place: str
    data: bytes
    openssh: bool
    encrypted: bool
    spki: bytes | None = None


def is_encrypted(head: bytes) -> bool:
    """Say from the first HEAD_BYTES of a key file whether it has a passphrase."""
    if head.startswith(OPENSSH):
        body = b"".join(head[len(OPENSSH) :].split())
        try:
            raw = base64.b64decode(body[: len(body) // 4 * 4])
        except binascii.Error:
            return False
        # The name of the cipher: its length, and as much of it as is here.
        return raw.startswith(_MAGIC) and not raw[len(_MAGIC) :].startswith(ssh_wire.text(b"none"))
    return head.startswith(PKCS8_ENCRYPTED)


def look(data: bytes, place: str) -> KeyFile:
    """See what a private key file is; raises KeyDamaged, KeyKindRefused."""
    if data.startswith(PKCS8):
        return KeyFile(place, data, openssh=False, encrypted=False)
    if data.startswith(PKCS8_ENCRYPTED):
        return KeyFile(place, data, openssh=False, encrypted=True)
    if data.startswith(OPENSSH):
        try:
            return _look_into_openssh(data, place)
        except (MalformedInput, binascii.Error) as error:
            raise KeyDamaged(f"{place} is damaged: {error}", hint=_MAKE) from error
    raise KeyDamaged(
        f"{place} is neither a PKCS#8 PEM nor an OpenSSH private key",
        hint=f"`ssh-keygen -p -f '{place}'` rewrites an older PEM key; or {_MAKE}",
    )


def _look_into_openssh(data: bytes, place: str) -> KeyFile:
    body = data.strip().removeprefix(OPENSSH).removesuffix(_OPENSSH_END)
    reader = ssh_wire.Reader(base64.b64decode(b"".join(body.split()), validate=True))
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise MalformedInput("not an OpenSSH key of version 1")
    cipher, kdf, options = reader.text(), reader.text(), reader.text()
    if reader.number() != 1:
        raise MalformedInput("not one key")
    blob = reader.text()
    if kdf == b"bcrypt":
        settings = ssh_wire.Reader(options)
        settings.text()
        rounds = settings.number()
        if rounds > _MAX_ROUNDS:
            raise MalformedInput(f"{rounds} rounds of bcrypt, more than {_MAX_ROUNDS}")
    return KeyFile(
        place, data, openssh=True, encrypted=cipher != b"none", spki=public_of(blob, place)
    )


def public_of(blob: bytes, place: str) -> bytes:
    """Give the SubjectPublicKeyInfo of an SSH public key; raises KeyKindRefused, MalformedInput.

    `place` says in the error where the key is.
    """
    kind = ssh_wire.kind_of(blob)
    if kind in ssh_wire.KINDS:
        return ssh_wire.spki_of(blob)
    name = kind.decode("ascii", "replace")[:64]
    if kind.startswith(b"sk-"):
        raise KeyKindRefused(
            f"{place}: a security key ({name}) signs its own flags and a counter along, which no "
            "verifier of these records reads",
            hint=f"use another key for this: {_MAKE}",
        )
    raise KeyKindRefused(f"{place}: an {name} key; {_ONLY}", hint=_MAKE)


def open_key(file: KeyFile, passphrase: bytes | None = None) -> PrivateKey:
    """Give the private key; `passphrase` is for encrypted files only.

    Raises WrongPassphrase, KeyDamaged, KeyKindRefused.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if file.encrypted and not passphrase:
        raise WrongPassphrase
    load = (
        serialization.load_ssh_private_key if file.openssh else serialization.load_pem_private_key
    )
    try:
        key = load(file.data, passphrase if file.encrypted else None)
    except UnsupportedAlgorithm as error:
        raise KeyDamaged(f"{file.place} cannot be read: {error}", hint=_MAKE) from error
    except (ValueError, TypeError) as error:
        if file.encrypted:
            raise WrongPassphrase from error
        raise KeyDamaged(
            f"{file.place} is damaged: {error}", hint="move it away; then `agentprov keys new`"
        ) from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise KeyKindRefused(f"{file.place} holds another kind of key; {_ONLY}", hint=_MAKE)


def new_pem(
    passphrase: bytes | None = None, algorithm: public.Algorithm = "ecdsa-p256-sha256"
) -> bytes:
    """Make a key: PKCS#8 PEM, or with a passphrase an OpenSSH file, which guards it better.

    OpenSSH derives with bcrypt; PKCS#8, as the libraries write it, with 2,048 rounds of PBKDF2.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key: EllipticCurvePrivateKey | Ed25519PrivateKey
    if algorithm == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    if passphrase is None:
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.PrivateFormat.OpenSSH.encryption_builder()
        .kdf_rounds(_NEW_ROUNDS)
        .build(passphrase),
    )


__all__ = [
    "HEAD_BYTES",
    "KeyFile",
    "WrongPassphrase",
    "is_encrypted",
    "look",
    "new_pem",
    "open_key",
    "public_of",
]
