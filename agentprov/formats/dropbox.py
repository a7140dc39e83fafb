"""The drop-box: the one file format in which hooks and the recorder meet.

One file per event. A header line, ``agentprov-drop/1 CHANNEL EVENT`` and ``\\n``, then the raw
payload to the end of the file. Writers write aside and rename, so that a reader never sees half
a file; names ending in ``.part`` are not events. Channels: ``git`` (event = hook name) and the
names of agents (event = that agent's own event name). docs/spec/dropbox.md is the page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentprov.errors import MalformedInput

MAGIC = b"agentprov-drop/1"
SUFFIX = ".drop"
MAX_DROP_BYTES = 64 * 1024 * 1024
_WORD = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Drop:
    """One event as it was dropped: who says it, what it is called, and the raw payload."""

    channel: str
    event: str
    payload: bytes


def encode(drop: Drop) -> bytes:
    """Write a drop; raises ValueError for a channel or event that is not a plain word."""
    channel, event = drop.channel.encode(), drop.event.encode()
    if not _WORD.fullmatch(channel) or not _WORD.fullmatch(event):
        raise ValueError("channel and event are words of A-Z a-z 0-9 . _ -")
    return b"%s %s %s\n%s" % (MAGIC, channel, event, drop.payload)


def decode(data: bytes) -> Drop:
    """Read a drop; raises MalformedInput. Does not look into the payload."""
    header, newline, payload = data.partition(b"\n")
    words = header.split(b" ")
    if not newline or len(words) != 3 or words[0] != MAGIC:
        raise MalformedInput("not a drop: the header line is wrong")
    if not _WORD.fullmatch(words[1]) or not _WORD.fullmatch(words[2]):
        raise MalformedInput("not a drop: channel or event is not a plain word")
    if len(payload) > MAX_DROP_BYTES:
        raise MalformedInput(f"drop larger than {MAX_DROP_BYTES} bytes")
    return Drop(words[1].decode(), words[2].decode(), payload)
