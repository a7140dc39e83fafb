"""Local signing keys, as the user sees them: make, list, show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from agentprov.errors import AgentprovError, KeyUnusable, MalformedInput, UserError
from agentprov.formats.bundle import key_hint
from agentprov.sign import file_key, public
from agentprov.sign.registry import PURPOSES, Purpose, key_path, local_public, signer_for


@dataclass(frozen=True)
class KeyInfo:
    """One local key; nothing of the private half.

    `problem` says why it cannot sign as it is, with the way out in `remedy`. A key with a
    problem may have no known public half: then the digests are empty.
    """

    purpose: Purpose
    uri: str
    path: Path
    custody: str
    algorithm: str = ""
    fingerprint: str = ""
    hint: str = ""
    public_key: str = ""
    problem: str | None = None
    remedy: str | None = None


def new(home: Path, purpose: Purpose) -> KeyInfo:
    """Make the key for a purpose; raises UserError when there is one, KeyUnusable.

    A key that is there is never replaced: what it signed would lose its signer.
    """
    path = key_path(purpose, home)
    if not file_key.create(path):
        raise UserError(
            f"there is a {purpose} key already: {path}",
            hint="to retire it, move both files away; keep the .pub, old records need it",
        )
    signer_for(purpose, home)
    return describe(home, purpose)


def list_keys(home: Path) -> list[KeyInfo]:
    """Give the local keys that exist, whether or not they can be used."""
    return [
        describe(home, purpose)
        for purpose in PURPOSES
        if key_path(purpose, home).is_symlink() or key_path(purpose, home).exists()
    ]


def show(home: Path, name: str) -> KeyInfo:
    """Give one local key by purpose or by the first digits of its fingerprint (8 at least).

    Raises UserError when there is no such key, or more than one.
    """
    present = list_keys(home)
    wanted = name.lower().removeprefix("sha256:")
    found = [
        key
        for key in present
        if key.purpose == name or (len(wanted) >= 8 and key.fingerprint.startswith(wanted))
    ]
    if len(found) != 1:
        known = ", ".join(key.purpose for key in present) or "none yet"
        raise UserError(
            f"no key {name!r}", hint=f"keys here: {known}; make one with `agentprov keys new`"
        )
    return found[0]


def describe(home: Path, purpose: Purpose) -> KeyInfo:
    """Describe the local key for a purpose, without using it."""
    path = key_path(purpose, home)
    signer = file_key.FileKey(path)
    problem: AgentprovError | None = None
    try:
        file_key.read_private(path)
    except KeyUnusable as error:
        problem = error
    try:
        spki = local_public(purpose, home)
        algorithm = public.algorithm(spki) if spki is not None else ""
    except (KeyUnusable, MalformedInput) as error:
        spki, problem = None, problem or error
    info = KeyInfo(
        purpose=purpose,
        uri=signer.uri,
        path=path,
        custody=signer.custody,
        problem=problem.message if problem else None,
        remedy=problem.hint if problem else None,
    )
    if spki is None:
        return info
    return replace(
        info,
        algorithm=algorithm,
        fingerprint=public.fingerprint(spki),
        hint=key_hint(spki),
        public_key=public.to_pem(spki),
    )
