"""Whose hand a process was that wrote a file: a command's, or the agent's own.

A command that the model asked for is found among the processes by its text: the agent hands it
to a shell. What began when a call was out, or descends from what did, may be that call's. Only a
process outside all of that, at a time when every call that was out is accounted for by a
process of its own, is the agent's. In every other case it stays unclear.

It does not stop an agent from running its own writes under the text of a command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from agentprov.formats.facts import Asked
from agentprov.record.accounts import Hand, Opened
from agentprov.record.landing import EVENT_DELAY
from agentprov.record.transforms import squeezed
from agentprov.record.versions import instant
from agentprov.system.attribution.family import Kin, Process
from agentprov.system.attribution.ledger import Attributed, Opening

# Starts of processes are known to a clock tick.
_TICK = timedelta(milliseconds=20)
_FOREVER = datetime.fromisoformat("9999-12-31T00:00:00+00:00")


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 10**9, UTC)


class Hands:
    """Tells commands' processes from the agent's; `asked` are the calls seen on the wire."""

    def __init__(self, attributed: Attributed, asked: Sequence[Asked]) -> None:
        self._kin: Mapping[Process, Kin] = attributed.processes
        self._root = attributed.root
        self._calls = [_Call(one, self._kin) for one in asked]
        self._lines: dict[Process, tuple[Process, ...] | None] = {}

    def opened(self, opening: Opening) -> Opened:
        """Say by whose hand an opening was."""
        first, last = _moment(opening.first), _moment(opening.last)
        return Opened(first, last, self._hand(opening.process, first, last))

    def _hand(self, process: Process | None, first: datetime, last: datetime) -> Hand:
        line = self._line(process) if process is not None else None
        if line is None:
            return "unclear"
        born = {_moment(one.started) for one in line if one.pid != self._root}
        of_call = [call for call in self._calls if any(call.was_out(at) for at in born)]
        out = [call for call in self._calls if call.start <= last and first <= call.end]
        if any(call.running.intersection(line) for call in of_call):
            return "command"
        if any(not call.running for call in of_call):
            return "command"
        if out and all(call.running for call in out):
            return "agent"
        return "unclear"

    def _line(self, process: Process) -> tuple[Process, ...] | None:
        """Give a process and its ancestors up to the agent's first; None if they are lost."""
        if process not in self._lines:
            found: list[Process] = []
            at: Process | None = process
            while at is not None and at not in found:
                found.append(at)
                if at.pid == self._root:
                    break
                kin = self._kin.get(at)
                at = kin.parent if kin else None
            whole = bool(found) and found[-1].pid == self._root
            self._lines[process] = tuple(found) if whole else None
        return self._lines[process]


class _Call:
    def __init__(self, asked: Asked, kin: Mapping[Process, Kin]) -> None:
        self.start = instant(asked.start)
        self.end = instant(asked.until) + EVENT_DELAY if asked.until else _FOREVER
        self._cores = [core for text in asked.texts if (core := squeezed(text.encode()))]
        self._kin = kin

    def was_out(self, at: datetime) -> bool:
        """Say whether the call was out at a time."""
        return self.start - _TICK <= at <= self.end

    @cached_property
    def running(self) -> frozenset[Process]:
        """Give the processes that were handed this command's text while the call was out."""
        return frozenset(
            process
            for process, kin in self._kin.items()
            if self._cores
            and self.was_out(_moment(process.started))
            and any(core in squeezed(kin.line.replace(b"\x1f", b" ")) for core in self._cores)
        )
