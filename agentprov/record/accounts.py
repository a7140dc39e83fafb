"""What the origins of lines are judged by: a session's circumstances, a file's account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agentprov.formats.facts import CommandWindow, Edit
from agentprov.formats.lineage import is_distinctive
from agentprov.record.landing import text_of
from agentprov.record.neighbours import Neighbours
from agentprov.record.transforms import text_keys
from agentprov.record.versions import Version

ONE_OF_A_KIND = 20


Hand = Literal["agent", "command", "unclear"]


@dataclass(frozen=True)
class Opened:
    """The agent's tree named a file for writing between two times, by this hand.

    ``command`` is a process of a command that the model asked for, ``agent`` provably none.
    """

    first: datetime
    last: datetime
    hand: Hand


@dataclass(frozen=True)
class Circumstances:
    """What holds for a whole session.

    `wire_complete` says that every answer was seen, `followed` that no file event is known to
    be lost, `alone` that no other session was live in this repository. `said` tells whether a
    line stood in an answer by a time. With process attribution, `untouched_by_agent` are paths
    that the agent's processes provably never opened for writing, and `opened_by_agent` the
    first and last time (RFC 3339) at which they did, `openings` each time and whose hand it was;
    None without it. `elsewhere` are writes to
    all paths, for blocks that were moved from one file to another; `neighbours` the files
    themselves, for lines that people move. `why_not` is the reason of last resort.
    """

    commands: Sequence[CommandWindow] = ()
    wire_complete: bool = False
    followed: bool = False
    alone: bool = True
    said: Callable[[bytes, datetime | None], bool] = lambda _line, _by: False
    untouched_by_agent: frozenset[bytes] | None = None
    opened_by_agent: Mapping[bytes, tuple[str, str]] | None = None
    openings: Mapping[bytes, Sequence[Opened]] | None = None
    elsewhere: Moves | None = None
    neighbours: Neighbours | None = None
    why_not: str = "no-model-text"


@dataclass(frozen=True)
class Account:
    """What is known of one path: its content at the start, versions, and writes to it.

    For a renamed file all of it covers the old name too, and `names` are both. `by_command` says
    that the file changed only while one command ran; it counts where there are no versions.
    """

    path: bytes = b""
    before: bytes = b""
    versions: Sequence[Version] = ()
    reported: Sequence[Edit] = ()
    wire: Sequence[Edit] = ()
    by_command: bool = False
    names: Sequence[bytes] = ()


class Moves:
    """Blocks of the session's writes, found again in files to which they were moved.

    `wire` are writes that answers asked for, to any path; `reported` what the agent said it
    wrote, which may hold what others wrote before and only warns against calling a line human.
    """

    def __init__(self, wire: Iterable[Edit], reported: Iterable[Edit] = ()) -> None:
        self._texts = list(wire)
        self._reported = list(reported)
        self._index: dict[bytes, list[Edit]] | None = None
        self._pieces: frozenset[bytes] | None = None

    def holds_part_of(self, line: bytes) -> bool:
        """Say whether some write begins or ends with a piece of this line."""
        if self._pieces is None:
            texts = [text_of(edit).keys for edit in (*self._texts, *self._reported)]
            ends = (keys[place] for keys in texts for place in (0, -1) if keys)
            self._pieces = frozenset(end.strip() for end in ends if is_distinctive(end))
        return any(piece in line for piece in self._pieces)

    def holding(self, keys: Iterable[bytes]) -> list[Edit]:
        """Give the writes that hold one of these lines; only telling ones are looked up."""
        if self._index is None:
            self._index = {}
            for edit in self._texts:
                for key in dict.fromkeys(text_keys(edit)):
                    if len(key) >= ONE_OF_A_KIND:
                        self._index.setdefault(key, []).append(edit)
        index = self._index
        found = {id(edit): edit for key in keys for edit in index.get(key, ())}
        return list(found.values())
