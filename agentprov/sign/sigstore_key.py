"""Keyless signing: a key that lives for minutes, a certificate for whoever signs in, and a log.

Signing is sigstore-python's work; what is ours is which instance, with whose consent, what is
signed (our bytes, as they are), and that nothing is handed out that would not verify. Every
signature is an entry in a transparency log, so an instance is used only when it is named
(docs/howto/keyless.md). docs/adr/0011 says what we lean on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from agentprov.errors import AgentprovError, EvidenceInvalid, KeyUnusable, UsageError
from agentprov.formats import bundle as bundles
from agentprov.formats.bundle import Bundle
from agentprov.formats.evidence import CertifiedIdentity, SigstoreRoot
from agentprov.sign import oidc_login, sigstore_root
from agentprov.sign.oidc_login import Flow, Tell
from agentprov.system import files

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer

T = TypeVar("T")
SCHEME = "sigstore"
PUBLIC_GOOD = "public-good"
CONSENT = "public-log"
MAX_CONFIG_BYTES = 1024 * 1024
PATIENCE = 60.0
"""Seconds that certificate, log and timestamps may take; sigstore-python itself waits for ever."""
MARGIN = timedelta(seconds=60)
"""A certificate with less time left than this is replaced before it is used again."""
_SERVICES = ("caUrls", "oidcUrls", "rekorTlogUrls", "tsaUrls")
_FORM = "sigstore:?config=/absolute/client_trust_config.json"


@dataclass(frozen=True)
class Instance:
    """A Sigstore instance: its client trust configuration, read."""

    config: ClientTrustConfig
    root: SigstoreRoot
    issuer: str | None
    certifies: str
    log: str
    takes_statements: bool
    stamps: bool


@dataclass(frozen=True)
class Where:
    """What a ``sigstore:`` key URI names: a configuration file, or the public good instance."""

    config: Path | None = None
    issuer: str | None = None
    flow: Flow | None = None

    @property
    def uri(self) -> str:
        """Give the key URI."""
        chosen = {
            "config": os.fspath(self.config) if self.config else None,
            "issuer": self.issuer,
            "flow": self.flow,
            "consent": None if self.config else CONSENT,
        }
        query = urlencode(
            {name: value for name, value in chosen.items() if value}, quote_via=quote, safe="/:"
        )
        return f"sigstore:{'' if self.config else PUBLIC_GOOD}?{query}"


def parse(rest: str) -> Where:
    """Read what stands behind ``sigstore:`` in a key URI; raises UsageError.

    Says no to the public good instance unless the URI itself carries the consent.
    """
    name, _, query = rest.partition("?")
    try:
        pairs = parse_qsl(query, strict_parsing=True) if query else []
    except ValueError as error:
        raise UsageError(f"sigstore:{rest}: {error}", hint=_FORM) from error
    options = dict(pairs)
    unknown = set(options) - {"config", "issuer", "flow", "consent"}
    if unknown or len(options) != len(pairs):
        what = ", ".join(sorted(unknown)) or "an option twice"
        raise UsageError(f"sigstore:{rest}: {what} means nothing here", hint=_FORM)
    flow = options.get("flow")
    if flow is not None and flow not in oidc_login.FLOWS:
        raise UsageError(f"sigstore:{rest}: flow is one of {', '.join(oidc_login.FLOWS)}")
    issuer, config = options.get("issuer"), options.get("config")
    if issuer is not None:
        _require_tls(issuer)
    where = Where(Path(config) if config else None, issuer, flow)
    if name == PUBLIC_GOOD and not config:
        if options.get("consent") != CONSENT:
            raise UsageError(
                "the public good instance of Sigstore publishes, for ever and for everybody: your "
                "name as the issuer gives it (an e-mail address), the digest, the time",
                hint=f"if that is meant: sigstore:{PUBLIC_GOOD}?consent={CONSENT}",
            )
        return where
    if name or not config or not os.path.isabs(config) or "consent" in options:
        raise UsageError(
            f"sigstore:{rest}: names no Sigstore instance",
            hint=f"{_FORM}, or sigstore:{PUBLIC_GOOD}",
        )
    return where


def from_uri(uri: str, tell: Tell = lambda _: None) -> SigstoreKey | None:
    """Give the keyless signer that a key URI names; None for a URI of another scheme.

    `tell` reaches the person: what will be published where, how to sign in, and as whom it was
    signed. Raises UsageError.
    """
    scheme, colon, rest = uri.partition(":")
    return SigstoreKey(parse(rest), tell) if colon and scheme.lower() == SCHEME else None


class SigstoreKey:
    """Signs by certificate; implements CertifiedSigner.

    Nothing is read, asked or sent before the first `seal`. The certificate serves for many
    signatures; when it has less than a minute left, the next one gets another, with the same
    token while that is valid, else after signing in again.
    """

    custody = "oidc"

    def __init__(self, where: Where, tell: Tell = lambda _: None) -> None:
        self.where = where
        self.identity: CertifiedIdentity | None = None
        self._tell = tell
        self._instance: Instance | None = None
        self._token: IdentityToken | None = None
        self._signer: Signer | None = None

    @property
    def uri(self) -> str:
        """Give the key URI that names the instance; whoever signed in is in the certificate."""
        return self.where.uri

    def seal(self, payload: bytes) -> Bundle:
        """Sign a statement's bytes; gives the bundle with certificate, log entry, timestamps.

        It was verified under the instance's own root before it is given. Raises KeyUnusable:
        nobody signed in, a service does not answer or refuses, or what came does not verify.
        """
        instance = self._instance or self._announce()
        signer = self._signer or self._certify(instance)
        made = _asked("log and timestamps", lambda: signer.sign_dsse(_statement(payload)))
        left = made.signing_certificate.not_valid_after_utc - datetime.now(UTC)
        if left < MARGIN:
            self._signer = None
        return self._checked(made.to_json().encode("utf-8"), payload, instance)

    def _announce(self) -> Instance:
        instance = _read(self.where)
        reach = "everybody, for ever" if self.where.config is None else "whoever can read the log"
        also = "; this log is sent the statement itself" if instance.takes_statements else ""
        self._tell(
            f"this signature goes into the log at {instance.log}: {reach} will see who signed, "
            f"when, and the digest of what{also}"
        )
        self._instance = instance
        return instance

    def _certify(self, instance: Instance) -> Signer:
        from sigstore.sign import SigningContext

        if self._token is None or not self._token.in_validity_period():
            self._token = self._log_in(instance)
        token = self._token
        context = _asked("configuration", lambda: SigningContext.from_trust_config(instance.config))

        def certified() -> Signer:
            with context.signer(token, cache=True) as signer:
                return signer

        self._signer = _asked(f"certificate from {instance.certifies}", certified)
        return self._signer

    def _log_in(self, instance: Instance) -> IdentityToken:
        issuer = self.where.issuer or instance.issuer
        if issuer is None:
            raise KeyUnusable(
                "the configuration names no OIDC issuer", hint="name one: &issuer=https://..."
            )
        return _plainly(
            f"identity token of {issuer}",
            lambda: oidc_login.log_in(self.where.flow, issuer, self._tell),
        )

    def _checked(self, data: bytes, payload: bytes, instance: Instance) -> Bundle:
        """Verify what was made, as others will; gives it in our own spelling."""
        from agentprov.sign.sigstore_verifier import identify

        try:
            made = bundles.parse(data)
            said = identify(bundles.encode(made), [instance.root])
        except EvidenceInvalid as error:
            self._signer = None
            raise KeyUnusable(
                f"signed and logged, but it does not verify, so it is not kept: {error.message}",
                hint="check this machine's clock, and that configuration and services belong "
                "together; then sign again",
            ) from error
        if made.payload != payload:
            raise KeyUnusable("another payload came back than was signed")
        if instance.stamps and not made.evidence.timestamps:
            self._tell("no timestamp authority answered; only the log says when this was signed")
        self.identity = said
        self._tell(f"signed as {said.identity}, by the word of {said.issuer}")
        return made


def _statement(payload: bytes) -> Any:
    """Wrap our bytes for sigstore-python, whose own statements refuse git's digests.

    Leans on two names that are private there; a test and the pinned version guard it.
    """
    from sigstore.dsse import Statement

    statement = Statement.__new__(Statement)
    statement._contents = payload
    return statement


def fetch_public_good() -> bytes:
    """Fetch the public good instance's client trust configuration, over the network.

    Raises KeyUnusable.
    """
    return _asked("configuration of the public good instance", sigstore_root.public_good)


def _read(where: Where) -> Instance:
    from sigstore.errors import Error
    from sigstore.models import ClientTrustConfig

    # Its warnings go to stderr where nobody has set up logging; what matters is told by us.
    logging.getLogger("sigstore").addHandler(logging.NullHandler())
    if where.config is None:
        data = fetch_public_good()
    else:
        try:
            data = files.read_bounded(where.config, MAX_CONFIG_BYTES)
        except OSError as error:
            raise KeyUnusable(f"{where.config}: {error.strerror}") from error
    name = where.config or PUBLIC_GOOD
    try:
        text = data.decode("utf-8")
        document = json.loads(text)
        config = ClientTrustConfig.from_json(text)
        log = config.signing_config.get_tlogs()[0]
        certifies = config.signing_config.get_fulcio().url
        signing = document["signingConfig"]
        root = json.dumps(document["trustedRoot"]).encode("utf-8")
        urls = [item["url"] for kind in _SERVICES for item in signing.get(kind, ())]
    except (ValueError, LookupError, TypeError, AttributeError, Error) as error:
        raise KeyUnusable(
            f"{name}: not a client trust configuration that can sign: {error}",
            hint="it is the JSON with trustedRoot and signingConfig of a Sigstore instance",
        ) from error
    for url in urls:
        _require_tls(url)
    # Told apart by their addresses: their classes are private.
    address = str(getattr(log, "url", ""))
    issuers = signing.get("oidcUrls", ())
    return Instance(
        config=config,
        root=SigstoreRoot("signing", root, hashlib.sha256(root).hexdigest()),
        issuer=config.signing_config.get_oidc_url() if issuers else None,
        certifies=certifies,
        log=address.removesuffix("/api/v1").removesuffix("/api/v2"),
        takes_statements=address.endswith("/api/v1"),
        stamps=bool(signing.get("tsaUrls")),
    )


def _require_tls(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise UsageError(
            f"{url}: tokens and signatures go over https only", hint="correct the address"
        )


def _asked(what: str, call: Callable[[], T]) -> T:
    """Ask services, for so long and no longer; says in our words what went wrong."""
    answers: list[T] = []
    troubles: list[KeyUnusable] = []

    def run() -> None:
        try:
            answers.append(_plainly(what, call))
        except KeyUnusable as error:
            troubles.append(error)

    thread = threading.Thread(target=run, daemon=True, name=f"sigstore: {what}")
    thread.start()
    thread.join(PATIENCE)
    if troubles:
        raise troubles[0]
    if not answers:
        raise KeyUnusable(
            f"no {what} within {PATIENCE:.0f} seconds", hint="try again when the services answer"
        )
    return answers[0]


_MEANS: Mapping[str, str] = {
    "ExpiredCertificate": "the certificate had expired before its use; is the clock right?",
    "ExpiredIdentity": "the identity token has expired",
    "IdentityError": "the identity token is refused",
    "FulcioClientError": "the certificate authority refuses or is out of order",
    "RekorClientError": "the transparency log refuses or is out of order",
    "InvalidBundle": "no timestamp came, and this log gives no time of its own",
    "VerificationError": "the certificate is in no certificate log that the root names",
    "IssuerError": "the issuer refuses or is out of order",
    "NetworkError": "no connection",
    "ConnectionError": "no connection",
}


def _plainly(what: str, call: Callable[[], T]) -> T:
    """Run a call into sigstore-python; whatever it raises becomes KeyUnusable."""
    try:
        return call()
    except AgentprovError:
        raise
    except Exception as error:
        # It passes on what HTTP client, parsers and issuers raise, and wraps only some of it.
        kind = type(error).__name__
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        told = str(error) or kind
        raise KeyUnusable(
            f"no {what}: {_MEANS.get(kind, 'the answer is not understood')}: {told}{cause}",
            hint="nothing was kept; try again when the services answer, or sign with a key",
        ) from error


__all__ = [
    "CONSENT",
    "PUBLIC_GOOD",
    "SCHEME",
    "SigstoreKey",
    "Where",
    "fetch_public_good",
    "from_uri",
    "parse",
]
