"""Where each added line came from, as far as this recorder can tell (docs/spec/origins.md).

A file is followed from the session's first snapshot through its kept versions to what was
committed. A line is judged by the step in which it first stood: whose text holds it that was
complete by then, which command ran, which write tool was at work. What nothing accounts for is
``unknown`` with a reason; a false ``model`` or ``human`` is worse than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agentprov.formats.facts import LineRange
from agentprov.formats.lineage import Lineage, is_distinctive
from agentprov.formats.vocabulary import Basis, Origin
from agentprov.record import landing, windows
from agentprov.record.accounts import ONE_OF_A_KIND, Account, Circumstances, Hand
from agentprov.record.carried import Carried
from agentprov.record.landing import EVENT_DELAY, TOOL_AFTERMATH, Step, by, text_of
from agentprov.record.matching import Places, Text
from agentprov.record.neighbours import Departure, Sighting, Traces
from agentprov.record.transforms import (
    WHOLE_FILE_TOOLS,
    Draft,
    file_keys,
    is_frame,
    is_notebook,
    squeezed,
)
from agentprov.record.versions import instant

MOVED_LINES = 3
_COMMANDS: frozenset[Hand] = frozenset({"command"})
_AGENTS: frozenset[Hand] = frozenset({"agent"})


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


class _Judge:
    """Follows one file and claims its lines, step by step."""

    def __init__(self, account: Account, circumstances: Circumstances) -> None:
        self.account = account
        self.about = circumstances
        self.notebook = is_notebook(account.path)
        self.wire = [text_of(edit, notebook=self.notebook) for edit in account.wire]
        self.reported = [text_of(edit, notebook=self.notebook) for edit in account.reported]
        self.claimed: dict[int, _Claim] = {}
        self.landed: list[tuple[datetime, Text]] = []
        self.traces = Traces()

    def claims(self, content: bytes) -> list[_Claim]:
        """Give a claim for each line of what was committed."""
        start = file_keys(self.account.before, notebook=self.notebook)
        lineage = Lineage(start)
        self.traces.seen = {key: [Sighting(None, None)] for key in start}
        steps = [step for step in self._steps(content, lineage) if step.fresh]
        landed_in = self._landing(steps)
        for number, step in enumerate(steps):
            self._take_wire(step, number, landed_in)
            told = self._take_reported(step, number, landed_in)
            self._take_moved(step)
            for index in sorted(step.places.free | told.keys()):
                if step.ids[index] not in self.claimed:
                    self.claimed[step.ids[index]] = self._rest(step, index, told.get(index))
            for index in sorted(step.fresh):
                claim = self.claimed[step.ids[index]]
                self.traces.seen.setdefault(step.keys[index], []).append(
                    Sighting(step.at, claim.origin, claim.basis, claim.model)
                )
        old = _Claim("unknown", "observed", why="before-session")
        here = frozenset(lineage.ids)
        return [
            self._sure(
                self.claimed.get(identity, old), lineage.ties.get(identity, set()) - here, old
            )
            for identity in lineage.ids
        ]

    def _sure(self, claim: _Claim, ties: Iterable[int], old: _Claim) -> _Claim:
        """Give a claim unless the line may be another that was the same, gone, and not its own."""
        if all(self.claimed.get(tied, old) == claim for tied in ties):
            return claim
        return _Claim("unknown", "observed", why="repeated-line")

    def _steps(self, content: bytes, lineage: Lineage) -> Iterator[Step]:
        final = file_keys(content, notebook=self.notebook)
        chain = [
            (version, file_keys(version.content or b"", notebook=self.notebook))
            for version in self.account.versions
        ]
        same = [number for number, (_, keys) in enumerate(chain) if keys == final]
        if same:
            del chain[same[-1] + 1 :]
        before, begun = self.account.before, None
        for version, keys in chain:
            step = self._step(lineage, before, keys, seen=True)
            step.since, step.at = instant(version.since), instant(version.at)
            step.by_others, step.begun = version.by_others, begun
            begun = instant(version.began or version.at)
            for key in step.prior - step.present:
                departure = Departure(step.since, step.by_others)
                self.traces.left.setdefault(key, []).append(departure)
            before = version.content or b""
            yield step
        if not same:
            yield self._step(lineage, before, final, seen=False)

    def _step(self, lineage: Lineage, before: bytes, keys: list[bytes], *, seen: bool) -> Step:
        prior = frozenset(lineage.keys)
        careful = not (seen and self.about.followed)
        fresh = lineage.step(keys)
        places = Places(keys, fresh, careful=careful)
        return Step(before, lineage.keys, lineage.ids, places, prior=prior, fresh=frozenset(fresh))

    def _take_wire(self, step: Step, number: int, landed_in: Mapping[int, frozenset[int]]) -> None:
        """Claim lines that stand in an answer which was asked for before they stood here."""
        texts = [
            one
            for one in self.wire
            if not one.spent and by(one.at, step.at) and number in landed_in[id(one)]
        ]
        drafted = self._drafted(step)
        if not (texts or drafted):
            return
        used = {id(text): len(text.used) for text in texts}
        for text in [*drafted, *reversed(texts)]:
            self._say(step, text, step.places.claim(text, [*texts, *drafted]), "intercepted")
            self._say_block(step, text)
        if step.at is not None:
            found = [text for text in texts if len(text.used) > used[id(text)]]
            self.landed += [
                (step.at, text)
                for text in (*found, *drafted)
                if any(map(is_distinctive, text.keys))
            ]

    def _drafted(self, step: Step) -> list[Text]:
        """Do the replacements that the model asked for, and give the whole lines they make."""
        draft = Draft.of(step.before)
        made: list[tuple[int, list[bytes]]] = []
        for number, text in enumerate(self.wire):
            if text.spent or not by(text.at, step.at):
                continue
            if step.at is None and text.edit.tool in WHOLE_FILE_TOOLS:
                # Nobody saw it in between: later replacements build on it.
                draft = Draft.written(text.edit, number)
                made = list(draft.runs(notebook=self.notebook))
            if not text.edit.replaces:
                continue
            tried = draft.copy()
            if not tried.replace(text.edit, number):
                continue
            runs = list(tried.runs(notebook=self.notebook))
            mine = [key for tag, keys in runs if tag == number for key in keys]
            fits = step.took_in(key for key in mine if is_distinctive(key)) or (
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

    def _say(self, step: Step, text: Text, indexes: Iterable[int], basis: Basis) -> None:
        for index in list(indexes):
            why = "echoed" if step.is_echo(index, text) else None
            if why and (step.at is None or not self.about.followed):
                # It may have stood here before the answer, by another hand.
                claim = _Claim("unknown", "observed", why=why)
            else:
                claim = _Claim("model", basis, text.edit.model, why)
            self.claimed[step.ids[index]] = claim

    def _say_block(self, step: Step, text: Text) -> None:
        """Claim what is left of a text that stands there as a whole: its brackets."""
        block = step.block(text) if step.at is not None and self.about.followed else None
        for index in sorted(step.places.free.intersection(block or ())):
            text.used.add(index - block[0] if block else 0)
            step.places.free.discard(index)
            self._say(step, text, [index], "intercepted")

    def _landing(self, steps: Sequence[Step]) -> dict[int, frozenset[int]]:
        began = {text.edit.call_id: text.at for text in self.wire if text.edit.call_id}
        return {
            **landing.of_answers(self.wire, steps),
            **landing.of_reports(self.reported, steps, began),
        }

    def _take_reported(
        self, step: Step, number: int, landed_in: Mapping[int, frozenset[int]]
    ) -> dict[int, Text]:
        """Find lines that only the agent's own report accounts for; claim them off the wire."""
        told: dict[int, Text] = {}
        texts = [one for one in self.reported if number in landed_in[id(one)]]
        for text in reversed(texts):
            told.update((index, text) for index in step.places.claim(text, texts))
        if not self.about.wire_complete:
            for index, text in told.items():
                self._say(step, text, [index], "reported")
        return told

    def _take_moved(self, step: Step) -> None:
        if self.about.elsewhere is None:
            return
        telling = [step.keys[n] for n in step.places.free if len(step.keys[n]) >= ONE_OF_A_KIND]
        for edit in self.about.elsewhere.holding(telling):
            text = text_of(edit, notebook=self.notebook)
            if edit in self.account.wire or edit in self.account.reported or edit.echoed:
                continue
            if by(text.at, step.at):
                for index in list(step.places.claim(text, [text], least=MOVED_LINES)):
                    # Brackets may come from what the write only repeated.
                    if is_distinctive(step.keys[index]):
                        claim = _Claim("model", edit.basis, edit.model, "moved")
                    else:
                        claim = _Claim("unknown", "observed", why="too-short-to-tell")
                    self.claimed[step.ids[index]] = claim

    def _rest(self, step: Step, index: int, told: Text | None) -> _Claim:
        """Judge a line that no answer accounts for."""
        line = step.keys[index]
        if told is not None:
            return self._reported_only(step, line, told)
        if self._is_humans(step):
            carried = Carried(self.account, self.about, self.traces, _traces_of(self.about))
            if carried.may_be_a_models(step, line):
                source = carried.source(step, index)
                if source is not None:
                    return _Claim("model", source.basis, source.model, "moved")
                return _Claim("unknown", "observed", why="said-in-an-answer")
            return _Claim("human", "observed")
        if index in step.places.ambiguous:
            return _Claim("unknown", "observed", why="repeated-line")
        if windows.covered(step, self.account, self.about):
            if not self.about.alone:
                return _Claim("unknown", "observed", why="another-session-is-live")
            return self._under_a_command(step, line)
        if not self.about.alone:
            return _Claim("unknown", "observed", why="another-session-is-live")
        if self._in_write(step):
            if self._is_unsaid(step, line):
                return _Claim("agent", "intercepted", why="during-write-tool")
            return _Claim("unknown", "observed", why=_why_differs(line))
        if windows.hands(step, self.account, self.about) == _COMMANDS:
            return _Claim("command", "reported", why="after-its-command")
        why = self.about.why_not
        if step.at is not None and self.about.untouched_by_agent is None:
            why = "no-process-attribution"
        return _Claim("unknown", "observed", why=why)

    def _under_a_command(self, step: Step, line: bytes) -> _Claim:
        """Judge a line that appeared while a command ran, by whose processes had the file open.

        Where processes are not followed, the window has to do.
        """
        hands = windows.hands(step, self.account, self.about)
        if hands is None or hands == _COMMANDS:
            return _Claim("command", "reported")
        if not hands:
            # Something was held open from before, perhaps, and not by the command alone.
            return _Claim("unknown", "observed", why="nobody-seen-to-open")
        if hands != _AGENTS:
            return _Claim("unknown", "observed", why="command-or-agent")
        if self._is_certain and self._is_unsaid(step, line):
            return _Claim("agent", "intercepted", why="beside-a-command")
        return _Claim("unknown", "observed", why=_why_differs(line))

    @property
    def _is_certain(self) -> bool:
        return self.about.wire_complete and self.about.followed

    def _reported_only(self, step: Step, line: bytes, told: Text) -> _Claim:
        """Judge a line that the agent reports as written although no answer holds it as it is."""
        model = told.edit.model
        earlier = [text for text in self.wire if by(text.at, step.at)]
        computed = {}
        if self.about.followed:
            computed = {id(text): made for text in earlier if (made := self._made(step, text))}
        core = squeezed(line)
        if any(squeezed(key) == core for made in computed.values() for key in made):
            return _Claim("unknown", "observed", why=_why_differs(line))
        # What such a write makes of the file is known; of others, a piece must do.
        known = {*computed, *(step.applied if self.about.followed else ())}
        guessed = [text for text in earlier if id(text) not in known]
        if any(_is_part(text, line) for text in guessed):
            return _Claim("model", "reported", model, "part-of-a-line")
        if self._is_unsaid(step, line):
            return _Claim("agent", "intercepted", why="not-in-any-answer")
        return _Claim("unknown", "observed", why=_why_differs(line))

    def _made(self, step: Step, text: Text) -> list[bytes]:
        """Give the lines that a replacement makes of the version before; none if it cannot."""
        draft = Draft.of(step.before)
        if not text.edit.replaces or not draft.replace(text.edit, 0):
            return []
        return [key for _, keys in draft.runs(notebook=self.notebook) for key in keys]

    def _is_unsaid(self, step: Step, line: bytes) -> bool:
        core = squeezed(line)
        if not core or (self.notebook and is_frame(line)) or self.about.said(line, step.at):
            return False
        if core in squeezed(step.before):
            # Wrapped or joined anew, by a formatter of the agent's: no word of it is new.
            return False
        return not any(
            core in squeezed(text.edit.text.encode("utf-8", "replace"))
            for text in self.wire
            if by(text.at, step.at)
        )

    def _is_humans(self, step: Step) -> bool:
        """Say whether the agent's processes provably did not write this."""
        if not self.about.alone or step.at is None:
            return False
        if step.by_others:
            return True
        if any(by(text.at, step.at) for text in (*self.wire, *self.reported)):
            return False
        untouched = self.about.untouched_by_agent
        if untouched is not None and self.account.path in untouched:
            return True
        opened = (self.about.opened_by_agent or {}).get(self.account.path)
        return opened is not None and step.at < instant(opened[0])

    def all_traces(self) -> Traces:
        """Give when and by whose hand each line stood in the file, over all of its versions."""
        versions = self.account.versions
        self.claims(versions[-1].content or b"" if versions else self.account.before)
        return self.traces

    def _in_write(self, step: Step) -> bool:
        """Say whether a write tool of the agent, or what hangs on it, was at work in this step.

        Between the answer that asked for a write to this file and the next request, in the same
        step as the write itself or right after it; and the agent had the file open.
        """
        if not self._is_certain or step.since is None:
            return False
        assert step.at is not None
        # A command may have written in the same step: then it is anybody's.
        if "command" in (windows.hands(step, self.account, self.about) or ()) or windows.overlapped(
            step, self.about.commands
        ):
            return False
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


def _traces_of(about: Circumstances) -> Callable[[Account], Traces]:
    return lambda account: _Judge(account, about).all_traces()


def _why_differs(line: bytes) -> str:
    return "differs-from-answer" if squeezed(line) else "too-short-to-tell"


def _is_part(text: Text, line: bytes) -> bool:
    """Say whether a text begins or ends inside this line, as a replaced piece of it would."""
    pieces = {text.keys[0].strip(), text.keys[-1].strip()} if text.keys else set()
    return any(is_distinctive(piece) and piece in line and piece != line for piece in pieces)
