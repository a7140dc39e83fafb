"""The signing log: what an append costs, and that neither it nor a look grows with the log."""

from __future__ import annotations

import os
from pathlib import Path

from ground import Ground
from measure import Sample, Table, at_most_times, inside, run_cases

from agentprov.sign.log_key import LogKey
from agentprov.store.signing_log import SigningLog
from agentprov.system import files

_LONG = 10_000


def logs(ground: Ground, table: Table) -> None:
    """Append to a short and to a long log, and look into both."""
    place = ground.place / "signing-log"
    key = LogKey(place / "keys" / "log.pem", create=True)
    short = SigningLog(place / "short", key, place / "seen-short")
    long = SigningLog(place / "long", key, place / "seen-long")
    short.append([os.urandom(64) for _ in range(100)])
    long.append([os.urandom(64) for _ in range(_LONG)])
    run_cases(
        table,
        "log, append",
        {
            "100 entries": lambda: _append(short),
            f"{_LONG:,} entries": lambda: _append(long),
            "two small files, waited for": lambda: inside(lambda: _two_files(place)),
        },
        ground.rounds(40, 10),
        {f"{_LONG:,} entries": at_most_times(1.5, cpu=True)},
    )
    run_cases(
        table,
        "log, look and prove one entry",
        {
            "100 entries": lambda: _look(short),
            f"{_LONG:,} entries": lambda: _look(long),
        },
        ground.rounds(40, 10),
        {f"{_LONG:,} entries": at_most_times(1.5, cpu=True)},
    )


def _two_files(place: Path) -> None:
    for name in ("one", "two"):
        files.atomic_write(place / name, bytes(8_000))


def _append(log: SigningLog) -> Sample:
    fresh = [os.urandom(64)]
    return inside(lambda: log.append(fresh))


def _look(log: SigningLog) -> Sample:
    fresh = os.urandom(64)
    log.append([fresh])

    def look() -> None:
        view = log.view()
        assert view is not None
        assert view.includes(fresh)

    return inside(look)
