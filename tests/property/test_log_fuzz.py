"""The signing log against a list, under any appends and any breaking off."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from agentprov.errors import MalformedInput
from agentprov.formats import checkpoint, tile_log
from agentprov.sign.log_key import LogKey
from agentprov.store.signing_log import SigningLog
from agentprov.system import files

STEPS = st.lists(st.tuples(st.integers(1, 300), st.none() | st.integers(0, 9)), max_size=6)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_checkpoint_or_entries_or_malformed_and_nothing_else(data: bytes) -> None:
    for parse in (checkpoint.parse, tile_log.decode_entries):
        try:
            parse(data)
        except MalformedInput:
            continue
        assert parse is tile_log.decode_entries


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_what_was_appended_stands_in_order_and_every_old_head_is_a_beginning(
    steps: list[tuple[int, int | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        key = LogKey(place / "keys" / "log.pem", create=True)
        log = SigningLog(place / "log", key, place / "seen")
        told: list[bytes] = []
        heads: list[bytes] = []
        number = 0
        for count, breaks_off_at in steps:
            fresh = [hashlib.sha512(b"%d" % n).digest() for n in range(number, number + count)]
            number += count
            if _append(log, fresh, breaks_off_at):
                told += fresh
                heads.append(log.seen_path.read_bytes())
        view = log.view()
        assert view is not None or not told
        if view is None:
            return
        view.audit()
        assert all(view.includes(item) for item in told[::37] + told[-1:])
        log.view([(f"head {at}", log.read(note, "a head")) for at, note in enumerate(heads)])


def _append(log: SigningLog, fresh: list[bytes], breaks_off_at: int | None) -> bool:
    """Append, perhaps breaking off before a certain write; say whether it returned."""
    real, done = files.atomic_write, 0

    def write(*args: object, **kwargs: object) -> None:
        nonlocal done
        if done == breaks_off_at:
            raise KeyboardInterrupt
        done += 1
        real(*args, **kwargs)  # type: ignore[arg-type]

    with mock.patch.object(files, "atomic_write", write):
        try:
            log.append(fresh)
        except KeyboardInterrupt:
            return False
    return True
