"""An OpenID Connect issuer where everybody is logged in already, and CI systems' token services."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from support.loopback_sigstore.server import Answer, Refused, Request, as_json

OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
KEY_ID = "loopback"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Issuer:
    """Gives identity tokens: by authorization code with PKCE, by device code, or for the asking.

    `user` is who is logged in. `denied` makes people say no. A device code is granted after
    `pending` polls, the first `hasty` of which are told to slow down, and lasts `patience`
    seconds; without `devices` there are none.
    """

    def __init__(self, url: str, now: Callable[[], datetime], user: str) -> None:
        self.url = url
        self.user = user
        self.denied = False
        self.pending = 1
        self.hasty = 0
        self.patience = 300
        self.devices = True
        self.lifetime = timedelta(minutes=5)
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._codes: dict[str, str] = {}
        self._devices: dict[str, int] = {}

    def token(self, user: str | None = None, **claims: Any) -> str:
        """Give a signed identity token; an e-mail address becomes `email`, else only `sub`.

        Further claims replace those that would stand there; None leaves one out.
        """
        user = user or self.user
        moment = int(self._now().timestamp())
        body: dict[str, Any] = {
            "iss": self.url,
            "sub": user,
            "aud": "sigstore",
            "iat": moment,
            "nbf": moment,
            "exp": moment + int(self.lifetime.total_seconds()),
        }
        if "@" in user and "/" not in user:
            body |= {"email": user, "email_verified": True}
        body = {name: value for name, value in (body | claims).items() if value is not None}
        head = {"alg": "ES256", "kid": KEY_ID, "typ": "JWT"}
        signed = f"{_b64(json.dumps(head).encode())}.{_b64(json.dumps(body).encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def check(self, token: str) -> dict[str, Any]:
        """Give the claims of a token of ours that is good now; raises Refused."""
        try:
            head, body, signature = token.split(".")
            raw = _unb64(signature)
            r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
            self._key.public_key().verify(
                encode_dss_signature(r, s), f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256())
            )
            claims: dict[str, Any] = json.loads(_unb64(body))
        except (ValueError, InvalidSignature) as error:
            raise Refused("the token is not one of this issuer's", 401) from error
        if claims.get("aud") != "sigstore":
            raise Refused("the token is for somebody else", 401)
        if claims["exp"] < self._now().timestamp():
            raise Refused("the token has expired", 401)
        return claims

    def answer(self, request: Request) -> Answer:
        match request.path:
            case "/.well-known/openid-configuration":
                said = {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/auth",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/keys",
                }
                if self.devices:
                    said["device_authorization_endpoint"] = f"{self.url}/device/code"
                return as_json(said)
            case "/keys":
                return as_json({"keys": [self._jwk()]})
            case "/auth":
                return self._authorize(request)
            case "/device/code":
                return self._device_code()
            case "/token":
                return self._grant({k: v[0] for k, v in parse_qs(request.body.decode()).items()})
        raise Refused("no such page", 404)

    def _jwk(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        x, y = (_b64(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "kid": KEY_ID, "alg": "ES256", "x": x, "y": y}

    def _authorize(self, request: Request) -> Answer:
        back, state = request.query["redirect_uri"], request.query["state"]
        if self.denied:
            word = urlencode({"error": "access_denied", "state": state})
        else:
            code = secrets.token_urlsafe(8)
            self._codes[code] = request.query["code_challenge"]
            if back == OUT_OF_BAND:
                return Answer(200, code.encode(), "text/plain")
            word = urlencode({"code": code, "state": state})
        return Answer(302, b"", headers={"Location": f"{back}?{word}"})

    def _device_code(self) -> Answer:
        code = secrets.token_urlsafe(16)
        self._devices[code] = self.pending
        return as_json(
            {
                "device_code": code,
                "user_code": "WDJB-MJHT",
                "verification_uri": f"{self.url}/device",
                "verification_uri_complete": f"{self.url}/device?user_code=WDJB-MJHT",
                "expires_in": self.patience,
                "interval": 0,
            }
        )

    def _grant(self, form: dict[str, str]) -> Answer:
        if form.get("grant_type") == DEVICE_GRANT:
            code = form["device_code"]
            if code not in self._devices:
                return as_json({"error": "expired_token"}, 400)
            if self.denied:
                return as_json({"error": "access_denied"}, 400)
            self._devices[code] -= 1
            if self._devices[code] >= 0:
                self.hasty -= 1
                why = "slow_down" if self.hasty >= 0 else "authorization_pending"
                return as_json({"error": why}, 400)
        else:
            challenge = self._codes.pop(form["code"], None)
            verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
            if challenge != _b64(verifier):
                return as_json({"error": "invalid_grant"}, 400)
        token = self.token()
        # Dex gives the same kind of token twice, and clients take either.
        return as_json({"access_token": token, "token_type": "bearer", "id_token": token})


class WorkflowTokens:
    """What GitHub's runners ask for their token: a bearer secret in, an identity token out."""

    secret = "loopback-request-token"

    def __init__(self, issuer: Issuer, workflow: str) -> None:
        self.issuer = issuer
        self.workflow = workflow

    def token(self) -> str:
        reference = self.workflow.removeprefix("https://github.com/")
        repository = "/".join(reference.split("/")[:2])
        return self.issuer.token(
            f"repo:{repository}:ref:refs/heads/main", job_workflow_ref=reference
        )

    def answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"bearer {self.secret}":
            raise Refused("not a runner of ours", 401)
        if request.query.get("audience") != "sigstore":
            raise Refused("for whom?", 400)
        return as_json({"value": self.token()})
