"""Who may sign what: the trusted keys, as values, and the strict reading of a trust document.

A key is trusted because it stands in the document, never because a record carries it. Reading
YAML and choosing the branch that the file comes from is `flows`' work. docs/spec/trust.md is the
page of the format.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentprov.errors import ConfigurationInvalid, MalformedInput
from agentprov.formats import schema
from agentprov.formats.bundle import key_hint

SCHEMA = "agentprov-trust/1"
ROLES = ("human", "recorder", "ci", "reviewer")
MACHINE_ROLES = frozenset({"recorder", "ci"})
HUMAN_ROLES = frozenset({"human", "reviewer"})
CUSTODIES = ("file", "agent", "agent-confirm", "passphrase", "touch", "oidc")
UNGUARDED = frozenset({"file", "agent"})
"""Custodies under which any process of the user could have signed."""

_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_ED25519 = bytes.fromhex("302a300506032b6570032100")


@dataclass(frozen=True)
class TrustedKey:
    """One public key (SubjectPublicKeyInfo DER), whose it is, and what it may sign."""

    spki: bytes
    person: str
    roles: frozenset[str]
    builders: frozenset[str] = frozenset()
    custody: str = "file"
    source: str = ""
    hint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hint", key_hint(self.spki))

    def may(self, role: str) -> bool:
        """Say whether the key holds a role; a machine's key never holds a human one."""
        if role in HUMAN_ROLES and self.roles & MACHINE_ROLES:
            return False
        return role in self.roles


@dataclass(frozen=True)
class TrustRoot:
    """All trusted keys, the digest of the document they stand in, and where that came from.

    `self_trust` means that nobody but this user vouches for the keys.
    """

    keys: tuple[TrustedKey, ...]
    sha256: str
    source: str
    self_trust: bool = False
    by_hint: Mapping[str, TrustedKey] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_hint", {key.hint: key for key in self.keys})


def parse(document: Any, *, sha256: str, source: str) -> TrustRoot:
    """Read a trust document that was parsed from YAML or JSON; raises ConfigurationInvalid.

    `sha256` is of the document's bytes, `source` says where it came from. Refuses unknown
    members, key types other than P-256 and Ed25519, and a key that stands there twice.
    """
    try:
        schema.require(_DOCUMENT, document, source)
    except MalformedInput as error:
        raise ConfigurationInvalid(error.message) from error
    keys = []
    for index, item in enumerate(document["keys"]):
        keys.append(
            TrustedKey(
                spki=_spki(item["publicKey"], f"{source} at /keys/{index}/publicKey"),
                person=item["person"],
                roles=frozenset(item["roles"]),
                builders=frozenset(item.get("builders", ())),
                custody=item.get("custody", "file"),
                source=source,
            )
        )
    if len({key.spki for key in keys}) != len(keys):
        raise ConfigurationInvalid(f"{source}: the same key stands there twice")
    return TrustRoot(tuple(keys), sha256, source)


def document(keys: Iterable[TrustedKey]) -> dict[str, Any]:
    """Give the document that `parse` reads back as these keys."""
    return {
        "schema": SCHEMA,
        "keys": [
            {
                "publicKey": base64.b64encode(key.spki).decode("ascii"),
                "person": key.person,
                "roles": sorted(key.roles),
                **({"builders": sorted(key.builders)} if key.builders else {}),
                "custody": key.custody,
            }
            for key in keys
        ],
    }


def _spki(value: str, place: str) -> bytes:
    try:
        spki = binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
    except (ValueError, binascii.Error):
        raise ConfigurationInvalid(f"{place}: not standard padded base64") from None
    known = (spki.startswith(_P256) and len(spki) == len(_P256) + 64) or (
        spki.startswith(_ED25519) and len(spki) == len(_ED25519) + 32
    )
    if not known:
        raise ConfigurationInvalid(
            f"{place}: not a P-256 or Ed25519 public key",
            hint="only these two verify everywhere; make one with `agentprov keys new`",
        )
    return spki


def _schema(value: Any) -> None:
    if value != SCHEMA:
        raise schema.Mismatch(f"must be {SCHEMA}")


_DOCUMENT = schema.members(
    {
        "schema": _schema,
        "keys": schema.array(
            schema.members(
                {
                    "publicKey": schema.text(most=1_024),
                    "person": schema.text(most=512),
                    "roles": schema.array(schema.one_of(ROLES), least=1, most=len(ROLES)),
                },
                {
                    "builders": schema.array(schema.uri, most=100),
                    "custody": schema.one_of(CUSTODIES),
                    "comment": schema.text(least=0, most=1_000),
                },
            ),
            most=1_000,
        ),
    }
)
