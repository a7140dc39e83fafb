"""The human's signer for one occasion: the chosen key, or the one that was named for it."""

from __future__ import annotations

from pathlib import Path

from agentprov.errors import UserError
from agentprov.ports import CertifiedSigner, Signer
from agentprov.sign import sigstore_key
from agentprov.sign.key_use import Ask, KeyUse, Say
from agentprov.sign.registry import local_public, resolve, signer_for


def human_signer(
    home: Path, uri: str | None, action: str, *, ask: Ask | None = None, say: Say | None = None
) -> Signer | CertifiedSigner:
    """Give the signer of a person, by default the human key of this user.

    `action` completes "the human key is wanted ..." ("to sign the plan PLAN.md"); `ask` puts a
    question to the person without echo, `say` tells them something. The key is used, and a
    passphrase asked for, only when something is signed. Raises UserError for the recorder's key,
    UsageError for what is no key URI, KeyUnusable. That no run is around us is checked before.
    """
    use = KeyUse("human key", action, ask, say)
    if uri is None:
        return signer_for("human", home, use=use)
    keyless = sigstore_key.from_uri(uri, use.tell)
    if keyless is not None:
        return keyless
    signer = resolve(uri, use)
    if signer.spki == local_public("recorder", home):
        raise UserError(
            "the recorder's key cannot sign for a person", hint="leave --key out, or name another"
        )
    return signer


__all__ = ["human_signer"]
