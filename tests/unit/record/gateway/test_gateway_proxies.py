"""The user's own proxies: which one stands before a host."""

from __future__ import annotations

import base64

import pytest

from agentprov.errors import CannotStart
from agentprov.record.gateway.proxies import Proxy, proxy_for

SOME = {"HTTPS_PROXY": "http://proxy.example:3128"}


def test_https_proxy_stands_before_every_host() -> None:
    assert proxy_for("api.model.example", 443, SOME) == Proxy("proxy.example", 3128, False, None)


def test_lower_case_wins_and_https_comes_before_all() -> None:
    env = {"HTTPS_PROXY": "http://a.example:1", "https_proxy": "b.example:2"}
    found = proxy_for("x.example", 443, env)
    assert found is not None
    assert (found.host, found.port) == ("b.example", 2)
    assert proxy_for("x.example", 443, {"ALL_PROXY": "https://c.example"}) == Proxy(
        "c.example", 443, True, None
    )


def test_credentials_are_given_to_the_proxy_unquoted() -> None:
    found = proxy_for("x.example", 443, {"HTTPS_PROXY": "http://u%40x:p%3Aw@p.example:1"})
    assert found is not None
    assert found.authorization == b"Basic " + base64.b64encode(b"u@x:p:w")


@pytest.mark.parametrize(
    "rule",
    [
        "*",
        "model.example",
        ".model.example",
        "a, api.model.example",
        "api.model.example:443",
        "*.model.example",
    ],
)
def test_no_proxy_sends_a_host_direct(rule: str) -> None:
    assert proxy_for("api.model.example", 443, {**SOME, "NO_PROXY": rule}) is None


@pytest.mark.parametrize("rule", ["del.example", "api.model.example:8443", "10.0.0.0/8", ""])
def test_other_rules_leave_the_proxy_in_place(rule: str) -> None:
    assert proxy_for("api.model.example", 443, {**SOME, "NO_PROXY": rule}) is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "model.localhost"])
def test_this_machine_is_never_reached_through_a_proxy(host: str) -> None:
    assert proxy_for(host, 443, SOME) is None


def test_networks_and_addresses_are_understood_in_no_proxy() -> None:
    assert proxy_for("10.2.3.4", 443, {**SOME, "no_proxy": "10.0.0.0/8"}) is None
    assert proxy_for("fd00::1", 443, {**SOME, "no_proxy": "[fd00::1]"}) is None


@pytest.mark.parametrize("url", ["socks5://p.example:1080", "http://:1", "http://p.example:x"])
def test_a_proxy_that_cannot_be_used_is_named_before_anything_starts(url: str) -> None:
    with pytest.raises(CannotStart):
        proxy_for("x.example", 443, {"HTTPS_PROXY": url})
