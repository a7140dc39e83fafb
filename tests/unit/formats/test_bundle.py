from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats import bundle, canonical
from agentprov.formats.envelope import pae
from agentprov.formats.evidence import Evidence
from support.story import HUMAN, RECORDER, Story, seal

Edit = Callable[[dict[str, Any]], object]


def line() -> bytes:
    return seal(Story().plan_statement(), HUMAN)


def edited(edit: Edit) -> bytes:
    value = json.loads(line())
    edit(value)
    return json.dumps(value).encode()


def test_a_bundle_has_the_shape_that_other_verifiers_load() -> None:
    value = json.loads(line())
    assert value["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    material = value["verificationMaterial"]
    assert set(material) == {"publicKey", "tlogEntries", "timestampVerificationData"}
    assert material["tlogEntries"] == []
    assert material["timestampVerificationData"] == {"rfc3161Timestamps": []}
    assert material["publicKey"] == {"hint": bundle.key_hint(HUMAN.spki)}
    assert [set(item) for item in value["dsseEnvelope"]["signatures"]] == [{"sig"}]


def test_a_bundle_is_one_line_and_the_same_every_time() -> None:
    assert line() == line()
    assert b"\n" not in line()
    assert bundle.encode(bundle.parse(line())) == line()


def test_what_was_put_in_comes_out() -> None:
    made = bundle.Bundle(b"payload \xff", b"signature", "hint")
    assert bundle.parse(bundle.encode(made)) == made
    assert bundle.parse(bundle.encode(bundle.Bundle(b"p", b"s"))).hint is None


def test_spelling_and_key_order_do_not_matter_to_the_reader() -> None:
    pretty = json.dumps(dict(reversed(json.loads(line()).items())), indent=3).encode()
    assert bundle.parse(pretty + b"\n") == bundle.parse(line())


def test_what_protobuf_writers_leave_out_may_be_absent() -> None:
    def edit(value: dict[str, Any]) -> None:
        del value["verificationMaterial"]["tlogEntries"]
        del value["verificationMaterial"]["timestampVerificationData"]
        value["dsseEnvelope"]["signatures"][0]["keyid"] = ""

    assert bundle.parse(edited(edit)) == bundle.parse(line())


LOG_ENTRY = {
    "logIndex": "7",
    "logId": {"keyId": "AAAA"},
    "kindVersion": {"kind": "dsse", "version": "0.0.1"},
    "integratedTime": "1700000000",
    "inclusionPromise": {"signedEntryTimestamp": "AAAA"},
    "inclusionProof": {
        "logIndex": "7",
        "rootHash": "AAAA",
        "treeSize": "9",
        "hashes": ["AAAA"],
        "checkpoint": {"envelope": "log\n9\nAAAA\n"},
    },
    "canonicalizedBody": "AAAA",
}


@pytest.mark.parametrize("certificate", [None, b"a certificate in DER"])
def test_evidence_travels_beside_the_signature(certificate: bytes | None) -> None:
    evidence = Evidence(certificate, (LOG_ENTRY,), (b"a timestamp", b"another"))
    hint = None if certificate else "aGludA=="
    there = bundle.Bundle(b"{}", b"signature", hint, evidence=evidence)
    line = bundle.encode(there)
    assert bundle.parse(line) == there
    assert bundle.encode(bundle.parse(line)) == line


REFUSED: dict[str, Edit] = {
    "unknown member at the top": lambda v: v.update(extra=1),
    "unknown member in the envelope": lambda v: v["dsseEnvelope"].update(extra=1),
    "unknown member in the material": lambda v: v["verificationMaterial"].update(extra=1),
    "unknown member in the signature": lambda v: v["dsseEnvelope"]["signatures"][0].update(cert=""),
    "no signature": lambda v: v["dsseEnvelope"].update(signatures=[]),
    "two signatures": lambda v: v["dsseEnvelope"].update(
        signatures=v["dsseEnvelope"]["signatures"] * 2
    ),
    "older version": lambda v: v.update(
        mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"
    ),
    "message signature": lambda v: v.update(messageSignature=v.pop("dsseEnvelope")),
    "certificate beside a key": lambda v: v["verificationMaterial"].update(
        certificate={"rawBytes": "AA=="}
    ),
    "certificate chain": lambda v: v.update(
        verificationMaterial={"x509CertificateChain": {"certificates": [{"rawBytes": "AA=="}]}}
    ),
    "neither key nor certificate": lambda v: v["verificationMaterial"].pop("publicKey"),
    "log entry that is empty": lambda v: v["verificationMaterial"].update(tlogEntries=[{}]),
    "log index as a number": lambda v: v["verificationMaterial"].update(
        tlogEntries=[{**LOG_ENTRY, "logIndex": 7}]
    ),
    "nine log entries": lambda v: v["verificationMaterial"].update(tlogEntries=[LOG_ENTRY] * 9),
    "nine timestamps": lambda v: v["verificationMaterial"].update(
        timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": "MAA="}] * 9}
    ),
    "timestamp that is no base64": lambda v: v["verificationMaterial"].update(
        timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": "?"}]}
    ),
    "keyid that contradicts the hint": lambda v: v["dsseEnvelope"]["signatures"][0].update(
        keyid="ada"
    ),
    "payload as object": lambda v: v["dsseEnvelope"].update(payload={}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(MalformedInput):
        bundle.parse(edited(REFUSED[name]))


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: text.rstrip("="),
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: text + "====",
        lambda text: text[:-4] + "!" + text[-3:],
    ],
)
def test_base64_has_one_spelling(spell: Callable[[str], str]) -> None:
    payload = b"\xfb\xff\xfe" * 5 + b"\xfb"
    value = json.loads(bundle.encode(bundle.Bundle(payload, b"s")))
    text = base64.b64encode(payload).decode()
    assert "+" in text
    assert text.endswith("=")
    value["dsseEnvelope"]["payload"] = spell(text)
    with pytest.raises(MalformedInput, match="payload"):
        bundle.parse(json.dumps(value).encode())


def test_unused_bits_of_base64_are_zero() -> None:
    value = json.loads(bundle.encode(bundle.Bundle(b"a", b"s")))
    assert value["dsseEnvelope"]["payload"] == "YQ=="
    value["dsseEnvelope"]["payload"] = "YR=="
    with pytest.raises(MalformedInput, match="stray bits"):
        bundle.parse(json.dumps(value).encode())


def test_an_endless_bundle_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(MalformedInput, match="more than"):
        bundle.parse(b" " * (canonical.MAX_BYTES + 1))


@pytest.mark.parametrize("key", [HUMAN, RECORDER], ids=["P-256", "Ed25519"])
def test_securesystemslib_verifies_what_we_sign(key: Any) -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    statement = Story().plan_statement()
    value = json.loads(seal(statement, key))["dsseEnvelope"]
    foreign = SSlibKey.from_crypto(key.private().public_key())
    for signature in value["signatures"]:
        signature["keyid"] = foreign.keyid
    envelope = Envelope.from_dict(copy.deepcopy(value))
    assert envelope.pae() == pae("application/vnd.in-toto+json", statement.payload)
    assert set(envelope.verify([foreign], 1)) == {foreign.keyid}
    value["payload"] = base64.b64encode(statement.payload + b" ").decode()
    with pytest.raises(VerificationError):
        Envelope.from_dict(value).verify([foreign], 1)
