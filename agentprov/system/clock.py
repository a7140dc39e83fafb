"""The clock; the only source of time outside the other rooms of `system`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from agentprov.errors import UserError


class SystemClock:
    """Tells the time of this machine, or the fixed time of ``SOURCE_DATE_EPOCH``.

    The variable makes statements reproducible: while it is set, every `now` is that second.
    Raises UserError when it is set to something that is no time.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = (os.environ if environment is None else environment).get("SOURCE_DATE_EPOCH", "")
        self._fixed = _fixed_time(given) if given else None

    def now(self) -> datetime:
        """Give the time, aware, in UTC."""
        return self._fixed or datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds that never go back; not touched by ``SOURCE_DATE_EPOCH``."""
        return time.monotonic()


def _fixed_time(given: str) -> datetime:
    try:
        if not given.isascii() or not given.isdigit():
            raise ValueError(given)
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UserError(
            f"SOURCE_DATE_EPOCH is {given!r}, which is no number of seconds since 1970",
            hint="unset it, or set it to digits only",
        ) from error


def rfc3339(moment: datetime) -> str:
    """Write a moment as ``YYYY-MM-DDTHH:MM:SS.mmmZ`` (RFC 3339, UTC, cut to milliseconds).

    Raises ValueError for a datetime without a time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    utc = moment.astimezone(UTC)
    # Not strftime: it does not pad years before 1000 everywhere.
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
