"""Keys in files: PKCS#8 or OpenSSH, mode 0600, in a directory that nobody else can write.

Ours are made on first need. Beside ``NAME.pem`` stands ``NAME.pub``, the public key, so that
verifying and listing never open a private key. A file key proves that some process of this user
signed, no more: its custody is ``file``, and the verifier says so (docs/spec/trust.md);
with a passphrase it is ``passphrase``.
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

from agentprov.errors import (
    KeyDamaged,
    KeyExposed,
    KeyMissing,
    KeyRotated,
    KeyUnusable,
    MalformedInput,
    PassphraseWrong,
)
from agentprov.formats import ssh_wire
from agentprov.sign import private_key, public
from agentprov.sign.key_use import ATTEMPTS, KeyUse
from agentprov.system import files

if TYPE_CHECKING:
    from agentprov.sign.private_key import KeyFile, PrivateKey

MAX_KEY_BYTES = 64 * 1024


class FileKey:
    """One private key read from a file; implements Signer.

    Nothing is read before the first use; the file is checked and read once, and a passphrase is
    asked for only when it must sign. Raises KeyUnusable.
    """

    def __init__(self, path: Path, use: KeyUse | None = None) -> None:
        self.path = path
        self._use = use or KeyUse()

    @property
    def uri(self) -> str:
        """Give the key URI: ``file:`` and the absolute path, percent-encoded."""
        return "file:" + quote(os.fsencode(os.path.abspath(self.path)))

    @property
    def custody(self) -> str:
        """Give ``passphrase`` or ``file``; for a file that cannot be looked at, ``file``.

        Reads the head of the file only, where no private byte of an open key stands.
        """
        try:
            descriptor = files.open_regular(self.path, follow=False)
        except OSError:
            return "file"
        try:
            head = os.read(descriptor, private_key.HEAD_BYTES)
        finally:
            os.close(descriptor)
        return "passphrase" if private_key.is_encrypted(head) else "file"

    def examine(self) -> None:
        """See whether the file could sign, as far as that goes without a passphrase."""
        if not self._file.encrypted:
            _ = self._key

    @cached_property
    def _file(self) -> KeyFile:
        return private_key.look(read_private(self.path), str(self.path))

    @cached_property
    def _known(self) -> bytes | None:
        """Give the public key as far as something other than the private half tells it."""
        if self._use.expected is not None:
            return self._use.expected
        if self._file.spki is None and self._file.encrypted:
            return read_public(self.path)
        return self._file.spki

    @cached_property
    def _key(self) -> PrivateKey:
        key = self._open()
        known = self._known
        if known is not None and known != public.spki_of(key.public_key()):
            raise KeyRotated(
                f"{self.path} holds another private key than the public key that belongs to it",
                hint="if you replaced it, choose it again: "
                f"`agentprov keys use human '{self.uri}'`",
            )
        return key

    def _open(self) -> PrivateKey:
        if not self._file.encrypted:
            return private_key.open_key(self._file)
        if not self._file.openssh:
            self._use.tell(
                f"{self.path} is PKCS#8 with a passphrase, which most programs derive with only "
                "2,048 rounds of PBKDF2: easy to guess at; an OpenSSH file guards better "
                "(docs/howto/keys.md)"
            )
        for attempt in range(ATTEMPTS):
            try:
                return private_key.open_key(
                    self._file, self._use.passphrase(str(self.path), attempt)
                )
            except private_key.WrongPassphrase:
                continue
        raise PassphraseWrong(
            f"no passphrase that was given opens {self.path}",
            hint="a lost passphrase cannot be recovered; docs/howto/keys.md says how to go on",
        )

    @cached_property
    def spki(self) -> bytes:
        """Give the public key as DER SubjectPublicKeyInfo.

        Derived from the private key where that is open; else as the OpenSSH file or the ``.pub``
        beside it says, which is held against the private key before anything is signed.
        """
        return self._known or public.spki_of(self._key.public_key())

    def sign(self, pae: bytes) -> bytes:
        """Sign; ECDSA P-256/SHA-256 (DER) or Ed25519. Raises KeyUnusable."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = self._key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(pae, ec.ECDSA(hashes.SHA256()))
        return key.sign(pae)


def create(
    path: Path,
    passphrase: bytes | None = None,
    *,
    algorithm: public.Algorithm = "ecdsa-p256-sha256",
) -> bool:
    """Make a new key at a path, unless there is one; say whether this call made it.

    With a passphrase it is an OpenSSH file, which guards better than PKCS#8 does.

    The whole key is written aside and then linked into place, so that of two processes that
    race one wins and both use its key, and nobody ever reads half a key. Raises KeyUnusable.
    """
    pem = private_key.new_pem(passphrase, algorithm)
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
        raise KeyMissing(
            f"there is no key at {path}",
            hint="put it back, choose another (`agentprov keys use human URI`), or make one "
            "(`agentprov keys new`)",
        ) from error
    except OSError as error:
        raise KeyExposed(
            f"cannot read the key {path}: {error.strerror}",
            hint="a private key is a regular file of your own, not a link; name the file itself",
        ) from error
    try:
        _require_private(os.fstat(descriptor), path)
        return os.read(descriptor, MAX_KEY_BYTES)
    finally:
        os.close(descriptor)


def _require_private(status: os.stat_result, path: Path) -> None:
    if not hasattr(os, "geteuid"):
        return
    if status.st_uid != os.geteuid():
        raise KeyExposed(
            f"{path} belongs to another user (uid {status.st_uid})",
            hint="use a key of your own; AGENTPROV_HOME says where keys are",
        )
    directory = stat.S_ISDIR(status.st_mode)
    if stat.S_IMODE(status.st_mode) & (0o022 if directory else 0o077):
        verb = "written" if directory else "read"
        mode = "700" if directory else "600"
        raise KeyExposed(
            f"{path} can be {verb} by others (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"chmod {mode} '{path}' (and make a new key if others use this machine)",
        )


def public_path(path: Path) -> Path:
    """Give the place of the public key that belongs to a private key file.

    ``NAME.pub`` for our own ``NAME.pem``; else, as OpenSSH has it, the name with ``.pub`` added.
    """
    return path.with_suffix(".pub") if path.suffix == ".pem" else path.with_name(path.name + ".pub")


def read_public(path: Path) -> bytes | None:
    """Give the SubjectPublicKeyInfo that stands beside a private key file, or None.

    Reads PEM and OpenSSH's line; never opens the private key. Raises KeyUnusable for a damaged
    file.
    """
    place = public_path(path)
    try:
        text = files.read_bounded(place, MAX_KEY_BYTES, follow=False).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyUnusable(f"cannot read {place}: {error.strerror}") from error
    try:
        if text.startswith("-----BEGIN"):
            return public.from_pem(text)
        return private_key.public_of(ssh_wire.from_public_line(text), str(place))
    except MalformedInput as error:
        raise KeyDamaged(
            f"{place}: {error.message}", hint=f"remove {place}; it is made again when needed"
        ) from error


def publish(key: FileKey) -> None:
    """Write the public key beside the private one, where it is missing or another's."""
    write_public(key.path, key.spki)


def write_public(path: Path, spki: bytes) -> None:
    """Write a public key to the place that belongs to a private key file. Raises KeyUnusable."""
    pem = public.to_pem(spki).encode("ascii")
    place = public_path(path)
    try:
        if files.read_bounded(place, MAX_KEY_BYTES, follow=False) == pem:
            return
    except OSError:
        pass
    try:
        files.atomic_write(place, pem, mode=0o644)
    except OSError as error:
        raise KeyUnusable(f"cannot write {place}: {error.strerror}") from error
