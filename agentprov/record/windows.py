"""When commands of the agent ran, and whose processes had a file open in the meantime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from agentprov.formats.facts import CommandWindow
from agentprov.record.accounts import Account, Circumstances, Hand
from agentprov.record.landing import EVENT_DELAY, Step
from agentprov.record.versions import instant

# Times of earlier releases' sessions end in milliseconds.
_ROUNDING = timedelta(milliseconds=1)


def within_commands(
    touched: Mapping[bytes, tuple[str, str]], commands: Sequence[CommandWindow]
) -> frozenset[bytes]:
    """Give the paths whose first and last change fall into one and the same command's run.

    `touched` maps paths to the times (RFC 3339, UTC, milliseconds) of their first and last
    change. File events come a little after the write, so a command's end counts generously; a
    write tool of the agent that follows at once is told apart by its own report.
    """
    windows = [(instant(c.start), instant(c.end) + EVENT_DELAY) for c in commands]
    return frozenset(
        path
        for path, (first, last) in touched.items()
        if any(start <= instant(first) and instant(last) <= end for start, end in windows)
    )


def covered(step: Step, account: Account, about: Circumstances) -> bool:
    """Say whether a step lies within one command's run; unseen ones by the whole file's times."""
    if step.since is None or step.at is None:
        return account.by_command and not account.wire and not account.reported
    return any(
        instant(window.start) <= step.since
        and step.at <= max(instant(window.end), step.since) + EVENT_DELAY
        and step.since <= instant(window.end) + EVENT_DELAY
        for window in about.commands
    )


def overlapped(step: Step, commands: Sequence[CommandWindow]) -> bool:
    """Say whether a command ran at any time of a step; one that was not seen has no time."""
    return any(
        (step.at is None or instant(window.start) <= step.at)
        and (step.since is None or step.since <= instant(window.end))
        for window in commands
    )


def hands(step: Step, account: Account, about: Circumstances) -> frozenset[Hand] | None:
    """Give whose processes opened the file for this step; None where that is not known.

    What a command opened it may go on writing to as long as the command runs.
    """
    if about.openings is None or step.at is None or step.since is None:
        return None
    found: set[Hand] = set()
    for path in account.names or (account.path,):
        for one in about.openings.get(path, ()):
            if one.first > step.at + _ROUNDING:
                continue
            if (
                step.begun is None
                or one.last >= step.begun
                or (one.hand == "command" and _goes_on(one.last, step.since, about.commands))
            ):
                found.add(one.hand)
    return frozenset(found)


def _goes_on(opened: datetime, since: datetime, commands: Sequence[CommandWindow]) -> bool:
    return any(
        instant(window.start) <= opened and since <= instant(window.end) + EVENT_DELAY
        for window in commands
    )
