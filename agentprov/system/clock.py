"""The clock; the only source of time outside the other rooms of `system`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agentprov.errors import UserError
from agentprov.formats.value import value

if TYPE_CHECKING:
    from agentprov.ports import Clock

# A clock that is put right by less is followed, as time services do it all the time.
JUMP_SECONDS = 10.0


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
        """Give seconds that never go back; not touched by ``SOURCE_DATE_EPOCH``.

        Where the system can tell, the time that the machine slept counts.
        """
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()

    @property
    def stands(self) -> bool:
        """Say whether the time is a fixed one."""
        return self._fixed is not None


@value
class Jump:
    """A clock was set: when, in steady time, and by how many seconds (negative: back)."""

    at: datetime
    seconds: float


class SteadyClock:
    """The time of one session: it follows a clock as long as that goes on evenly, and no jump.

    A jump is what makes the clock differ from the monotonic one by more than `JUMP_SECONDS`
    since the last look. From then on time goes on from where it was, and `jumps` tells of it. A
    session is so dated by the clock as it was when the session began; when that was wrong, so are
    the dates, but they keep their order, and none of them is of a day that the clock only
    jumped to. May be used from several threads.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wall, self._elapsed = clock.now(), clock.monotonic()
        self._last = self._wall
        self._offset = timedelta()
        self._jumps: list[Jump] = []

    def now(self) -> datetime:
        """Give the time, aware, in UTC; never earlier than the last that was given."""
        with self._lock:
            wall, elapsed = self._clock.now(), self._clock.monotonic()
            step = (wall - self._wall) - timedelta(seconds=elapsed - self._elapsed)
            self._wall, self._elapsed = wall, elapsed
            jumped = abs(step.total_seconds()) > JUMP_SECONDS
            if jumped:
                self._offset -= step
            self._last = max(self._last, wall + self._offset)
            if jumped:
                self._jumps.append(Jump(self._last, step.total_seconds()))
            return self._last

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        return self._clock.monotonic()

    def jumps(self) -> list[Jump]:
        """Give the jumps seen since the last call."""
        self.now()
        with self._lock:
            found, self._jumps = self._jumps, []
        return found


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
