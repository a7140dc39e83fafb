"""What a session's channels said, kept on request: redacted, and encrypted if asked.

Never published, never part of a statement: the journal holds the file's digest, so that a
transcript that is shown later can be held against the signed record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from agentprov.errors import UserError
from agentprov.flows.sessions import find
from agentprov.formats import exchange
from agentprov.formats.redaction import Redactor, secret_values
from agentprov.record.session import SessionDirectory
from agentprov.record.spool import Dropped
from agentprov.sign.registry import key_path, local_public, signer_for
from agentprov.sign.sealed_text import open_with, seal_to
from agentprov.system.files import atomic_write, read_bounded

MAX_BYTES = 1024 * 1024 * 1024
PLAIN, SEALED = "transcript.jsonl", "transcript.jsonl.hpke"


@dataclass(frozen=True)
class Kept:
    """A transcript that was kept: the digest of its plain text, and what was taken out of it."""

    place: Path
    sha256: str
    redactions: Mapping[str, int]


def keep(
    directory: SessionDirectory,
    drops: Iterable[Dropped],
    environment: Mapping[str, str],
    home: Path,
    *,
    encrypt: bool,
) -> Kept:
    """Keep everything that was dropped, without the secrets that can be found in it.

    With `encrypt`, to the local human key, which is made when there is none. Raises KeyUnusable,
    OSError.
    """
    redactor = Redactor(secret_values(environment))
    lines = []
    for item in drops:
        payload_bytes = item.drop.payload
        if item.drop.channel == exchange.CHANNEL:
            payload_bytes = exchange.unsealed(payload_bytes)
        text = payload_bytes.decode("utf-8", "replace")
        try:
            payload = redactor.redact_value(json.loads(text))
        except (ValueError, RecursionError):
            payload = redactor.redact(text)
        line = {"channel": item.drop.channel, "event": item.drop.event, "payload": payload}
        # Once more as a whole: a secret may have been put together from several members.
        lines.append(redactor.redact(json.dumps(line, ensure_ascii=False)))
    plain = "".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass")
    place = directory.path / (SEALED if encrypt else PLAIN)
    if encrypt:
        signer_for("human", home)
        spki = local_public("human", home)
        assert spki is not None
        atomic_write(place, seal_to(spki, plain))
    else:
        atomic_write(place, plain)
    return Kept(place, sha256(plain).hexdigest(), redactor.counts)


def read(home: Path, repository_home: Path, session: str) -> bytes:
    """Give a kept transcript, decrypted with the local human key where it is encrypted.

    `session` may be the first digits of its id. Raises UserError when none was kept, KeyUnusable.
    """
    found = find(repository_home, session).path
    for name in (PLAIN, SEALED):
        place = found / name
        if place.is_file():
            data = read_bounded(place, MAX_BYTES)
            return data if name == PLAIN else open_with(key_path("human", home), data)
    raise UserError(
        f"session {found.name} kept no transcript",
        hint="run with `--keep transcript` to keep one",
    )
