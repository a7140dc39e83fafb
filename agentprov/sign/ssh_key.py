"""Keys in ssh-agent: the agent signs the DSSE encoding itself, and no private key is read.

The encoding begins with ``DSSEv1 ``, which is neither an SSH login nor an SSHSIG signature, so a
signature of one kind cannot be passed off as another. An agent signs for whoever reaches its
socket: custody is ``agent``. That it asks a person before each use (``ssh-add -c``) cannot be
seen from outside; ``agent-confirm`` is the user's own word, given in the key URI.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from agentprov.errors import (
    AgentEmpty,
    AgentGarbled,
    AgentRefused,
    KeyNotInAgent,
    KeyRotated,
    KeyUnusable,
    MalformedInput,
)
from agentprov.formats import ssh_wire
from agentprov.sign import private_key, public
from agentprov.sign.key_use import KeyUse
from agentprov.sign.verifier import KeyVerifier
from agentprov.system.ssh_agent import ANSWER_SECONDS, MAX_MESSAGE, AgentConnection, connected

CONFIRM = "?confirm"
# A person may have to be found, and to find the right window.
SIGN_SECONDS = 120.0
_LIST, _LISTED, _SIGN, _SIGNED, _FAILURE = 11, 12, 13, 14, 5
_MAX_KEYS = 1_024
_IN_AGENT = "ssh-agent"


@dataclass(frozen=True)
class Identity:
    """A key that an agent holds: its public key blob, of whatever kind, and its comment."""

    blob: bytes
    comment: str

    @property
    def fingerprint(self) -> str:
        """Name the key as ``ssh-add -l`` does."""
        return ssh_wire.fingerprint(self.blob)


class AgentKey:
    """One key in ssh-agent, by its fingerprint (``SHA256:...``); implements Signer.

    Asks nothing before the first use. Every signature is verified before it is given. Raises
    KeyUnusable: NoAgent, AgentUnreachable, AgentTimedOut, AgentGarbled, AgentEmpty,
    KeyNotInAgent, AgentRefused, KeyKindRefused, KeyRotated.
    """

    def __init__(
        self,
        fingerprint: str,
        use: KeyUse | None = None,
        *,
        confirm: bool = False,
        sign_seconds: float = SIGN_SECONDS,
        list_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.fingerprint = fingerprint
        self._use = use or KeyUse()
        self._confirm = confirm
        self._sign_seconds = sign_seconds
        self._list_seconds = list_seconds

    @property
    def uri(self) -> str:
        """Give the key URI: ``ssh:`` and the fingerprint, which names one key for good."""
        return f"ssh:{self.fingerprint}" + (CONFIRM if self._confirm else "")

    @property
    def custody(self) -> str:
        """Give ``agent``, or ``agent-confirm`` where the user says so."""
        return "agent-confirm" if self._confirm else "agent"

    @cached_property
    def spki(self) -> bytes:
        """Give the public key as DER SubjectPublicKeyInfo; asks the agent unless it is known."""
        if self._use.expected is not None:
            known = ssh_wire.fingerprint(ssh_wire.blob_of(self._use.expected))
            if known != self.fingerprint:
                raise KeyRotated(
                    f"the key {self.fingerprint} is not the one that was chosen, {known}",
                    hint=f"choose it again: `agentprov keys use human '{self.uri}'`",
                )
            return self._use.expected
        return self.look_up()

    def look_up(self) -> bytes:
        """Ask the agent whether it holds the key, and give the SubjectPublicKeyInfo of it."""
        with connected() as agent:
            return self._found_among(identities(agent, self._list_seconds))

    def sign(self, pae: bytes) -> bytes:
        """Have the agent sign; ECDSA P-256/SHA-256 (DER) or Ed25519. Raises KeyUnusable."""
        spki = self.spki
        blob = ssh_wire.blob_of(spki)
        request = bytes([_SIGN]) + ssh_wire.text(blob) + ssh_wire.text(pae) + b"\0\0\0\0"
        if len(request) > MAX_MESSAGE:
            raise KeyUnusable(
                f"the statement is too large for ssh-agent ({len(request)} bytes)",
                hint=f"ssh-agent takes {MAX_MESSAGE} bytes at most; sign with a key in a file",
            )
        if self._use.action:
            self._use.tell(
                f"ssh-agent is asked for the {self._use.name} {self.fingerprint}, "
                f"{self._use.action}"
            )
        with connected() as agent:
            reply = agent.ask(request, self._sign_seconds)
            if reply == bytes([_FAILURE]):
                self._found_among(identities(agent, self._list_seconds))
                raise AgentRefused(
                    f"ssh-agent holds {self.fingerprint} and did not sign with it",
                    hint="it was not confirmed, or the agent was locked meanwhile (`ssh-add -X`)",
                )
        signature = _signature(reply, ssh_wire.kind_of(blob))
        if not KeyVerifier().verify(spki, pae, signature):
            raise AgentGarbled(
                f"what ssh-agent gave is no signature by {self.fingerprint}",
                hint="load the key again: `ssh-add -d`, then `ssh-add`",
            )
        return signature

    def _found_among(self, held: list[Identity]) -> bytes:
        for identity in held:
            if identity.fingerprint == self.fingerprint:
                try:
                    spki = private_key.public_of(identity.blob, f"{_IN_AGENT}, {self.fingerprint}")
                    public.load(spki)
                except MalformedInput as error:
                    raise AgentGarbled(f"ssh-agent: {error.message}") from error
                return spki
        if not held:
            raise AgentEmpty(
                "ssh-agent holds no key, or is locked",
                hint="`ssh-add` adds your keys; `ssh-add -X` unlocks it",
            )
        raise KeyNotInAgent(
            f"ssh-agent does not hold the key {self.fingerprint}",
            hint="`ssh-add FILE` adds it; `ssh-add -l` lists those that are there",
        )


def identities(agent: AgentConnection, seconds: float = ANSWER_SECONDS) -> list[Identity]:
    """Ask an agent which keys it holds, of whatever kind; raises as `AgentConnection.ask` does.

    An agent that refuses the question counts as one that holds nothing, as a locked one does.
    """
    reply = agent.ask(bytes([_LIST]), seconds)
    if reply == bytes([_FAILURE]):
        return []
    try:
        reader = _reader(reply, _LISTED)
        count = reader.number()
        if count > _MAX_KEYS:
            raise MalformedInput(f"{count} keys")
        found = [
            Identity(reader.text(), reader.text().decode("utf-8", "replace")) for _ in range(count)
        ]
        reader.finish()
    except MalformedInput as error:
        raise _garbled(error) from error
    return found


def _signature(reply: bytes, kind: bytes) -> bytes:
    try:
        reader = _reader(reply, _SIGNED)
        signature = ssh_wire.signature_of(kind, reader.text())
        reader.finish()
    except MalformedInput as error:
        raise _garbled(error) from error
    return signature


def _reader(reply: bytes, wanted: int) -> ssh_wire.Reader:
    reader = ssh_wire.Reader(reply)
    if reader.take(1) != bytes([wanted]):
        raise MalformedInput(f"a reply of type {reply[0]}, not {wanted}")
    return reader


def _garbled(error: MalformedInput) -> AgentGarbled:
    return AgentGarbled(
        f"ssh-agent's answer cannot be read: {error.message}",
        hint="what SSH_AUTH_SOCK names is perhaps no ssh-agent; `ssh-add -l` asks it, too",
    )


__all__ = ["CONFIRM", "AgentKey", "Identity", "identities"]
