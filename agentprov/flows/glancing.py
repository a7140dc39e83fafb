"""Glances at lines of notes: what can be told of them without reading them strictly."""

from __future__ import annotations

import binascii
import re

from agentprov.formats.names import AGENT_SESSION_BUILD
from agentprov.verify.record import Unopened

_PAYLOAD = re.compile(rb'"payload"[ \t]*:[ \t]*"([^"]*)"')
# A generation's place in its session, in the spelling in which we write it; compiled when needed.
_PLACE = (
    rb'"agentprov_commit":\{(?:"during":[a-z]+,)?"gitCommit":"([0-9a-f]+)","gitTree":"[0-9a-f]+",'
    rb'"parents":\["[0-9a-f",]*\],(?:"part":([1-9][0-9]{0,8}),"parts":[0-9]+,)?'
    rb'(?:"patchId":"[0-9a-f]+",)?"repository":"[^"]*","sequence":([1-9][0-9]{0,8})\}'
    rb'(?:,"agentprov_unknown":\[[^\]]*\])?,"invocationId":"([^"]*)"'
)
_KEYS = (
    b'"agentprov_commit"',
    b'"invocationId"',
    b'"predicateType"',
    b'"%b"' % AGENT_SESSION_BUILD.encode(),
)


def place_of(payload: bytes) -> tuple[str, Unopened] | None:
    """Give the commit and the place that a generation claims, if a glance can tell.

    Each member is there once and as we write it, so that whoever reads strictly finds the same.
    """
    found = re.findall(_PLACE, payload)
    if len(found) != 1 or any(payload.count(key) != 1 for key in _KEYS):
        return None
    commit, part, sequence, session = found[0]
    return commit.decode(), Unopened(session.decode(), int(sequence), int(part or 1))


def glance(line: bytes) -> bytes | None:
    """Give the payload of a bundle's line where a glance is as good as reading, else None.

    With no escape in either text, a member's name and a word stand there as they are. One that is
    no bundle may be taken for one here, and is refused when it is read.
    """
    if b"\\" in line:
        return None
    found = _PAYLOAD.findall(line)
    if len(found) != 1:
        return None
    try:
        payload = binascii.a2b_base64(found[0], strict_mode=True)
    except binascii.Error:
        return None
    return None if b"\\" in payload else payload
