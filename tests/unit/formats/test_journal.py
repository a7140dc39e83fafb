from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprov.errors import MalformedInput
from agentprov.formats import journal


def _lines(count: int) -> list[bytes]:
    prev = journal.GENESIS
    out = []
    for seq in range(count):
        line = journal.encode_line(seq, "2026-01-01T00:00:00Z", "gap", {"why": str(seq)}, prev)
        prev = journal.digest(line)
        out.append(line)
    return out


def test_a_journal_reads_back_whole() -> None:
    lines = _lines(5)
    reading = journal.read(b"\n".join(lines) + b"\n")
    assert reading.defect is None
    assert [entry.data["why"] for entry in reading.entries] == list("01234")
    assert reading.head == journal.digest(lines[-1])


def test_a_torn_last_line_loses_only_itself() -> None:
    lines = _lines(3)
    data = b"\n".join(lines) + b"\n"
    reading = journal.read(data[:-10])
    assert len(reading.entries) == 2
    assert reading.valid_bytes == len(lines[0]) + len(lines[1]) + 2
    assert reading.defect == "the last line is not whole"


@pytest.mark.parametrize("damage", ["delete", "swap", "duplicate"])
def test_deleting_swapping_or_repeating_a_line_breaks_the_chain(damage: str) -> None:
    lines = _lines(4)
    if damage == "delete":
        del lines[1]
    elif damage == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    else:
        lines.insert(1, lines[1])
    reading = journal.read(b"\n".join(lines) + b"\n")
    assert reading.defect is not None
    assert len(reading.entries) < len(lines)


def test_every_changed_byte_of_a_small_journal_is_noticed() -> None:
    data = b"\n".join(_lines(3)) + b"\n"
    whole = journal.read(data)
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        reading = journal.read(bytes(changed))
        assert (reading.defect, reading.head) != (None, whole.head), position


@given(st.binary(max_size=300))
def test_reading_anything_raises_nothing(data: bytes) -> None:
    reading = journal.read(data)
    assert reading.valid_bytes <= len(data)


def test_an_unknown_kind_cannot_be_written() -> None:
    with pytest.raises(MalformedInput, match="unknown kind"):
        journal.encode_line(0, "2026-01-01T00:00:00Z", "rumour", {}, journal.GENESIS)
