"""The stored form of a bundle: gives back the very line, and is one spelling of one record."""

from __future__ import annotations

import base64
import hashlib
import json
import random

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats import bundle, canonical, packed
from agentprov.formats.bundle import Bundle
from agentprov.formats.evidence import Evidence
from agentprov.formats.packed_texts import GIT_ID, HALF, LATE, SHA256, TEXTS
from agentprov.store import lines
from support.story import Story

STORY = sorted(Story().tell().lines().values())


def around(payload: bytes, **more: object) -> bytes:
    return bundle.encode(Bundle(payload, b"0" * 71, "aGludA==", **more))  # type: ignore[arg-type]


def test_every_kind_of_statement_comes_back_byte_for_byte_and_is_smaller() -> None:
    for line in STORY:
        stored = packed.pack(line)
        assert len(stored) < len(line) * 2 / 3
        assert packed.unpack(stored) == line
        # One self-contained JSON line, as other programs expect of a note.
        assert set(json.loads(stored)) == {"agentprov", "seal", "statement"}
        assert b"\n" not in stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "~~0~1~",
        "it's",
        "''",
        '"',
        "back\\slash",
        "\\u0041 \\n",
        "a" * 40,
        "0" * 64,
        "0123456789abcdef" * 4 + "0",
        "ABCDEF" * 11,
        "é 漢字 \U0001f600",
        "\x7f",
        '","sequence":',
        '{"gitBlob":"' + "ab" * 20,
        '{"added":"' + "ab" * 16,
        '{"added":"' + "ab" * 16 + '","gitBlob":"' + "cd" * 20,
        '{"added":"' + "ab" * 17,
        '~{"ref',
        "~,~/~]~{~}",
    ],
)
def test_no_text_in_a_payload_is_taken_for_a_mark(text: str) -> None:
    payload = canonical.encode({"a": text, text: [1, text]})
    line = around(payload)
    assert packed.unpack(packed.pack(line)) == line


def test_random_payloads_come_back() -> None:
    chance = random.Random(5)
    pieces = ["~", "'", '"', "\\", "{", "}", "7", "8", "0", "a", "Z", "é", "ab" * 20, "0f" * 32]
    pieces += [text.decode() for text, _ in TEXTS.values()]
    for _ in range(3_000):
        payload = "".join(chance.choices(pieces, k=chance.randrange(1, 12))).encode()
        line = around(payload)
        assert packed.unpack(packed.pack(line)) == line


def test_certificates_timestamps_and_log_entries_come_back() -> None:
    payload = canonical.encode({"a": 1})
    stamped = around(payload, evidence=Evidence(timestamps=(b"stamp" * 40, b"other")))
    keyless = bundle.encode(Bundle(payload, b"s" * 70, None, evidence=Evidence(b"cert" * 90)))
    for line in (stamped, keyless):
        assert packed.unpack(packed.pack(line)) == line != packed.pack(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no bundle",
        b'{"dsseEnvelope":{"payload":"not base64!","payloadType":"x"}}',
        b'{"dsseEnvelope":{"payload":"QQ=","payloadType":"x"}}',
        b'{"dsseEnvelope":{"payload":"QR==","payloadType":"x"}}',
        b'{"dsseEnvelope":{"payload":"/w==","payloadType":"x"}}',
        b'{"dsseEnvelope":{"payload":"Cg==","payloadType":"x"}}',
        b'{"dsseEnvelope":{"payload":"QQ==","payloadType":"\t"}}',
        b'{"dsseEnvelope":{"payload":"QQ==","payloadType":"\xff"}}',
        b'{ "dsseEnvelope":{"payload":"QQ==","payloadType":"x"}}',
    ],
)
def test_what_would_not_come_back_is_stored_as_it_is(line: bytes) -> None:
    assert packed.pack(line) == line
    assert packed.unpack(line) == line
    assert lines.split(lines.join([line])) == ({line} if line.strip() else set())


STORED = packed.pack(STORY[0])


@pytest.mark.parametrize(
    "line",
    [
        STORED + b" ",
        STORED[:-1],
        STORED.replace(b'"seal"', b'"Seal"'),
        STORED[:-1] + b',"more":1}',
        STORED.replace(b'{"agentprov":1,', b'{"agentprov":1, '),
        STORED[:-2] + b'~"}',
        STORED[:-2] + b'~,"}',
        STORED[:-2] + b'~\xc3"}',
        STORED[:-2] + b'~8AAAA"}',
        STORED[:-2] + b"~7" + b"A" * 26 + b'B"}',
        STORED[:-2] + b"~8" + b"A" * 42 + b'B"}',
        STORED[:-2] + b"~8" + b"!" * 42 + b'A"}',
        STORED[:-2] + b"~," + b"A" * 21 + b'E"}',
        STORED[:-2] + b"~," + b"A" * 20 + b'"}',
        STORED[:-2] + b'\\n"}',
        STORED[:-2] + b'\t"}',
        STORED.replace(b'"statement":"', b'"statement":"","statement":"'),
    ],
)
def test_what_claims_the_form_and_does_not_keep_to_it_is_malformed_and_kept(line: bytes) -> None:
    with pytest.raises(MalformedInput):
        packed.unpack(line)
    assert lines.split(line) == {line}
    assert lines.split(lines.join([line])) == {line}
    with pytest.raises(MalformedInput):
        bundle.parse(line)


def test_another_version_of_the_form_is_kept_line_for_line() -> None:
    later = STORED.replace(b'"agentprov":1', b'"agentprov":2')
    assert packed.unpack(later) == later
    assert lines.split(lines.join([later, STORY[0]])) == {later, STORY[0]}


def test_a_line_does_not_grow_without_bound() -> None:
    bomb = b'{"agentprov":1,"seal":"","statement":"' + b"~A" * 200_000 + b'"}'
    with pytest.raises(MalformedInput, match="longer than a bundle"):
        packed.unpack(bomb)


def test_two_spellings_of_one_record_are_one_record() -> None:
    """What was stored before, packed, or packed by somebody who leaves marks out, is one line."""
    line = STORY[0]
    seal, statement = (json.loads(STORED)[key] for key in ("seal", "statement"))
    spelled = statement.replace("~A", TEXTS[b"A"][0].decode().replace('"', "'"))
    other = json.dumps({"agentprov": 1, "seal": seal, "statement": spelled}, separators=(",", ":"))
    body = b"\n".join([line, STORED, other.encode()])
    assert lines.split(body) == {line}
    assert lines.join(lines.split(body)) == STORED + b"\n"


def test_no_changed_byte_gives_the_same_bundle() -> None:
    for line in STORY:
        stored = packed.pack(line)
        for index, byte in enumerate(stored):
            for value in {byte ^ 0x01, byte ^ 0x20, ord("'"), ord("~")} - {byte}:
                other = stored[:index] + bytes([value]) + stored[index + 1 :]
                try:
                    assert packed.unpack(other) != line, index
                except MalformedInput:
                    continue


def test_the_table_is_frozen() -> None:
    """Stored lines need every mark for ever: another table is another version of the form."""
    early = TEXTS.keys() - {b"0", b"1"} - {bytes([one]) for one in LATE}
    assert not {text[:1] for text, _ in TEXTS.values() if text} & early
    told = repr(sorted(TEXTS.items())).encode()
    assert hashlib.sha256(told).hexdigest() == FROZEN


def test_digests_of_added_lines_and_what_stands_around_them_are_marks() -> None:
    payload = b'{"added":"%b","gitBlob":"%b","repository":"git+https://github.com/a' % (
        b"ab" * 16,
        b"cd" * 20,
    )
    stored = packed.pack(around(payload))
    half, blob = (base64.b64encode(byte * n) for byte, n in ((b"\xab", 16), (b"\xcd", 20)))
    assert b'"~,%b~/%b~}a"' % (half[:22], blob[:27]) in stored
    assert packed.payload(stored) == payload


def test_digits_that_may_be_stored_in_base64_are_not_sought() -> None:
    assert packed.sought(b"ab" * 16) == ()


def test_a_line_that_was_stored_with_the_first_table_still_reads() -> None:
    stored = (
        b'{"agentprov":1,"seal":"~3c2ln~4aGludA==~5","statement":"~Aclaude-code\'~Ban6WcVbzhSlX4Lk'
        b"kfh1V4VOQEj6GyV0lz9MsHs2pYcQ~C" + b"A" * 27 + b'~oit~1s ~02~r"}'
    )
    found = json.loads(packed.unpack(stored))
    payload = base64.b64decode(found["dsseEnvelope"]["payload"])
    assert payload.startswith(b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"build')
    assert b'"},"name":"session-attestation"},{"digest":{"gitCommit":"' + b"0" * 40 in payload
    assert payload.endswith(b'"},"name":"it\'s ~2"}]}')
    assert found["dsseEnvelope"]["signatures"] == [{"sig": "c2ln"}]
    assert found["verificationMaterial"]["publicKey"] == {"hint": "aGludA=="}


FROZEN = "f92b0e9e544c909a70c96d9bd86ffcbe1a19d73ccfd4ce9b0cd46fcab5f61647"


@pytest.mark.parametrize(
    "word",
    [
        "https://agentprov.github.io/approval/v0.1",
        "https://agentprov.github.io/plan/v0.1",
        "https://agentprov.github.io/rewrite/v0.1",
        "5f09d1b4-dda8-4b27-8b9a-c7ace202ccac",
        "0123456789abcdef0123456789abcdef01234567",
        "refs/heads/a-branch",
    ],
)
def test_what_is_sought_stands_in_every_packed_line_that_holds_the_word(word: str) -> None:
    sought = packed.sought(word.encode())
    assert sought
    marks = [text.decode() for text, _ in TEXTS.values() if b'"' in text]
    # Marks that begin before the word, or end after it, hide as much of it as they can.
    befores = ['{"a":"', *(mark.rpartition('"')[0] + '"' for mark in marks)]
    afters = ['"}', *('"' + mark.partition('"')[2] for mark in marks)]
    texts = [f"{before}{word}{after}" for before in befores for after in afters]
    # And some hold all of it, each with the digest that belongs to it.
    digits = {0: "", HALF: "ab" * 16, GIT_ID: "ab" * 20, SHA256: "ab" * 32}
    texts += [
        text.decode() + digits[width]
        for text, width in TEXTS.values()
        if f'"{word}"'.encode() in text
    ]
    for text in texts:
        stored = packed.pack(around(text.encode()))
        assert packed.is_packed(stored)
        assert packed.payload(stored) == text.encode()
        assert any(one in stored for one in sought), (text, stored)


@pytest.mark.parametrize("word", ["short", "it's", "~x" * 9, "ab" * 32, "id-" + "ab" * 20])
def test_words_that_can_be_spelled_in_many_ways_are_not_sought(word: str) -> None:
    assert packed.sought(word.encode()) == ()
