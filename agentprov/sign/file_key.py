"""Keys in files: PKCS#8 PEM, mode 0600, in a directory of mode 0700; made on first need.

Beside ``NAME.pem`` stands ``NAME.pub``, the public key, so that verifying and listing never
open a private key. A file key proves that some process of this user signed, no more: its
custody is ``file``, and the verifier says so (DESIGN section 9, Judging).
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from agentprov.errors import KeyUnusable, MalformedInput
from agentprov.sign import public
from agentprov.system import files

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_KEY_BYTES = 64 * 1024
_HEADER = b"-----BEGIN PRIVATE KEY-----"


class FileKey:
    """One private key read from a file; implements Signer.

    Nothing is read before the first use; the file is checked and read once. Raises KeyUnusable.
    """

    custody = "file"

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def uri(self) -> str:
        """Give the key URI: ``file:`` and the absolute path, percent-encoded."""
        return "file:" + quote(os.fsencode(os.path.abspath(self.path)))

    @cached_property
    def _key(self) -> EllipticCurvePrivateKey | Ed25519PrivateKey:
        return _load(read_private(self.path), self.path)

    @cached_property
    def spki(self) -> bytes:
        """Give the public key as DER SubjectPublicKeyInfo, derived from the private key."""
        return public.spki_of(self._key.public_key())

    def sign(self, pae: bytes) -> bytes:
        """Sign; ECDSA P-256/SHA-256 (DER) or Ed25519. Raises KeyUnusable."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = self._key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(pae, ec.ECDSA(hashes.SHA256()))
        return key.sign(pae)


def create(path: Path) -> bool:
    """Make a new P-256 key at a path, unless there is one; say whether this call made it.

    The whole key is written aside and then linked into place, so that of two processes that
    race one wins and both use its key, and nobody ever reads half a key. Raises KeyUnusable.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        files.private_directory(path.parent)
        _require_private(os.lstat(path.parent), path.parent)
        return _link_new(path, pem)
    except OSError as error:
        raise KeyUnusable(
            f"cannot make the key {path}: {error.strerror}",
            hint="set AGENTPROV_HOME to a directory that you can write to",
        ) from error


def _link_new(path: Path, pem: bytes) -> bool:
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    files.atomic_write(aside, pem)
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        with files.locked(path.with_name(f".{path.name}.lock")):
            if os.path.lexists(path):
                return False
            os.rename(aside, path)
            return True
    finally:
        aside.unlink(missing_ok=True)
    return True


def read_private(path: Path) -> bytes:
    """Read a private key file that nobody else could have read or exchanged.

    Raises KeyUnusable: not there, no regular file (a symbolic link is none), owned by another
    user, or readable by others.
    """
    try:
        _require_private(os.lstat(path.parent), path.parent)
        descriptor = files.open_regular(path, follow=False)
    except FileNotFoundError as error:
        raise KeyUnusable(
            f"there is no key at {path}", hint="make one with `agentprov keys new`"
        ) from error
    except OSError as error:
        raise KeyUnusable(f"cannot read the key {path}: {error.strerror}") from error
    try:
        _require_private(os.fstat(descriptor), path)
        return os.read(descriptor, MAX_KEY_BYTES)
    finally:
        os.close(descriptor)


def _require_private(status: os.stat_result, path: Path) -> None:
    if not hasattr(os, "geteuid"):
        return
    if status.st_uid != os.geteuid():
        raise KeyUnusable(
            f"{path} belongs to another user (uid {status.st_uid})",
            hint="use a key of your own; AGENTPROV_HOME says where keys are",
        )
    directory = stat.S_ISDIR(status.st_mode)
    if stat.S_IMODE(status.st_mode) & (0o022 if directory else 0o077):
        verb = "written" if directory else "read"
        mode = "700" if directory else "600"
        raise KeyUnusable(
            f"{path} can be {verb} by others (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"chmod {mode} '{path}' (and make a new key if others use this machine)",
        )


def _load(pem: bytes, path: Path) -> EllipticCurvePrivateKey | Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if not pem.startswith(_HEADER):
        raise KeyUnusable(
            f"{path} is not an unencrypted PKCS#8 PEM private key",
            hint="make one with `agentprov keys new`",
        )
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(
            f"{path} is damaged: {error}", hint="move it away; then `agentprov keys new`"
        ) from error
    p256 = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    if not p256 and not isinstance(key, ed25519.Ed25519PrivateKey):
        raise KeyUnusable(
            f"{path} holds another kind of key; only ECDSA P-256 and Ed25519 are accepted"
        )
    assert isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)
    return key


def public_path(path: Path) -> Path:
    """Give the place of the public key that belongs to a private key file."""
    return path.with_suffix(".pub")


def read_public(path: Path) -> bytes | None:
    """Give the SubjectPublicKeyInfo that stands beside a private key file, or None.

    Never opens the private key. Raises KeyUnusable for a damaged file.
    """
    place = public_path(path)
    try:
        text = files.read_bounded(place, MAX_KEY_BYTES, follow=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyUnusable(f"cannot read {place}: {error.strerror}") from error
    try:
        return public.from_pem(text.decode("ascii", "replace"))
    except MalformedInput as error:
        raise KeyUnusable(
            f"{place}: {error.message}", hint=f"remove {place}; it is made again when needed"
        ) from error


def publish(key: FileKey) -> None:
    """Write the public key beside the private one, where it is missing or another's."""
    pem = public.to_pem(key.spki).encode("ascii")
    place = public_path(key.path)
    try:
        if files.read_bounded(place, MAX_KEY_BYTES, follow=False) == pem:
            return
    except OSError:
        pass
    try:
        files.atomic_write(place, pem, mode=0o644)
    except OSError as error:
        raise KeyUnusable(f"cannot write {place}: {error.strerror}") from error
