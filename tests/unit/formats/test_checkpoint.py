"""Checkpoints as signed notes: exact text, strict reading, names bound to keys."""

from __future__ import annotations

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats import checkpoint as notes
from agentprov.formats.checkpoint import Checkpoint

PUBLIC = bytes(range(32))
CHECKPOINT = Checkpoint("log.example/1", 20, bytes(32))
NOTE = notes.encode(CHECKPOINT, PUBLIC, b"s" * 64)


def test_the_text_is_that_of_the_specification() -> None:
    assert CHECKPOINT.body == b"log.example/1\n20\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    assert NOTE.startswith(CHECKPOINT.body + "\n\u2014 log.example/1 ".encode())
    assert NOTE.endswith(b"\n")


def test_what_was_written_is_read_back() -> None:
    found = notes.parse(NOTE)
    assert found.checkpoint == CHECKPOINT
    assert found.signed == CHECKPOINT.body
    assert found.by("log.example/1", PUBLIC) == b"s" * 64


def test_a_signature_under_another_name_or_key_is_not_found() -> None:
    found = notes.parse(NOTE)
    assert found.by("log.example/2", PUBLIC) is None
    assert found.by("log.example/1", bytes(32)) is None


def test_a_published_verifier_key_has_the_same_id() -> None:
    # The key of the Go checksum database, as `cmd/go` carries it.
    import base64

    text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    public = base64.b64decode(text.split("+", 2)[2])[1:]
    assert notes.verifier_key("sum.golang.org", public) == text


def test_more_lines_and_witnesses_are_allowed() -> None:
    body = CHECKPOINT.body + b"extension\n"
    witness = "\u2014 witness.example AAAAAAAA\n".encode()
    note = body + b"\n" + NOTE.split(b"\n\n")[1] + witness
    found = notes.parse(note)
    assert found.signed == body
    assert [item.name for item in found.signatures] == ["log.example/1", "witness.example"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        NOTE[:-1],
        NOTE.replace(b"\n20\n", b"\n020\n"),
        NOTE.replace(b"\n20\n", b"\n-1\n"),
        NOTE.replace(b"\n20\n", b"\n2\t0\n"),
        NOTE.replace(b"AAA=", b"AAA"),
        NOTE.replace(b"\nAAAA", b"\n"),
        NOTE.replace("\u2014".encode(), b"-"),
        CHECKPOINT.body + b"\n",
        CHECKPOINT.body,
        b"\xff" + NOTE,
        b"\n" + NOTE,
        NOTE + b"x" * notes.MAX_BYTES,
    ],
)
def test_anything_else_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedInput):
        notes.parse(data)
