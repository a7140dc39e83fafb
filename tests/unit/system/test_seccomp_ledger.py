from __future__ import annotations

from agentprov.system.attribution import records
from agentprov.system.attribution.ledger import read
from agentprov.system.attribution.records import Entry, decode, entry
from agentprov.system.attribution.resolve import FileId, Place

SECOND = 10**9


def record(
    kind: str, path: bytes, at: int = SECOND, file: FileId | None = None, count: int = 1
) -> bytes:
    return Entry(kind, at, 7, (1, 2), file, count, path).encode()


def test_records_come_back_as_they_were_written() -> None:
    odd = b"/a b/\n\\ 1:2 \xff"
    place = Place(odd, (64, 5), FileId(64, 9, 123), 0o100644)
    (back,) = decode(entry(records.OPENED, 42, 7, place).encode())
    assert back == Entry("w", 42, 7, (64, 5), FileId(64, 9, 123), 1, odd)


def test_a_torn_record_is_left_out_and_does_not_spoil_the_next() -> None:
    whole = record(records.OPENED, b"/a")
    torn = record(records.OPENED, b"/b")[:-4]
    # The supervisor that takes over begins with a NUL.
    data = whole + torn + b"\0" + record(records.OPENED, b"/c")
    assert {b"/a", b"/c"} <= read(data).paths.keys()
    assert list(read(whole + torn).paths) == [b"/a"]


def test_times_and_calls_of_one_path_are_summed() -> None:
    data = (
        record(records.CREATED, b"/a", 5 * SECOND)
        + record(records.OPENED, b"/a", 6 * SECOND, FileId(1, 3))
        + record(records.AGAIN, b"/a", 9 * SECOND, count=4)
    )
    (touched,) = read(data).paths.values()
    assert touched == ("1970-01-01T00:00:05.000Z", "1970-01-01T00:00:09.000Z", 6)


def test_a_created_file_is_unseen_until_it_is_identified_removed_or_never_was() -> None:
    created = record(records.CREATED, b"/a")
    assert read(created).unseen == (b"/a",)
    for kind in (records.REMOVED, records.RENAMED, records.VOID):
        assert read(created + record(kind, b"/a")).unseen == ()
    known = read(created + record(records.IDENTIFIED, b"/a", file=FileId(1, 3, 5)))
    assert known.unseen == ()
    assert set(known.files) == {FileId(1, 3, 5)}


def test_a_removed_or_renamed_file_was_not_written() -> None:
    data = record(records.REMOVED, b"/a", file=FileId(1, 3)) + record(
        records.RENAMED, b"/b", file=FileId(1, 4)
    )
    known = read(data)
    assert known.files == {}
    assert set(known.names) == {(1, 2, b"a"), (1, 2, b"b")}


def test_what_was_missed_is_a_gap_and_ends_completeness() -> None:
    data = record(records.MISSED, b"why", SECOND) + record(records.MISSED, b"why", 3 * SECOND)
    known = read(data)
    assert not known.complete
    (gap,) = known.gaps
    assert (gap.start[-5:], gap.end[-5:], gap.detail) == (".000Z", ".000Z", "why")
    assert gap.start < gap.end
    assert read(record(records.OPENED, b"/a")).complete


def test_contacts_are_told_by_address() -> None:
    known = read(record(records.CONTACT, b"unix:/run/x.sock"))
    assert known.contacts == {"unix:/run/x.sock"}
    assert known.paths == {}
