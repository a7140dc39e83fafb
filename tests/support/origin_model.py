"""A work tree in memory whose every line knows who wrote it, and what a recorder saw of it.

The oracle is the list of line objects itself: edits, moves, commands and people change it, and
beside it arise the events that a recorder would have (answers, reports, windows, versions).
It shares no code with what is under test but the value types and the call itself.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from difflib import SequenceMatcher

from agentprov.formats.facts import CommandWindow, Edit, LineRange
from agentprov.record.accounts import Account, Circumstances, Hand, Moves, Opened
from agentprov.record.neighbours import Neighbours
from agentprov.record.origins import ranges
from agentprov.record.versions import Version

_SHORT = ("}", "", "    pass", ")", "else:", "    return None", "import os", "end", "# ---")
_WORDS = ("value", "total", "name", "path", "items", "result", "index", "count", "node", "state")


@dataclass(eq=False)
class Line:
    """A line and its author: base, human, or model, command or agent with the session's letter."""

    text: str
    author: str


@dataclass
class Session:
    """What one session's recorder has."""

    name: str
    started: int
    baseline: dict[str, list[str]]
    wire: dict[str, list[Edit]] = field(default_factory=dict)
    reported: dict[str, list[Edit]] = field(default_factory=dict)
    commands: list[CommandWindow] = field(default_factory=list)
    opened: dict[str, tuple[int, int]] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=dict)
    versions: dict[str, list[Version]] = field(default_factory=dict)
    alone: bool = True
    unseen: set[str] = field(default_factory=set)
    whole: bool = True
    old_names: dict[str, str] = field(default_factory=dict)
    openings: dict[str, list[Opened]] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """Which witnesses there are, and how often whoever does something."""

    gateway: bool = True
    attribution: bool = True
    versions: bool = True
    loss: float = 0.0
    lost_processes: float = 0.0
    malice: float = 0.02
    second: float = 0.04
    people: float = 0.22


def stamp(moment: int) -> str:
    """Write milliseconds as RFC 3339."""
    seconds, rest = divmod(moment, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"2026-01-{1 + days % 28:02}T{hour:02}:{minute:02}:{second:02}.{rest:03}Z"


class Story:
    """One tree, its people, commands and up to two agents, driven by a seed."""

    def __init__(self, seed: int, setting: Setting) -> None:
        self.random = random.Random(seed)
        self.setting = setting
        self.seed = seed
        self.now = 10_000
        self.serial = 0
        self.files: dict[str, list[Line]] = {}
        self.head: dict[str, list[str]] = {}
        self.staged: dict[str, list[Line]] = {}
        self.sessions: list[Session] = []
        self.tally: Counter[str] = Counter()
        self.errors: list[str] = []
        self.operations = 0
        self.letter = 0
        # Lines that a model proposed for a file and nobody wrote yet: who types them, says them.
        self.offered: dict[str, set[str]] = {}
        self.spoken: dict[str, set[str]] = {}
        for _ in range(self.random.randint(2, 5)):
            path = self._new_path()
            self.files[path] = [self._line("base") for _ in range(self.random.randint(0, 20))]
        self._settle_head()
        self._open("A0")

    # --- people, models, commands

    def run(self, operations: int) -> None:
        """Do so many operations, then commit what is left."""
        for _ in range(operations):
            self.operations += 1
            self._one()
        self._commit()

    def _one(self) -> None:
        self.now += self.random.choice((400, 900, 5_000, 60_000))
        roll = self.random.random()
        session = self.random.choice(self.sessions)
        if roll < self.setting.people:
            self._human()
        elif roll < 0.70:
            self._model(session)
        elif roll < 0.84:
            self._command(session)
        elif roll < 0.88:
            self._stage()
        elif (
            roll < 0.90
            and len(self.sessions) == 1
            and (self.random.random() < self.setting.second * 0.2)
        ):
            self._open(f"B{self.letter}")
        else:
            self._commit()

    def _open(self, name: str) -> None:
        baseline = {path: [line.text for line in lines] for path, lines in self.files.items()}
        session = Session(name, self.now, baseline)
        self.sessions.append(session)
        if len(self.sessions) > 1:
            for one in self.sessions:
                one.alone = False

    def _new_path(self) -> str:
        self.serial += 1
        return f"src/file{self.serial}.py"

    def _text(self) -> str:
        if self.random.random() < 0.2:
            return self.random.choice(_SHORT)
        self.serial += 1
        first, second = self.random.choice(_WORDS), self.random.choice(_WORDS)
        return f"{' ' * 4 * self.random.randint(0, 2)}{first}_{self.serial} = {second}()"

    def _line(self, author: str) -> Line:
        return Line(self._text(), author)

    def _some(self) -> str | None:
        return self.random.choice(sorted(self.files)) if self.files else None

    def _human(self, path: str | None = None) -> None:
        """A person saves a change in an editor; never while a tool of an agent is at work."""
        path = path or (self._some() if self.random.random() < 0.5 else self._own_file())
        if path is None:
            return
        lines = self.files.setdefault(path, [])
        kind = self.random.random()
        at = self.random.randint(0, len(lines))
        if kind < 0.55 or not lines:
            lines[at:at] = [self._line("human") for _ in range(self.random.randint(1, 4))]
            for line in lines[at : at + 4]:
                if line.author == "human" and self._is_common(path, line.text):
                    line.author = "either"
        elif kind < 0.72:
            at %= len(lines)
            lines[at] = Line(f"{lines[at].text} + {self._text().strip()}", "human")
        elif kind < 0.8:
            del lines[at : at + self.random.randint(1, 3)]
        elif kind < 0.87:
            block = lines[at : at + 4]
            del lines[at : at + 4]
            to = self.random.randint(0, len(lines))
            lines[to:to] = block
        elif kind < 0.89:
            # The very same text, typed again by a person.
            text = self.random.choice(lines).text
            either = self._is_common(path, text)
            lines.insert(at, Line(text, "either" if either else "human"))
        elif kind < 0.95:
            other = self._some()
            if other and other != path:
                block = lines[at : at + 5]
                del lines[at : at + 5]
                target = self.files[other]
                for line in block:
                    # Back in a file for which a model has said it: whoever brings it there.
                    if line.text in self.spoken.get(other, ()) and line.author != "human":
                        line.author = "either"
                to = self.random.randint(0, len(target))
                target[to:to] = block
                self._saw(other, by=None)
        self._saw(path, by=None)

    def _is_common(self, path: str, text: str) -> bool:
        """Say whether a model said this line for the file before, so that it is its line too.

        With every version at hand it is enough to look at what was said and not yet written.
        """
        strict = self.setting.versions and not self.setting.loss
        return text in (self.offered if strict else self.spoken).get(path, ())

    def _own_file(self) -> str:
        """A file that only people work on."""
        return f"notes/page{self.random.randint(1, 3)}.md"

    def _model(self, session: Session) -> None:
        """A request, an answer that asks for a write, the write, its report."""
        path = self._some()
        if path is None or self.random.random() < 0.15:
            path = self._new_path()
        path = path if not path.startswith("notes/") else self._new_path()
        lines = self.files.get(path, [])
        author = f"model{session.name}"
        plan = self._plan(lines, author)
        if plan is None:
            return
        make, text, old = plan
        self.now += self.random.choice((1_300, 4_000, 20_000))
        finished = self.now
        self.offered.setdefault(path, set()).update(text.split("\n"))
        self.spoken.setdefault(path, set()).update(text.split("\n"))
        self.serial += 1
        call = f"call{self.serial}"
        asked = {line.text.strip() for line in lines}
        if self.random.random() < 0.15:
            # While a person is asked for leave, a person may save.
            self.now += 3_000
            self._human(path)
            self.now += 3_000
        done = self.random.random() > 0.06
        lines = self.files.setdefault(path, [])
        if old is not None and "\n".join(line.text for line in lines).count(old) != 1:
            done = False
        told = text
        if done:
            self.now += self.random.randint(5, 60)
            made = make(lines)
            self._tamper(session, path)
            self._saw(path, by=session)
            self._tamper_after(session, path)
            told = "\n".join(made) if old is not None else text
            self.offered[path] -= set(text.split("\n"))
        elif path not in self.head and not lines:
            self.files.pop(path, None)
        self.now += self.random.randint(20, 80)
        until = self.now
        model = f"m-{session.name}"
        known = self.random.random() < 0.8
        wire = Edit(
            f"/r/{path}", text, "Edit" if old is not None else "Write", model, "intercepted",
            stamp(finished), call,
            echoed=tuple(
                number for number, line in enumerate(text.split("\n"), 1)
                if line.strip() in asked and len(line.strip()) >= 8
            ),
            replaces=old if known else None, until=stamp(until),
        )  # fmt: skip
        session.wire.setdefault(path, []).append(wire)
        if done:
            report = Edit(f"/r/{path}", told, wire.tool, model, "reported", stamp(self.now), call)
            session.reported.setdefault(path, []).append(report)
        for line in text.split("\n"):
            session.said.setdefault(line.strip(), finished)

    def _plan(
        self, lines: list[Line], author: str
    ) -> tuple[Callable[[list[Line]], list[str]], str, str | None] | None:
        """Choose a write: what it does to the tree, its text, and what it replaces."""
        kind = self.random.random()
        if not lines or kind < 0.25:
            new = list(lines)
            for _ in range(self.random.randint(1, 3)):
                at = self.random.randint(0, len(new))
                new[at:at] = [self._line(author) for _ in range(self.random.randint(1, 8))]
            if new and self.random.random() < 0.4:
                del new[self.random.randrange(len(new))]
            text = "\n".join(line.text for line in new) + "\n"
            return (lambda now: self._write(now, new, author)), text, None
        at = self.random.randrange(len(lines))
        if kind < 0.4:
            target = lines[at]
            word = target.text.strip().split(" ")[0]
            if len(word) < 5 or "\n".join(line.text for line in lines).count(word) != 1:
                return None
            self.serial += 1
            other = f"renamed_{self.serial}"
            return (lambda now: self._inline(now, word, other, author)), other, word
        size = self.random.randint(1, 3)
        old = lines[at : at + size]
        kept = self.random.randint(0, len(old))
        fresh = [self._line(author) for _ in range(self.random.randint(1, 6))]
        new = [*old[:kept], *fresh, *(old[kept:] if self.random.random() < 0.6 else [])]
        old_text = "\n".join(line.text for line in old)
        new_text = "\n".join(line.text for line in new)
        if not old_text.strip() or old_text == new_text:
            return None
        return (lambda now: self._piece(now, old_text, new, author)), new_text, old_text

    @staticmethod
    def _write(lines: list[Line], new: list[Line], author: str) -> list[str]:
        # What a tool writes again it writes; a line that stood there stays whose it was.
        before = [line.text for line in lines]
        after = [line.text for line in new]
        stays: dict[int, Line] = {}
        for kind, a, _, b, b_end in SequenceMatcher(None, before, after, False).get_opcodes():
            if kind == "equal":
                stays.update({b + step: lines[a + step] for step in range(b_end - b)})
        lines[:] = _each_once(new, stays, author)
        return after

    @staticmethod
    def _inline(lines: list[Line], word: str, other: str, author: str) -> list[str]:
        for index, line in enumerate(lines):
            if word in line.text:
                lines[index] = Line(line.text.replace(word, other, 1), author)
                return [lines[index].text]
        return []

    @staticmethod
    def _piece(lines: list[Line], old: str, new: list[Line], author: str) -> list[str]:
        wanted = old.split("\n")
        texts = [line.text for line in lines]
        for at in range(len(texts) - len(wanted) + 1):
            if texts[at : at + len(wanted)] == wanted:
                kept = lines[at : at + len(wanted)]
                after = [line.text for line in new]
                stays: dict[int, Line] = {}
                for kind, a, _, b, b_end in SequenceMatcher(
                    None, wanted, after, False
                ).get_opcodes():
                    if kind == "equal":
                        stays.update({b + step: kept[a + step] for step in range(b_end - b)})
                lines[at : at + len(wanted)] = _each_once(new, stays, author)
                return after
        # Inside lines: the piece began or ended within one; then nothing is written.
        return []

    def _tamper(self, session: Session, path: str) -> None:
        if self.random.random() < self.setting.malice:
            self.serial += 1
            evil = Line(f"os.system('fetch {self.serial} evil')", f"agent{session.name}")
            lines = self.files[path]
            lines.insert(self.random.randint(0, len(lines)), evil)
            self.tally["injected"] += 1

    def _tamper_after(self, session: Session, path: str) -> None:
        if self.random.random() < self.setting.malice:
            self.now += self.random.randint(5, 400)
            self._tamper_now(session, path)

    def _tamper_beside(self, session: Session) -> None:
        """While a command runs, the agent itself rewrites a file that is about to be committed."""
        path = self._some()
        if path is not None and self.random.random() < self.setting.malice:
            self.now += self.random.randint(5, 400)
            self.tally["beside"] += 1
            self._tamper_now(session, path)

    def _tamper_now(self, session: Session, path: str) -> None:
        self.serial += 1
        self.files[path].append(Line(f"backdoor_{self.serial}()", f"agent{session.name}"))
        self.tally["injected"] += 1
        self._saw(path, by=session)

    def _command(self, session: Session) -> None:
        path = self._some()
        start = self.now
        self.now += self.random.randint(300, 2_000)
        author = f"command{session.name}"
        kind = self.random.random()
        if path is not None and not path.startswith("notes/"):
            lines = self.files[path]
            if kind < 0.4:
                # A formatter.
                for index, line in enumerate(lines):
                    if "=" in line.text and self.random.random() < 0.3:
                        lines[index] = Line(line.text.replace(" = ", "  =  "), author)
                self._saw(path, by=session, hand="command")
            elif kind < 0.6:
                made = [self._line(author) for _ in range(self.random.randint(1, 5))]
                for line in made:
                    line.author = "either" if self._is_common(path, line.text) else author
                lines += made
                self._saw(path, by=session, hand="command")
                if self.random.random() < 0.3:
                    # It had the file open all along.
                    self.now += self.random.randint(5, 300)
                    lines.append(Line(f"logged_{self.serial}_{len(lines)}", author))
                    self._saw(path, by=session, opened=False)
            elif kind < 0.7:
                self._rename(path, session)
            elif kind < 0.8:
                del self.files[path]
                self._saw(path, by=session, hand="command")
            else:
                new = self._new_path()
                self.files[new] = [self._line(author) for _ in range(self.random.randint(1, 20))]
                self._saw(new, by=session, hand="command")
            self._tamper_beside(session)
        self.now += self.random.randint(100, 500)
        session.commands.append(CommandWindow(stamp(start), stamp(self.now), "reported"))

    def _rename(self, path: str, session: Session) -> None:
        to = self._new_path()
        self.files[to] = self.files.pop(path)
        for one in self.sessions:
            one.old_names[to] = path
        self._saw(path, by=session, hand="command")
        self._saw(to, by=session, hand="command")

    # --- what recorders see

    def _saw(
        self, path: str, by: Session | None, hand: Hand = "agent", *, opened: bool = True
    ) -> None:
        """The file was saved, through a descriptor of now or before; recorders may notice."""
        since = self.now
        if by is not None and opened:
            if self.random.random() < self.setting.lost_processes:
                hand = "unclear"
            moment = datetime.fromisoformat(stamp(since - 1))
            by.openings.setdefault(path, []).append(Opened(moment, moment, hand))
        began = self.now
        self.now += self.random.randint(1, 8)
        content: bytes | None = None
        if path in self.files:
            content = _content([line.text for line in self.files[path]])
        for session in self.sessions:
            if by is session:
                first, _ = session.opened.get(path, (since, since))
                session.opened[path] = (first, since)
            if self.setting.versions:
                if self.random.random() < self.setting.loss:
                    session.whole = False
                    if by is session:
                        session.unseen.add(path)
                    continue
                kept = session.versions.setdefault(path, [])
                others = (
                    self.setting.attribution and by is not session and path not in session.unseen
                )
                session.unseen.discard(path)
                kept.append(Version(stamp(since), stamp(self.now), content, others, stamp(began)))

    def _stage(self) -> None:
        path = self._some()
        if path is not None:
            self.staged[path] = list(self.files[path])

    def _commit(self) -> None:
        content = {path: list(lines) for path, lines in self.files.items()}
        content.update({path: lines for path, lines in self.staged.items() if path in content})
        self.staged.clear()
        self.tally["commits"] += 1
        for path, lines in content.items():
            texts = [line.text for line in lines]
            for session in self.sessions:
                old = self._old_name(session, path)
                parent = self.head.get(path, self.head.get(old, []))
                if texts != parent:
                    self._check(session, path, lines, parent)
        self._settle_head(content)
        # A session ends now and then, and the next one begins.
        if self.random.random() < 0.12:
            self.sessions = []
            self.letter += 1
            self._open(f"A{self.letter}")

    def _old_name(self, session: Session, path: str) -> str:
        while path in session.old_names:
            path = session.old_names[path]
        return path

    def _settle_head(self, content: dict[str, list[Line]] | None = None) -> None:
        found = self.files if content is None else content
        self.head = {path: [line.text for line in lines] for path, lines in found.items()}

    # --- the question, and the oracle

    def _account(self, session: Session, path: str) -> Account:
        names = [path]
        while names[-1] in session.old_names:
            names.append(session.old_names[names[-1]])
        names.reverse()
        versions = sorted(
            (
                version
                for name in names
                for version in session.versions.get(name, [])
                if version.content is not None or name == path
            ),
            key=lambda version: version.at,
        )
        wire = [edit for name in names for edit in session.wire.get(name, [])]
        return Account(
            path=path.encode(),
            before=_content(session.baseline.get(names[0], [])),
            versions=versions,
            reported=[edit for name in names for edit in session.reported.get(name, [])],
            wire=wire if self.setting.gateway else [],
            names=[name.encode() for name in names],
        )

    def _check(self, session: Session, path: str, lines: list[Line], parent: list[str]) -> None:
        texts = [line.text for line in lines]
        old = self._old_name(session, path)
        before = session.baseline.get(old, [])
        added = _added(parent, texts)
        since = set(_numbers(_added(before, texts)))
        outside = {"before-session": frozenset(set(_numbers(added)) - since)}
        account = self._account(session, path)
        elsewhere = session.wire if self.setting.gateway else {}
        setting = self.setting
        touched = {
            name.encode(): (stamp(first), stamp(last))
            for name, (first, last) in session.opened.items()
        }
        circumstances = Circumstances(
            commands=session.commands,
            wire_complete=setting.gateway,
            followed=setting.versions and session.whole,
            alone=session.alone,
            said=lambda line, by: (
                (at := session.said.get(line.decode().strip())) is not None
                and (by is None or datetime.fromisoformat(stamp(at)) <= by)
            ),
            untouched_by_agent=(
                frozenset({path.encode()} - touched.keys()) if setting.attribution else None
            ),
            opened_by_agent=touched if setting.attribution else None,
            openings=(
                {name.encode(): found for name, found in session.openings.items()}
                if setting.attribution
                else None
            ),
            elsewhere=Moves(
                (edit for edits in elsewhere.values() for edit in edits),
                (edit for edits in session.reported.values() for edit in edits),
            ),
            neighbours=Neighbours(
                lambda: {
                    name.encode(): self._account(session, name)
                    for name in {*session.versions, *session.baseline}
                }
            ),
        )
        found = ranges(_content(texts), added, outside, account, circumstances)
        labels = {number: item for item in found for number in range(item.start, item.end + 1)}
        if sorted(labels) != sorted(_numbers(added)):
            self.errors.append(f"seed {self.seed}: {path}: not every added line has an origin")
        self._judge(session, path, lines, labels)

    def _judge(
        self, session: Session, path: str, lines: list[Line], labels: dict[int, LineRange]
    ) -> None:
        authors: dict[str, Counter[str]] = {}
        for line in lines:
            authors.setdefault(line.text, Counter())[line.author] += 1
        given: dict[str, Counter[str]] = {}
        for number, item in labels.items():
            line = lines[number - 1]
            given.setdefault(line.text, Counter())[item.origin] += 1
            self.tally[item.origin] += 1
            self.tally["lines"] += 1
            self.tally[f"{line.author.rstrip('AB0123456789')} as {item.origin}"] += 1
            if item.origin == "unknown":
                if not item.why:
                    self.errors.append(f"seed {self.seed}: {path}: unknown without a reason")
                self.tally[f"why {item.why}"] += 1
        own = {"model": f"model{session.name}", "human": "human", "agent": f"agent{session.name}"}
        loose = not self.setting.versions or bool(self.setting.loss)
        for text, origins in given.items():
            if loose and text in _SHORT:
                # Deleted by one hand and typed by another unseen, a bracket is nobody's.
                continue
            for origin, author in own.items():
                surplus = origins[origin] - authors[text][author] - authors[text]["either"]
                if origin == "human":
                    # A person may move what is not this model's, and brackets are nobody's.
                    surplus -= sum(
                        count
                        for other, count in authors[text].items()
                        if other != "human" and (other != own["model"] or len(text.strip()) < 8)
                    )
                if surplus > 0:
                    kind = f"false {origin}"
                    others = sorted(authors[text])
                    if origin == "model" and "human" in others:
                        kind = "swap model for human"
                    if origin == "human" and any(o.startswith("model") for o in others):
                        kind = "swap human for model"
                    self.tally[kind] += surplus
                    self.errors.append(
                        f"seed {self.seed}, operation {self.operations}: {path}: {kind}: "
                        f"{text!r} by {others}, session {session.name}"
                    )


def _each_once(new: list[Line], stays: dict[int, Line], author: str) -> list[Line]:
    """Give the lines of a write: those that stay, and others, each its own."""
    used = {id(line) for line in stays.values()}
    out = []
    for index, line in enumerate(new):
        if index in stays:
            out.append(stays[index])
        elif id(line) in used:
            out.append(Line(line.text, author))
        elif line.author != author:
            # Deleted or moved meanwhile: the model wrote again what somebody else had written.
            out.append(Line(line.text, "either"))
        else:
            out.append(line)
        used.add(id(line))
    return out


def _content(texts: list[str]) -> bytes:
    return "".join(text + "\n" for text in texts).encode()


def _added(old: list[str], new: list[str]) -> list[tuple[int, int]]:
    codes = SequenceMatcher(None, old, new, False).get_opcodes()
    return [(b + 1, b_end) for kind, _, _, b, b_end in codes if kind in ("insert", "replace")]


def _numbers(spans: list[tuple[int, int]]) -> list[int]:
    return [number for start, end in spans for number in range(start, end + 1)]
