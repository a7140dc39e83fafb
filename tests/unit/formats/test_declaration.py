from __future__ import annotations

import json
from typing import Any

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats import canonical, declaration

TOKEN = b"a" * 64
COMMON = {"session": "s-1", "at": "2026-01-02T03:04:05Z", "nonce": "0" * 32}
ARTIFACT = {**COMMON, "kind": "artifact", "path": "a.py", "start": 1, "end": 2, "purpose": "x"}
MODEL = {**COMMON, "kind": "model", "provider": "acme", "model": "m-1"}


def test_what_was_written_is_read_again_with_its_lines() -> None:
    payload = declaration.encode(TOKEN, ARTIFACT, b"one\ntwo")
    item = declaration.decode(TOKEN, "s-1", "artifact", payload)
    assert (item.kind, item.content, item.members["path"]) == ("artifact", b"one\ntwo", "a.py")


@pytest.mark.parametrize(
    ("token", "session", "event"),
    [(b"b" * 64, "s-1", "model"), (TOKEN, "s-2", "model"), (TOKEN, "s-1", "agent")],
)
def test_another_token_session_or_kind_is_refused(token: bytes, session: str, event: str) -> None:
    payload = declaration.encode(TOKEN, MODEL)
    with pytest.raises(MalformedInput):
        declaration.decode(token, session, event, payload)


def test_a_changed_byte_is_refused() -> None:
    payload = bytearray(declaration.encode(TOKEN, ARTIFACT, b"one\ntwo"))
    for index in range(len(payload)):
        changed = bytes(payload[:index]) + bytes([payload[index] ^ 1]) + bytes(payload[index + 1 :])
        with pytest.raises(MalformedInput):
            declaration.decode(TOKEN, "s-1", "artifact", changed)


@pytest.mark.parametrize(
    ("members", "content"),
    [
        ({**MODEL, "model": "a\nb"}, b""),
        ({**MODEL, "model": ""}, b""),
        ({**MODEL, "basis": "observed"}, b""),
        ({**MODEL, "at": "yesterday"}, b""),
        ({**MODEL, "kind": "approval"}, b""),
        (MODEL, b"lines"),
        ({**ARTIFACT, "path": "../a"}, b""),
        ({**ARTIFACT, "end": 0}, b""),
        ({**ARTIFACT, "start": 3}, b""),
        ({**ARTIFACT, "purpose": "\x1b[2J"}, b""),
        ({**ARTIFACT, "purpose": "x" * 4_001}, b""),
        (ARTIFACT, b"x" * (declaration.MAX_ARTIFACT_BYTES + 1)),
        ({**COMMON, "kind": "agent", "name": "x", "purl": "https://example.org"}, b""),
        ({**COMMON, "kind": "plan", "digest": {"sha256": "abc"}}, b""),
    ],
)
def test_what_does_not_fit_is_not_written(members: dict[str, Any], content: bytes) -> None:
    with pytest.raises(MalformedInput):
        declaration.encode(TOKEN, members, content)


def test_all_lines_of_a_session_fit_into_its_state_however_they_are_escaped() -> None:
    worst = len(json.dumps("\x01")) - 2
    assert declaration.MAX_ARTIFACTS_BYTES * worst < canonical.MAX_BYTES
