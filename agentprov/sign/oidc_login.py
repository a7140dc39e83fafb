"""Identity tokens for keyless signing: from the CI system around us, a browser, or a device code.

sigstore-python asks CI systems and drives browsers; the device flow (RFC 8628), for machines
without a browser, is ours, over its HTTP session. A token is kept in memory only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from agentprov.errors import KeyUnusable

if TYPE_CHECKING:
    from sigstore.oidc import IdentityToken, Issuer

Flow = Literal["ambient", "browser", "device"]
FLOWS: tuple[Flow, ...] = ("ambient", "browser", "device")
Tell = Callable[[str], None]

_CLIENT = "sigstore"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_TIMEOUT = 30
_ELSEWHERE = "sign in another way: flow=ambient in CI, flow=browser or flow=device by hand"


def log_in(flow: Flow | None, issuer: str, tell: Tell) -> IdentityToken:
    """Get a token by a flow; without one, from the CI system around us, else with a browser.

    `issuer` is the OIDC issuer's URL, for people. Blocks while a person signs in. Raises
    KeyUnusable; errors of the issuer's and of the network come as sigstore-python raises them.
    """
    from sigstore.oidc import IdentityToken, Issuer, detect_credential

    if flow in (None, "ambient"):
        raw = detect_credential()
        if raw is not None:
            return IdentityToken(raw)
        if flow == "ambient":
            raise KeyUnusable(
                "no CI system around us gives an identity token",
                hint="in GitHub Actions: `permissions: id-token: write`; in GitLab: an "
                "`id_tokens` entry SIGSTORE_ID_TOKEN with `aud: sigstore`",
            )
    if flow == "device":
        return IdentityToken(_by_device(Issuer(issuer), issuer, tell))
    try:
        return Issuer(issuer).identity_token()
    except EOFError as error:
        raise KeyUnusable(
            "there is no browser here, and nobody to type the code", hint=_ELSEWHERE
        ) from error


def _by_device(issuer: Issuer, url: str, tell: Tell) -> str:
    """Show a code, and wait until a person has entered it elsewhere."""
    session = issuer.session
    found = session.get(f"{url.rstrip('/')}/.well-known/openid-configuration", timeout=_TIMEOUT)
    endpoint = found.json().get("device_authorization_endpoint")
    if not endpoint:
        raise KeyUnusable(f"{url} knows no device codes", hint=_ELSEWHERE)
    asked = session.post(
        endpoint, data={"client_id": _CLIENT, "scope": "openid email"}, timeout=_TIMEOUT
    )
    asked.raise_for_status()
    offer = asked.json()
    where = offer.get("verification_uri_complete") or offer["verification_uri"]
    tell(f"open {where} on any device, and confirm the code {offer['user_code']}")
    deadline = time.monotonic() + float(offer.get("expires_in", 600))
    pause = max(0.05, float(offer.get("interval", 5)))
    while time.monotonic() < deadline:
        answer = session.post(
            issuer.oidc_config.token_endpoint,
            data={
                "client_id": _CLIENT,
                "grant_type": _DEVICE_GRANT,
                "device_code": offer["device_code"],
            },
            timeout=_TIMEOUT,
        )
        said: dict[str, Any] = answer.json()
        if answer.ok:
            return str(said["id_token"])
        why = said.get("error")
        if why == "slow_down":
            pause += 5
        elif why != "authorization_pending":
            raise KeyUnusable(f"{url} refuses the sign-in: {why}", hint="try again")
        time.sleep(pause)
    raise KeyUnusable("nobody confirmed the code in time", hint="try again")


__all__ = ["FLOWS", "Flow", "Tell", "log_in"]
