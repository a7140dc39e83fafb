"""The error tree; every error says what happened and, where there is one, the way out.

::

    AgentprovError
    ├── UserError              the user can fix it                            exit 1
    │   ├── NotARepository     no repository here, or one we cannot work in
    │   ├── GitFailed          git itself refused; its own words are the message
    │   ├── CannotStart        `run` refuses before anything was started       exit 125
    │   ├── KeyUnusable        a key is missing, unreadable, or guards nothing
    │   └── Busy               somebody else holds the lock
    ├── UsageError             the words of the command are off               exit 2
    ├── MalformedInput         bytes that are not what they claim to be       exit 14
    ├── EvidenceInvalid        a certificate, log entry or timestamp fails    exit 19
    ├── ConfigurationInvalid   policy or trust file missing or wrong          exit 16
    └── Interrupted            Ctrl-C                                         exit 130

Anything else that reaches the CLI is our bug (exit 3, a report file is written). Only the CLI
exits; `agentprov.cli.exit_codes` maps kinds to numbers (DESIGN section 7).
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
    """A signing key is missing, unreadable, or readable by others."""


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
