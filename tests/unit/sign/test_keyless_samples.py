"""Records that were signed keyless once, and whose certificates are long over: they must verify."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentprov.formats import bundle as bundles
from agentprov.formats import statement as statements
from agentprov.formats.evidence import SigstoreRoot
from agentprov.sign.sigstore_verifier import identify

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "keyless"
SIGNED = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_record_of_the_first_version_still_verifies(rekor: int) -> None:
    data = (SAMPLES / "trusted_root.json").read_bytes()
    root = SigstoreRoot("samples", data, hashlib.sha256(data).hexdigest())
    line = (SAMPLES / f"plan-rekor{rekor}.json").read_bytes().rstrip(b"\n")
    said = identify(line, [root])
    assert (said.identity, said.issuer) == ("jane@example.com", "https://accounts.example.com")
    assert all(SIGNED <= time.at < SIGNED + timedelta(days=1) for time in said.times)
    parsed = bundles.parse(line)
    assert bundles.encode(parsed) == line
    assert statements.parse(parsed.payload).kind == "plan"
