"""Appends to the log of what was signed on this machine.

Fails open: trouble is told to the caller, who leaves a gap, and stops nobody's run, plan or
commit. Apart from the rest of the log's flows because the recorder must not load the judge.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from agentprov.errors import AgentprovError
from agentprov.flows.world import World
from agentprov.formats import bundle, tile_log
from agentprov.sign.log_key import LogKey
from agentprov.sign.registry import local_public
from agentprov.store.signing_log import SigningLog


def log_of(world: World, *, create: bool = False) -> SigningLog:
    """Give this repository's log under this user's log key; `create` lets the key be made."""
    place = os.path.realpath(world.git.common_dir)
    seen = world.home / "log-seen" / sha256(os.fsencode(place)).hexdigest()[:32]
    key = LogKey(world.home / "keys" / "log.pem", create=create)
    return SigningLog(
        world.git.home / "log", key, seen, world.clock, lambda: _has_past(world.git.home)
    )


def _has_past(home: Path) -> bool:
    """Say whether a session was recorded in this clone that is over by now."""
    try:
        live = {*os.listdir(home / "live")}
        return any(name not in live for name in os.listdir(home / "sessions"))
    except OSError:
        return False


def append(world: World, lines: Iterable[bytes], *, missing_only: bool = False) -> str:
    """Log signed bundles; give why that was not possible, empty when it was. Raises nothing of it.

    With `missing_only`, those that the log has are left out.
    """
    try:
        entries = [entry_of(line) for line in lines]
        if entries:
            log_of(world, create=True).append(entries, missing_only=missing_only)
    except AgentprovError as error:
        return error.message
    except OSError as error:
        return str(error)
    return ""


def append_own(world: World, lines: Iterable[bytes]) -> str:
    """Log those of a session's bundles that this user's recorder signed and the log has not."""
    spki = local_public("recorder", world.home)
    hint = bundle.key_hint(spki) if spki else None
    own = [line for line in lines if bundle.parse(line).hint == hint]
    return append(world, own, missing_only=True)


def entry_of(line: bytes) -> bytes:
    """Give the log's entry for a signed bundle; raises MalformedInput."""
    parsed = bundle.parse(line)
    return tile_log.entry(parsed.payload_sha256, parsed.signature_sha256)
