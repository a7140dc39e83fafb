"""The signature check, and the only place where a `Verified` value is made.

Keys and identities come from the trust root and from nowhere else. A bundle's hint selects among
the keys, so that a thousand of them do not mean a thousand attempts; it never adds one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

from agentprov.errors import EvidenceInvalid, MalformedInput
from agentprov.formats.bundle import Bundle
from agentprov.formats.envelope import pae
from agentprov.formats.evidence import TrustedTime
from agentprov.formats.names import PAYLOAD_TYPE
from agentprov.formats.statement import Statement
from agentprov.formats.value import value
from agentprov.verify.finding import Problem
from agentprov.verify.reading import Reading
from agentprov.verify.trust import TrustedSigner, TrustRoot

if TYPE_CHECKING:
    from agentprov.ports import EvidenceVerifier, SignatureVerifier

T = TypeVar("T")
_SEAL: Final = object()


@final
class Verified(Generic[T]):
    """A value whose bytes a trusted signer has signed; only this module can make one.

    `times` are those at which the signature is proven to have existed, oldest first. Says who
    signed, not that the signer was allowed to, nor that the value is true.
    """

    __slots__ = ("signature_sha256", "signer", "times", "value")

    def __init__(
        self,
        value: T,
        signer: TrustedSigner,
        signature_sha256: str,
        times: tuple[TrustedTime, ...],
        *,
        seal: object,
    ) -> None:
        if seal is not _SEAL:
            raise TypeError("only the signature check makes Verified values")
        self.value = value
        self.signer = signer
        self.signature_sha256 = signature_sha256
        self.times = times


@value
class Checked:
    """What came of one bundle: how far it could be read, what stopped it, what was left aside."""

    bundle: Bundle | None
    statement: Verified[Statement] | None
    problems: tuple[Problem, ...]
    remarks: tuple[Problem, ...] = ()


@value
class _Signature:
    """A good signature: whose, and since when it is known to exist."""

    signer: TrustedSigner
    times: tuple[TrustedTime, ...] = ()


def check(
    data: bytes | Reading,
    trust: TrustRoot,
    verifier: SignatureVerifier,
    evidence: EvidenceVerifier | None = None,
) -> Checked:
    """Read a bundle, check its signature, and only then look at what it says.

    Without `evidence`, bundles with a certificate are refused and timestamps left aside. Raises
    nothing for odd input; what is wrong stands in `problems`. Does not judge whether the signer
    may say this, nor whether it is true.
    """
    reading = data if isinstance(data, Reading) else Reading(data)
    try:
        bundle = reading.bundle()
    except MalformedInput as error:
        return Checked(None, None, (Problem("bundle-malformed", error.message),))
    problems: list[Problem] = []
    remarks: list[Problem] = []
    if bundle.payload_type != PAYLOAD_TYPE:
        problems.append(Problem("payload-type", f"the payload is {bundle.payload_type!r}"))
    if bundle.evidence.certificate is not None:
        found = _certified(reading.data, trust, evidence, problems)
    else:
        found = _keyed(bundle, trust, verifier, problems)
        if found is not None and bundle.evidence:
            found = _timed(found, bundle, trust, evidence, problems, remarks)
    if found is None or problems:
        return Checked(bundle, None, tuple(problems))
    try:
        statement = reading.statement()
    except MalformedInput as error:
        return Checked(bundle, None, (Problem("statement-malformed", error.message),))
    verified = Verified(statement, found.signer, bundle.signature_sha256, found.times, seal=_SEAL)
    return Checked(bundle, verified, (), tuple(remarks))


def _keyed(
    bundle: Bundle, trust: TrustRoot, verifier: SignatureVerifier, problems: list[Problem]
) -> _Signature | None:
    signed = pae(bundle.payload_type, bundle.payload)
    if bundle.hint is None:
        for key in trust.keys:
            if verifier.verify(key.spki, signed, bundle.signature):
                return _Signature(key)
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
    return _Signature(named)


def _timed(
    found: _Signature,
    bundle: Bundle,
    trust: TrustRoot,
    evidence: EvidenceVerifier | None,
    problems: list[Problem],
    remarks: list[Problem],
) -> _Signature | None:
    """Add the times at which a key's signature is proven to have existed.

    What no trusted authority vouches for is left aside and said; what one vouches for and does
    not hold stops the bundle, because somebody has put it there.
    """
    times: tuple[TrustedTime, ...] = ()
    if bundle.evidence.timestamps and trust.timestamps and evidence is not None:
        try:
            times = tuple(evidence.times(bundle, trust.timestamps))
        except EvidenceInvalid as error:
            problems.append(Problem(error.code, error.message))
            return None
    if len(times) < len(bundle.evidence.timestamps) or bundle.evidence.log_entries:
        remarks.append(
            Problem(
                "evidence-left-aside",
                f"it carries timestamps or log entries by authorities that {trust.source} does "
                "not name",
            )
        )
    return _Signature(found.signer, times)


def _certified(
    data: bytes,
    trust: TrustRoot,
    evidence: EvidenceVerifier | None,
    problems: list[Problem],
) -> _Signature | None:
    if not trust.identities:
        problems.append(
            Problem("signer-unknown", f"it is signed by certificate; {trust.source} names none")
        )
        return None
    if evidence is None:
        problems.append(Problem("evidence-unchecked", "nothing here can check certificates"))
        return None
    try:
        said = evidence.identify(data, trust.sigstore)
    except EvidenceInvalid as error:
        problems.append(Problem(error.code, error.message))
        return None
    for identity in trust.identities:
        if identity.is_of(said.issuer, said.identity, said.root):
            return _Signature(identity, said.times)
    problems.append(
        Problem(
            "signer-unknown",
            f"{said.identity!r}, as {said.issuer} says, is not in {trust.source}",
        )
    )
    return None
