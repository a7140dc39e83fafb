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

from agentprov.errors import KeyUnusable, UserError
from agentprov.flows.sessions import find
from agentprov.formats import exchange
from agentprov.formats.redaction import Redactor, secret_values
from agentprov.record.session import SessionDirectory
from agentprov.record.spool import Dropped
from agentprov.sign import file_key
from agentprov.sign.registry import key_path
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

    With `encrypt`, to this user's transcript key, which is made when there is none: the human's
    key is used for no other purpose, and may stand in an agent, which decrypts nothing. Raises
    KeyUnusable, OSError.
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
        file_key.create(_key_path(home))
        atomic_write(place, seal_to(file_key.FileKey(_key_path(home)).spki, plain))
    else:
        atomic_write(place, plain)
    return Kept(place, sha256(plain).hexdigest(), redactor.counts)


def read(home: Path, repository_home: Path, session: str) -> bytes:
    """Give a kept transcript, decrypted with this user's own key where it is encrypted.

    `session` may be the first digits of its id. Raises UserError when none was kept, KeyUnusable.
    """
    found = find(repository_home, session).path
    for name in (PLAIN, SEALED):
        place = found / name
        if place.is_file():
            data = read_bounded(place, MAX_BYTES)
            return data if name == PLAIN else _opened(home, data)
    raise UserError(
        f"session {found.name} kept no transcript",
        hint="run with `--keep transcript` to keep one",
    )


def _key_path(home: Path) -> Path:
    return home / "keys" / "transcript.pem"


def _opened(home: Path, sealed: bytes) -> bytes:
    """Decrypt with the transcript key, or with the human key that older versions encrypted to."""
    former = key_path("human", home)
    try:
        return open_with(_key_path(home), sealed)
    except KeyUnusable:
        if file_key.FileKey(former).custody != "file" or not former.is_file():
            raise
        return open_with(former, sealed)
