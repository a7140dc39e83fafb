"""What a key is wanted for, and who may be asked on the way to it."""

from __future__ import annotations

from collections.abc import Callable

from agentprov.errors import PassphraseNeeded
from agentprov.formats.value import value

Ask = Callable[[str], str | None]
"""Puts a question to a person without echo; None where nobody can be asked."""
Say = Callable[[str], None]
ATTEMPTS = 3


@value
class KeyUse:
    """The occasion on which a key is used: its name and purpose as the person is told them.

    `expected` is the public key (SubjectPublicKeyInfo DER) that the key must have, where it is
    known; a signer then need not look for it, and refuses to sign with another.
    """

    name: str = "key"
    action: str = ""
    ask: Ask | None = None
    say: Say | None = None
    expected: bytes | None = None

    def passphrase(self, key: str, attempt: int) -> bytes:
        """Ask for a key's passphrase by name and purpose; raises PassphraseNeeded.

        `attempt` counts from 0. The answer is kept nowhere.
        """
        again = "Not that one. " if attempt else ""
        purpose = f", {self.action}" if self.action else ""
        answer = (
            self.ask(f"{again}Passphrase for the {self.name} {key}{purpose}: ")
            if (self.ask is not None)
            else None
        )
        if answer is None:
            raise PassphraseNeeded(
                f"the {self.name} {key} has a passphrase, and there is no terminal to ask for it",
                hint="run this in a terminal, or put the key into ssh-agent: "
                "`ssh-add`, then `agentprov keys use human ssh:`",
            )
        return answer.encode("utf-8", "surrogateescape")

    def tell(self, text: str) -> None:
        """Tell the person something, where there is a way to."""
        if self.say is not None:
            self.say(text)


__all__ = ["ATTEMPTS", "Ask", "KeyUse", "Say"]
