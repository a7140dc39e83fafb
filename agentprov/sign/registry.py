"""Key URI to signer, and the two keys of this user by purpose.

A new kind of key is a module beside `file_key` and a row in `_SCHEMES`. The human's key and the
recorder's are never the same: what a person signed must not be signable by a process that runs
unattended. The recorder's key is always a file of its own; which key is the human's is chosen
once and then stands in ``human.uri`` (docs/adr/0012).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote_to_bytes

from agentprov.errors import KeyDamaged, KeyUnusable, UsageError
from agentprov.sign import file_key, private_key
from agentprov.sign.key_use import KeyUse
from agentprov.system import files

if TYPE_CHECKING:
    from agentprov.ports import Signer

Purpose = Literal["human", "recorder"]
PURPOSES: tuple[Purpose, ...] = ("human", "recorder")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_MAX_URI = 8 * 1024
_CHOOSE = "choose it again: `agentprov keys use human URI`"


def key_path(purpose: Purpose, home: Path) -> Path:
    """Give the place of the local key file for a purpose; it need not exist."""
    return home / "keys" / f"{purpose}.pem"


def pointer_path(home: Path) -> Path:
    """Give the place of the file that names the human's key; it need not exist."""
    return home / "keys" / "human.uri"


def chosen_uri(home: Path) -> str | None:
    """Give the key URI that the user chose for the human key, or None.

    Raises KeyExposed for a file that others could have written, KeyDamaged for an odd one.
    """
    path = pointer_path(home)
    if not os.path.lexists(path):
        return None
    uri = file_key.read_private(path).decode("utf-8", "replace").strip()
    if not uri or len(uri) > _MAX_URI or not uri.isprintable():
        raise KeyDamaged(f"{path} names no key", hint=_CHOOSE)
    return uri


def chosen(home: Path, use: KeyUse | None = None) -> Signer | None:
    """Give the signer that ``human.uri`` names, bound to the public key that was chosen.

    None when nothing was chosen. Raises KeyUnusable, as `chosen_uri` does and for a URI that
    names no key.
    """
    uri = chosen_uri(home)
    if uri is None:
        return None
    expected = file_key.read_public(key_path("human", home))
    try:
        return resolve(uri, replace(use or KeyUse(), expected=expected))
    except UsageError as error:
        raise KeyDamaged(f"{pointer_path(home)}: {error.message}", hint=_CHOOSE) from error


def choose(home: Path, key: Signer) -> None:
    """Make a key the human's from now on: its URI and its public key are written down.

    Raises KeyUnusable when it is the recorder's key, or cannot be written.
    """
    if key.spki == local_public("recorder", home):
        raise KeyUnusable(
            "the recorder's key cannot be the human key: it signs unattended", hint=_CHOOSE
        )
    try:
        files.private_directory(pointer_path(home).parent)
        # In this order a crash between the two leaves a mismatch, which refuses to sign.
        file_key.write_public(key_path("human", home), key.spki)
        files.atomic_write(pointer_path(home), key.uri.encode("utf-8") + b"\n")
    except OSError as error:
        raise KeyUnusable(
            f"cannot write {pointer_path(home)}: {error.strerror}",
            hint="set AGENTPROV_HOME to a directory that you can write to",
        ) from error


def signer_for(
    purpose: Purpose, home: Path, *, create: bool = True, use: KeyUse | None = None
) -> Signer:
    """Give this user's signer for a purpose; found or made on first need if `create` is true.

    The human key is what ``human.uri`` names, else ``human.pem``; when neither exists, the user's
    git SSH signing key where ssh-agent holds it, which is then written down as chosen, else a new
    file. Raises KeyUnusable: the key is missing, readable by others, damaged, not the one that
    was chosen, or is also the key of the other purpose. Does not ask whether this is the moment
    to use it: that the human's key stays unused inside a run is the caller's business.
    """
    use = replace(use or KeyUse(), name=f"{purpose} key")
    key = chosen(home, use) if purpose == "human" else None
    path = key_path(purpose, home)
    if key is None and create and not os.path.lexists(path):
        key = _gits(home, use) if purpose == "human" else None
        if key is None:
            file_key.create(path)
    pointed = key is not None
    signer = key or file_key.FileKey(path, use)
    for other in PURPOSES:
        if other != purpose and file_key.read_public(key_path(other, home)) == signer.spki:
            raise KeyUnusable(
                f"{signer.uri if pointed else path} is also the {other} key",
                hint=_CHOOSE
                if pointed
                else f"move {path} away; a new one is made when it is needed",
            )
    if isinstance(signer, file_key.FileKey) and not pointed:
        file_key.publish(signer)
    return signer


def require_usable(purpose: Purpose, home: Path) -> None:
    """Refuse a local key file that could not sign, or not be made, as far as a look at it tells.

    Opens no key and makes none. Raises KeyUnusable. Does not see whether the key is intact.
    """
    path = key_path(purpose, home)
    if os.path.lexists(path):
        private_key.look(file_key.read_private(path), str(path))
        return
    above = next((place for place in path.parents if os.path.lexists(place)), path.anchor)
    if not (os.path.isdir(above) and os.access(above, os.W_OK | os.X_OK)):
        raise KeyUnusable(
            f"no {purpose} key can be made at {path}: {above} is no directory that can be written",
            hint="set AGENTPROV_HOME to a directory that you can write to",
        )


def local_public(purpose: Purpose, home: Path) -> bytes | None:
    """Give the public key of a local key as SubjectPublicKeyInfo DER, or None if there is none.

    Reads the private key only where its public half was never written.
    """
    path = key_path(purpose, home)
    spki = file_key.read_public(path)
    if spki is None:
        key = chosen(home) if purpose == "human" else None
        if key is not None:
            return key.spki
        if os.path.lexists(path):
            return file_key.FileKey(path).spki
    return spki


def local_custody(purpose: Purpose, home: Path) -> str:
    """Say how a local key is kept, without using it; raises KeyUnusable."""
    key = chosen(home) if purpose == "human" else None
    return (key or file_key.FileKey(key_path(purpose, home))).custody


def resolve(uri: str, use: KeyUse | None = None) -> Signer:
    """Give the signer that a key URI names (docs/spec/key-uris.md).

    Raises UsageError for a scheme or a form that is not known here; KeyUnusable comes from the
    signer, at first use, and where git must be asked which key is meant.
    """
    scheme, colon, rest = uri.partition(":")
    make = _SCHEMES.get(scheme.lower()) if colon else None
    if make is None:
        raise UsageError(
            f"{uri!r} is not a key URI that is known here",
            hint=f"known schemes: {', '.join(f'{name}:' for name in sorted(_SCHEMES))}",
        )
    return make(rest, use or KeyUse())


def _gits(home: Path, use: KeyUse) -> Signer | None:
    """Choose the user's git SSH signing key, if there is one that can sign now; say what came."""
    from agentprov.formats.ssh_wire import fingerprint
    from agentprov.sign import git_signing_key
    from agentprov.sign.ssh_key import AgentKey

    try:
        blob = git_signing_key.blob()
        if blob is None:
            return None
        key = AgentKey(fingerprint(blob), use)
        choose(home, key)
    except KeyUnusable as error:
        use.tell(
            f"your git signing key is not taken as human key: {error.message}; a key in a file "
            "is made instead (later: `agentprov keys use human ssh:`)"
        )
        return None
    use.tell(
        f"your git signing key {key.fingerprint}, held by ssh-agent, is your human key from now "
        "on (another one: `agentprov keys use human URI`)"
    )
    return key


def _file(rest: str, use: KeyUse) -> Signer:
    path = os.fsdecode(unquote_to_bytes(rest.removeprefix("//")))
    if not os.path.isabs(path):
        raise UsageError(
            f"file:{rest}: the path must be absolute", hint=f"file:{os.path.abspath(path)}"
        )
    return file_key.FileKey(Path(path), use)


def _ssh(rest: str, use: KeyUse) -> Signer:
    from agentprov.sign.ssh_key import CONFIRM, AgentKey

    confirm = rest.endswith(CONFIRM)
    name = rest.removesuffix(CONFIRM)
    if not name:
        from agentprov.formats.ssh_wire import fingerprint
        from agentprov.sign import git_signing_key

        name = fingerprint(git_signing_key.required_blob())
    elif not _FINGERPRINT.fullmatch(name):
        raise UsageError(
            f"ssh:{rest}: neither empty nor a fingerprint SHA256:...",
            hint="`ssh-add -l` lists the fingerprints of the keys in ssh-agent",
        )
    return AgentKey(name, use, confirm=confirm)


def _sigstore(rest: str, _: KeyUse) -> Signer:
    """Refuse what `sigstore_key.from_uri` takes: signing in leaves no key that could stand here."""
    raise UsageError(
        f"sigstore:{rest}: signing in leaves no key that could be chosen",
        hint="name it each time that you sign: `agentprov plan sign PLAN.md --key sigstore:...`",
    )


_SCHEMES: Mapping[str, Callable[[str, KeyUse], Signer]] = {
    "file": _file,
    "sigstore": _sigstore,
    "ssh": _ssh,
}

__all__ = [
    "PURPOSES",
    "Purpose",
    "choose",
    "chosen",
    "chosen_uri",
    "key_path",
    "local_custody",
    "local_public",
    "pointer_path",
    "require_usable",
    "resolve",
    "signer_for",
]
