"""Changes the trust file of the work tree: who may sign what, added, listed and taken back.

The file is a proposal until it is merged: gates read the target branch's. Comments at its head
are kept, others are not, and each change is checked by reading the file again before it stands.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentprov.errors import ConfigurationInvalid, EvidenceInvalid, MalformedInput, UserError
from agentprov.flows import strict_yaml, trust
from agentprov.flows.world import World
from agentprov.formats import digest
from agentprov.sign import public
from agentprov.system import files
from agentprov.verify.trust import SCHEMA, TrustedKey, TrustedSigner, TrustRoot

MAX_KEY_FILE = 64 * 1024
MAX_ROOT_FILE = strict_yaml.MAX_BYTES


@dataclass(frozen=True)
class Added:
    """Who is added: a public key (SubjectPublicKeyInfo DER) or an identity, and its rights."""

    person: str
    roles: Sequence[str]
    spki: bytes | None = None
    issuer: str | None = None
    identity: str | None = None
    pattern: str | None = None
    root: str | None = None
    builders: Sequence[str] = ()
    custody: str | None = None
    not_before: str | None = None
    not_after: str | None = None
    comment: str | None = None


def read_public_key(path: Path) -> bytes:
    """Read a public key file: PEM, one OpenSSH line, or base64 of SubjectPublicKeyInfo.

    Gives SubjectPublicKeyInfo DER. Raises UserError for what is none, and for keys of a kind
    that is not accepted; a private key is refused without being looked at further.
    """
    try:
        text = files.read_bounded(path, MAX_KEY_FILE).decode("ascii").strip()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a public key in text") from error
    return parse_public_key(text, str(path))


def parse_public_key(text: str, source: str) -> bytes:
    """Read the text of a public key, as `read_public_key` does."""
    if "PRIVATE KEY" in text:
        raise UserError(
            f"{source}: this is a private key", hint="give the public half, and nobody this file"
        )
    try:
        if text.startswith("-----BEGIN"):
            spki = public.from_pem(text)
        elif text.startswith(("ssh-", "ecdsa-", "sk-")):
            spki = _from_openssh(text)
        else:
            spki = base64.b64decode("".join(text.split()), validate=True)
        public.load(spki)
    except (MalformedInput, ValueError) as error:
        raise UserError(
            f"{source}: {error.message if isinstance(error, MalformedInput) else error}",
            hint="a P-256 or Ed25519 public key: PEM, an OpenSSH line, or what `keys show` prints",
        ) from error
    return spki


def _from_openssh(line: str) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        key = load_ssh_public_key(line.encode("ascii"))
    except UnsupportedAlgorithm as error:
        raise MalformedInput(f"public key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise MalformedInput("public key: only ECDSA P-256 and Ed25519 are accepted")
    return public.spki_of(key)


def add(world: World, added: Added) -> TrustRoot:
    """Add a key or an identity to the work tree's trust file; makes the file if there is none.

    Raises UserError for one that stands there already, ConfigurationInvalid for what the
    document cannot say.
    """
    document, head = _read(world)
    item: dict[str, Any] = {"person": added.person, "roles": list(added.roles)}
    if added.spki is not None:
        text = base64.b64encode(added.spki).decode("ascii")
        if any(key.get("publicKey") == text for key in document["keys"]):
            raise UserError(
                "this key stands there already", hint="see it with `agentprov trust list`"
            )
        item = {"publicKey": text, **item, "custody": added.custody or "file"}
        place = "keys"
    else:
        named = {"identity": added.identity, "identityPattern": added.pattern, "root": added.root}
        item = {"issuer": added.issuer, **_given(named), **item}
        place = "identities"
    item |= _given({"builders": list(added.builders) or None, "comment": added.comment})
    validity = _given({"notBefore": added.not_before, "notAfter": added.not_after})
    if validity:
        item["validity"] = validity
    document.setdefault(place, []).append(item)
    return _write(world, document, head)


def revoke(
    world: World,
    who: str,
    *,
    reason: str,
    after: str | None = None,
    since: str | None = None,
) -> tuple[TrustRoot, TrustedSigner]:
    """Take a signer's rights back: retired after a commit, or compromised since a time.

    `who` is a person, a hint, the first digits of a fingerprint (8 at least) or an identity.
    Nothing is removed: old records need the entry to be judged. Raises UserError for nobody or
    several, and unless one of `after` and `since` is given; ConfigurationInvalid.
    """
    if (after is None) == (since is None):
        raise UserError(
            "say either after which commit the signer retired, or since when it is compromised",
            hint="--retired [--after REV], or --compromised --since TIME",
        )
    document, head = _read(world)
    root = _parse(world, document)
    found = [signer for signer in root.signers if who in names_of(signer)] or [
        signer
        for signer in root.signers
        if isinstance(signer, TrustedKey)
        and len(who) >= 8
        and public.fingerprint(signer.spki).startswith(who.lower().removeprefix("sha256:"))
    ]
    if len(found) != 1:
        known = f"{len(found)} signers are called {who!r}" if found else f"nobody is called {who!r}"
        raise UserError(known, hint="name one by its fingerprint: `agentprov trust list`")
    signer = found[0]
    place = "keys" if isinstance(signer, TrustedKey) else "identities"
    siblings = root.keys if isinstance(signer, TrustedKey) else root.identities
    item = document[place][list(siblings).index(signer)]
    if after is not None:
        item["retired"] = {"after": after, "reason": reason}
    else:
        item["compromised"] = {"since": since, "reason": reason}
    return _write(world, document, head), signer


def name_instance(world: World, name: str, content: bytes | None) -> Path:
    """Name a Sigstore instance in the work tree's trust file, by its trusted root.

    `content` is a ``trusted_root.json`` or a client trust configuration; None fetches that of
    the public good instance, over the network. The root is written beside the trust file, which
    names its digest; one that had the name before is replaced. Gives the file written. Raises
    UserError for what is no root, KeyUnusable where it cannot be fetched, ConfigurationInvalid.
    """
    from agentprov.sign import sigstore_key, sigstore_root

    try:
        found = sigstore_key.fetch_public_good() if content is None else content
        root = sigstore_root.extract(found)
    except EvidenceInvalid as error:
        raise UserError(error.message, hint="it is the trusted_root.json of an instance") from error
    document, head = _read(world)
    file = f"sigstore-{name}.json"
    item = {"name": name, "trustedRoot": file, "digest": {"sha256": digest.sha256(root)}}
    others = [one for one in document.get("sigstore", []) if one["name"] != name]
    document["sigstore"] = [*others, item]
    folder = (world.git.top / trust.TRUST_PATH).parent
    known = trust.beside(folder)
    # The document is checked with the new root before either file is touched.
    trust.read(_text(document), trust.TRUST_PATH, lambda one: root if one == file else known(one))
    try:
        folder.mkdir(exist_ok=True)
        files.atomic_write(folder / file, root, mode=0o644)
    except OSError as error:
        raise UserError(f"cannot write {folder / file}: {error.strerror}") from error
    _write(world, document, head)
    return folder / file


def names_of(signer: TrustedSigner) -> set[str]:
    """Give the exact names by which a signer can be called."""
    names = {signer.person, signer.person.removeprefix("mailto:"), signer.mark}
    identity = getattr(signer, "identity", None)
    return names | ({identity} if identity else set())


def work_tree(world: World) -> TrustRoot:
    """Read the trust file of the work tree; raises ConfigurationInvalid, also without one."""
    return trust.read_file(world.git.top / trust.TRUST_PATH)


def fingerprint(signer: TrustedSigner) -> str | None:
    """Give a key's fingerprint: hex SHA-256 of its SubjectPublicKeyInfo; None for identities."""
    return public.fingerprint(signer.spki) if isinstance(signer, TrustedKey) else None


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _read(world: World) -> tuple[dict[str, Any], str]:
    """Give the document as it stands, and the comments at its head."""
    path = world.git.top / trust.TRUST_PATH
    if path.parent.is_symlink():
        # A repository could lead the file that is written next out of itself.
        raise ConfigurationInvalid(f"{path.parent}: a link, where a folder must be")
    try:
        content = files.read_bounded(path, strict_yaml.MAX_BYTES, follow=False)
    except FileNotFoundError:
        return {"schema": SCHEMA, "keys": []}, trust.TRUST_HEAD
    except OSError as error:
        raise ConfigurationInvalid(f"{path}: {error.strerror}") from error
    document = strict_yaml.parse(content, source=trust.TRUST_PATH)
    _parse(world, document)
    head = []
    for line in content.decode("utf-8").splitlines(keepends=True):
        if not line.startswith("#") and line.strip():
            break
        head.append(line)
    return document, "".join(head)


def _text(document: Any) -> bytes:
    import yaml

    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000)
    return str(text).encode("utf-8")


def _parse(world: World, document: Any) -> TrustRoot:
    folder = (world.git.top / trust.TRUST_PATH).parent
    return trust.read(_text(document), trust.TRUST_PATH, trust.beside(folder))


def _write(world: World, document: Any, head: str) -> TrustRoot:
    root = _parse(world, document)
    path = world.git.top / trust.TRUST_PATH
    try:
        path.parent.mkdir(exist_ok=True)
        files.atomic_write(path, head.encode("utf-8") + _text(document), mode=0o644)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return root


__all__ = [
    "Added",
    "add",
    "fingerprint",
    "name_instance",
    "names_of",
    "parse_public_key",
    "read_public_key",
    "revoke",
    "work_tree",
]
