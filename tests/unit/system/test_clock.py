from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from agentprov.errors import UserError
from agentprov.system.clock import SystemClock, rfc3339


def test_now_is_the_present_in_utc() -> None:
    before = datetime.now(UTC)
    assert before <= SystemClock({}).now() <= datetime.now(UTC)


def test_source_date_epoch_fixes_the_time_but_not_the_monotonic_clock() -> None:
    clock = SystemClock({"SOURCE_DATE_EPOCH": "1700000000"})
    assert clock.now() == clock.now() == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert clock.monotonic() < clock.monotonic() + 1


@pytest.mark.parametrize("value", ["yesterday", "-1", "1.5", " 1", "9" * 30, "\u0661"])
def test_a_source_date_epoch_that_is_no_time_is_refused_with_a_hint(value: str) -> None:
    with pytest.raises(UserError, match="SOURCE_DATE_EPOCH") as caught:
        SystemClock({"SOURCE_DATE_EPOCH": value})
    assert caught.value.hint


def test_rfc3339_is_utc_with_exactly_three_digits_cut_not_rounded() -> None:
    east = timezone(timedelta(hours=2))
    assert rfc3339(datetime(2026, 1, 2, 1, 4, 5, 999_999, tzinfo=east)) == (
        "2026-01-01T23:04:05.999Z"
    )
    assert rfc3339(datetime(988, 1, 2, tzinfo=UTC)) == "0988-01-02T00:00:00.000Z"


def test_rfc3339_refuses_a_moment_without_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        rfc3339(datetime(2026, 1, 1))  # noqa: DTZ001
