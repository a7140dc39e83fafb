from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agentprov.errors import ConfigurationInvalid
from agentprov.verify import trust
from support.story import HUMAN, RECORDER

GOOD = trust.document([HUMAN.trusted(), RECORDER.trusted()])


def parse(document: Any) -> trust.TrustRoot:
    return trust.parse(document, sha256="ab" * 32, source="trust.yaml")


def spki_text(key: Any) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def test_a_document_reads_back_as_the_keys_it_was_made_of() -> None:
    root = parse(GOOD)
    assert [key.spki for key in root.keys] == [HUMAN.spki, RECORDER.spki]
    assert root.keys[1].builders == RECORDER.builders
    assert root.by_hint[root.keys[0].hint].person == HUMAN.person
    assert trust.document(root.keys) == GOOD
    assert json.loads(json.dumps(GOOD)) == GOOD


Edit = Callable[[dict[str, Any]], object]
REFUSED: dict[str, Edit] = {
    "no schema": lambda d: d.pop("schema"),
    "newer schema": lambda d: d.update(schema="agentprov-trust/2"),
    "unknown member": lambda d: d.update(extra=1),
    "misspelled member of a key": lambda d: d["keys"][0].update(role=["human"]),
    "no roles": lambda d: d["keys"][0].update(roles=[]),
    "role that does not exist": lambda d: d["keys"][0].update(roles=["admin"]),
    "custody that does not exist": lambda d: d["keys"][0].update(custody="safe"),
    "key that is no base64": lambda d: d["keys"][0].update(publicKey="not a key"),
    "key in URL-safe base64": lambda d: d["keys"][0].update(publicKey="_-8="),
    "key cut short": lambda d: d["keys"][0].update(publicKey=d["keys"][0]["publicKey"][:40]),
    "P-384 key": lambda d: d["keys"][0].update(
        publicKey=spki_text(ec.derive_private_key(5, ec.SECP384R1()))
    ),
    "RSA key": lambda d: d["keys"][0].update(
        publicKey=spki_text(rsa.generate_private_key(65537, 2048))
    ),
    "same key twice": lambda d: d["keys"].append(dict(d["keys"][0], roles=["reviewer"])),
    "keys as text": lambda d: d.update(keys="all"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_document_that_is_not_right_fails_closed(name: str) -> None:
    document = json.loads(json.dumps(GOOD))
    REFUSED[name](document)
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(document)
    assert "trust.yaml" in caught.value.message


@pytest.mark.parametrize("document", [None, [], "trust", 5])
def test_a_document_of_another_shape_fails_closed(document: Any) -> None:
    with pytest.raises(ConfigurationInvalid):
        parse(document)


def test_a_key_with_a_machine_role_holds_no_human_role() -> None:
    both = trust.TrustedKey(HUMAN.spki, "both", frozenset({"human", "recorder"}))
    assert both.may("recorder")
    assert not both.may("human")
    assert not trust.TrustedKey(HUMAN.spki, "ci", frozenset({"reviewer", "ci"})).may("reviewer")
