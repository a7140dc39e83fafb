"""The door: who knows the path comes in under our own Host; all others learn nothing."""

from __future__ import annotations

import base64

import pytest

from agentprov.errors import CannotStart
from agentprov.record.gateway.door import Admitted, Door, Refused, Route, Tunnel, route_to
from agentprov.record.gateway.framing import parse_request

TOKEN = "0123456789abcdef" * 2
ROUTE = Route("api.model.example", 443, True, "model")
DOOR = Door(9000, {TOKEN: ROUTE})
PROXY = Door(9000, {}, "secret", {"api.model.example:443": "model"})


def judge(line: str, *fields: str, door: Door = DOOR, inside: Route | None = None) -> object:
    text = "\r\n".join([f"{line} HTTP/1.1", *fields, "", ""])
    return door.judge(parse_request(text.encode()), inside)


def test_who_knows_the_path_is_sent_to_the_model_without_it() -> None:
    assert judge(f"POST /s/{TOKEN}/v1/messages?beta=true", "Host: 127.0.0.1:9000") == Admitted(
        ROUTE, b"/v1/messages?beta=true", b"api.model.example"
    )


@pytest.mark.parametrize("rest", ["", "?x=1"])
def test_a_bare_path_becomes_the_root(rest: str) -> None:
    verdict = judge(f"GET /s/{TOKEN}{rest}", "Host: localhost:9000")
    assert verdict == Admitted(ROUTE, f"/{rest}".encode(), b"api.model.example")


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1/messages",
        f"/s/{TOKEN[:-1]}0/v1",
        f"/s/{TOKEN}x",
        f"/s/{TOKEN.upper()}/v1",
        f"//s/{TOKEN}/",
        f"http://127.0.0.1:9000/s/{TOKEN}/v1",
        "*",
    ],
)
def test_who_does_not_know_the_path_is_not_found(target: str) -> None:
    verdict = judge(f"GET {target}", "Host: 127.0.0.1:9000")
    assert isinstance(verdict, Refused)
    assert verdict.status == 404


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("Host: evil.example:9000",),
        ("Host: 127.0.0.1:9001",),
        ("Host: 127.0.0.1",),
        ("Host: 127.0.0.1:9000", "Origin: https://evil.example"),
        ("Host: 127.0.0.1:9000", "Origin: null"),
        ("Host: 127.0.0.1:9000", "Origin: http://127.0.0.1:1"),
    ],
)
def test_a_foreign_host_or_origin_is_refused_even_with_the_path(fields: tuple[str, ...]) -> None:
    verdict = judge(f"POST /s/{TOKEN}/v1", *fields)
    assert isinstance(verdict, Refused)
    assert verdict.status == 403


def test_a_websocket_is_told_to_use_http() -> None:
    verdict = judge(f"GET /s/{TOKEN}/v1", "Host: [::1]:9000", "Upgrade: WebSocket")
    assert isinstance(verdict, Refused)
    assert verdict.status == 426
    inside = judge("GET /v1", "Host: x", "Upgrade: websocket", door=PROXY, inside=ROUTE)
    assert isinstance(inside, Refused)
    assert inside.status == 426


def _credentials(user: str, password: str) -> str:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Proxy-Authorization: Basic {pair}"


def test_a_tunnel_to_a_model_is_opened_and_another_is_passed_blind() -> None:
    good = _credentials("agentprov", "secret")
    assert judge("CONNECT API.model.example:443", good, door=PROXY) == Tunnel(ROUTE, True)
    blind = judge("CONNECT api.model.example:8443", good, door=PROXY)
    assert blind == Tunnel(Route("api.model.example", 8443, False), False)
    six = judge("CONNECT [2001:db8::1]:443", good, door=PROXY)
    assert six == Tunnel(Route("2001:db8::1", 443, False), False)


@pytest.mark.parametrize(
    ("line", "fields", "door", "status"),
    [
        ("CONNECT api.model.example:443", (), PROXY, 407),
        ("CONNECT api.model.example:443", (_credentials("agentprov", "x"),), PROXY, 407),
        ("CONNECT api.model.example", (_credentials("agentprov", "secret"),), PROXY, 400),
        ("CONNECT a:99999", (_credentials("agentprov", "secret"),), PROXY, 400),
        ("CONNECT api.model.example:443", (_credentials("agentprov", "secret"),), DOOR, 405),
        ("GET http://api.model.example/", (_credentials("agentprov", "secret"),), PROXY, 404),
    ],
)
def test_a_proxy_request_without_the_right_words_is_refused(
    line: str, fields: tuple[str, ...], door: Door, status: int
) -> None:
    verdict = judge(line, *fields, door=door)
    assert isinstance(verdict, Refused)
    assert verdict.status == status


def test_requests_in_an_opened_tunnel_keep_target_and_host() -> None:
    verdict = judge("POST /v1/x", "Host: api.model.example", door=PROXY, inside=ROUTE)
    assert verdict == Admitted(ROUTE, b"/v1/x", None)


@pytest.mark.parametrize(
    ("url", "route", "authority"),
    [
        (
            "https://api.model.example/v1",
            Route("api.model.example", 443, True),
            "api.model.example",
        ),
        ("https://h.example:8443", Route("h.example", 8443, True), "h.example:8443"),
        ("http://127.0.0.1:11434/v1", Route("127.0.0.1", 11434, False), "127.0.0.1:11434"),
        ("http://localhost", Route("localhost", 80, False), "localhost"),
        ("https://[2001:db8::1]:9/", Route("2001:db8::1", 9, True), "[2001:db8::1]:9"),
    ],
)
def test_a_base_url_says_where_to_connect(url: str, route: Route, authority: str) -> None:
    assert route_to(url) == route
    assert route_to(url).authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "http://api.model.example/v1",
        "http://10.0.0.7:8080",
        "ftp://localhost/",
        "localhost:80",
        "https://",
        "https://user:key@h.example",
        "https://h.example/?key=1",
        "https://h.example:port/",
    ],
)
def test_what_would_leak_or_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(CannotStart):
        route_to(url)
