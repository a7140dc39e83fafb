"""The Sigstore stand-in against clients that are not ours: its yes and its no must be real."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import rfc3161_client
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore import dsse
from sigstore._internal.fulcio.client import FulcioClientError
from sigstore._internal.rekor import RekorClientError
from sigstore.errors import Error, VerificationError
from sigstore.models import Bundle, ClientTrustConfig, InvalidBundle
from sigstore.oidc import IdentityError, IdentityToken, Issuer, IssuerError, detect_credential
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from support import sigstore_js
from support.loopback_sigstore import WORKFLOW, LoopbackSigstore, LoopbackTsa
from support.loopback_sigstore.instance import Version
from support.loopback_sigstore.merkle import TILE
from support.loopback_sigstore.server import Refused

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'
TYPE = "application/vnd.in-toto+json"


@pytest.fixture
def sigstore() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore() as instance:
        yield instance


def config_of(sigstore: LoopbackSigstore, rekor: Version, **changes: Any) -> ClientTrustConfig:
    return ClientTrustConfig.from_json(sigstore.client_trust_config_json(rekor, **changes).decode())


def sign(sigstore: LoopbackSigstore, rekor: Version, token: str, **changes: Any) -> bytes:
    statement = dsse.Statement.__new__(dsse.Statement)
    statement._contents = PAYLOAD
    context = SigningContext.from_trust_config(config_of(sigstore, rekor, **changes))
    with context.signer(IdentityToken(token)) as signer:
        return signer.sign_dsse(statement).to_json().encode()


def verify(
    sigstore: LoopbackSigstore,
    bundle: bytes | dict[str, Any],
    identity: str = "jane@example.com",
    issuer: str | None = None,
) -> tuple[str, bytes]:
    raw = json.dumps(bundle) if isinstance(bundle, dict) else bundle
    wanted = policy.Identity(identity=identity, issuer=issuer or sigstore.oidc.url)
    verifier = Verifier(trusted_root=config_of(sigstore, 1).trusted_root)
    return verifier.verify_dsse(Bundle.from_json(raw), wanted)


@pytest.mark.parametrize("rekor", [1, 2])
def test_sigstore_python_signs_and_verifies(sigstore: LoopbackSigstore, rekor: Version) -> None:
    bundle = sign(sigstore, rekor, sigstore.oidc.token())
    assert verify(sigstore, bundle) == (TYPE, PAYLOAD)
    with pytest.raises(VerificationError, match="Certificate's SANs do not match"):
        verify(sigstore, bundle, identity="joan@example.com")
    with pytest.raises(VerificationError, match="OIDCIssuer"):
        verify(sigstore, bundle, issuer=sigstore.other_oidc.url)


@pytest.mark.parametrize("rekor", [1, 2])
def test_plain_artifacts_are_logged_too(sigstore: LoopbackSigstore, rekor: Version) -> None:
    config = config_of(sigstore, rekor)
    context = SigningContext.from_trust_config(config)
    with context.signer(IdentityToken(sigstore.oidc.token())) as signer:
        bundle = signer.sign_artifact(b"some bytes")
    verifier = Verifier(trusted_root=config.trusted_root)
    wanted = policy.Identity(identity="jane@example.com", issuer=sigstore.oidc.url)
    verifier.verify_artifact(b"some bytes", bundle, wanted)
    with pytest.raises(VerificationError):
        verifier.verify_artifact(b"other bytes", bundle, wanted)


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_bundle_made_by_hand_is_as_good(sigstore: LoopbackSigstore, rekor: Version) -> None:
    for _ in range(5):
        bundle = sigstore.sign(PAYLOAD, rekor=rekor)
    assert verify(sigstore, bundle) == (TYPE, PAYLOAD)
    assert sigstore.server.requests == []


@pytest.mark.parametrize("rekor", [1, 2])
def test_sigstore_js_agrees(sigstore: LoopbackSigstore, rekor: Version) -> None:
    bundle = sign(sigstore, rekor, sigstore.oidc.token())
    root = sigstore.trusted_root_json()
    assert sigstore_js.verify(bundle, root, identity="jane@example.com") == "good"
    assert "UNTRUSTED_SIGNER" in sigstore_js.verify(bundle, root, identity="e@example.com")
    broken = json.loads(bundle)
    proof = broken["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["hashes"][0] = base64.b64encode(bytes(32)).decode()
    assert "TLOG_INCLUSION_PROOF" in sigstore_js.verify(json.dumps(broken).encode(), root)


def test_sigstore_js_signs_and_sigstore_python_verifies(sigstore: LoopbackSigstore) -> None:
    urls = {"fulcio": sigstore.url, "rekor": f"{sigstore.url}/rekor1", "tsa": f"{sigstore.url}/tsa"}
    bundle = sigstore_js.sign(PAYLOAD, TYPE, sigstore.oidc.token(), urls)
    assert verify(sigstore, bundle) == (TYPE, PAYLOAD)
    material = bundle["verificationMaterial"]
    assert len(material["timestampVerificationData"]["rfc3161Timestamps"]) == 1


def _shift_certificate(sigstore: LoopbackSigstore) -> None:
    sigstore.fulcio.age = timedelta(hours=1)


def _set(service: str, defect: str) -> Callable[[LoopbackSigstore], None]:
    def breaking(sigstore: LoopbackSigstore) -> None:
        part = getattr(sigstore, service)
        setattr(part, "sct" if service == "fulcio" else "defect", defect)

    return breaking


DEFECTS: list[tuple[str, Version, Callable[[LoopbackSigstore], None], str]] = [
    ("sct-foreign", 1, _set("fulcio", "foreign"), "failed to verify SCT"),
    ("sct-flipped", 1, _set("fulcio", "flipped"), "failed to verify SCT"),
    ("sct-missing", 1, _set("fulcio", "missing"), "failed to verify SCT"),
    ("v1-proof", 1, _set("rekor1", "proof"), "invalid log entry: inclusion proof"),
    ("v1-checkpoint", 1, _set("rekor1", "checkpoint"), "invalid log entry: checkpoint"),
    ("v1-promise", 1, _set("rekor1", "promise"), "invalid log entry: SET"),
    ("v2-proof", 2, _set("rekor2", "proof"), "invalid log entry: inclusion proof"),
    ("v2-checkpoint", 2, _set("rekor2", "checkpoint"), "invalid log entry: checkpoint"),
    ("tsa-foreign", 2, _set("tsa", "foreign"), "not enough sources of verified time"),
    ("tsa-other-message", 2, _set("tsa", "other-message"), "not enough sources of verified time"),
    ("tsa-flipped", 2, _set("tsa", "flipped"), "not enough sources of verified time"),
    ("old-certificate", 2, _shift_certificate, "cert chain|certificate chain|expired"),
]


@pytest.mark.parametrize(
    ("rekor", "breaking", "complaint"),
    [row[1:] for row in DEFECTS],
    ids=[row[0] for row in DEFECTS],
)
def test_every_defect_is_refused(
    sigstore: LoopbackSigstore,
    rekor: Version,
    breaking: Callable[[LoopbackSigstore], None],
    complaint: str,
) -> None:
    breaking(sigstore)
    with pytest.raises(VerificationError, match=complaint):
        verify(sigstore, sigstore.sign(PAYLOAD, rekor=rekor))


def test_another_instances_word_counts_nothing(sigstore: LoopbackSigstore) -> None:
    with LoopbackSigstore() as other:
        with pytest.raises(Error):
            verify(sigstore, other.sign(PAYLOAD), issuer=other.oidc.url)
        mixed = sigstore.sign(PAYLOAD, rekor=1)
        entry = other.sign(PAYLOAD, rekor=1)["verificationMaterial"]["tlogEntries"]
        mixed["verificationMaterial"]["tlogEntries"] = entry
        with pytest.raises(VerificationError, match="invalid log entry"):
            verify(sigstore, mixed)


def test_a_certificate_that_expired_since_verifies(sigstore: LoopbackSigstore) -> None:
    sigstore.weather.shift = timedelta(days=-400)
    for rekor in (1, 2):
        old = sigstore.sign(PAYLOAD, rekor=rekor)  # type: ignore[arg-type]
        assert verify(sigstore, old) == (TYPE, PAYLOAD)


@pytest.mark.parametrize(
    ("service", "how", "expected"),
    [
        ("fulcio", "down", FulcioClientError),
        ("fulcio", "unreachable", requests.ConnectionError),
        ("fulcio", "garbled", requests.JSONDecodeError),
        ("rekor", "down", RekorClientError),
        ("rekor", "unreachable", requests.ConnectionError),
        ("rekor", "garbled", requests.JSONDecodeError),
        ("tsa", "down", InvalidBundle),
        ("tsa", "unreachable", InvalidBundle),
        ("tsa", "garbled", InvalidBundle),
    ],
)
def test_outages_reach_the_client(
    sigstore: LoopbackSigstore, service: str, how: str, expected: type[Exception]
) -> None:
    if how != "unreachable":
        getattr(sigstore.weather, how).add("rekor2" if service == "rekor" else service)
    unreachable = [service] if how == "unreachable" else []
    with pytest.raises(expected):
        sign(sigstore, 2, sigstore.oidc.token(), unreachable=unreachable)


def test_fulcio_takes_no_bad_token(sigstore: LoopbackSigstore) -> None:
    forged = sigstore.oidc.token()[:-4] + "AAAA"
    for token in (forged, sigstore.oidc.token(iss=sigstore.other_oidc.url)):
        with pytest.raises(FulcioClientError):
            sign(sigstore, 1, token)
    with pytest.raises(IdentityError):
        sign(sigstore, 1, sigstore.oidc.token(aud="somebody else"))


def test_logs_take_only_what_verifies(sigstore: LoopbackSigstore) -> None:
    envelope = sigstore.sign(PAYLOAD, rekor=1)["dsseEnvelope"]
    stranger = sigstore.fulcio.intermediate.certificate
    with pytest.raises(Refused, match="invalid signature"):
        sigstore.rekor1.add_dsse(envelope, stranger.public_bytes(Encoding.PEM))


def test_the_second_log_can_be_rebuilt_from_its_tiles(sigstore: LoopbackSigstore) -> None:
    for number in range(TILE + 40):
        sigstore.rekor2.tree.append(b"entry %d" % number)

    def get(path: str) -> bytes:
        with urllib.request.urlopen(f"{sigstore.url}/rekor2{path}") as answer:
            return bytes(answer.read())

    origin, size, root = get("/checkpoint").split(b"\n")[:3]
    assert origin.decode() == sigstore.rekor2.origin
    rest = int(size) - TILE
    leaves = get("/tile/0/0") + get(f"/tile/0/1.p/{rest}")
    assert get("/tile/1/0.p/1") == _root([leaves[i * 32 :][:32] for i in range(TILE)])
    assert base64.b64decode(root) == _root([leaves[i * 32 :][:32] for i in range(int(size))])
    entries = get("/tile/entries/0")
    first = entries[2 : 2 + int.from_bytes(entries[:2], "big")]
    assert hashlib.sha256(b"\0" + first).digest() == leaves[:32]


def _root(level: list[bytes]) -> bytes:
    """Hash pairs upwards and carry a lonely last one: another way to the RFC 6962 root."""
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [
            hashlib.sha256(b"\1" + pair[0] + pair[1]).digest() if len(pair) == 2 else pair[0]
            for pair in pairs
        ]
    return level[0]


def test_timestamps_satisfy_openssl_and_rfc3161_client(tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(b"something to stamp")
    with LoopbackTsa() as tsa:
        request = rfc3161_client.TimestampRequestBuilder().data(message.read_bytes()).build()
        http = urllib.request.Request(
            tsa.url, request.as_bytes(), {"Content-Type": "application/timestamp-query"}
        )
        with urllib.request.urlopen(http) as answer:
            reply = answer.read()
        response = rfc3161_client.decode_timestamp_response(reply)
        builder = rfc3161_client.VerifierBuilder.from_request(request)
        verifier = (
            builder.tsa_certificate(tsa.authority.leaf.certificate)
            .add_root_certificate(tsa.authority.root.certificate)
            .build()
        )
        assert verifier.verify_message(response, message.read_bytes())
        with pytest.raises(rfc3161_client.VerificationError):
            verifier.verify_message(response, b"something else")
        chain = tmp_path / "chain.pem"
        chain.write_bytes(tsa.authority.chain_pem)
        (tmp_path / "reply.tsr").write_bytes(reply)
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        done = subprocess.run(
            ["openssl", "ts", "-verify", "-data", message, "-in", tmp_path / "reply.tsr",
             "-CAfile", chain, "-untrusted", chain],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Verification: OK" in done.stdout + done.stderr


def test_a_person_logs_in_with_a_browser(
    sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def browse(url: str) -> bool:
        threading.Thread(target=lambda: urllib.request.urlopen(url).read(), daemon=True).start()
        return True

    monkeypatch.setattr("webbrowser.open", browse)
    token = Issuer(sigstore.oidc.url).identity_token()
    assert verify(sigstore, sign(sigstore, 1, str(token))) == (TYPE, PAYLOAD)
    sigstore.oidc.denied = True
    with pytest.raises(IdentityError, match="access_denied"):
        Issuer(sigstore.oidc.url).identity_token()
    sigstore.weather.down.add("oidc")
    with pytest.raises(IssuerError):
        Issuer(sigstore.oidc.url)


def test_a_workflow_asks_for_its_token(
    sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", sigstore.workflow.secret)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{sigstore.ci.url}/token?api-version=2.0")
    token = detect_credential()
    assert token is not None
    bundle = sign(sigstore, 2, token)
    assert verify(sigstore, bundle, identity=WORKFLOW, issuer=sigstore.ci.url)[1] == PAYLOAD
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "guessed")
    with pytest.raises(IdentityError):
        detect_credential()
