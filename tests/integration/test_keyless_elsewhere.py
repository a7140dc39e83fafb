"""Every kind of statement, signed keyless, as cosign and sigstore-js see it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentprov.formats.statement import Statement
from support import bent_bundles, foreign_verifiers, sigstore_js
from support.loopback_sigstore import LoopbackSigstore
from support.loopback_sigstore.instance import Version
from support.story import Story

TOLD = Story().tell()
KINDS: dict[str, Statement] = {
    "plan": TOLD.plan,
    "open": TOLD.open,
    "generation": TOLD.generation,
    "close": TOLD.close,
    "approval": TOLD.approval(),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
both_logs = pytest.mark.parametrize("rekor", [1, 2])


@pytest.fixture(scope="module")
def sigstore() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore() as instance:
        yield instance


class Cosign:
    """cosign with the options of docs/howto/keyless.md, a home that stays empty, and no way out."""

    def __init__(self, sigstore: LoopbackSigstore, folder: Path) -> None:
        self.program = foreign_verifiers.cosign()
        self.issuer = sigstore.oidc.url
        self.root = folder / "trusted_root.json"
        self.root.write_bytes(sigstore.trusted_root_json())
        self.bundle = folder / "record.json"
        self.home = folder / "home"
        self.home.mkdir()

    def __call__(
        self, bundle: dict[str, Any], said: Statement, identity: str = "jane@example.com"
    ) -> str | None:
        """Give what it says against a bundle, or None."""
        self.bundle.write_text(json.dumps(bundle))
        name, value = next(iter(said.subjects[0].digest.items()))
        dead = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        done = subprocess.run(
            [
                *(self.program, "verify-blob-attestation", "--bundle", self.bundle),
                *("--trusted-root", self.root, "--certificate-identity", identity),
                *("--certificate-oidc-issuer", self.issuer, "--type", said.predicate_type),
                *("--digestAlg", name, "--digest", value),
            ],
            env={"PATH": os.defpath, "HOME": str(self.home), **dead},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert list(self.home.iterdir()) == []
        return None if done.returncode == 0 else done.stderr


@pytest.fixture
def cosign(sigstore: LoopbackSigstore, tmp_path: Path) -> Cosign:
    return Cosign(sigstore, tmp_path)


@every_kind
@both_logs
def test_cosign_verifies_them_for_their_identity(
    sigstore: LoopbackSigstore, cosign: Cosign, kind: str, rekor: Version
) -> None:
    bundle = sigstore.sign(KINDS[kind].payload, rekor=rekor)
    assert cosign(bundle, KINDS[kind]) is None
    assert "no matching CertificateIdentity" in str(cosign(bundle, KINDS[kind], "joan@example.com"))


@every_kind
@both_logs
def test_sigstore_js_verifies_them_for_their_identity(
    sigstore: LoopbackSigstore, kind: str, rekor: Version
) -> None:
    signed = json.dumps(sigstore.sign(KINDS[kind].payload, rekor=rekor)).encode()
    root = sigstore.trusted_root_json()
    assert sigstore_js.verify(signed, root, identity="jane@example.com") == "good"
    assert "UNTRUSTED" in sigstore_js.verify(signed, root, identity="joan@example.com")


def bent(sigstore: LoopbackSigstore) -> dict[str, dict[str, Any]]:
    """Give a bundle for each way of bending one; our own check refuses all of them."""
    found = {}
    for rekor, bend, _ in bent_bundles.BENDS:
        found[f"v{rekor} {bend.__name__}"] = bundle = sigstore.sign(TOLD.plan.payload, rekor=rekor)
        bend(bundle)
    return found


def test_what_we_refuse_sigstore_js_refuses_too(sigstore: LoopbackSigstore) -> None:
    bundles = bent(sigstore)
    said = sigstore_js.verify_all(list(bundles.values()), sigstore.trusted_root())
    accepted = {name for name, verdict in zip(bundles, said, strict=True) if verdict == "good"}
    # It takes the tree's root from the signed checkpoint, and does not read the copy beside it.
    assert accepted == {"v1 flip_root", "v2 flip_root"}


def test_what_we_refuse_cosign_refuses_too(sigstore: LoopbackSigstore, cosign: Cosign) -> None:
    bundles = bent(sigstore)
    accepted = {name for name, bundle in bundles.items() if cosign(bundle, TOLD.plan) is None}
    # It reads the entry's index and the checkpoint's root, not the copies in the proof, and the
    # kind in the entry's body, not the one beside it. With the log's time it needs no timestamp.
    assert accepted == {"v2 flip_root", "v2 move", "v2 other_kind", "v1 flip_stamp"}
