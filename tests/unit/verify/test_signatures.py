from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import product

import pytest

from agentprov.errors import EvidenceInvalid
from agentprov.formats.bundle import Bundle, encode, key_hint
from agentprov.formats.envelope import pae
from agentprov.formats.evidence import (
    CertifiedIdentity,
    Evidence,
    SigstoreRoot,
    TimestampAuthority,
    TrustedTime,
)
from agentprov.formats.names import PAYLOAD_TYPE
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify import signatures
from agentprov.verify.signatures import Verified
from agentprov.verify.trust import TrustedIdentity
from support.story import HUMAN, RECORDER, STRANGER, Story, seal, trust_of

STATEMENT = Story().plan_statement()


def problems(line: bytes) -> list[str]:
    checked = signatures.check(line, trust_of(), KeyVerifier())
    assert (checked.statement is None) == bool(checked.problems)
    return [item.code for item in checked.problems]


def test_a_good_bundle_becomes_a_verified_statement_that_names_its_signer() -> None:
    checked = signatures.check(seal(STATEMENT, HUMAN), trust_of(), KeyVerifier())
    assert checked.statement is not None
    assert checked.statement.value == STATEMENT
    assert checked.statement.signer.person == HUMAN.person


def test_nobody_else_can_make_a_verified_value() -> None:
    with pytest.raises(TypeError):
        Verified("x", HUMAN.trusted(), "", (), seal=object())


def test_without_a_hint_every_trusted_key_is_tried_and_no_other() -> None:
    assert problems(seal(STATEMENT, RECORDER, hint=None)) == []
    assert problems(seal(STATEMENT, STRANGER, hint=None)) == ["signature-invalid"]


def test_a_hint_only_selects() -> None:
    assert problems(seal(STATEMENT, STRANGER)) == ["signer-unknown"]
    stolen = seal(STATEMENT, STRANGER, hint=key_hint(HUMAN.spki))
    assert problems(stolen) == ["signature-invalid"]


def test_the_payload_is_not_looked_at_before_the_signature_holds() -> None:
    assert problems(seal(b"not even JSON", STRANGER)) == ["signer-unknown"]
    assert problems(seal(b"not even JSON", HUMAN)) == ["statement-malformed"]


def test_a_verifier_is_asked_with_keys_of_the_trust_root_only() -> None:
    asked: list[bytes] = []

    class Spy:
        def verify(self, spki: bytes, pae: bytes, signature: bytes) -> bool:
            asked.append(spki)
            return False

    for hint in (None, key_hint(STRANGER.spki), key_hint(HUMAN.spki), "x"):
        signatures.check(seal(STATEMENT, STRANGER, hint=hint), trust_of(), Spy())
    assert set(asked) <= {HUMAN.spki, RECORDER.spki}
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("signed_well", "signer_known", "type_right", "well_formed"),
    list(product([True, False], repeat=4)),
)
def test_only_all_conditions_together_pass(
    signed_well: bool, signer_known: bool, type_right: bool, well_formed: bool
) -> None:
    payload = STATEMENT.payload if well_formed else STATEMENT.payload[:-1]
    line = seal(
        payload,
        HUMAN if signer_known else STRANGER,
        payload_type="application/vnd.in-toto+json" if type_right else "text/plain",
        **({} if signed_well else {"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"}),
    )
    everything = signed_well and signer_known and type_right and well_formed
    assert (problems(line) == []) is everything


JANE = TrustedIdentity(
    person="mailto:jane@example.com",
    roles=frozenset({"human"}),
    issuer="https://id.example.com",
    identity="jane@example.com",
)
AT = TrustedTime(datetime(2026, 11, 24, 12, 0, tzinfo=UTC), "stamps")
ROOTS = (SigstoreRoot("ours", b"root", "ab" * 32),)
AUTHORITIES = (TimestampAuthority("stamps", b"chain"),)


class Says:
    """Stands for the check of certificates and timestamps, which has tests of its own."""

    def __init__(self, said: CertifiedIdentity | EvidenceInvalid | list[TrustedTime]) -> None:
        self.said = said
        self.asked: list[object] = []

    def identify(self, data: bytes, roots: Sequence[SigstoreRoot]) -> CertifiedIdentity:
        self.asked.append(roots)
        if isinstance(self.said, CertifiedIdentity):
            return self.said
        assert isinstance(self.said, EvidenceInvalid)
        raise self.said

    def times(
        self, bundle: Bundle, authorities: Sequence[TimestampAuthority]
    ) -> Sequence[TrustedTime]:
        self.asked.append(authorities)
        if isinstance(self.said, list):
            return self.said
        assert isinstance(self.said, EvidenceInvalid)
        raise self.said


def certified(identity: str = "jane@example.com", issuer: str = JANE.issuer) -> CertifiedIdentity:
    return CertifiedIdentity(issuer, identity, "ours", HUMAN.spki, (AT,))


def with_evidence(evidence: Evidence, hint: str | None = None) -> bytes:
    signed = HUMAN.sign(pae(PAYLOAD_TYPE, STATEMENT.payload))
    return encode(Bundle(STATEMENT.payload, signed, hint, evidence=evidence))


CERTIFIED = with_evidence(Evidence(b"a certificate"))
STAMPED = with_evidence(Evidence(timestamps=(b"one", b"two")), key_hint(HUMAN.spki))


def test_a_certificate_speaks_for_an_identity_that_is_trusted() -> None:
    says = Says(certified())
    trust = trust_of(identities=(JANE,), sigstore=ROOTS)
    checked = signatures.check(CERTIFIED, trust, KeyVerifier(), says)
    assert checked.statement is not None
    assert checked.statement.signer is JANE
    assert checked.statement.times == (AT,)
    assert says.asked == [ROOTS]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (certified("evil-jane@example.com"), "signer-unknown"),
        (certified("jane@example.com.evil"), "signer-unknown"),
        (certified(issuer="https://other.example.com"), "signer-unknown"),
        (EvidenceInvalid("evidence-unchecked", "no"), "evidence-unchecked"),
    ],
)
def test_a_certificate_of_anybody_else_is_not_enough(
    said: CertifiedIdentity | EvidenceInvalid, code: str
) -> None:
    trust = trust_of(identities=(JANE,), sigstore=ROOTS)
    checked = signatures.check(CERTIFIED, trust, KeyVerifier(), Says(said))
    assert checked.statement is None
    assert [item.code for item in checked.problems] == [code]


def test_the_key_in_a_certificate_grants_nothing_though_it_is_a_trusted_one() -> None:
    assert problems(CERTIFIED) == ["signer-unknown"]


def test_without_a_check_of_certificates_none_is_believed() -> None:
    trust = trust_of(identities=(JANE,), sigstore=ROOTS)
    checked = signatures.check(CERTIFIED, trust, KeyVerifier())
    assert [item.code for item in checked.problems] == ["evidence-unchecked"]


def test_timestamps_of_trusted_authorities_become_times() -> None:
    says = Says([AT, AT])
    trust = trust_of(timestamps=AUTHORITIES)
    checked = signatures.check(STAMPED, trust, KeyVerifier(), says)
    assert checked.statement is not None
    assert checked.statement.times == (AT, AT)
    assert checked.remarks == ()
    assert says.asked == [AUTHORITIES]


def test_timestamps_that_nobody_vouches_for_are_left_aside_and_said() -> None:
    says = Says([])
    checked = signatures.check(STAMPED, trust_of(), KeyVerifier(), says)
    assert checked.statement is not None
    assert checked.statement.times == ()
    assert [item.code for item in checked.remarks] == ["evidence-left-aside"]
    assert says.asked == []


def test_a_timestamp_that_does_not_hold_stops_the_bundle() -> None:
    trust = trust_of(timestamps=AUTHORITIES)
    says = Says(EvidenceInvalid("evidence-unchecked", "forged"))
    checked = signatures.check(STAMPED, trust, KeyVerifier(), says)
    assert checked.statement is None


def test_timestamps_do_not_help_a_bad_signature() -> None:
    signed = STRANGER.sign(pae(PAYLOAD_TYPE, STATEMENT.payload))
    forged = encode(
        Bundle(
            STATEMENT.payload,
            signed,
            key_hint(HUMAN.spki),
            evidence=Evidence(timestamps=(b"one",)),
        )
    )
    says = Says([AT])
    checked = signatures.check(forged, trust_of(timestamps=AUTHORITIES), KeyVerifier(), says)
    assert [item.code for item in checked.problems] == ["signature-invalid"]
    assert says.asked == []
