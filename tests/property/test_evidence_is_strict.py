"""No change to a keyless bundle makes it say something else, or makes the check stumble."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentprov.errors import EvidenceInvalid, MalformedInput
from agentprov.formats import bundle as bundles
from agentprov.formats.evidence import SigstoreRoot
from agentprov.sign import sigstore_verifier
from support.loopback_sigstore import LoopbackSigstore

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'
SIGSTORE = LoopbackSigstore()
SIGSTORE.server.close()
GOOD = {rekor: SIGSTORE.sign(PAYLOAD, rekor=rekor) for rekor in (1, 2)}  # type: ignore[arg-type]
_ROOT = SIGSTORE.trusted_root_json()
ROOT = SigstoreRoot("ours", _ROOT, hashlib.sha256(_ROOT).hexdigest())

Path = tuple[str | int, ...]


def _leaves(value: Any, path: Path = ()) -> list[Path]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for at, item in enumerate(value) for leaf in _leaves(item, (*path, at))]
    return [path]


def _bend(text: str, how: int, where: int) -> str | int | None:
    """Change one bit of what base64 says, or else the text itself."""
    try:
        raw = bytearray(base64.b64decode(text, validate=True))
    except ValueError:
        raw = bytearray()
    if raw and how < 5:
        raw[where % len(raw)] ^= 1 << (how + where) % 8
        return base64.b64encode(raw).decode()
    at = where % max(1, len(text))
    changed = chr(ord(text[at]) ^ 1 if text else 65)
    digits: list[str | int | None] = [text[:at] + changed + text[at + 1 :], text[:at], "9" * 20, 7]
    return digits[how % 4]


@given(
    st.sampled_from([1, 2]),
    st.integers(min_value=0),
    st.integers(min_value=0, max_value=9),
    st.integers(min_value=0, max_value=5_000),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_changed_the_answer_is_the_same_or_no(
    rekor: int, which: int, how: int, where: int
) -> None:
    bent = copy.deepcopy(GOOD[rekor])
    leaves = _leaves(bent)
    *parents, last = leaves[which % len(leaves)]
    place: Any = bent
    for step in parents:
        place = place[step]
    before = place[last]
    place[last] = _bend(before, how, where)
    data = json.dumps(bent).encode()
    try:
        bundle = bundles.parse(data)
        said = sigstore_verifier.identify(data, [ROOT])
    except (MalformedInput, EvidenceInvalid):
        return
    # What neither signature nor proof covers may change, and nobody reads it.
    assert (said.identity, said.issuer) == ("jane@example.com", SIGSTORE.oidc.url)
    assert bundle.payload == PAYLOAD
    unread = {"logIndex", "name", "sig", "rawBytes", "signedTimestamp", "envelope"}
    assert last in unread or place[last] == before, (last, before, place[last])


@pytest.mark.parametrize("rekor", [1, 2])
def test_no_member_can_be_left_out(rekor: int) -> None:
    for *parents, last in _leaves(GOOD[rekor]):
        bent = copy.deepcopy(GOOD[rekor])
        place: Any = bent
        for step in parents:
            place = place[step]
        del place[last]
        data = json.dumps(bent).encode()
        if last == "integratedTime":
            # The time of a v1 entry counts only with it; the timestamp is another.
            assert len(sigstore_verifier.identify(data, [ROOT]).times) == 1
            continue
        with pytest.raises(EvidenceInvalid):
            sigstore_verifier.identify(data, [ROOT])
