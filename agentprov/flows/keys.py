"""This user's signing keys, as the user sees them: make, choose, list, show."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agentprov.errors import (
    AgentprovError,
    KeyUnusable,
    MalformedInput,
    PassphraseNeeded,
    UsageError,
    UserError,
)
from agentprov.formats import ssh_wire
from agentprov.formats.bundle import key_hint
from agentprov.ports import Signer
from agentprov.sign import file_key, public, registry
from agentprov.sign.key_use import Ask, KeyUse, Say
from agentprov.sign.registry import PURPOSES, Purpose, key_path, local_public, signer_for


@dataclass(frozen=True)
class KeyInfo:
    """One key of this user; nothing of the private half.

    `problem` says why it cannot sign as it is, with the way out in `remedy`. A key with a
    problem may have no known public half: then the digests are empty. `fingerprint` is the hex
    SHA-256 of the SubjectPublicKeyInfo, `openssh_fingerprint` what ``ssh-keygen -l`` says;
    `spki` is what a trust file holds, `openssh_key` the line that OpenSSH and git take.
    """

    purpose: Purpose
    uri: str
    custody: str
    algorithm: str = ""
    fingerprint: str = ""
    openssh_fingerprint: str = ""
    hint: str = ""
    spki: bytes = b""
    public_key: str = ""
    openssh_key: str = ""
    problem: str | None = None
    remedy: str | None = None


def new(
    home: Path, purpose: Purpose, *, passphrase: bool = False, ask: Ask | None = None
) -> KeyInfo:
    """Make the key file for a purpose; raises UserError when there is a key, KeyUnusable.

    With `passphrase` one is asked for, twice; the human's key only, for the recorder's signs
    unattended. A key that is there is never replaced: what it signed would lose its signer.
    """
    if passphrase and purpose != "human":
        raise UsageError("the recorder's key cannot have a passphrase: it signs unattended")
    path = key_path(purpose, home)
    chosen = registry.chosen_uri(home) if purpose == "human" else None
    if chosen is not None:
        raise UserError(
            f"there is a {purpose} key already: {chosen}",
            hint="`agentprov keys use human URI` chooses another; docs/howto/keys.md on rotation",
        )
    # Asked before anything is written, yet not where the answer would be for nothing.
    secret = _new_passphrase(path, ask) if passphrase and not os.path.lexists(path) else None
    if not file_key.create(path, secret):
        raise UserError(
            f"there is a {purpose} key already: {path}",
            hint="to retire it, move both files away; keep the .pub, old records need it",
        )
    signer_for(purpose, home)
    return describe(home, purpose)


def use(
    home: Path,
    purpose: Purpose,
    uri: str,
    *,
    confirm: bool = False,
    ask: Ask | None = None,
    say: Say | None = None,
) -> KeyInfo:
    """Make the key that a URI names the human key of this user, until another is chosen.

    `confirm`: the user says that the agent asks before each use of it. Signs nothing, and asks
    for a passphrase only where nothing else tells the public key. Raises UsageError, UserError
    (inside a run, the recorder's key), KeyUnusable.
    """
    _refuse_inside_a_run(os.environ)
    if purpose != "human":
        raise UsageError(
            "the recorder's key is not chosen: it signs unattended, so it is a file of its own",
            hint="only the human key can be: `agentprov keys use human URI`",
        )
    if confirm:
        if not uri.lower().startswith("ssh:"):
            raise UsageError("--confirm is about keys in ssh-agent: ssh:")
        uri = uri if uri.endswith("?confirm") else f"{uri}?confirm"
    key = registry.resolve(uri, KeyUse("human key", "to be told which key it is", ask, say))
    registry.choose(home, key)
    return describe(home, "human")


def list_keys(home: Path) -> list[KeyInfo]:
    """Give the keys of this user that exist, whether or not they can be used."""
    return [describe(home, purpose) for purpose in PURPOSES if _exists(home, purpose)]


def files(home: Path) -> list[Path]:
    """Give the private key files that should be there, or will be on first need."""
    return [
        key_path(purpose, home)
        for purpose in PURPOSES
        if purpose != "human" or not os.path.lexists(registry.pointer_path(home))
    ]


def chosen(home: Path) -> KeyInfo | None:
    """Describe the human key if the user, or the first use, chose one that stands elsewhere."""
    return describe(home, "human") if os.path.lexists(registry.pointer_path(home)) else None


def show(home: Path, name: str) -> KeyInfo:
    """Give one key by purpose, by OpenSSH fingerprint, or by 8 or more digits of its own.

    Raises UserError when there is no such key, or more than one.
    """
    present = list_keys(home)
    wanted = name.lower().removeprefix("sha256:")
    found = [
        key
        for key in present
        if key.purpose == name
        or (len(wanted) >= 8 and key.fingerprint.startswith(wanted))
        or (name == key.openssh_fingerprint != "")
    ]
    if len(found) != 1:
        known = ", ".join(key.purpose for key in present) or "none yet"
        raise UserError(
            f"no key {name!r}", hint=f"keys here: {known}; make one with `agentprov keys new`"
        )
    return found[0]


def describe(home: Path, purpose: Purpose) -> KeyInfo:
    """Describe this user's key for a purpose, without using it; asks ssh-agent whether it is there.

    Raises nothing for a key that cannot be used: that is its `problem`.
    """
    signer: Signer = file_key.FileKey(key_path(purpose, home))
    problem: AgentprovError | None = None
    try:
        signer = (registry.chosen(home) if purpose == "human" else None) or signer
        _try(signer)
    except KeyUnusable as error:
        problem = error
    spki: bytes | None = None
    try:
        spki = local_public(purpose, home)
        algorithm = public.algorithm(spki) if spki is not None else ""
    except (KeyUnusable, MalformedInput) as error:
        spki, problem = None, problem or error
    info = KeyInfo(
        purpose=purpose,
        uri=signer.uri,
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
        openssh_fingerprint=ssh_wire.fingerprint(ssh_wire.blob_of(spki)),
        hint=key_hint(spki),
        spki=spki,
        public_key=public.to_pem(spki),
        openssh_key=ssh_wire.public_line(spki),
    )


def _try(signer: Signer) -> None:
    """See whether a key is there and could sign, as far as that can be seen without using it."""
    from agentprov.sign.ssh_key import AgentKey

    if isinstance(signer, AgentKey):
        signer.look_up()
    elif isinstance(signer, file_key.FileKey):
        signer.examine()


def _exists(home: Path, purpose: Purpose) -> bool:
    return os.path.lexists(key_path(purpose, home)) or (
        purpose == "human" and os.path.lexists(registry.pointer_path(home))
    )


def _new_passphrase(path: Path, ask: Ask | None) -> bytes:
    for again in ("", "Empty, or not the same twice. "):
        first = ask(f"{again}New passphrase for the human key {path}: ") if ask else None
        second = ask("The same once more: ") if ask and first else first
        if first is None or second is None:
            raise PassphraseNeeded(
                "there is no terminal to ask for a passphrase on",
                hint="run this in a terminal; a passphrase is taken from nowhere else",
            )
        if first and first == second:
            return first.encode("utf-8", "surrogateescape")
    raise UserError("no passphrase was given twice alike; no key was made")


def _refuse_inside_a_run(environment: Mapping[str, str]) -> None:
    if environment.get("AGENTPROV_SESSION"):
        raise UserError(
            "a person chooses their key; this is inside a recorded run",
            hint="do it in a terminal of your own",
        )
