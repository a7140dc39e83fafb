"""Where each added line came from, as far as this recorder can tell (docs/spec/origins.md).

A file is followed from the session's first snapshot through its kept versions to what was
committed. A line is judged by the step in which it first stood: whose text holds it that was
complete by then, which command ran, which write tool was at work. What nothing accounts for is
``unknown`` with a reason; a false ``model`` or ``human`` is worse than that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from agentprov.formats.facts import CommandWindow, Edit, LineRange
from agentprov.formats.vocabulary import Basis, Origin
from agentprov.record.lineage import Lineage
from agentprov.record.matching import Places, Text
from agentprov.record.transforms import (
    Draft,
    file_keys,
    is_distinctive,
    is_frame,
    is_notebook,
    squeezed,
    text_keys,
)
from agentprov.record.versions import Version, instant

EVENT_DELAY = timedelta(milliseconds=250)
TOOL_AFTERMATH = timedelta(seconds=2)
TOOL_REPORT = timedelta(seconds=1)
MOVED_LINES = 3
ONE_OF_A_KIND = 20
_LARGE_PART = 4
_HUNK = re.compile(rb"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True)
class Circumstances:
    """What holds for a whole session.

    `wire_complete` says that every answer was seen, `followed` that no file event is known to
    be lost, `alone` that no other session was live in this repository. `said` tells whether a
    line stood in an answer by a time. With process attribution, `untouched_by_agent` are paths
    that the agent's processes provably never opened for writing, and `opened_by_agent` the
    first and last time (RFC 3339) at which they did; None without it. `elsewhere` are writes to
    all paths, for blocks that were moved from one file to another. `why_not` is the reason of
    last resort.
    """

    commands: Sequence[CommandWindow] = ()
    wire_complete: bool = False
    followed: bool = False
    alone: bool = True
    said: Callable[[bytes, datetime | None], bool] = lambda _line, _by: False
    untouched_by_agent: frozenset[bytes] | None = None
    opened_by_agent: Mapping[bytes, tuple[str, str]] | None = None
    elsewhere: Moves | None = None
    why_not: str = "no-model-text"


@dataclass(frozen=True)
class Account:
    """What is known of one path: its content at the start, versions, and writes to it.

    For a renamed file all of it covers the old name too. `by_command` says that the file
    changed only while one command ran; it counts where there are no versions.
    """

    path: bytes = b""
    before: bytes = b""
    versions: Sequence[Version] = ()
    reported: Sequence[Edit] = ()
    wire: Sequence[Edit] = ()
    by_command: bool = False


class Moves:
    """Blocks of the session's writes, found again in files to which they were moved."""

    def __init__(self, edits: Iterable[Edit]) -> None:
        self._texts = list(edits)
        self._index: dict[bytes, list[Edit]] | None = None
        self._pieces: frozenset[bytes] | None = None

    def holds_part_of(self, line: bytes) -> bool:
        """Say whether some write begins or ends with a piece of this line."""
        if self._pieces is None:
            ends = (
                text.keys[place]
                for text in map(_text, self._texts)
                for place in (0, -1)
                if text.keys
            )
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


def added_lines(patch: bytes) -> Iterator[tuple[int, int]]:
    """Give the added (start, end) ranges of one file's zero-context patch, 1-based inclusive."""
    for match in _HUNK.finditer(patch):
        start = int(match[1])
        count = int(match[2]) if match[2] is not None else 1
        if count:
            yield start, start + count - 1


def ranges(
    content: bytes,
    added: Iterable[tuple[int, int]],
    outside: Mapping[str, frozenset[int]],
    account: Account,
    circumstances: Circumstances,
) -> tuple[LineRange, ...]:
    """Give an origin, a basis and where needed a reason to every added line of one file.

    `added` are the lines (from 1) that the commit added; `outside` maps a reason to those of
    them that cannot be this session's (there before it began, or added after it ended).
    """
    wanted = sorted({number for start, end in added for number in range(start, end + 1)})
    excluded = {number: why for why, numbers in outside.items() for number in numbers}
    claims = _Judge(account, circumstances).claims(content) if wanted else []
    out: list[LineRange] = []
    for number in wanted:
        claim = claims[number - 1] if number <= len(claims) else _Claim("unknown", "observed")
        if number in excluded:
            claim = _Claim("unknown", "observed", why=excluded[number])
        last = out[-1] if out else None
        if last and last.end == number - 1 and _Claim.of(last) == claim:
            start = out.pop().start
        else:
            start = number
        out.append(LineRange(start, number, claim.origin, claim.basis, claim.model, claim.why))
    return tuple(out)


@dataclass(frozen=True)
class _Claim:
    origin: Origin
    basis: Basis
    model: str | None = None
    why: str | None = None

    @classmethod
    def of(cls, item: LineRange) -> _Claim:
        return cls(item.origin, item.basis, item.model, item.why)


@dataclass
class _Step:
    """From one version to the next: lines that are new in it, and when it happened.

    Without times the step was not seen: it ends in what was committed.
    """

    before: bytes
    keys: list[bytes]
    ids: list[int]
    places: Places
    since: datetime | None = None
    at: datetime | None = None
    prior: frozenset[bytes] = frozenset()
    applied: set[int] = field(default_factory=set)

    @cached_property
    def present(self) -> frozenset[bytes]:
        return frozenset(self.keys)


class _Judge:
    """Follows one file and claims its lines, step by step."""

    def __init__(self, account: Account, circumstances: Circumstances) -> None:
        self.account = account
        self.about = circumstances
        self.notebook = is_notebook(account.path)
        self.wire = [_text(edit, notebook=self.notebook) for edit in account.wire]
        self.reported = [_text(edit, notebook=self.notebook) for edit in account.reported]
        self.claimed: dict[int, _Claim] = {}
        self.landed: list[tuple[datetime, Text]] = []

    def claims(self, content: bytes) -> list[_Claim]:
        """Give a claim for each line of what was committed."""
        start = file_keys(self.account.before, notebook=self.notebook)
        lineage = Lineage(start)
        steps = [step for step in self._steps(content, lineage) if step.places.free]
        landing = self._landing(steps)
        for number, step in enumerate(steps):
            self._take_wire(step, number, landing)
            told = self._take_reported(step, number, landing)
            self._take_moved(step)
            for index in sorted(step.places.free | told.keys()):
                if step.ids[index] not in self.claimed:
                    self.claimed[step.ids[index]] = self._rest(step, index, told.get(index))
        old = _Claim("unknown", "observed", why="before-session")
        return [self.claimed.get(identity, old) for identity in lineage.ids]

    def _steps(self, content: bytes, lineage: Lineage) -> Iterator[_Step]:
        final = file_keys(content, notebook=self.notebook)
        chain = [
            (version, file_keys(version.content or b"", notebook=self.notebook))
            for version in self.account.versions
        ]
        same = [number for number, (_, keys) in enumerate(chain) if keys == final]
        if same:
            del chain[same[-1] + 1 :]
        before = self.account.before
        for version, keys in chain:
            step = self._step(lineage, before, keys)
            step.since, step.at = instant(version.since), instant(version.at)
            before = version.content or b""
            yield step
        if not same:
            yield self._step(lineage, before, final)

    @staticmethod
    def _step(lineage: Lineage, before: bytes, keys: list[bytes]) -> _Step:
        prior = frozenset(lineage.keys)
        places = Places(keys, lineage.step(keys))
        return _Step(before, lineage.keys, lineage.ids, places, prior=prior)

    def _take_wire(self, step: _Step, number: int, landing: Mapping[int, frozenset[int]]) -> None:
        """Claim lines that stand in an answer which was complete before they stood here."""
        texts = [
            one
            for one in self.wire
            if not one.spent and _by(one.at, step.at) and number in landing[id(one)]
        ]
        drafted = self._drafted(step)
        if not (texts or drafted):
            return
        used = {id(text): len(text.used) for text in texts}
        for text in [*drafted, *reversed(texts)]:
            self._say(step, text, step.places.claim(text, [*texts, *drafted]), "intercepted")
        for index, text in list(step.places.slide([*drafted, *texts])):
            self._say(step, text, [index], "intercepted")
        if step.at is not None:
            found = [text for text in texts if len(text.used) > used[id(text)]]
            self.landed += [(step.at, text) for text in (*found, *drafted)]

    def _drafted(self, step: _Step) -> list[Text]:
        """Do the replacements that the model asked for, and give the whole lines they make."""
        draft = Draft.of(step.before)
        made: list[tuple[int, list[bytes]]] = []
        for number, text in enumerate(self.wire):
            if not text.edit.replaces or text.spent or not _by(text.at, step.at):
                continue
            tried = draft.copy()
            if not tried.replace(text.edit, number):
                continue
            runs = list(tried.runs(notebook=self.notebook))
            mine = [key for tag, keys in runs if tag == number for key in keys]
            fits = _fits(step, [key for key in mine if is_distinctive(key)]) or (
                bool(mine) and all(map(step.places.has, mine))
            )
            # In a step that was seen, a write that left no trace was refused, or is done already.
            if fits or step.at is None:
                draft, made = tried, runs
            if fits:
                step.applied.add(id(text))
                text.used.update(range(len(text.keys)))
        return [
            Text(self.wire[tag].edit, keys, self.wire[tag].at, echoed=self.wire[tag].echoed)
            for tag, keys in made
        ]

    def _say(self, step: _Step, text: Text, indexes: Iterable[int], basis: Basis) -> None:
        for index in list(indexes):
            why = "echoed" if step.keys[index] in text.echoed else None
            if why and (step.at is None or not self.about.followed):
                # It may have stood here before the answer, by another hand.
                claim = _Claim("unknown", "observed", why=why)
            else:
                claim = _Claim("model", basis, text.edit.model, why)
            self.claimed[step.ids[index]] = claim

    def _landing(self, steps: Sequence[_Step]) -> dict[int, frozenset[int]]:
        """Choose the steps in which each write landed: where most of its lines are new.

        A person may type one line of a text that an agent is about to write, or wrote before.
        Large parts count too: a file may be read while it is half written.
        """
        found: dict[int, frozenset[int]] = {}
        asked = {text.edit.call_id: text.at for text in self.wire if text.edit.call_id}
        for text in self.wire:
            covers = _covers(text, [(n, s) for n, s in enumerate(steps) if _by(text.at, s.at)])
            found[id(text)] = _best(covers, steps, text)
        for text in self.reported:
            began = asked.get(text.edit.call_id or "")
            near = [
                (number, step)
                for number, step in enumerate(steps)
                if _near(text.at, step, began) and not (step.at and self._in_command(step))
            ]
            found[id(text)] = frozenset([*_covers(text, near)][-1:])
        return found

    def _take_reported(
        self, step: _Step, number: int, landing: Mapping[int, frozenset[int]]
    ) -> dict[int, Text]:
        """Find lines that only the agent's own report accounts for; claim them off the wire."""
        told: dict[int, Text] = {}
        texts = [one for one in self.reported if number in landing[id(one)]]
        for text in reversed(texts):
            told.update((index, text) for index in step.places.claim(text, texts))
        if not self.about.wire_complete:
            for index, text in told.items():
                self._say(step, text, [index], "reported")
        return told

    def _take_moved(self, step: _Step) -> None:
        if self.about.elsewhere is None:
            return
        telling = [step.keys[n] for n in step.places.free if len(step.keys[n]) >= ONE_OF_A_KIND]
        for edit in self.about.elsewhere.holding(telling):
            text = _text(edit, notebook=self.notebook)
            if edit in self.account.wire or edit in self.account.reported or edit.echoed:
                continue
            if _by(text.at, step.at):
                for index in list(step.places.claim(text, [text], least=MOVED_LINES)):
                    claim = _Claim("model", edit.basis, edit.model, "moved")
                    self.claimed[step.ids[index]] = claim

    def _rest(self, step: _Step, index: int, told: Text | None) -> _Claim:
        """Judge a line that no answer accounts for."""
        line = step.keys[index]
        if told is not None:
            return self._reported_only(step, line, told)
        if self._is_humans(step):
            if is_distinctive(line) and self._was_said(line, step.at):
                return _Claim("unknown", "observed", why="said-in-an-answer")
            return _Claim("human", "observed")
        if index in step.places.ambiguous:
            return _Claim("unknown", "observed", why="repeated-line")
        if self._in_command(step):
            if not self.about.alone:
                return _Claim("unknown", "observed", why="another-session-is-live")
            return _Claim("command", "reported")
        if not self.about.alone:
            return _Claim("unknown", "observed", why="another-session-is-live")
        if self._in_write(step):
            if self._is_unsaid(step, line):
                return _Claim("agent", "intercepted", why="during-write-tool")
            return _Claim("unknown", "observed", why=_why_differs(line))
        why = self.about.why_not
        if step.at is not None and self.about.untouched_by_agent is None:
            why = "no-process-attribution"
        return _Claim("unknown", "observed", why=why)

    def _reported_only(self, step: _Step, line: bytes, told: Text) -> _Claim:
        """Judge a line that the agent reports as written although no answer holds it as it is."""
        model = told.edit.model
        if any(_is_part(text, line) for text in self._earlier(step)):
            return _Claim("model", "reported", model, "part-of-a-line")
        if self._is_unsaid(step, line):
            return _Claim("agent", "intercepted", why="not-in-any-answer")
        return _Claim("unknown", "observed", why=_why_differs(line))

    def _earlier(self, step: _Step) -> list[Text]:
        """Give the wire's texts for this path of which this step's content was not computed."""
        return [
            text for text in self.wire if _by(text.at, step.at) and id(text) not in step.applied
        ]

    def _is_unsaid(self, step: _Step, line: bytes) -> bool:
        core = squeezed(line)
        if not core or (self.notebook and is_frame(line)) or self.about.said(line, step.at):
            return False
        return not any(
            core in squeezed(text.edit.text.encode("utf-8", "replace"))
            for text in self.wire
            if _by(text.at, step.at)
        )

    def _is_humans(self, step: _Step) -> bool:
        """Say whether the agent's processes had provably not opened this file for writing."""
        if not self.about.alone or step.at is None:
            return False
        if any(_by(text.at, step.at) for text in (*self.wire, *self.reported)):
            return False
        untouched = self.about.untouched_by_agent
        if untouched is not None and self.account.path in untouched:
            return True
        opened = (self.about.opened_by_agent or {}).get(self.account.path)
        return opened is not None and step.at < instant(opened[0])

    def _was_said(self, line: bytes, by: datetime | None) -> bool:
        moves = self.about.elsewhere
        return self.about.said(line, by) or (moves is not None and moves.holds_part_of(line))

    def _in_command(self, step: _Step) -> bool:
        if step.since is None or step.at is None:
            return self.account.by_command and not self.wire and not self.reported
        return any(
            instant(window.start) <= step.since
            and step.at <= max(instant(window.end), step.since) + EVENT_DELAY
            and step.since <= instant(window.end) + EVENT_DELAY
            for window in self.about.commands
        )

    def _in_write(self, step: _Step) -> bool:
        """Say whether a write tool of the agent, or what hangs on it, was at work in this step.

        Between the answer that asked for a write to this file and the next request, in the same
        step as the write itself or right after it; and the agent had the file open.
        """
        if not (self.about.wire_complete and self.about.followed) or step.since is None:
            return False
        assert step.at is not None
        opened = self.about.opened_by_agent
        if opened is not None:
            first, last = opened.get(self.account.path, ("", ""))
            if not first or not instant(first) <= step.at:
                return False
            if step.since > instant(last) + EVENT_DELAY:
                return False
        for landed, text in self.landed:
            until = text.edit.until
            if (
                text.at is not None
                and text.at <= step.since
                and (landed == step.at or step.since <= landed + TOOL_AFTERMATH)
                and (until is None or step.since <= instant(until) + EVENT_DELAY)
            ):
                return True
        return False


def _text(edit: Edit, *, notebook: bool = False) -> Text:
    keys = text_keys(edit, notebook=notebook)
    echoed = frozenset(keys[n - 1] for n in edit.echoed if 0 < n <= len(keys))
    return Text(edit, keys, instant(edit.at) if edit.at else None, echoed=echoed)


def _by(at: datetime | None, end: datetime | None) -> bool:
    return at is None or end is None or at <= end


def _covers(text: Text, steps: Iterable[tuple[int, _Step]]) -> dict[int, int]:
    """Give the steps in which a write can have landed, and how many of its lines are new there."""
    found: dict[int, int] = {}
    telling = {key for key in text.keys if is_distinctive(key)}
    for number, step in steps:
        if not telling:
            if list(text.keys) == step.keys:
                found[number] = 1
            continue
        cover = step.places.coverage(text)
        if cover and (step.at is None or _fits(step, telling)):
            found[number] = cover
    return found


def _fits(step: _Step, lines: Iterable[bytes]) -> bool:
    """Say whether most of the lines that were not there before this step are there after it.

    A write puts all of its text into the file; a line or two may be a person's by chance.
    """
    missing = {*lines} - step.prior
    return 0 < len(missing) <= 2 * len(missing & step.present)


def _best(covers: Mapping[int, int], steps: Sequence[_Step], text: Text) -> frozenset[int]:
    if text.edit.every or not covers:
        return frozenset(covers)
    best = max(covers.values())
    same = [number for number, cover in covers.items() if cover == best]
    parts = {number for number, cover in covers.items() if _LARGE_PART <= cover >= best / 2}
    until = instant(text.edit.until) + EVENT_DELAY if text.edit.until else None
    # The tool's own write is the last thing before the next request.
    timely = [n for n in same if until is None or _by(steps[n].since, until)]
    return frozenset({*parts, timely[-1] if timely and until else same[0]})


def _near(at: datetime | None, step: _Step, began: datetime | None) -> bool:
    """Say whether a write that was reported as done at a time can have made this step.

    `began` is when the answer that asked for it was complete, where that is known.
    """
    if at is None or step.since is None or step.at is None:
        return True
    if began is not None:
        return began <= step.at and step.since <= at + EVENT_DELAY
    return at - TOOL_REPORT <= step.since <= at + EVENT_DELAY


def _why_differs(line: bytes) -> str:
    return "differs-from-answer" if squeezed(line) else "too-short-to-tell"


def _is_part(text: Text, line: bytes) -> bool:
    """Say whether a text begins or ends inside this line, as a replaced piece of it would."""
    pieces = {text.keys[0].strip(), text.keys[-1].strip()} if text.keys else set()
    return any(is_distinctive(piece) and piece in line and piece != line for piece in pieces)
