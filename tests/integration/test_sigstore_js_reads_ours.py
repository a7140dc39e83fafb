"""Every kind of statement that we sign, keyed and keyless, as sigstore-js sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from agentprov.formats.statement import Statement
from agentprov.sign import public
from support import bent_bundles, sigstore_js
from support.loopback_sigstore import LoopbackSigstore
from support.story import HUMAN, RECORDER, Key, Story, seal

NO_ROOT = json.dumps(
    {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [],
        "certificateAuthorities": [],
        "ctlogs": [],
        "timestampAuthorities": [],
    }
).encode()
TOLD = Story().tell()
SAID: dict[str, tuple[Statement, Key]] = {
    "plan": (TOLD.plan, HUMAN),
    "open": (TOLD.open, RECORDER),
    "generation": (TOLD.generation, RECORDER),
    "close": (TOLD.close, RECORDER),
    "approval": (TOLD.approval(), HUMAN),
}


@pytest.fixture(scope="module")
def sigstore() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore() as instance:
        yield instance


@pytest.mark.parametrize("name", SAID)
def test_keyed_records_verify_with_their_key_and_no_other(name: str) -> None:
    statement, own = SAID[name]
    line = seal(statement, own)
    other = RECORDER if own is HUMAN else HUMAN
    assert sigstore_js.verify(line, NO_ROOT, public_key=public.to_pem(own.spki)) == "good"
    refused = sigstore_js.verify(line, NO_ROOT, public_key=public.to_pem(other.spki))
    assert "key not found" in refused.lower() or "PUBLIC_KEY" in refused
    forged = json.loads(line)
    forged["dsseEnvelope"]["payload"] = "e30="
    bent = json.dumps(forged).encode()
    assert "SIGNATURE" in sigstore_js.verify(bent, NO_ROOT, public_key=public.to_pem(own.spki))


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("name", SAID)
def test_keyless_records_verify_for_their_identity(
    sigstore: LoopbackSigstore, name: str, rekor: int
) -> None:
    signed = json.dumps(sigstore.sign(SAID[name][0].payload, rekor=rekor)).encode()  # type: ignore[arg-type]
    root = sigstore.trusted_root_json()
    assert sigstore_js.verify(signed, root, identity="jane@example.com") == "good"
    assert "UNTRUSTED" in sigstore_js.verify(signed, root, identity="joan@example.com")


def test_what_we_refuse_sigstore_js_refuses_too(sigstore: LoopbackSigstore) -> None:
    payload = TOLD.plan.payload
    bent, names = [], []
    for rekor, bend, code in bent_bundles.BENDS:
        bundle = sigstore.sign(payload, rekor=rekor)
        bend(bundle)
        bent.append(bundle)
        names.append((rekor, bend.__name__, code))
    straight = [sigstore.sign(payload, rekor=1), sigstore.sign(payload, rekor=2)]
    said = sigstore_js.verify_all([*straight, *bent], sigstore.trusted_root())
    assert said[:2] == ["good", "good"]
    accepted = [name for name, verdict in zip(names, said[2:], strict=True) if verdict == "good"]
    # It takes the tree's root from the signed checkpoint, and does not read the copy beside it.
    unread = [(1, "flip_root", "log-entry-invalid"), (2, "flip_root", "log-entry-invalid")]
    assert accepted == unread
