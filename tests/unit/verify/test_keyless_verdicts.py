"""A plan that was signed keyless, before the judge: each forgery has its finding and exit code."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentprov import verify
from agentprov.errors import ConfigurationInvalid
from agentprov.formats import bundle as bundles
from agentprov.sign.evidence import OfflineEvidence
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify import signatures
from agentprov.verify import trust as trusts
from agentprov.verify.catalogue import CATALOGUE
from support.loopback_sigstore import WORKFLOW, LoopbackSigstore
from support.story import AS_OF, Story, codes

ROOT_FILE = "sigstore-root.json"
PLAN = Story().plan_statement()
Bundle = dict[str, Any]


def at_the_time_of_the_story() -> LoopbackSigstore:
    """Give an instance whose clocks stand a minute after the plan was declared."""
    instance = LoopbackSigstore()
    moment = datetime(2026, 11, 24, 10, 31, tzinfo=UTC)
    instance.weather.shift = moment - datetime.now(UTC)
    return instance


@pytest.fixture(scope="module")
def sigstore() -> Iterator[LoopbackSigstore]:
    with at_the_time_of_the_story() as instance:
        yield instance


@pytest.fixture
def broken() -> Iterator[LoopbackSigstore]:
    with at_the_time_of_the_story() as instance:
        yield instance


def trust_in(sigstore: LoopbackSigstore, *, root: bytes | None = None, **jane: Any) -> Any:
    data = sigstore.trusted_root_json() if root is None else root
    named = {
        "issuer": sigstore.oidc.url,
        "person": "mailto:jane@example.com",
        "roles": ["human"],
        **jane,
    }
    if "identityPattern" not in named:
        named.setdefault("identity", "jane@example.com")
    document = {
        "schema": "agentprov-trust/1",
        "keys": [],
        "identities": [named],
        "sigstore": [
            {
                "name": "ours",
                "trustedRoot": ROOT_FILE,
                "digest": {"sha256": hashlib.sha256(data).hexdigest()},
            }
        ],
    }
    return trusts.parse(
        document, sha256="0" * 64, source="trust.yaml", beside={ROOT_FILE: data}.get
    )


def judge(signed: Bundle | bytes, trust: Any) -> verify.Judgement:
    line = signed if isinstance(signed, bytes) else json.dumps(signed).encode()
    case = verify.Case(
        target="plan",
        records=[verify.Record(line, "bundle.json", named=True)],
        commits=[],
        trust=trust,
        as_of=AS_OF,
    )
    return verify.judge(case, KeyVerifier(), OfflineEvidence())


def require(judgement: verify.Judgement, code: str, exit_code: int) -> None:
    assert code in codes(judgement)
    assert CATALOGUE[code].exit_code == exit_code
    assert judgement.verdict.exit_code == exit_code


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_plan_that_a_trusted_identity_signed_holds(
    sigstore: LoopbackSigstore, rekor: Any
) -> None:
    signed, trust = sigstore.sign(PLAN.payload, rekor=rekor), trust_in(sigstore)
    judgement = judge(signed, trust)
    assert codes(judgement) == set()
    assert judgement.verdict.exit_code == 0
    line = json.dumps(signed).encode()
    checked = signatures.check(line, trust, KeyVerifier(), OfflineEvidence())
    assert checked.statement is not None
    assert checked.statement.signer.person == "mailto:jane@example.com"
    assert checked.statement.signer.custody == "oidc"
    assert checked.statement.times


@pytest.mark.parametrize(
    "identity",
    [
        "evil-jane@example.com",
        "jane@example.com.evil",
        "Jane@example.com",
        "jane@example.com ",
        "jane+tag@example.com",
        "jane@sub.example.com",
        "jan\u0435@example.com",
        "https://example.com/jane@example.com",
    ],
)
def test_an_identity_that_only_looks_like_it_is_a_stranger(
    sigstore: LoopbackSigstore, identity: str
) -> None:
    from cryptography import x509

    from support.loopback_sigstore import der
    from support.loopback_sigstore.fulcio import USERNAME

    name = (
        x509.RFC822Name(identity)
        if identity.isascii() and "/" not in identity
        else x509.OtherName(USERNAME, der.utf8(identity))
    )
    require(judge(sigstore.sign(PLAN.payload, name), trust_in(sigstore)), "signer-unknown", 17)


def test_the_right_name_by_another_issuers_word_is_a_stranger(sigstore: LoopbackSigstore) -> None:
    for issuer in (sigstore.other_oidc.url, sigstore.oidc.url + "/", sigstore.oidc.url.upper()):
        signed = sigstore.sign(PLAN.payload, issuer=issuer)
        require(judge(signed, trust_in(sigstore)), "signer-unknown", 17)


def test_a_pattern_matches_all_of_a_workflow_and_no_neighbour(sigstore: LoopbackSigstore) -> None:
    pattern = r"^https://github\.com/acme/app/\.github/workflows/record\.yml@refs/heads/[a-z]+$"
    trust = trust_in(sigstore, identityPattern=pattern)
    assert codes(judge(sigstore.sign(PLAN.payload, WORKFLOW), trust)) == set()
    for other in (
        WORKFLOW.replace("acme/app", "acme/app-evil"),
        WORKFLOW.replace("github.com", "githubXcom"),
        WORKFLOW.replace("refs/heads/main", "refs/heads/main/../evil"),
        WORKFLOW + "\n",
        "https://evil.example/?" + WORKFLOW,
    ):
        require(judge(sigstore.sign(PLAN.payload, other), trust), "signer-unknown", 17)


def test_an_identity_may_only_what_its_roles_allow(sigstore: LoopbackSigstore) -> None:
    signed = sigstore.sign(PLAN.payload)
    require(judge(signed, trust_in(sigstore, roles=["reviewer"])), "signer-role", 17)
    require(judge(signed, trust_in(sigstore, roles=["human", "ci"])), "signer-role", 17)


def _sct(kind: str) -> Callable[[LoopbackSigstore], None]:
    return lambda sigstore: setattr(sigstore.fulcio, "sct", kind)


def _defect(service: str, kind: str) -> Callable[[LoopbackSigstore], None]:
    return lambda sigstore: setattr(getattr(sigstore, service), "defect", kind)


def _shift(service: str, minutes: int) -> Callable[[LoopbackSigstore], None]:
    return lambda sigstore: sigstore.weather.shifts.update({service: timedelta(minutes=minutes)})


BROKEN: list[tuple[str, int, Callable[[LoopbackSigstore], None], str, int]] = [
    ("sct-foreign", 2, _sct("foreign"), "certificate-unlogged", 19),
    ("sct-missing", 2, _sct("missing"), "certificate-unlogged", 19),
    ("proof", 1, _defect("rekor1", "proof"), "log-entry-invalid", 19),
    ("proof", 2, _defect("rekor2", "proof"), "log-entry-invalid", 19),
    ("checkpoint", 1, _defect("rekor1", "checkpoint"), "log-entry-invalid", 19),
    ("checkpoint", 2, _defect("rekor2", "checkpoint"), "log-entry-invalid", 19),
    ("promise", 1, _defect("rekor1", "promise"), "log-entry-invalid", 19),
    ("stamp-foreign", 2, _defect("tsa", "foreign"), "timestamp-invalid", 19),
    ("stamp-over-another", 2, _defect("tsa", "other-message"), "timestamp-differs", 19),
    ("used-before", 2, _shift("tsa", -1), "certificate-expired", 18),
    ("used-after", 2, _shift("tsa", 11), "certificate-expired", 18),
    ("logged-after", 1, _shift("rekor1", 11), "certificate-expired", 18),
]


@pytest.mark.parametrize(
    ("rekor", "breaking", "code", "exit_code"),
    [row[1:] for row in BROKEN],
    ids=[f"{row[0]}-v{row[1]}" for row in BROKEN],
)
def test_evidence_that_does_not_hold_is_told(
    broken: LoopbackSigstore,
    rekor: Any,
    breaking: Callable[[LoopbackSigstore], None],
    code: str,
    exit_code: int,
) -> None:
    breaking(broken)
    signed = broken.sign(PLAN.payload, rekor=rekor)
    require(judge(signed, trust_in(broken)), code, exit_code)


def _drop_log(bundle: Bundle) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = []


def _drop_proof(bundle: Bundle) -> None:
    del bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]


def _drop_stamp(bundle: Bundle) -> None:
    bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] = []


def _drop_certificate(bundle: Bundle) -> None:
    del bundle["verificationMaterial"]["certificate"]
    bundle["verificationMaterial"]["publicKey"] = {}


def _old_media_type(bundle: Bundle) -> None:
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"


@pytest.mark.parametrize(
    ("strip", "code", "exit_code"),
    [
        (_drop_log, "log-entry-missing", 19),
        (_drop_proof, "log-entry-missing", 19),
        (_drop_stamp, "signing-time-missing", 19),
        (_drop_certificate, "signature-invalid", 11),
        (_old_media_type, "bundle-malformed", 14),
    ],
)
def test_a_downgrade_names_what_was_taken(
    sigstore: LoopbackSigstore, strip: Callable[[Bundle], None], code: str, exit_code: int
) -> None:
    signed = sigstore.sign(PLAN.payload)
    strip(signed)
    require(judge(signed, trust_in(sigstore)), code, exit_code)


def test_the_entry_of_another_bundle_is_told(sigstore: LoopbackSigstore) -> None:
    one, other = sigstore.sign(PLAN.payload), sigstore.sign(b"{}")
    one["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    require(judge(one, trust_in(sigstore)), "log-entry-differs", 19)


def test_changed_bytes_are_an_invalid_signature_first(sigstore: LoopbackSigstore) -> None:
    signed = bundles.parse(json.dumps(sigstore.sign(PLAN.payload)).encode())
    other = Story(plan={"author": "mailto:eve@example.com"}).plan_statement()
    forged = bundles.Bundle(other.payload, signed.signature, evidence=signed.evidence)
    require(judge(bundles.encode(forged), trust_in(sigstore)), "signature-invalid", 11)


def test_a_certificate_of_an_instance_that_nobody_named_is_told(
    sigstore: LoopbackSigstore, broken: LoopbackSigstore
) -> None:
    ours = trust_in(sigstore, issuer=broken.oidc.url)
    require(judge(broken.sign(PLAN.payload), ours), "certificate-unknown", 17)


def test_a_root_that_is_none_fails_closed_before_everything(sigstore: LoopbackSigstore) -> None:
    judgement = judge(sigstore.sign(PLAN.payload), trust_in(sigstore, root=b"{}"))
    require(judgement, "sigstore-root-invalid", 16)


def test_an_authority_that_is_out_of_service_is_told(sigstore: LoopbackSigstore) -> None:
    root = sigstore.trusted_root()
    root["tlogs"][1]["publicKey"]["validFor"]["end"] = "2021-01-01T00:00:00Z"
    trust = trust_in(sigstore, root=json.dumps(root).encode())
    require(judge(sigstore.sign(PLAN.payload), trust), "authority-expired", 18)


def test_two_names_in_one_certificate_are_told(
    broken: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography import x509

    from support.loopback_sigstore import fulcio

    plain, eve = x509.SubjectAlternativeName, x509.RFC822Name("eve@example.com")
    monkeypatch.setattr(fulcio.x509, "SubjectAlternativeName", lambda names: plain([*names, eve]))
    signed = broken.sign(PLAN.payload)
    monkeypatch.undo()
    require(judge(signed, trust_in(broken)), "certificate-unfit", 17)


def test_what_sigstore_python_refuses_for_reasons_of_its_own_stays_refused(
    sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sigstore.errors import VerificationError
    from sigstore.verify import Verifier

    def refuse(*_: object) -> None:
        raise VerificationError("a reason of tomorrow")

    def stumble(*_: object) -> None:
        raise ZeroDivisionError

    for fate in (refuse, stumble):
        monkeypatch.setattr(Verifier, "verify_dsse", fate)
        signed = sigstore.sign(PLAN.payload)
        require(judge(signed, trust_in(sigstore)), "evidence-refused", 19)


def test_a_root_other_than_the_pinned_one_is_no_trust_at_all(sigstore: LoopbackSigstore) -> None:
    pinned = trust_in(sigstore).sigstore[0]
    swapped = copy.deepcopy(sigstore.trusted_root())
    swapped["certificateAuthorities"] = []
    document = {
        "schema": "agentprov-trust/1",
        "keys": [],
        "sigstore": [
            {"name": "ours", "trustedRoot": ROOT_FILE, "digest": {"sha256": pinned.sha256}}
        ],
    }
    with pytest.raises(ConfigurationInvalid, match="not the file whose digest"):
        trusts.parse(
            document,
            sha256="0" * 64,
            source="trust.yaml",
            beside={ROOT_FILE: json.dumps(swapped).encode()}.get,
        )
