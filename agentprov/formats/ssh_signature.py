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
from agentprov.formats import ssh_wire

_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
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
    reader = ssh_wire.Reader(blob)
    if reader.take(len(_MAGIC)) != _MAGIC or reader.number() != 1:
        raise MalformedInput("commit signature: not an SSH signature of version 1")
    key, namespace, reserved = reader.text(), reader.text(), reader.text()
    algorithm, signature = reader.text(), reader.text()
    if namespace != b"git":
        raise MalformedInput("commit signature: made for another purpose than git's")
    digest = _HASHES.get(algorithm)
    if digest is None:
        raise MalformedInput("commit signature: unknown hash")
    signed = _MAGIC + b"".join(
        ssh_wire.text(part) for part in (namespace, reserved, algorithm, digest(message).digest())
    )
    spki = ssh_wire.spki_of(key)
    return SshSignature(spki, signed, ssh_wire.signature_of(ssh_wire.kind_of(key), signature))
