"""Signing in by device code: what a person is told, and every way in which it ends."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from agentprov.errors import KeyUnusable
from agentprov.sign import oidc_login
from support.loopback_sigstore import LoopbackSigstore


@pytest.fixture
def sigstore() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore() as instance:
        yield instance


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the pauses between polls, which take no time here."""
    taken: list[float] = []
    clock = SimpleNamespace(sleep=taken.append, monotonic=time.monotonic)
    monkeypatch.setattr(oidc_login, "time", clock)
    return taken


def test_polls_wait_as_long_as_the_issuer_wants(
    sigstore: LoopbackSigstore, pauses: list[float]
) -> None:
    sigstore.oidc.pending, sigstore.oidc.hasty = 4, 2
    said: list[str] = []
    token = oidc_login.log_in("device", sigstore.oidc.url, said.append)
    claims = json.loads(urlsafe_b64decode(str(token).split(".")[1] + "=="))
    assert claims["email"] == "jane@example.com"
    assert pauses == [5.05, 10.05, 10.05, 10.05]
    assert said == [
        f"open {sigstore.oidc.url}/device?user_code=WDJB-MJHT on any device, and confirm the "
        "code WDJB-MJHT"
    ]


def test_a_code_that_nobody_confirms_ends_the_wait(
    sigstore: LoopbackSigstore, pauses: list[float]
) -> None:
    sigstore.oidc.patience = 0
    with pytest.raises(KeyUnusable, match="nobody confirmed the code in time"):
        oidc_login.log_in("device", sigstore.oidc.url, print)


def test_an_issuer_without_device_codes_says_what_else_there_is(
    sigstore: LoopbackSigstore,
) -> None:
    sigstore.oidc.devices = False
    with pytest.raises(KeyUnusable, match="knows no device codes") as caught:
        oidc_login.log_in("device", sigstore.oidc.url, print)
    assert "flow=browser" in str(caught.value.hint)


def test_a_refusal_names_its_reason(sigstore: LoopbackSigstore, pauses: list[float]) -> None:
    sigstore.oidc.denied = True
    with pytest.raises(KeyUnusable, match="access_denied"):
        oidc_login.log_in("device", sigstore.oidc.url, print)
