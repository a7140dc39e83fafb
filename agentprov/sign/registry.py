"""Key URI to signer, and the two local keys by purpose.

A new kind of key is a module beside `file_key` and a row in `_SCHEMES`. The human's key and the
recorder's are never the same: what a person signed must not be signable by a process that runs
unattended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote_to_bytes

from agentprov.errors import KeyUnusable, UsageError
from agentprov.sign import file_key

if TYPE_CHECKING:
    from agentprov.ports import Signer

Purpose = Literal["human", "recorder"]
PURPOSES: tuple[Purpose, ...] = ("human", "recorder")


def key_path(purpose: Purpose, home: Path) -> Path:
    """Give the place of the local key for a purpose; it need not exist."""
    return home / "keys" / f"{purpose}.pem"


def signer_for(purpose: Purpose, home: Path, *, create: bool = True) -> Signer:
    """Give the local signer for a purpose; made on first need unless `create` is false.

    Raises KeyUnusable: the key is missing, readable by others, damaged, or is also the key of
    the other purpose. Does not ask whether this is the moment to use it: that the human's key
    stays unused inside a run is the caller's business.
    """
    path = key_path(purpose, home)
    if create and not os.path.lexists(path):
        file_key.create(path)
    key = file_key.FileKey(path)
    for other in PURPOSES:
        if other != purpose and file_key.read_public(key_path(other, home)) == key.spki:
            raise KeyUnusable(
                f"{path} is also the {other} key",
                hint=f"move {path} away; a new one is made when it is needed",
            )
    file_key.publish(key)
    return key


def local_public(purpose: Purpose, home: Path) -> bytes | None:
    """Give the public key of a local key as SubjectPublicKeyInfo DER, or None if there is none.

    Reads the private key only where its public half was never written.
    """
    path = key_path(purpose, home)
    spki = file_key.read_public(path)
    if spki is None and os.path.lexists(path):
        spki = file_key.FileKey(path).spki
    return spki


def resolve(uri: str) -> Signer:
    """Give the signer that a key URI names.

    Raises UsageError for a scheme that is not known here; KeyUnusable comes from the signer,
    at first use.
    """
    scheme, colon, rest = uri.partition(":")
    make = _SCHEMES.get(scheme.lower()) if colon else None
    if make is None:
        raise UsageError(
            f"{uri!r} is not a key URI that is known here",
            hint=f"known schemes: {', '.join(f'{name}:' for name in sorted(_SCHEMES))}",
        )
    return make(rest)


def _file(rest: str) -> Signer:
    path = os.fsdecode(unquote_to_bytes(rest.removeprefix("//")))
    if not os.path.isabs(path):
        raise UsageError(
            f"file:{rest}: the path must be absolute", hint=f"file:{os.path.abspath(path)}"
        )
    return file_key.FileKey(Path(path))


_SCHEMES: Mapping[str, Callable[[str], Signer]] = {"file": _file}

__all__ = [
    "PURPOSES",
    "Purpose",
    "key_path",
    "local_public",
    "resolve",
    "signer_for",
]
