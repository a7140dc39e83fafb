from __future__ import annotations

from itertools import product

import pytest

from agentprov.formats.bundle import key_hint
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify import signatures
from agentprov.verify.signatures import Verified
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
    assert checked.statement.key.person == HUMAN.person


def test_nobody_else_can_make_a_verified_value() -> None:
    with pytest.raises(TypeError):
        Verified("x", HUMAN.trusted(), "", seal=object())


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
