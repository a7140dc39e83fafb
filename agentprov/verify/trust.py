"""Who may sign what: trusted keys and identities, and the strict reading of a trust document.

A key or an identity is trusted because it stands in the document, never because a record carries
it. Reading YAML and choosing the branch that the file comes from is `flows`' work.
docs/spec/trust.md is the page of the format.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from agentprov.errors import ConfigurationInvalid, MalformedInput
from agentprov.formats import digest, schema
from agentprov.formats.bundle import key_hint
from agentprov.formats.evidence import SigstoreRoot, TimestampAuthority
from agentprov.formats.value import named_value, value

SCHEMA = "agentprov-trust/1"
ROLES = ("human", "recorder", "ci", "reviewer")
MACHINE_ROLES = frozenset({"recorder", "ci"})
HUMAN_ROLES = frozenset({"human", "reviewer"})
CUSTODIES = ("file", "agent", "agent-confirm", "passphrase", "touch", "oidc")
UNGUARDED = frozenset({"file", "agent"})
"""Custodies under which any process of the user could have signed."""

_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_ED25519 = bytes.fromhex("302a300506032b6570032100")


@value
class Retired:
    """A signer who stopped on good terms: what is bound to `after` or its ancestors stays."""

    after: str
    reason: str


@value
class Compromised:
    """A signer who cannot be believed since a time (RFC 3339, Z): only earlier proof counts."""

    since: str
    reason: str


@named_value
class TrustedSigner:
    """Whose signature it is, what it may be put to, and for how long.

    `not_before` and `not_after` are RFC 3339 times ending in Z. Two signers of one `person` are
    one person where people are counted.
    """

    person: str
    roles: frozenset[str]
    builders: frozenset[str] = frozenset()
    custody: str = "file"
    source: str = ""
    comment: str = ""
    not_before: str | None = None
    not_after: str | None = None
    retired: Retired | None = None
    compromised: Compromised | None = None

    def may(self, role: str) -> bool:
        """Say whether the signer holds a role; a machine's never holds a human one."""
        if role in HUMAN_ROLES and self.roles & MACHINE_ROLES:
            return False
        return role in self.roles

    @property
    def mark(self) -> str:
        """Give what tells this signer from every other; the same for all that it signs."""
        raise NotImplementedError


@named_value
class TrustedKey(TrustedSigner):
    """One public key (SubjectPublicKeyInfo DER)."""

    spki: bytes
    hint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hint", key_hint(self.spki))

    @property
    def mark(self) -> str:
        """Give the key's hint."""
        return self.hint


@named_value
class TrustedIdentity(TrustedSigner):
    """An identity for which a Sigstore instance issues certificates.

    `issuer` is compared exactly. `identity` is compared exactly, or, as `pattern`, as a regular
    expression that must match all of it. `root` names the Sigstore root that must stand behind
    the certificate; None accepts each that the document names.
    """

    issuer: str
    identity: str | None = None
    pattern: str | None = None
    root: str | None = None
    custody: str = "oidc"

    def is_of(self, issuer: str, identity: str, root: str) -> bool:
        """Say whether a certificate's issuer and identity are this one."""
        if issuer != self.issuer or (self.root is not None and root != self.root):
            return False
        if self.pattern is not None:
            return re.fullmatch(self.pattern, identity) is not None
        return identity == self.identity

    @property
    def mark(self) -> str:
        """Give issuer and identity."""
        return f"{self.issuer} {self.identity or self.pattern}"


@value
class TrustRoot:
    """All trusted signers, the digest of the document they stand in, and where that came from.

    `sigstore` and `timestamps` are the authorities whose evidence counts. `self_trust` means
    that nobody but this user vouches for the keys.
    """

    keys: tuple[TrustedKey, ...]
    sha256: str
    source: str
    self_trust: bool = False
    identities: tuple[TrustedIdentity, ...] = ()
    sigstore: tuple[SigstoreRoot, ...] = ()
    timestamps: tuple[TimestampAuthority, ...] = ()
    by_hint: Mapping[str, TrustedKey] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_hint", {key.hint: key for key in self.keys})

    @property
    def signers(self) -> tuple[TrustedSigner, ...]:
        """Give keys and identities."""
        return (*self.keys, *self.identities)


def parse(
    document: Any,
    *,
    sha256: str,
    source: str,
    beside: Callable[[str], bytes | None] = lambda _: None,
) -> TrustRoot:
    """Read a trust document that was parsed from YAML or JSON; raises ConfigurationInvalid.

    `sha256` is of the document's bytes, `source` says where it came from, `beside` gives the
    bytes of a file that the document names, from the same place and revision. Refuses unknown
    members, key types other than P-256 and Ed25519, a signer that stands there twice, patterns
    that say less than they seem to, and files that are not the ones whose digest it gives.
    """
    try:
        schema.require(_DOCUMENT, document, source)
    except MalformedInput as error:
        raise ConfigurationInvalid(error.message) from error
    roots = _sigstore(document.get("sigstore", ()), source, beside)
    keys = tuple(
        TrustedKey(
            spki=_spki(item["publicKey"], f"{source} at /keys/{index}/publicKey"),
            custody=item.get("custody", "file"),
            **_signer(item, f"{source} at /keys/{index}", source),
        )
        for index, item in enumerate(document["keys"])
    )
    identities = tuple(
        _identity(item, f"{source} at /identities/{index}", source, roots)
        for index, item in enumerate(document.get("identities", ()))
    )
    marks = [signer.mark for signer in (*keys, *identities)]
    if len(set(marks)) != len(marks):
        raise ConfigurationInvalid(f"{source}: the same key or identity stands there twice")
    return TrustRoot(
        keys,
        sha256,
        source,
        identities=identities,
        sigstore=roots,
        timestamps=tuple(
            TimestampAuthority(item["name"], item["chain"].encode("ascii", "replace"))
            for item in document.get("timestampAuthorities", ())
        ),
    )


def _signer(item: Mapping[str, Any], place: str, source: str) -> dict[str, Any]:
    validity = item.get("validity", {})
    not_before, not_after = validity.get("notBefore"), validity.get("notAfter")
    if not_before and not_after and schema.instant(not_before) >= schema.instant(not_after):
        raise ConfigurationInvalid(f"{place}/validity: ends before it begins")
    retired, compromised = item.get("retired"), item.get("compromised")
    return {
        "person": item["person"],
        "roles": frozenset(item["roles"]),
        "builders": frozenset(item.get("builders", ())),
        "source": source,
        "comment": item.get("comment", ""),
        "not_before": not_before,
        "not_after": not_after,
        "retired": Retired(retired["after"], retired["reason"]) if retired else None,
        "compromised": (
            Compromised(compromised["since"], compromised["reason"]) if compromised else None
        ),
    }


def _identity(
    item: Mapping[str, Any], place: str, source: str, roots: Iterable[SigstoreRoot]
) -> TrustedIdentity:
    if ("identity" in item) == ("identityPattern" in item):
        raise ConfigurationInvalid(f"{place}: needs one of identity and identityPattern")
    root = item.get("root")
    names = [known.name for known in roots]
    if not names or (root is not None and root not in names):
        raise ConfigurationInvalid(
            f"{place}: no Sigstore root {root or 'at all'} stands under /sigstore",
            hint="an identity is worth what the instance is that certifies it; name its root: "
            "`agentprov trust root FILE --name NAME`",
        )
    return TrustedIdentity(
        issuer=item["issuer"],
        identity=item.get("identity"),
        pattern=_pattern(item.get("identityPattern"), place),
        root=root,
        **_signer(item, place, source),
    )


def _pattern(value: str | None, place: str) -> str | None:
    """Accept an anchored expression without the constructs that make one match too much.

    `.` and negated classes could run over the ``@``, ``/`` and ``:`` that divide an identity
    into its parts (THREATS 59), so they are refused; so is nesting that can take for ever.
    """
    if value is None:
        return None
    if not (value.startswith("^") and value.endswith("$")):
        raise ConfigurationInvalid(f"{place}/identityPattern: must begin with ^ and end with $")
    body = value[1:-1]
    if not _SAFE_PATTERN.fullmatch(body):
        raise ConfigurationInvalid(
            f"{place}/identityPattern: only literal text, escaped characters, classes such as "
            "[a-z0-9-] and the quantifiers + * ? after a class may stand there",
            hint="escape dots as \\. and write out what may vary, for example [A-Za-z0-9._-]+",
        )
    for inside in re.findall(r"\[([^\]]*)\]", body):
        if inside.startswith("^") or set("@/:") & set(inside) or _wide(inside):
            raise ConfigurationInvalid(
                f"{place}/identityPattern: a class must not hold @, / or :, nor be negated"
            )
    return value


def _wide(inside: str) -> bool:
    return any(
        low <= ord(divider) <= high
        for low, high in ((ord(first), ord(last)) for first, last in re.findall(r"(.)-(.)", inside))
        for divider in "@/:"
    )


_SAFE_PATTERN = re.compile(
    r"(?:[A-Za-z0-9@/:_%~#=,!-]|\\[.+?*()\[\]{}|^$\\-]|\[[A-Za-z0-9._%+-]+\][+*?]?)+"
)


def _sigstore(
    items: Iterable[Mapping[str, Any]], source: str, beside: Callable[[str], bytes | None]
) -> tuple[SigstoreRoot, ...]:
    roots: dict[str, SigstoreRoot] = {}
    for index, item in enumerate(items):
        place = f"{source} at /sigstore/{index}"
        name, path, sha256 = item["name"], item["trustedRoot"], item["digest"]["sha256"]
        data = beside(path)
        if data is None:
            raise ConfigurationInvalid(f"{place}: there is no {path} beside it")
        if digest.sha256(data) != sha256:
            raise ConfigurationInvalid(
                f"{place}: {path} is not the file whose digest stands there",
                hint="find out who changed it; a trusted root decides whose certificates count",
            )
        if name in roots:
            raise ConfigurationInvalid(f"{place}: the name {name!r} stands there twice")
        roots[name] = SigstoreRoot(name, data, sha256)
    return tuple(roots.values())


def document(
    keys: Iterable[TrustedKey], timestamps: Iterable[TimestampAuthority] = ()
) -> dict[str, Any]:
    """Give the document that `parse` reads back as these keys and timestamp authorities."""
    named = [{"name": item.name, "chain": item.chain.decode("ascii")} for item in timestamps]
    return {
        "schema": SCHEMA,
        "keys": [entry(key) for key in keys],
        **({"timestampAuthorities": named} if named else {}),
    }


def entry(key: TrustedKey) -> dict[str, Any]:
    """Give the entry of a trust document that says what this key says."""
    validity = {
        name: value
        for name, value in (("notBefore", key.not_before), ("notAfter", key.not_after))
        if value is not None
    }
    return {
        "publicKey": base64.b64encode(key.spki).decode("ascii"),
        "person": key.person,
        "roles": sorted(key.roles),
        **({"builders": sorted(key.builders)} if key.builders else {}),
        "custody": key.custody,
        **({"validity": validity} if validity else {}),
        **(
            {"retired": {"after": key.retired.after, "reason": key.retired.reason}}
            if key.retired
            else {}
        ),
        **(
            {"compromised": {"since": key.compromised.since, "reason": key.compromised.reason}}
            if key.compromised
            else {}
        ),
        **({"comment": key.comment} if key.comment else {}),
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


_REASON = schema.text(most=1_000)
_NAME = schema.text(most=64, pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BESIDE = schema.text(most=256, pattern=r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_SIGNER = {
    "person": schema.text(most=512),
    "roles": schema.array(schema.one_of(ROLES), least=1, most=len(ROLES)),
}
_SIGNER_OPTIONS = {
    "builders": schema.array(schema.uri, most=100),
    "validity": schema.members({}, {"notBefore": schema.time, "notAfter": schema.time}),
    "retired": schema.members({"after": schema.object_id, "reason": _REASON}),
    "compromised": schema.members({"since": schema.time, "reason": _REASON}),
    "comment": schema.text(least=0, most=1_000),
}
_DOCUMENT = schema.members(
    {
        "schema": _schema,
        "keys": schema.array(
            schema.members(
                {"publicKey": schema.text(most=1_024), **_SIGNER},
                {"custody": schema.one_of(CUSTODIES), **_SIGNER_OPTIONS},
            ),
            most=1_000,
        ),
    },
    {
        "identities": schema.array(
            schema.members(
                {"issuer": schema.uri, **_SIGNER},
                {
                    "identity": schema.text(most=512),
                    "identityPattern": schema.text(least=3, most=512),
                    "root": _NAME,
                    **_SIGNER_OPTIONS,
                },
            ),
            most=1_000,
        ),
        "sigstore": schema.array(
            schema.members({"name": _NAME, "trustedRoot": _BESIDE, "digest": schema.sha256_set}),
            most=10,
        ),
        "timestampAuthorities": schema.array(
            schema.members({"name": _NAME, "chain": schema.text(most=32_768)}), most=10
        ),
    },
)
