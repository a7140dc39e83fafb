from __future__ import annotations

import base64
import hashlib
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
    both = trust.TrustedKey(spki=HUMAN.spki, person="both", roles=frozenset({"human", "recorder"}))
    assert both.may("recorder")
    assert not both.may("human")
    ci = trust.TrustedKey(spki=HUMAN.spki, person="ci", roles=frozenset({"reviewer", "ci"}))
    assert not ci.may("reviewer")


ROOT = b'{"trusted": "root"}'
ISSUER = "https://id.example.com"


def with_identity(**entry: Any) -> dict[str, Any]:
    return {
        **GOOD,
        "identities": [
            {
                "issuer": ISSUER,
                "person": "mailto:jane@example.com",
                "roles": ["reviewer"],
                **({} if "identityPattern" in entry else {"identity": "jane@example.com"}),
                **entry,
            }
        ],
        "sigstore": [
            {
                "name": "ours",
                "trustedRoot": "root.json",
                "digest": {"sha256": hashlib.sha256(ROOT).hexdigest()},
            }
        ],
    }


def parse_beside(document: Any, **files: bytes) -> trust.TrustRoot:
    kept = {"root.json": ROOT, **files}
    return trust.parse(document, sha256="ab" * 32, source="trust.yaml", beside=kept.get)


def test_an_identity_is_issuer_and_exact_name() -> None:
    root = parse_beside(with_identity())
    (jane,) = root.identities
    assert jane.custody == "oidc"
    assert root.sigstore[0].data == ROOT
    assert jane.is_of(ISSUER, "jane@example.com", "ours")
    for issuer, identity in (
        (ISSUER, "evil-jane@example.com"),
        (ISSUER, "jane@example.com.evil"),
        (ISSUER, "j\N{CYRILLIC SMALL LETTER A}ne@example.com"),
        (ISSUER, "JANE@example.com"),
        (ISSUER + "/", "jane@example.com"),
        ("https://other.example.com", "jane@example.com"),
    ):
        assert not jane.is_of(issuer, identity, "ours")


def test_an_identity_can_be_held_to_one_of_several_roots() -> None:
    (jane,) = parse_beside(with_identity(root="ours")).identities
    assert jane.is_of(ISSUER, "jane@example.com", "ours")
    assert not jane.is_of(ISSUER, "jane@example.com", "theirs")


def test_a_pattern_varies_only_where_it_says_so() -> None:
    said = r"^https://git\.example\.com/acme/[a-z-]+/ci\.yaml@refs/heads/main$"
    (workflow,) = parse_beside(with_identity(identityPattern=said)).identities
    good = "https://git.example.com/acme/app-one/ci.yaml@refs/heads/main"
    assert workflow.is_of(ISSUER, good, "ours")
    for bad in (
        good + "\n",
        good.replace("app-one", "app/one"),
        good.replace("git.example", "gitxexample"),
        "x" + good,
        good + ".evil",
        good.replace("main", "other"),
    ):
        assert not workflow.is_of(ISSUER, bad, "ours")


@pytest.mark.parametrize(
    "pattern",
    [
        "jane@example.com",
        "^.*@example\\.com$",
        "^jane@example.com$",
        "^[^@]+@example\\.com$",
        "^[a-z@]+$",
        "^[+-_]+$",
        "^(a+)+$",
        "^a|b$",
        "^[a-z$",
        "^$",
    ],
)
def test_a_pattern_that_says_less_than_it_seems_to_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        parse_beside(with_identity(identityPattern=pattern))


def test_a_trusted_root_is_the_file_whose_digest_is_given() -> None:
    with pytest.raises(ConfigurationInvalid, match="not the file whose digest"):
        parse_beside(with_identity(), **{"root.json": ROOT + b" "})
    with pytest.raises(ConfigurationInvalid, match=r"no root\.json beside"):
        parse(with_identity())


@pytest.mark.parametrize("path", ["../root.json", "/etc/passwd", ".hidden", "a/b", ""])
def test_a_trusted_root_stands_beside_the_trust_file(path: str) -> None:
    document = with_identity()
    document["sigstore"][0]["trustedRoot"] = path
    with pytest.raises(ConfigurationInvalid):
        parse_beside(document, **{path: ROOT})


REFUSED_IDENTITIES: dict[str, dict[str, Any]] = {
    "both ways to name it": {"identityPattern": "^a$", "identity": "a"},
    "a root that is not there": {"root": "theirs"},
    "a custody": {"custody": "file"},
    "an issuer that is no URI": {"issuer": "example"},
}


@pytest.mark.parametrize("name", REFUSED_IDENTITIES)
def test_odd_identities_fail_closed(name: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        parse_beside(with_identity(**REFUSED_IDENTITIES[name]))


def test_an_identity_without_a_root_fails_closed() -> None:
    document = with_identity()
    del document["sigstore"]
    with pytest.raises(ConfigurationInvalid, match="no Sigstore root"):
        parse_beside(document)


def test_validity_retirement_and_compromise_read_back() -> None:
    written = dict(
        GOOD["keys"][0],
        validity={"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2027-01-01T00:00:00Z"},
        retired={"after": "a" * 40, "reason": "new laptop"},
        compromised={"since": "2026-06-01T00:00:00Z", "reason": "stolen"},
        comment="by the door",
    )
    root = parse({**GOOD, "keys": [written, GOOD["keys"][1]]})
    assert trust.document(root.keys)["keys"][0] == written


@pytest.mark.parametrize(
    "entry",
    [
        {"validity": {"notBefore": "2027-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}},
        {"validity": {"notAfter": "soon"}},
        {"validity": {"until": "2027-01-01T00:00:00Z"}},
        {"retired": {"after": "main", "reason": "x"}},
        {"retired": {"after": "a" * 40}},
        {"compromised": {"since": "2026-06-01", "reason": "x"}},
        {"compromised": {"reason": "x"}},
    ],
)
def test_odd_ends_of_a_key_fail_closed(entry: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationInvalid):
        parse({**GOOD, "keys": [dict(GOOD["keys"][0], **entry)]})
