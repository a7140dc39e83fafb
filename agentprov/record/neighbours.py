"""Where else in the tree a line stood, and by whose hand: for lines that people carry about.

A model that reads a file says its lines again. A person who then moves such a line puts it into
another file where it is new, though nobody's writing is. Only the other files tell whether it
stood there before the model said it, and that no model had written it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from agentprov.formats.vocabulary import Origin
from agentprov.record.transforms import file_keys, is_distinctive, is_notebook

if TYPE_CHECKING:
    from agentprov.record.accounts import Account

MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Sighting:
    """A line stood in a file from `at` on (None: since before the session), by this origin.

    `origin` is None for what was there before the session.
    """

    at: datetime | None
    origin: Origin | None

    def by(self, end: datetime) -> bool:
        """Say whether the line stood there by this time."""
        return self.at is None or self.at <= end


Judge = Callable[["Account"], Mapping[bytes, Sequence[Sighting]]]


class Neighbours:
    """All files that changed in a session; `accounts` gives them when first needed.

    A session whose versions are together larger than `MAX_BYTES` is not searched: then nothing
    is known of any line, and it stays in doubt.
    """

    def __init__(self, accounts: Callable[[], Mapping[bytes, Account]]) -> None:
        self._give = accounts
        self._accounts: Mapping[bytes, Account] | None = None
        self._paths: dict[bytes, list[bytes]] = {}
        self._judged: dict[bytes, Mapping[bytes, Sequence[Sighting]] | None] = {}
        self._too_large = False

    def sightings(
        self, line: bytes, besides: bytes, by: datetime, judge: Judge
    ) -> Sequence[Sighting] | None:
        """Give where a distinctive line stood by a time, in files other than `besides`.

        None if that cannot be told. `judge` gives the sightings of all lines of one file.
        """
        self._read()
        if self._too_large:
            return None
        found: list[Sighting] = []
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
            found += [one for one in known.get(line, ()) if one.by(by)]
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
