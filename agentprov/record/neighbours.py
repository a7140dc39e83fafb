"""Where else in the tree a line stood, and by whose hand: for lines that people carry about.

A model that reads a file says its lines again. A person who then moves such a line puts it into
another file where it is new, though nobody's writing is. Only the other files tell whether it
stood there before the model said it, and that no model had written it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from agentprov.formats.lineage import is_distinctive
from agentprov.formats.vocabulary import Basis, Origin
from agentprov.record.transforms import file_keys, is_notebook

if TYPE_CHECKING:
    from agentprov.record.accounts import Account

MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Sighting:
    """A line stood in a file from `at` on (None: since before the session), by this origin.

    `origin` is None for what was there before the session; `basis` and `model` go with it.
    """

    at: datetime | None
    origin: Origin | None
    basis: Basis = "observed"
    model: str | None = None

    def by(self, end: datetime) -> bool:
        """Say whether the line stood there by this time."""
        return self.at is None or self.at <= end


@dataclass(frozen=True)
class Departure:
    """A change took a line out of a file, the last of its kind there; `since` as in a version.

    `by_others` says that the agent's processes provably had no part in that change.
    """

    since: datetime
    by_others: bool


@dataclass
class Traces:
    """Where each line of one file was seen and when it left, over all versions of the file."""

    seen: dict[bytes, list[Sighting]] = field(default_factory=dict)
    left: dict[bytes, list[Departure]] = field(default_factory=dict)


Judge = Callable[["Account"], Traces]


class Neighbours:
    """All files that changed in a session; `accounts` gives them when first needed.

    A session whose versions are together larger than `MAX_BYTES` is not searched: then nothing
    is known of any line, and it stays in doubt.
    """

    def __init__(self, accounts: Callable[[], Mapping[bytes, Account]]) -> None:
        self._give = accounts
        self._accounts: Mapping[bytes, Account] | None = None
        self._paths: dict[bytes, list[bytes]] = {}
        self._judged: dict[bytes, Traces | None] = {}
        self._too_large = False

    def traces(self, line: bytes, besides: bytes, judge: Judge) -> Sequence[Traces] | None:
        """Give the traces of each file, other than `besides`, in which a distinctive line stood.

        None if that cannot be told. `judge` gives the traces of one file.
        """
        self._read()
        if self._too_large:
            return None
        found: list[Traces] = []
        for path in self._paths.get(line, ()):
            if path == besides:
                continue
            if path not in self._judged:
                # Two files whose lines went to and fro would ask each other without end.
                self._judged[path] = None
                assert self._accounts is not None
                self._judged[path] = judge(self._accounts[path])
            known = self._judged[path]
            if known is None:
                return None
            found.append(known)
        return found

    def _read(self) -> None:
        if self._accounts is not None:
            return
        self._accounts = self._give()
        size = 0
        for path, account in self._accounts.items():
            contents = [account.before, *(one.content or b"" for one in account.versions)]
            size += sum(map(len, contents))
            if size > MAX_BYTES:
                self._too_large = True
                return
            keys = (file_keys(content, notebook=is_notebook(path)) for content in contents)
            for key in {key for some in keys for key in some if is_distinctive(key)}:
                self._paths.setdefault(key, []).append(path)
