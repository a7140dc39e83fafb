"""The error tree; every error says what happened and, where there is one, the way out.

::

    AgentprovError
    ├── UserError              the user can fix it                            exit 1
    │   ├── NotARepository     no repository here, or one we cannot work in
    │   ├── GitFailed          git itself refused; its own words are the message
    │   ├── CannotStart        `run` refuses before anything was started       exit 125
    │   ├── KeyUnusable        a key cannot sign as things are
    │   │   ├── KeyMissing         there is no such key, or nothing says which
    │   │   ├── KeyExposed         others could read or exchange it
    │   │   ├── KeyDamaged         its file cannot be read as a key
    │   │   ├── KeyKindRefused     neither ECDSA P-256 nor Ed25519
    │   │   ├── KeyRotated         another key now stands where the chosen one stood
    │   │   ├── PassphraseNeeded   and nobody can be asked for it
    │   │   ├── PassphraseWrong    three times
    │   │   ├── NoAgent            no ssh-agent is named here
    │   │   ├── AgentUnreachable   it is named, and nobody answers there
    │   │   ├── AgentTimedOut      it did not answer in time
    │   │   ├── AgentGarbled       its answer is not one
    │   │   ├── AgentEmpty         it holds no key, or is locked
    │   │   ├── KeyNotInAgent      it holds others
    │   │   └── AgentRefused       it holds the key and did not sign
    │   ├── OutputFailed       what was to be printed could not be
    │   └── Busy               somebody else holds the lock
    ├── UsageError             the words of the command are off               exit 2
    ├── MalformedInput         bytes that are not what they claim to be       exit 14
    ├── EvidenceInvalid        a certificate, log entry or timestamp fails    exit 19
    ├── ConfigurationInvalid   policy or trust file missing or wrong          exit 16
    └── Interrupted            Ctrl-C                                         exit 130

Anything else that reaches the CLI is our bug (exit 3, a report file is written). Only the CLI
exits; `agentprov.cli.exit_codes` maps kinds to numbers (docs/spec/exit-codes.md).
"""

from __future__ import annotations


class AgentprovError(Exception):
    """Base of every error we raise on purpose; carries a message and an optional hint."""

    kind = "internal"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(AgentprovError):
    """Something the user can fix."""

    kind = "user"


class NotARepository(UserError):
    """There is no git work tree here that we can record in."""


class GitFailed(UserError):
    """A git command failed; the message carries git's own words."""

    def __init__(self, message: str, *, status: int = 1, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class CannotStart(UserError):
    """`agentprov run` refuses before starting the agent; nothing was started."""

    kind = "cannot-start"


class KeyUnusable(UserError):
    """A signing key cannot sign as things are."""


class KeyMissing(KeyUnusable):
    """There is no key at the place that was named, or nothing names one."""


class KeyExposed(KeyUnusable):
    """Others could read a private key, or put another in its place."""


class KeyDamaged(KeyUnusable):
    """A file that should hold a key does not."""


class KeyKindRefused(KeyUnusable):
    """A key of a kind that not every verifier reads: only ECDSA P-256 and Ed25519 sign here."""


class KeyRotated(KeyUnusable):
    """The key that a URI leads to is not the one that was chosen under this URI."""


class PassphraseNeeded(KeyUnusable):
    """A key is encrypted and there is no terminal to ask for its passphrase on."""


class PassphraseWrong(KeyUnusable):
    """No passphrase that was given opens the key."""


class NoAgent(KeyUnusable):
    """SSH_AUTH_SOCK names no ssh-agent."""


class AgentUnreachable(KeyUnusable):
    """SSH_AUTH_SOCK names a socket on which nobody answers."""


class AgentTimedOut(KeyUnusable):
    """ssh-agent did not answer in time."""


class AgentGarbled(KeyUnusable):
    """What ssh-agent answered is malformed, too large, or not a signature by the key."""


class AgentEmpty(KeyUnusable):
    """ssh-agent holds no key; a locked one looks the same from outside."""


class KeyNotInAgent(KeyUnusable):
    """ssh-agent holds keys, but not this one."""


class AgentRefused(KeyUnusable):
    """ssh-agent holds the key and would not sign: denied, or locked meanwhile."""


class OutputFailed(UserError):
    """Standard output or standard error cannot be written: a full disk, a closed descriptor."""


class Busy(UserError):
    """A lock is held by another process for longer than we wait."""


class UsageError(AgentprovError):
    """The command line does not mean anything."""

    kind = "usage"


class MalformedInput(AgentprovError):
    """Bytes that are not what they claim to be: JSON, envelope, bundle, statement, journal."""

    kind = "malformed"


class EvidenceInvalid(AgentprovError):
    """A certificate, log entry or timestamp that does not hold; `code` is the finding's code."""

    kind = "evidence"

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ConfigurationInvalid(AgentprovError):
    """A policy or trust file is missing, unreadable or wrong; gates fail closed on it."""

    kind = "configuration"


class Interrupted(AgentprovError):
    """The user pressed Ctrl-C."""

    kind = "interrupted"
