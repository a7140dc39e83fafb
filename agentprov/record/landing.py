"""In which step of a file's history a write landed: between which two of its versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from agentprov.formats.facts import Edit
from agentprov.formats.lineage import is_distinctive
from agentprov.record.matching import Places, Text
from agentprov.record.transforms import text_keys
from agentprov.record.versions import instant

EVENT_DELAY = timedelta(milliseconds=250)
TOOL_REPORT = timedelta(seconds=1)
TOOL_AFTERMATH = timedelta(seconds=2)
_LARGE_PART = 4


@dataclass
class Step:
    """From one version of a file to the next: its lines, which are new, and when it happened.

    The change was noticed at `since`, the version was read by `at`; the one before was read from
    `begun` on, so what was written until then stood in it. Without times the step was not seen: it
    ends in what was committed. `by_others` says that the agent's processes provably had no part
    in it. `prior` are the lines of the version before, `applied` the ids of texts whose
    replacement made this step, `fresh` the indexes of all lines that are new in it.
    """

    before: bytes
    keys: list[bytes]
    ids: list[int]
    places: Places
    since: datetime | None = None
    at: datetime | None = None
    begun: datetime | None = None
    by_others: bool = False
    prior: frozenset[bytes] = frozenset()
    applied: set[int] = field(default_factory=set)
    fresh: frozenset[int] = frozenset()

    @cached_property
    def present(self) -> frozenset[bytes]:
        """Give the lines of this version."""
        return frozenset(self.keys)

    def took_in(self, lines: Iterable[bytes]) -> bool:
        """Say whether most of the lines that were not there before this step are there after it.

        A write puts all of its text into the file; a line or two may be a person's by chance.
        """
        missing = {*lines} - self.prior
        return 0 < len(missing) <= 2 * len(missing & self.present)

    def block(self, text: Text) -> range | None:
        """Give the lines in which a text stands as a whole, if new ones are among them.

        Only in one place, with a line in it that tells something: then even its brackets, put
        between lines that were there before, can be no other's. Not in a change that the agent
        provably had no part in.
        """
        keys = text.keys
        anchor = next((n for n, key in enumerate(keys) if is_distinctive(key)), None)
        if anchor is None or self.by_others:
            return None
        size = len(keys)
        starts = [
            place - anchor
            for place in self._places_of.get(keys[anchor], ())
            if place >= anchor and self.keys[place - anchor : place - anchor + size] == [*keys]
        ]
        if len(starts) != 1:
            return None
        found = range(starts[0], starts[0] + size)
        return None if self.places.free.isdisjoint(found) else found

    @cached_property
    def _places_of(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        for index, key in enumerate(self.keys):
            found.setdefault(key, []).append(index)
        return found

    def is_echo(self, index: int, text: Text) -> bool:
        """Say whether a line stood in a request before, or is a bracket beside one that did."""
        key = self.keys[index]
        if is_distinctive(key) or not self.places.careful or not text.echoed:
            return key in text.echoed
        for direction in (-1, 1):
            place = index + direction
            while 0 <= place < len(self.keys) and not is_distinctive(self.keys[place]):
                place += direction
            if 0 <= place < len(self.keys) and self.keys[place] in text.echoed:
                return True
        return False


def text_of(edit: Edit, *, notebook: bool = False) -> Text:
    """Give the lines of a write, none of them found yet."""
    keys = text_keys(edit, notebook=notebook)
    echoed = frozenset(keys[number - 1] for number in edit.echoed if 0 < number <= len(keys))
    return Text(edit, keys, instant(edit.at) if edit.at else None, echoed=echoed)


def by(at: datetime | None, end: datetime | None) -> bool:
    """Say whether one time is not after another; what is not known rules nothing out."""
    return at is None or end is None or at <= end


def of_answers(texts: Sequence[Text], steps: Sequence[Step]) -> dict[int, frozenset[int]]:
    """Give the steps in which each write on the wire landed, by the text's id.

    No step that was over before the answer was asked for; else the one that holds most of what
    is new in it. Large parts count too: a file may be read while it is half written.
    """
    found = {}
    for text in texts:
        possible = [(number, step) for number, step in enumerate(steps) if by(text.at, step.at)]
        found[id(text)] = _best(_coverage(text, possible), steps, text)
    return found


def of_reports(
    texts: Sequence[Text], steps: Sequence[Step], began: Mapping[str, datetime | None]
) -> dict[int, frozenset[int]]:
    """Give the step in which each reported write landed: the last one before it was reported.

    `began` says, by call id, when the answer that asked for the write was complete.
    """
    found = {}
    for text in texts:
        start = began.get(text.edit.call_id or "")
        possible = [(n, step) for n, step in enumerate(steps) if _is_near(text.at, step, start)]
        found[id(text)] = frozenset([*_coverage(text, possible)][-1:])
    return found


def _coverage(text: Text, steps: Iterable[tuple[int, Step]]) -> dict[int, int]:
    """Give the steps in which a write can have landed, and how many of its lines are new there."""
    found: dict[int, int] = {}
    telling = {key for key in text.keys if is_distinctive(key)}
    for number, step in steps:
        if not telling:
            if any(text.keys) and list(text.keys) == step.keys:
                found[number] = 1
            continue
        count = step.places.coverage(text)
        if count and (step.at is None or step.took_in(telling)):
            found[number] = count
        elif not count and step.at is not None and step.block(text) is not None:
            found[number] = 1
    return found


def _best(coverage: Mapping[int, int], steps: Sequence[Step], text: Text) -> frozenset[int]:
    if text.edit.every or not coverage:
        return frozenset(coverage)
    best = max(coverage.values())
    same = [number for number, count in coverage.items() if count == best]
    parts = {number for number, count in coverage.items() if _LARGE_PART <= count >= best / 2}
    until = instant(text.edit.until) + EVENT_DELAY if text.edit.until else None
    # The tool's own write is the last thing before the next request.
    timely = [number for number in same if until is None or by(steps[number].since, until)]
    return frozenset({*parts, timely[-1] if timely and until else same[0]})


def _is_near(at: datetime | None, step: Step, began: datetime | None) -> bool:
    if at is None or step.since is None or step.at is None:
        return True
    if began is not None:
        return began <= step.at and step.since <= at + EVENT_DELAY
    return at - TOOL_REPORT <= step.since <= at + EVENT_DELAY
