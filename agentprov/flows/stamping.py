"""Has signatures stamped by a timestamp authority, if the user named one.

Nobody is contacted unless a command was given ``--tsa URL``, or the user's own git configuration
(not the repository's) holds `agentprov.tsa`. What was demanded on the command line must succeed;
what is configured is tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from agentprov.errors import UsageError, UserError
from agentprov.formats.bundle import MAX_TIMESTAMP_BYTES
from agentprov.ports import CertifiedSigner, Signer
from agentprov.system.git import Git

SETTING = "agentprov.tsa"
NONE = "none"
SECONDS = 10.0


@dataclass
class Stamping:
    """Which authority to ask, and whether the signature is worth nothing without its answer.

    `why_not` says, after a signature was made, why it carries no timestamp though one was
    configured; empty where there is nothing to say.
    """

    url: str | None = None
    demanded: bool = False
    why_not: str = field(default="", init=False)

    def __call__(self, signature: bytes) -> tuple[bytes, ...]:
        """Give the timestamps (DER) for a signature; raises UserError if one was demanded."""
        if self.url is None:
            return ()
        from agentprov.sign import timestamps
        from agentprov.system import http_post

        send = partial(
            http_post.post,
            self.url,
            kind="application/timestamp-query",
            accept="application/timestamp-reply",
            limit=MAX_TIMESTAMP_BYTES,
            seconds=SECONDS,
        )
        try:
            return (timestamps.request(signature, send),)
        except UserError as error:
            if self.demanded:
                raise UserError(
                    f"no timestamp, so no signature was kept: {error.message}",
                    hint=error.hint or "try again, or leave --tsa out",
                ) from error
            self.why_not = error.message
            return ()


def chosen(git: Git, tsa: str | None, signer: Signer | CertifiedSigner) -> Stamping:
    """Choose the authority: the one of the command line, else the user's; ``none`` asks nobody.

    Who signs by certificate has the times of the instance's own authorities, and no other's count
    there. Raises UsageError for one that is named all the same.
    """
    if isinstance(signer, CertifiedSigner):
        if tsa not in (None, NONE):
            raise UsageError(
                "a Sigstore instance brings its own timestamps",
                hint="leave --tsa out, or sign with a key",
            )
        return Stamping()
    if tsa is not None:
        return Stamping() if tsa == NONE else Stamping(tsa, demanded=True)
    configured = git.text("config", "--global", "--get", SETTING, check=False).strip()
    return Stamping(configured or None)
