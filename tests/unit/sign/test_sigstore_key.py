"""Keyless signing for real, against the services on loopback: who, by which way, and what fails."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentprov.errors import KeyUnusable, UsageError
from agentprov.formats import bundle as bundles
from agentprov.formats.evidence import SigstoreRoot
from agentprov.ports import CertifiedSigner, Signer
from agentprov.sign import sigstore_key
from agentprov.sign.file_key import FileKey
from agentprov.sign.sigstore_key import SigstoreKey, from_uri
from agentprov.sign.sigstore_verifier import identify
from support import sigstore_js
from support.loopback_sigstore import WORKFLOW, LoopbackSigstore

PAYLOAD = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "commit", "digest": {"gitCommit": "3f" * 20}}],
        "predicateType": "https://example.com/p/v1",
        "predicate": {"secret-plan": "to be kept out of logs"},
    }
).encode()
CI = ("GITHUB_", "ACTIONS_", "GITLAB_", "CI_", "CIRCLE", "BUILDKITE", "SIGSTORE_", "GOOGLE_")


@pytest.fixture
def sigstore(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackSigstore]:
    for name in list(os.environ):
        if name.startswith(CI):
            monkeypatch.delenv(name)
    with LoopbackSigstore() as instance:
        yield instance


@pytest.fixture
def runner(sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch) -> LoopbackSigstore:
    """Be a workflow of a CI system, with the right to ask for tokens."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", sigstore.workflow.secret)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{sigstore.ci.url}/token?v=2")
    return sigstore


def uri(
    sigstore: LoopbackSigstore, folder: Path, rekor: Any = 2, more: str = "", **changes: Any
) -> str:
    path = folder / f"config-{rekor}.json"
    path.write_bytes(sigstore.client_trust_config_json(rekor, **changes))
    return f"sigstore:?config={path}{more}"


def signer(said: list[str], *arguments: Any, **changes: Any) -> SigstoreKey:
    made = from_uri(uri(*arguments, **changes), said.append)
    assert made is not None
    return made


def root_of(sigstore: LoopbackSigstore) -> SigstoreRoot:
    data = sigstore.trusted_root_json()
    return SigstoreRoot("ours", data, hashlib.sha256(data).hexdigest())


def asked(sigstore: LoopbackSigstore, service: str) -> int:
    return sum(1 for name, _ in sigstore.server.requests if name == service)


@pytest.mark.parametrize("rekor", [1, 2])
def test_what_it_seals_verifies_here_and_with_sigstore_js(
    runner: LoopbackSigstore, tmp_path: Path, rekor: Any
) -> None:
    said: list[str] = []
    key = signer(said, runner, tmp_path, rekor, "&flow=ambient")
    made = key.seal(PAYLOAD)
    line = bundles.encode(made)
    assert made.payload == PAYLOAD
    assert identify(line, [root_of(runner)]).identity == WORKFLOW
    assert key.identity is not None and key.identity.issuer == runner.ci.url
    assert sigstore_js.verify(line, runner.trusted_root_json(), identity=WORKFLOW) == "good"
    assert json.loads(line)["verificationMaterial"].keys() == {
        "certificate",
        "tlogEntries",
        "timestampVerificationData",
    }
    assert len(made.evidence.timestamps) == 1
    assert any(WORKFLOW in text for text in said)


def test_it_is_another_kind_of_signer_than_a_key(tmp_path: Path) -> None:
    key: CertifiedSigner = SigstoreKey(sigstore_key.parse(f"?config={tmp_path}/c.json"))
    assert isinstance(key, CertifiedSigner)
    plain: Signer = FileKey(tmp_path / "k.pem")
    assert not isinstance(plain, CertifiedSigner)
    assert key.custody == "oidc"


def test_one_certificate_serves_for_many_signatures(
    runner: LoopbackSigstore, tmp_path: Path
) -> None:
    key = signer([], runner, tmp_path)
    lines = {bundles.encode(key.seal(PAYLOAD)) for _ in range(4)}
    assert len(lines) == 4
    assert (asked(runner, "fulcio"), asked(runner, "ci"), asked(runner, "rekor2")) == (1, 1, 4)


def test_a_session_longer_than_the_certificate_gets_another(
    runner: LoopbackSigstore, tmp_path: Path
) -> None:
    runner.fulcio.lifetime = timedelta(seconds=50)
    key = signer([], runner, tmp_path)
    for _ in range(3):
        assert identify(bundles.encode(key.seal(PAYLOAD)), [root_of(runner)]).root == "ours"
    assert (asked(runner, "fulcio"), asked(runner, "ci")) == (3, 1)


@pytest.fixture
def worn_out(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Give the set of tokens that count as expired, without waiting for it."""
    from sigstore.oidc import IdentityToken

    tokens: set[str] = set()
    real = IdentityToken.in_validity_period
    monkeypatch.setattr(
        IdentityToken, "in_validity_period", lambda self: str(self) not in tokens and real(self)
    )
    return tokens


def test_a_session_longer_than_the_token_signs_in_again(
    runner: LoopbackSigstore, tmp_path: Path, worn_out: set[str]
) -> None:
    runner.fulcio.lifetime = timedelta(seconds=50)
    key = signer([], runner, tmp_path)
    key.seal(PAYLOAD)
    worn_out.add(str(key._token))
    key.seal(PAYLOAD)
    assert (asked(runner, "fulcio"), asked(runner, "ci")) == (2, 2)


def test_a_session_that_cannot_sign_in_again_says_so_and_goes_on_when_it_can(
    runner: LoopbackSigstore, tmp_path: Path, worn_out: set[str]
) -> None:
    runner.fulcio.lifetime = timedelta(seconds=50)
    key = signer([], runner, tmp_path, 2, "&flow=ambient")
    key.seal(PAYLOAD)
    worn_out.add(str(key._token))
    runner.weather.down.add("ci")
    with pytest.raises(KeyUnusable, match="no identity token of"):
        key.seal(PAYLOAD)
    runner.weather.down.clear()
    assert key.seal(PAYLOAD).payload == PAYLOAD


def browse(url: str) -> bool:
    threading.Thread(target=lambda: urllib.request.urlopen(url).read(), daemon=True).start()
    return True


@pytest.mark.parametrize("more", ["", "&flow=browser"])
def test_a_person_signs_in_with_a_browser(
    sigstore: LoopbackSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    monkeypatch.setattr("webbrowser.open", browse)
    key = signer([], sigstore, tmp_path, 2, more)
    key.seal(PAYLOAD)
    assert key.identity is not None
    assert (key.identity.identity, key.identity.issuer) == ("jane@example.com", sigstore.oidc.url)


def test_another_issuer_can_be_named(
    sigstore: LoopbackSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", browse)
    other = sigstore.other_oidc.url
    key = signer([], sigstore, tmp_path, 2, f"&issuer={other}&flow=browser")
    key.seal(PAYLOAD)
    assert key.identity is not None and key.identity.issuer == other


def test_without_a_browser_and_without_a_person_it_says_what_else_there_is(
    sigstore: LoopbackSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("webbrowser.open", lambda _: False)
    monkeypatch.setattr("builtins.input", nobody)
    with pytest.raises(KeyUnusable, match="no browser here") as caught:
        signer([], sigstore, tmp_path).seal(PAYLOAD)
    assert "flow=device" in str(caught.value.hint)


def test_a_person_signs_in_on_another_device(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    said: list[str] = []
    sigstore.oidc.pending = 3
    key = signer(said, sigstore, tmp_path, 2, "&flow=device")
    key.seal(PAYLOAD)
    assert key.identity is not None and key.identity.identity == "jane@example.com"
    told = next(text for text in said if "WDJB-MJHT" in text)
    assert f"{sigstore.oidc.url}/device?user_code=WDJB-MJHT" in told


def test_a_person_who_says_no_signs_nothing(
    sigstore: LoopbackSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", browse)
    sigstore.oidc.denied = True
    for flow in ("device", "browser"):
        with pytest.raises(KeyUnusable, match="access_denied"):
            signer([], sigstore, tmp_path, 2, f"&flow={flow}").seal(PAYLOAD)
    assert asked(sigstore, "fulcio") == asked(sigstore, "rekor2") == 0


def test_outside_of_ci_there_is_no_ambient_token(
    sigstore: LoopbackSigstore, tmp_path: Path
) -> None:
    with pytest.raises(KeyUnusable, match="no CI system around us"):
        signer([], sigstore, tmp_path, 2, "&flow=ambient").seal(PAYLOAD)
    assert sigstore.server.requests == []


def test_a_gitlab_job_has_its_token_in_the_environment(
    sigstore: LoopbackSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = "gitlab.example.com/acme/app//.gitlab-ci.yml@refs/heads/main"
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv(
        "SIGSTORE_ID_TOKEN", sigstore.ci.token("project_path:acme/app", ci_config_ref_uri=job)
    )
    key = signer([], sigstore, tmp_path)
    key.seal(PAYLOAD)
    assert key.identity is not None and key.identity.identity == f"https://{job}"


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"exp": 1_000_000_000}, "the identity token is refused"),
        ({"aud": "somebody else"}, "the identity token is refused"),
        ({"iss": "https://elsewhere.example.com"}, "the certificate authority refuses"),
    ],
)
def test_a_bad_token_signs_nothing(
    sigstore: LoopbackSigstore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    claims: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", sigstore.ci.token("x", **claims))
    with pytest.raises(KeyUnusable, match=message):
        signer([], sigstore, tmp_path).seal(PAYLOAD)
    assert asked(sigstore, "rekor2") == 0


@pytest.mark.parametrize("how", ["down", "garbled", "unreachable"])
@pytest.mark.parametrize(
    ("service", "message"),
    [
        ("fulcio", "no certificate from"),
        ("rekor", "no log and timestamps"),
        ("tsa", "no timestamp came"),
    ],
)
def test_an_outage_signs_nothing_and_names_the_service(
    runner: LoopbackSigstore, tmp_path: Path, how: str, service: str, message: str
) -> None:
    unreachable = []
    if how == "unreachable":
        unreachable.append(service)
    else:
        getattr(runner.weather, how).add("rekor2" if service == "rekor" else service)
    key = signer([], runner, tmp_path, unreachable=unreachable)
    with pytest.raises(KeyUnusable, match=message) as caught:
        key.seal(PAYLOAD)
    assert "nothing was kept" in str(caught.value.hint)
    runner.weather.down.clear()
    runner.weather.garbled.clear()
    if how != "unreachable":
        assert key.seal(PAYLOAD).payload == PAYLOAD


@pytest.mark.parametrize("how", ["down", "garbled", "unreachable"])
@pytest.mark.parametrize("flow", ["browser", "device"])
def test_an_issuer_that_is_out_of_order_is_named(
    sigstore: LoopbackSigstore, tmp_path: Path, how: str, flow: str
) -> None:
    unreachable = ["oidc"] if how == "unreachable" else []
    if how != "unreachable":
        getattr(sigstore.weather, how).add("oidc")
    with pytest.raises(KeyUnusable, match="no identity token of http"):
        signer([], sigstore, tmp_path, 2, f"&flow={flow}", unreachable=unreachable).seal(PAYLOAD)


def test_services_that_never_answer_are_given_up(
    runner: LoopbackSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = signer([], runner, tmp_path)
    key.seal(PAYLOAD)
    monkeypatch.setattr(sigstore_key, "PATIENCE", 0.5)
    runner.weather.slow["rekor2"] = 30
    started = time.monotonic()
    with pytest.raises(KeyUnusable, match="no log and timestamps within"):
        key.seal(PAYLOAD)
    assert time.monotonic() - started < 20


def test_without_timestamps_a_log_that_gives_times_is_enough_and_that_is_said(
    runner: LoopbackSigstore, tmp_path: Path
) -> None:
    runner.weather.down.add("tsa")
    said: list[str] = []
    made = signer(said, runner, tmp_path, 1).seal(PAYLOAD)
    assert made.evidence.timestamps == ()
    assert any("no timestamp authority answered" in text for text in said)


def test_a_certificate_that_has_expired_already_is_not_used(
    runner: LoopbackSigstore, tmp_path: Path
) -> None:
    runner.fulcio.age = timedelta(hours=1)
    with pytest.raises(KeyUnusable, match="had expired before its use"):
        signer([], runner, tmp_path).seal(PAYLOAD)
    assert asked(runner, "rekor2") == 0


def test_what_does_not_verify_is_not_handed_out(runner: LoopbackSigstore, tmp_path: Path) -> None:
    for service, defect in (("rekor2", "proof"), ("tsa", "foreign")):
        part = getattr(runner, service)
        part.defect = defect
        with pytest.raises(KeyUnusable, match="does not verify, so it is not kept"):
            signer([], runner, tmp_path).seal(PAYLOAD)
        part.defect = "none"
    runner.fulcio.sct = "foreign"
    with pytest.raises(KeyUnusable, match="in no certificate log"):
        signer([], runner, tmp_path).seal(PAYLOAD)


def test_a_clock_that_is_ahead_of_ours_shows_before_anything_is_kept(
    runner: LoopbackSigstore, tmp_path: Path
) -> None:
    runner.weather.shifts["fulcio"] = timedelta(hours=1)
    with pytest.raises(KeyUnusable, match="does not verify") as caught:
        signer([], runner, tmp_path).seal(PAYLOAD)
    assert "clock" in str(caught.value.hint)


@pytest.mark.parametrize("rekor", [1, 2])
def test_only_digests_reach_the_second_kind_of_log_and_the_first_is_said_to_get_more(
    runner: LoopbackSigstore, tmp_path: Path, rekor: Any
) -> None:
    said: list[str] = []
    signer(said, runner, tmp_path, rekor).seal(PAYLOAD)
    everything = b"".join(request.body for _, request in runner.server.requests)
    spread = base64.b64encode(PAYLOAD)[:40]
    sent = b"secret-plan" in everything or spread in everything
    assert sent is (rekor == 1)
    assert any("is sent the statement itself" in text for text in said) is (rekor == 1)
    logs = [runner.rekor1, runner.rekor2]
    kept = b"".join(logs[rekor - 1].tree.entries)
    assert b"secret-plan" not in kept and spread not in kept


def test_nothing_is_read_asked_or_sent_before_it_signs(sigstore: LoopbackSigstore) -> None:
    key = from_uri("sigstore:?config=/nowhere/config.json&flow=device")
    assert key is not None
    assert key.uri == "sigstore:?config=/nowhere/config.json&flow=device"
    with pytest.raises(KeyUnusable, match="No such file"):
        key.seal(PAYLOAD)
    assert sigstore.server.requests == []


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "?",
        "?config=relative.json",
        "?config=",
        "staging",
        "public-good?config=/c.json",
        "?config=/c.json&consent=public-log",
        "?config=/c.json&flow=telepathy",
        "?config=/c.json&config=/d.json",
        "?config=/c.json&token=secret",
        "?config=/c.json&issuer=http://id.example.com",
        "?config",
    ],
)
def test_a_uri_that_names_no_instance_is_refused(rest: str) -> None:
    with pytest.raises(UsageError):
        from_uri(f"sigstore:{rest}")


def test_other_schemes_are_not_its_business() -> None:
    assert from_uri("file:/k.pem") is None
    assert from_uri("sigstore") is None


@pytest.mark.parametrize(
    "rest", ["public-good", "public-good?consent=yes", "public-good?flow=device"]
)
def test_the_public_log_is_used_only_by_name_and_with_consent(rest: str) -> None:
    with pytest.raises(UsageError, match="for ever and for everybody") as caught:
        from_uri(f"sigstore:{rest}")
    assert "sigstore:public-good?consent=public-log" in str(caught.value.hint)


def test_with_consent_the_public_instances_own_configuration_is_used(
    runner: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sigstore.models import ClientTrustConfig

    config = ClientTrustConfig.from_json(runner.client_trust_config_json(2).decode())
    monkeypatch.setattr(ClientTrustConfig, "production", lambda: config)
    said: list[str] = []
    key = from_uri("sigstore:public-good?consent=public-log", said.append)
    assert key is not None
    assert key.seal(PAYLOAD).payload == PAYLOAD
    assert any("everybody, for ever" in text for text in said)
    assert key.uri == "sigstore:public-good?consent=public-log"


def test_the_public_instances_embedded_configuration_can_be_read() -> None:
    from sigstore.models import ClientTrustConfig

    text = ClientTrustConfig.production(offline=True)._inner.to_json()
    assert ClientTrustConfig.from_json(text).signing_config.get_tlogs()
    root = json.dumps(json.loads(text)["trustedRoot"]).encode()
    from agentprov.sign.sigstore_root import load

    loaded = load(SigstoreRoot("public good", root, hashlib.sha256(root).hexdigest()))
    assert len(loaded.logs) >= 2 and loaded.certificate_authorities


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[]", b'{"trustedRoot": {}}'])
def test_a_configuration_that_is_none_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(data)
    key = from_uri(f"sigstore:?config={path}")
    assert key is not None
    with pytest.raises(KeyUnusable, match="not a client trust configuration"):
        key.seal(PAYLOAD)


def test_services_without_tls_are_not_spoken_to(runner: LoopbackSigstore, tmp_path: Path) -> None:
    config = runner.client_trust_config(2)
    config["signingConfig"]["caUrls"][0]["url"] = "http://fulcio.example.com"
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    key = from_uri(f"sigstore:?config={path}")
    assert key is not None
    with pytest.raises(UsageError, match="https only"):
        key.seal(PAYLOAD)
    assert runner.server.requests == []


def test_the_two_private_names_that_are_leaned_on_are_still_there() -> None:
    from sigstore import dsse
    from sigstore.errors import Error

    made = sigstore_key._statement(PAYLOAD)
    assert made._pae() == dsse._pae("application/vnd.in-toto+json", PAYLOAD)
    with pytest.raises(Error, match="gitCommit"):
        dsse.Statement(PAYLOAD)


def test_naming_a_key_imports_nothing_heavy() -> None:
    program = (
        "import sys; from agentprov.sign.sigstore_key import from_uri; "
        "from_uri('sigstore:?config=/c.json'); from_uri('file:/k.pem'); "
        "print(sorted({m.partition('.')[0] for m in sys.modules} "
        "& {'sigstore', 'pydantic', 'requests', 'cryptography', 'tuf', 'rfc3161_client'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_login_cannot_be_chosen_as_a_key_that_stays() -> None:
    from agentprov.sign.registry import resolve

    with pytest.raises(UsageError, match="no key that could be chosen"):
        resolve("sigstore:?config=/c.json")
