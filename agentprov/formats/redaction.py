"""Takes secrets out of text before any of it is kept: patterns, and values known to be secret.

Two sources. *Patterns* recognise the shapes of well-known credentials. *Values* are the secrets
of this very session (values of environment variables whose names look secret); they are found
exactly, in base64 and hex, percent-encoded, JSON-escaped, and split over lines. What is taken
out becomes ``[redacted:KIND]``. A secret of unknown shape that is in no variable stays: this
lowers the risk of keeping text, it does not remove it (docs/spec/redaction.md).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from urllib.parse import quote

MIN_VALUE = 8
_SECRET_NAME = re.compile(
    r"(?i)(^|[_-])(key|token|secret|passw(or)?d|pwd|pass|credentials?|cookie|auth|authorization|"
    r"bearer|dsn|signature|private)([_-]|$|s$)|api[_-]?key|access[_-]?key"
)
# Names that look secret and hold addresses, names or our own public words.
_PLAIN_NAME = re.compile(
    r"(?i)^(ssh_auth_sock|agentprov_(?!session_token$).*|xdg_session.*|gpg_key_?id|.*_key_?id)$"
)
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "private-key",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----.*?"
            r"(-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|\Z)",
            re.S,
        ),
    ),
    ("jwt", re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")),
    ("aws-key", re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b")),
    ("github-token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})")),
    ("gitlab-token", re.compile(r"\bgl(?:pat|ptt|dt|rt|soat|cbt)-[\w-]{18,}")),
    ("slack-token", re.compile(r"\bxox[abeoprs]-[\w-]{10,}")),
    ("google-key", re.compile(r"\bAIza[\w-]{35}\b|\bya29\.[\w-]{20,}")),
    ("stripe-key", re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}")),
    ("model-key", re.compile(r"\bsk-[A-Za-z0-9_-]{12,}")),
    ("huggingface-token", re.compile(r"\bhf_[A-Za-z0-9]{20,}")),
    ("npm-token", re.compile(r"\bnpm_[A-Za-z0-9]{30,}")),
    ("pypi-token", re.compile(r"\bpypi-[\w-]{40,}")),
    ("sendgrid-key", re.compile(r"\bSG\.[\w-]{16,}\.[\w-]{16,}")),
    ("azure-key", re.compile(r"(?i)\bAccountKey=[A-Za-z0-9+/=]{40,}")),
    ("bearer", re.compile(r"(?i)\b(?:bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{12,}")),
    ("url-password", re.compile(r"(?<=://)[^\s:/@'\"]*:[^\s/@'\"]{3,}(?=@)")),
    (
        "assignment",
        re.compile(
            r"(?i)(?<![A-Za-z0-9])(?:[\w.-]*(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|"
            r"access[_-]?key|private[_-]?key|client[_-]?secret|credentials?|cookie))"
            r"[\"']?\s*(?:=>|:=|=|:)\s*\\?[\"']?(?!\[redacted)([^\s\"'\\,;&<>{}\[\]()]{6,})"
        ),
    ),
)


_NO_WORDS = frozenset(
    [
        "jwt",
        "aws-key",
        "github-token",
        "gitlab-token",
        "google-key",
        "stripe-key",
        "huggingface-token",
        "npm-token",
        "pypi-token",
        "sendgrid-key",
    ]
)


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Give the values of variables whose names look secret, longest first."""
    found = {
        value
        for name, value in environment.items()
        if len(value) >= MIN_VALUE and _SECRET_NAME.search(name) and not _PLAIN_NAME.match(name)
    }
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


@dataclass
class Redactor:
    """Redacts texts with one set of known values; counts what it took out, by kind."""

    values: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    _known: tuple[re.Pattern[str], ...] = field(init=False)

    def __post_init__(self) -> None:
        self._known = tuple(_spellings(value) for value in self.values)

    def redact(self, text: str) -> str:
        """Give the text without the secrets that can be found in it."""
        for known in self._known:
            text = known.sub(lambda _: self._mark("known-value"), text)
        for kind, pattern in _PATTERNS:
            text = pattern.sub(partial(self._replaced, kind), text)
        return text

    def redact_value(self, value: object) -> object:
        """Redact all text inside a JSON value, keys included."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {self.redact(str(key)): self._member(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.redact_value(item) for item in value]
        return value

    def _member(self, key: object, item: object) -> object:
        if isinstance(item, str) and len(item) >= MIN_VALUE and _SECRET_NAME.search(str(key)):
            return self._mark("assignment")
        return self.redact_value(item)

    def _replaced(self, kind: str, match: re.Match[str]) -> str:
        if kind == "assignment":
            whole, secret = match.group(0), match.group(1)
            return whole[: len(whole) - len(secret)] + self._mark(kind)
        return self._mark(kind)

    def _mark(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"[redacted:{kind}]"


@dataclass(frozen=True)
class SecretNames:
    """Tells file names that hold a secret: a known value, or a token that cannot be a word.

    Narrower than `Redactor`, because a name that is taken for a secret is not written down, and
    then what its file holds cannot be followed after the session.
    """

    values: tuple[str, ...] = ()

    def __call__(self, path: bytes) -> bool:
        """Say whether a path holds a secret."""
        text = path.decode("utf-8", "surrogateescape")
        return any(known.search(text) for known in self._known) or any(
            pattern.search(text) for kind, pattern in _PATTERNS if kind in _NO_WORDS
        )

    @cached_property
    def _known(self) -> tuple[re.Pattern[str], ...]:
        return tuple(_spellings(value) for value in self.values)


def _spellings(value: str) -> re.Pattern[str]:
    """Match a value as it is, split over lines, and in the encodings that tools print."""
    data = value.encode("utf-8", "surrogateescape")
    words: set[str] = {value, data.hex(), data.hex().upper(), quote(value, safe="")}
    words.add(json.dumps(value)[1:-1])
    words.update(_base64_cores(data))
    options = [_over_lines(word) for word in sorted(words, key=len, reverse=True) if word]
    return re.compile("|".join(options))


def _base64_cores(data: bytes) -> Iterable[str]:
    """Give what base64 of any text around the value must hold: the bytes at each alignment."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).decode("ascii").rstrip("=")
        start = (0, 2, 3)[shift]
        complete = (shift + len(data)) * 8 // 6
        core = encoded[start:complete]
        if len(core) >= MIN_VALUE:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def _over_lines(word: str) -> str:
    r"""Allow a line break, real or escaped, and its indentation, between any two characters."""
    gap = r"(?:\\?\r?\n[ \t]*|(?:\\r)?\\n[ \t]*)?"
    return gap.join(re.escape(char) for char in word)
