from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentprov.formats import journal
from agentprov.record.journal import JournalWriter


class _Clock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


def test_what_is_written_reads_back_chained(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", _Clock())
    for number in range(3):
        writer.append("commit", {"sequence": number}, durable=True)
    writer.close()
    reading = journal.read((tmp_path / "j").read_bytes())
    assert reading.defect is None
    assert (reading.head, len(reading.entries)) == (writer.head, writer.length)


def test_a_full_disk_loses_entries_and_says_so_in_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(tmp_path / "j", _Clock())
    writer.append("commit", {"sequence": 1})
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        real(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert writer.append("commit", {"sequence": 2}) is None
    assert writer.append("commit", {"sequence": 3}) is None
    monkeypatch.setattr(os, "write", real)
    writer.append("commit", {"sequence": 4})
    writer.close()
    reading = journal.read((tmp_path / "j").read_bytes())
    assert reading.defect is None
    assert [entry.kind for entry in reading.entries] == ["commit", "gap", "commit"]
    assert reading.entries[1].data["why"] == "journal-write-failed"
    assert reading.entries[1].data["detail"].startswith("2 entries lost: No space left")


def test_resuming_cuts_a_torn_tail_and_goes_on_after_the_last_whole_line(tmp_path: Path) -> None:
    place = tmp_path / "j"
    writer = JournalWriter(place, _Clock())
    writer.append("commit", {"sequence": 1})
    writer.append("commit", {"sequence": 2})
    writer.close()
    place.write_bytes(place.read_bytes()[:-7])
    resumed, reading = JournalWriter.resume(place, _Clock())
    assert reading.defect == "the last line is not whole"
    resumed.append("gap", {"why": "recorder-died", "start": "s", "end": "e"})
    resumed.close()
    entries = journal.read(place.read_bytes())
    assert entries.defect is None
    assert [entry.seq for entry in entries.entries] == [0, 1]


def test_a_journal_is_not_written_through_a_symlink(tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", tmp_path / "j")
    with pytest.raises(OSError, match="symbolic"):
        JournalWriter(tmp_path / "j", _Clock())
