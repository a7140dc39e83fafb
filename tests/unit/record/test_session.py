"""What a session's directory holds, read beside what somebody else may have left there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agentprov.record.session import SessionDirectory
from agentprov.system import files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
@pytest.mark.parametrize(
    ("place", "read"),
    [
        ("live/s", SessionDirectory.owner),
        ("pending/s", SessionDirectory.pending),
        ("sessions/s/records", SessionDirectory.bundles),
    ],
)
def test_a_fifo_is_nothing_and_is_never_opened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    read: Callable[[SessionDirectory], object],
) -> None:
    directory = SessionDirectory(tmp_path, "s")
    path = directory.records if place.endswith("records") else tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)

    def refused(*_: object) -> int:
        raise AssertionError("a FIFO was opened")

    monkeypatch.setattr(files.os, "open", refused)
    monkeypatch.setattr("builtins.open", refused)
    monkeypatch.setattr("io.open", refused)
    assert not read(directory)
