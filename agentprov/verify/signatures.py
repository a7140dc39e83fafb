"""The signature check, and the only place where a `Verified` value is made.

Keys come from the trust root and from nowhere else. A bundle's hint selects among them, so that
a thousand keys do not mean a thousand attempts; it never adds one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

from agentprov.errors import MalformedInput
from agentprov.formats import bundle as bundles
from agentprov.formats import statement as statements
from agentprov.formats.bundle import Bundle
from agentprov.formats.envelope import pae
from agentprov.formats.names import PAYLOAD_TYPE
from agentprov.formats.statement import Statement
from agentprov.verify.finding import Problem
from agentprov.verify.trust import TrustedKey, TrustRoot

if TYPE_CHECKING:
    from agentprov.ports import SignatureVerifier

T = TypeVar("T")
_SEAL: Final = object()


@final
class Verified(Generic[T]):
    """A value whose bytes a trusted key has signed; only this module can make one.

    Says who signed, not that the signer was allowed to, nor that the value is true.
    """

    __slots__ = ("key", "signature_sha256", "value")

    def __init__(self, value: T, key: TrustedKey, signature_sha256: str, *, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only the signature check makes Verified values")
        self.value = value
        self.key = key
        self.signature_sha256 = signature_sha256


@dataclass(frozen=True)
class Checked:
    """What came of one bundle: how far it could be read, and what stopped it."""

    bundle: Bundle | None
    statement: Verified[Statement] | None
    problems: tuple[Problem, ...]


def check(data: bytes, trust: TrustRoot, verifier: SignatureVerifier) -> Checked:
    """Read a bundle, check its signature, and only then look at what it says.

    Raises nothing for odd input; what is wrong stands in `problems`. Does not judge whether the
    signer may say this, nor whether it is true.
    """
    try:
        bundle = bundles.parse(data)
    except MalformedInput as error:
        return Checked(None, None, (Problem("bundle-malformed", error.message),))
    problems: list[Problem] = []
    if bundle.payload_type != PAYLOAD_TYPE:
        problems.append(Problem("payload-type", f"the payload is {bundle.payload_type!r}"))
    key = _signer(bundle, trust, verifier, problems)
    if key is None or problems:
        return Checked(bundle, None, tuple(problems))
    try:
        statement = statements.parse(bundle.payload)
    except MalformedInput as error:
        return Checked(bundle, None, (Problem("statement-malformed", error.message),))
    verified = Verified(statement, key, bundle.signature_sha256, seal=_SEAL)
    return Checked(bundle, verified, ())


def _signer(
    bundle: Bundle, trust: TrustRoot, verifier: SignatureVerifier, problems: list[Problem]
) -> TrustedKey | None:
    signed = pae(bundle.payload_type, bundle.payload)
    if bundle.hint is None:
        for key in trust.keys:
            if verifier.verify(key.spki, signed, bundle.signature):
                return key
        problems.append(Problem("signature-invalid", "no trusted key made this signature"))
        return None
    named = trust.by_hint.get(bundle.hint)
    if named is None:
        problems.append(
            Problem("signer-unknown", f"the key {bundle.hint} is not in {trust.source}")
        )
        return None
    if not verifier.verify(named.spki, signed, bundle.signature):
        problems.append(
            Problem("signature-invalid", f"the key of {named.person} did not sign these bytes")
        )
        return None
    return named
