"""The log on disk: it grows, survives being killed anywhere, and shows what was done to it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentprov.errors import Busy
from agentprov.formats import checkpoint as notes
from agentprov.sign.log_key import LogKey
from agentprov.store import signing_log
from agentprov.store.signing_log import LogBroken, SigningLog
from agentprov.system import files


def entry(number: int) -> bytes:
    return hashlib.sha512(b"%d" % number).digest()


def entries(first: int, past: int) -> list[bytes]:
    return [entry(number) for number in range(first, past)]


@pytest.fixture
def log(tmp_path: Path) -> SigningLog:
    key = LogKey(tmp_path / "keys" / "log.pem", create=True)
    return SigningLog(tmp_path / "log", key, tmp_path / "elsewhere" / "seen")


def broken(log: SigningLog) -> str:
    with pytest.raises(LogBroken) as caught:
        log.view()
    return caught.value.code


def test_what_was_appended_is_included_and_nothing_else(log: SigningLog) -> None:
    assert log.view() is None
    log.append(entries(0, 3))
    log.append(entries(3, 300))
    view = log.view()
    assert view is not None
    assert view.checkpoint.size == 300
    assert all(view.includes(item) for item in entries(0, 300))
    assert not view.includes(entry(300))
    view.audit()


def test_an_entry_that_is_there_is_left_out_if_that_is_wanted(log: SigningLog) -> None:
    log.append(entries(0, 3))
    assert log.append(entries(0, 4), missing_only=True).size == 4
    assert log.append(entries(0, 4), missing_only=True).size == 4


def test_reading_makes_no_key_and_writes_nothing(log: SigningLog, tmp_path: Path) -> None:
    log.append(entries(0, 3))
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    view = SigningLog(tmp_path / "log", LogKey(tmp_path / "keys" / "log.pem"), log.seen_path).view()
    assert view is not None
    assert view.includes(entry(2))
    assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before


def test_the_log_is_private(log: SigningLog) -> None:
    log.append(entries(0, 3))
    assert log.directory.stat().st_mode & 0o077 == 0
    assert (log.directory / "checkpoint").stat().st_mode & 0o077 == 0


def test_a_log_that_was_cut_off_is_a_rollback(log: SigningLog, tmp_path: Path) -> None:
    log.append(entries(0, 5))
    shutil.copytree(log.directory, tmp_path / "copy")
    log.append(entries(5, 7))
    shutil.rmtree(log.directory)
    shutil.copytree(tmp_path / "copy", log.directory)
    assert broken(log) == "log-rollback"
    with pytest.raises(LogBroken, match="7 entries"):
        log.append(entries(7, 8))
    # Nothing that tells of it was overwritten.
    assert broken(log) == "log-rollback"


def test_a_log_that_is_gone_is_a_rollback(log: SigningLog) -> None:
    log.append(entries(0, 5))
    shutil.rmtree(log.directory)
    assert broken(log) == "log-rollback"


def test_a_log_that_was_begun_afresh_is_a_rollback(log: SigningLog, tmp_path: Path) -> None:
    log.append(entries(0, 5))
    shutil.rmtree(log.directory)
    SigningLog(tmp_path / "log", log.key, tmp_path / "other").append(entries(0, 9))
    assert broken(log) == "log-rollback"


def test_two_logs_by_one_name_are_a_split_view(log: SigningLog, tmp_path: Path) -> None:
    log.append(entries(0, 5))
    shutil.copytree(log.directory, tmp_path / "copy")
    kept = log.seen_path.read_bytes()
    log.append(entries(5, 7))
    ours = log.seen_path.read_bytes()
    # The same key signs another continuation, longer than the first.
    shutil.rmtree(log.directory)
    shutil.copytree(tmp_path / "copy", log.directory)
    log.seen_path.write_bytes(kept)
    log.append(entries(100, 110))
    log.seen_path.write_bytes(ours)
    assert broken(log) == "log-split-view"


def test_a_checkpoint_from_elsewhere_is_compared_too(log: SigningLog, tmp_path: Path) -> None:
    log.append(entries(0, 5))
    early = log.read(log.seen_path.read_bytes(), "kept")
    log.append(entries(5, 300))
    assert log.view([("kept", early)]) is not None
    shutil.rmtree(log.directory)
    log.seen_path.unlink()
    log.append(entries(0, 9))
    with pytest.raises(LogBroken, match="kept is of another log"):
        log.view([("kept", early)])


def test_entries_or_hashes_that_were_changed_are_damage(log: SigningLog) -> None:
    log.append(entries(0, 200))
    for path in (log.directory / "tile/entries/000.p/200", log.directory / "tile/0/000.p/200"):
        data = bytearray(path.read_bytes())
        data[40] ^= 1
        path.write_bytes(data)
    assert broken(log) == "log-damaged"


def test_changed_entries_alone_are_found_by_the_audit_and_prove_nothing(log: SigningLog) -> None:
    log.append(entries(0, 300))
    path = log.directory / "tile/entries/001.p/44"
    forged = bytearray(path.read_bytes())
    forged[2:66] = entry(999)
    path.write_bytes(forged)
    view = log.view()
    assert view is not None
    assert not view.includes(entry(999))
    with pytest.raises(LogBroken, match="do not give the root"):
        view.audit()


def test_changed_hashes_of_a_full_tile_are_found_by_the_audit(log: SigningLog) -> None:
    log.append(entries(0, 300))
    path = log.directory / "tile/0/000"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    view = log.view()
    assert view is not None
    with pytest.raises(LogBroken, match="tile/0/000"):
        view.audit()
    path.write_bytes(b"")
    assert not view.includes(entry(300))
    found = log.view()
    assert found is not None
    assert not found.includes(entry(3))


def test_hashes_that_were_lost_are_made_again_from_the_entries(log: SigningLog) -> None:
    log.append(entries(0, 300))
    for path in (log.directory / "tile").rglob("*"):
        if path.is_file() and "entries" not in path.parts:
            path.write_bytes(b"")
    view = log.view()
    assert view is not None
    assert view.includes(entry(7))
    assert log.append([entry(300)]).size == 301
    found = log.view()
    assert found is not None
    found.audit()


def test_a_checkpoint_by_another_key_is_refused(log: SigningLog, tmp_path: Path) -> None:
    log.append(entries(0, 3))
    other = LogKey(tmp_path / "keys" / "other.pem", create=True)
    head = notes.parse((log.directory / "checkpoint").read_bytes()).checkpoint
    forged = notes.encode(head, log.key.public, other.sign(head.body))
    (log.directory / "checkpoint").write_bytes(forged)
    assert broken(log) == "log-damaged"


def test_two_users_of_one_repository_keep_a_log_each(log: SigningLog, tmp_path: Path) -> None:
    log.append(entries(0, 3))
    key = LogKey(tmp_path / "keys" / "other.pem", create=True)
    other = SigningLog(tmp_path / "log", key, tmp_path / "other" / "seen")
    assert other.view() is None
    assert other.append(entries(0, 1)).size == 1
    assert log.append(entries(3, 4)).size == 4


def test_what_is_accepted_goes_on_under_a_new_name(log: SigningLog) -> None:
    first = log.append(entries(0, 5))
    early = log.read(log.seen_path.read_bytes(), "kept")
    log.append(entries(5, 9))
    (log.directory / "checkpoint").write_bytes(b"")
    assert broken(log) == "log-damaged"
    accepted = log.accept()
    assert accepted is not None
    assert (accepted.size, accepted.origin == first.origin) == (9, False)
    assert log.append(entries(9, 10)).size == 10
    with pytest.raises(LogBroken, match="another log"):
        log.view([("kept", early)])
    shutil.rmtree(log.directory)
    assert log.accept() is None
    assert log.view() is None


def test_a_held_lock_is_waited_for_a_moment_only(
    log: SigningLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(entries(0, 1))
    monkeypatch.setattr(signing_log, "LOCK_SECONDS", 0.05)
    with files.locked(log.directory / "lock"), pytest.raises(Busy):
        log.append(entries(1, 2))


def on_disk(log: SigningLog) -> int:
    """Count the entries in whole tiles and in the widest partial ones."""
    place = log.directory / "tile/entries"
    whole = [path for path in place.glob("*") if path.is_file()]
    partial = [path for path in place.glob("*.p") if not place.joinpath(path.stem).exists()]
    widest = [max((int(file.name) for file in path.glob("[0-9]*")), default=0) for path in partial]
    return 256 * len(whole) + sum(widest)


@pytest.mark.parametrize("writes", range(7))
@pytest.mark.parametrize("before", [0, 5, 255])
def test_an_append_that_breaks_off_anywhere_is_finished_or_dropped(
    log: SigningLog, monkeypatch: pytest.MonkeyPatch, before: int, writes: int
) -> None:
    if before:
        log.append(entries(0, before))
    real, done = files.atomic_write, 0

    def breaks_off(*args: object, **kwargs: object) -> None:
        nonlocal done
        if done == writes:
            raise KeyboardInterrupt
        done += 1
        real(*args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(files, "atomic_write", breaks_off)
        finished = True
        try:
            log.append(entries(before, before + 3))
        except KeyboardInterrupt:
            finished = False
    view = log.view()
    assert view is None or view.checkpoint.size in (before, before + 3)
    assert not finished or (view is not None and view.checkpoint.size == before + 3)
    # What is on the disk counts, also where nobody was told so.
    there = on_disk(log)
    assert log.append(entries(1_000, 1_001)).size == there + 1
    found = log.view()
    assert found is not None
    found.audit()
    assert found.includes(entry(1_000))
    assert all(found.includes(item) for item in entries(0, before))


_WRITER = """
import hashlib, sys
from pathlib import Path
from agentprov.sign.log_key import LogKey
from agentprov.store.signing_log import SigningLog
top = Path(sys.argv[1])
log = SigningLog(top / "log", LogKey(top / "keys" / "log.pem", create=True), top / "seen")
number = int(sys.argv[2])
while True:
    log.append([hashlib.sha512(b"%d" % number).digest()])
    print(number, flush=True)
    number += 1
"""


def test_a_writer_that_is_killed_loses_nothing_that_it_was_told_is_there(tmp_path: Path) -> None:
    said = 0
    for round_ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(round_ * 1_000)],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        told: list[int] = []
        for _ in range(3 + round_):
            told.append(int(child.stdout.readline()))
        os.kill(child.pid, signal.SIGKILL)
        told += [int(line) for line in child.stdout.read().split()]
        child.wait()
        child.stdout.close()
        said += len(told)
        log = SigningLog(tmp_path / "log", LogKey(tmp_path / "keys" / "log.pem"), tmp_path / "seen")
        view = log.view()
        assert view is not None
        view.audit()
        assert all(view.includes(entry(number)) for number in told)
    assert view.checkpoint.size in range(said, said + 7)


def test_an_independent_reader_agrees(log: SigningLog) -> None:
    reader = pytest.importorskip("tlog_scales.reader")
    backend = pytest.importorskip("tlog_scales.backend")
    signing = pytest.importorskip("tlog_scales.signing")
    old = log.append(entries(0, 100))
    new = log.append(entries(100, 700))
    theirs = reader.TilesReader(backend.LocalBackend(log.directory))
    found = theirs.get_checkpoint()
    assert (found.origin, found.size, found.root_hash) == (new.origin, new.size, new.root)
    assert theirs.calculate_root_hash() == new.root
    assert [theirs.get_entry(number) for number in (0, 255, 256, 699)] == [
        entry(number) for number in (0, 255, 256, 699)
    ]
    theirs.get_consistency_proof(old.size, new.size).check(old.root, new.root)
    vkey = signing.Vkey.from_string(notes.verifier_key(new.origin, log.key.public))
    verifier = signing.PlainEd25519Verifier(vkey)
    verifier.verify_note(found.signatures[0], found)


@pytest.mark.parametrize("content", [b"", b"yesterday", b"\xff" * 9, b"2026-99-99T00:00:00Z"])
def test_a_beginning_that_is_no_time_is_none(log: SigningLog, content: bytes) -> None:
    log.append(entries(0, 1))
    assert log.began() is not None
    (log.directory / "began").write_bytes(content)
    assert log.began() is None


@pytest.mark.parametrize("step", ["log", "key", "tile"])
def test_a_link_in_the_logs_place_does_not_lead_writing_elsewhere(
    log: SigningLog, tmp_path: Path, step: str
) -> None:
    elsewhere = tmp_path / "precious"
    elsewhere.mkdir()
    place = {
        "log": log.directory.parent,
        "key": log.directory,
        "tile": log.directory / "tile",
    }[step]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(elsewhere)
    with pytest.raises(LogBroken, match="is a link"):
        log.append(entries(0, 1))
    assert list(elsewhere.iterdir()) == []
