"""The journal: one session's append-only, hash-chained event log, as JSON Lines.

Each line is canonical JSON with exactly ``at`` (RFC 3339), ``data`` (object), ``kind``,
``prev`` (sha256 hex of the line before, without its newline; 64 zeros for the first), ``seq``
(from 0) and ``v`` (format version, 1). The *head* is the digest of the last line. A chain makes
changes evident to whoever holds a later head; it prevents nothing (docs/spec/journal.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats import canonical

VERSION = 1
GENESIS = "0" * 64
KINDS = frozenset(
    {
        "session-open",
        "state",
        "agent-identified",
        "drop",
        "snapshot",
        "report",
        "commit",
        "contradiction",
        "exchange",
        "statement",
        "gap",
        "session-close",
        "transcript",
    }
)
MAX_LINE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """One journal line, decoded."""

    seq: int
    at: str
    kind: str
    data: Mapping[str, Any]
    prev: str


def encode_line(seq: int, at: str, kind: str, data: Mapping[str, Any], prev: str) -> bytes:
    """Encode one line, without its newline; raises MalformedInput for what cannot be signed."""
    if kind not in KINDS:
        raise MalformedInput(f"journal: unknown kind {kind!r}")
    return canonical.encode(
        {"at": at, "data": dict(data), "kind": kind, "prev": prev, "seq": seq, "v": VERSION}
    )


def digest(line: bytes) -> str:
    """Give the digest that the next line must carry as ``prev``."""
    return hashlib.sha256(line).hexdigest()


@dataclass(frozen=True)
class Reading:
    """What a journal's bytes hold: whole entries up to `valid_bytes`, and why it ends there.

    `defect` is None for a journal that ends cleanly after a newline.
    """

    entries: tuple[Entry, ...]
    head: str
    valid_bytes: int
    defect: str | None


def read(data: bytes) -> Reading:
    """Read a journal and check its chain, up to its last whole record.

    A torn last line (crash, full disk) is a defect that loses only itself; a line that breaks
    the chain ends the reading there. Never raises.
    """
    entries: list[Entry] = []
    head = GENESIS
    position = 0
    while position < len(data):
        end = data.find(b"\n", position)
        if end < 0:
            return Reading(tuple(entries), head, position, "the last line is not whole")
        line = data[position:end]
        try:
            entry = _decode(line)
        except MalformedInput as error:
            return Reading(tuple(entries), head, position, error.message)
        if entry.seq != len(entries):
            defect = f"line {len(entries)} has sequence {entry.seq}"
            return Reading(tuple(entries), head, position, defect)
        if entry.prev != head:
            defect = f"line {len(entries)} does not follow the line before it"
            return Reading(tuple(entries), head, position, defect)
        entries.append(entry)
        head = digest(line)
        position = end + 1
    return Reading(tuple(entries), head, position, None)


def _decode(line: bytes) -> Entry:
    value = canonical.parse(line, what="journal line", max_bytes=MAX_LINE_BYTES)
    if not isinstance(value, dict) or set(value) != {"at", "data", "kind", "prev", "seq", "v"}:
        raise MalformedInput("journal line: wrong members")
    if value["v"] != VERSION:
        raise MalformedInput(f"journal line: format version {value['v']!r} is not known here")
    shape = (
        isinstance(value["seq"], int)
        and isinstance(value["data"], dict)
        and all(isinstance(value[name], str) for name in ("at", "kind", "prev"))
    )
    if not shape or value["kind"] not in KINDS:
        raise MalformedInput("journal line: wrong kind or types")
    return Entry(value["seq"], value["at"], value["kind"], value["data"], value["prev"])
