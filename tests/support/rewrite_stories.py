"""Histories in real git repositories whose every line has a known author, and what was said of it.

People and recorded sessions edit files; `Story` keeps, for itself alone, who wrote which line. The
recorder sees bytes, git objects and what the wire asked for, as it does in a run: sessions go
through `flows.recording.Recording`, only the agent and its network are left out. Then `check`
compares what records and links say of each line of the final tree with who wrote it.
"""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from agentprov.flows.drain import drain
from agentprov.flows.recording import Recording
from agentprov.flows.repository import identity
from agentprov.flows.verify import verify
from agentprov.flows.world import World
from agentprov.formats.facts import Agent, AgentReport, Edit, ModelUse, Session
from agentprov.formats.names import LOCAL_WRAPPER
from agentprov.record import snapshot
from agentprov.record.commits import ref_state
from agentprov.record.journal import JournalWriter
from agentprov.record.session import SessionDirectory, State
from support.repository import Repository

Line = tuple[str, str]
"""A line's text and its author: a session's id, or a person's name."""
COMMON = ("", "}", "{", "    return", "end", "    }", "else:")
_WORDS = (
    "amber",
    "basin",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "haven",
    "inlet",
    "joust",
    "knoll",
    "larch",
    "mango",
    "noble",
    "ochre",
    "plaza",
    "quilt",
    "raven",
    "slate",
    "tulip",
    "umber",
    "vivid",
    "wharf",
    "xenon",
    "yield",
    "zebra",
)


@dataclass
class Tally:
    """How many lines of the final tree were answered, and how."""

    lines: int = 0
    right: int = 0
    human: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.lines += other.lines
        self.right += other.right
        self.human += other.human
        self.unknown += other.unknown
        self.wrong += other.wrong
        self.refused += other.refused


class Story:
    """One repository, its people and sessions; every random choice comes from the seed."""

    def __init__(self, top: Path, seed: int, *, hooks: bool = True) -> None:
        self.random = random.Random(seed)
        self.repository = Repository(top)
        self.git = self.repository.git
        self.top = top
        self.world = World.here(top)
        self.hooks = hooks
        self.sessions: list[str] = []
        self.written: dict[str, set[str]] = defaultdict(set)
        self.versions: list[list[Line]] = []
        self._serial = 0
        self._made: list[Line] = []

    # --- texts -----------------------------------------------------------------------------

    def fresh(self, author: str) -> Line:
        """Give a new line: mostly one that stands nowhere else, sometimes a very common one."""
        if self.random.random() < 0.25:
            text = self.random.choice(COMMON)
        else:
            self._serial += 1
            words = " ".join(self.random.choice(_WORDS) for _ in range(self.random.randint(1, 4)))
            tag = sha256(b"%d" % self._serial).hexdigest()[: self.random.choice((4, 8, 12))]
            text = "    " * self.random.randint(0, 2) + f"{words} {tag}{self._serial}"
        self.written[text].add(author)
        line = (text, author)
        self._made.append(line)
        return line

    def is_new(self, line: Line) -> bool:
        """Say whether this very line was made up for an edit, and not read from a file."""
        return any(line is one for one in self._made[-400:])

    def block(self, author: str, least: int = 2, most: int = 7) -> list[Line]:
        return [self.fresh(author) for _ in range(self.random.randint(least, most))]

    def read(self, path: str) -> list[str]:
        place = self.top / path
        return place.read_text().splitlines() if place.exists() else []

    def lines(self, path: str) -> list[Line]:
        """Give a file's lines with one possible author of each."""
        texts = self.read(path)
        return [
            (text, min(authors)) for text, authors in zip(texts, self.authors(texts), strict=True)
        ]

    def put(self, path: str, lines: Sequence[Line]) -> None:
        """Write a file, and remember who wrote what in it."""
        self.versions.append(list(lines))
        self.repository.write(path, "".join(f"{text}\n" for text, _ in lines))

    def edited(self, path: str, author: str, *, delete: bool = True) -> list[Line]:
        """Give a file's lines with some put in, and perhaps some taken out."""
        lines = self.lines(path)
        for _ in range(self.random.randint(1, 2)):
            at = self.random.randint(0, len(lines))
            lines[at:at] = self.block(author)
        if delete and len(lines) > 6 and self.random.random() < 0.4:
            at = self.random.randint(0, len(lines) - 2)
            del lines[at : at + self.random.randint(1, 2)]
        return lines

    def authors(self, texts: Sequence[str]) -> list[set[str]]:
        """Give who can have written each line, by the words and by what stands around it."""
        return [self._author(texts, at) for at in range(len(texts))]

    def _author(self, texts: Sequence[str], at: int) -> set[str]:
        everybody = self.written[texts[at]]
        if len(everybody) <= 1:
            return everybody
        low = high = at
        while low > 0 and len(self.written[texts[low]]) > 1:
            low -= 1
        while high < len(texts) - 1 and len(self.written[texts[high]]) > 1:
            high += 1
        window = list(texts[low : high + 1])
        found: set[str] = set()
        for version in self.versions:
            told = [text for text, _ in version]
            for start in range(len(told) - len(window) + 1):
                if told[start : start + len(window)] == window:
                    found.add(version[start + at - low][1])
        return found or everybody

    # --- people and sessions ---------------------------------------------------------------

    def person(self, path: str, name: str = "person", **options: Any) -> None:
        self.put(path, self.edited(path, name, **options))

    def commit(self, message: str | None = None, *extra: str) -> str:
        self._serial += 1
        return self.repository.commit(message or f"work {self._serial}", *extra)

    def session(
        self, *paths: str, commits: int = 1, message: str | None = None, leave: bool = False
    ) -> str:
        """Let a recorded session edit files and commit, `commits` times; gives its id."""
        recorded = Recorded(self)
        for number in range(commits):
            for path in paths:
                recorded.edit(path)
            if not leave:
                self.commit(message and f"{message} {number}")
                recorded.bind()
        recorded.close()
        return recorded.id

    def settle(self) -> None:
        """Take in what waits, as the next command that reads the record would."""
        failures = drain(World.here(self.top)).failures
        assert not failures, failures

    # --- rewriting -------------------------------------------------------------------------

    def rebase_i(self, base: str, todo: str, *more: str, check: bool = True) -> bool:
        """Run an interactive rebase whose list `todo` (a sed script) changes."""
        done = subprocess.run(
            ["git", "rebase", "-i", *more, base],
            cwd=self.top,
            env={**os.environ, "GIT_SEQUENCE_EDITOR": f"sed -i -e '{todo}'", "GIT_EDITOR": "true"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.returncode == 0

    def commits(self, span: str) -> list[str]:
        return self.git("rev-list", "--reverse", "--topo-order", span).split()

    # --- checking --------------------------------------------------------------------------

    def check(self, revision: str = "HEAD") -> Tally:
        """Compare what is said of each line of a tree with who wrote it, and links with git."""
        tally = Tally()
        record = Record(self.repository)
        judged = verify(World.here(self.top), self.commits(revision)).verdict
        tally.refused = [
            f"{one.commit}: {one.code}: {one.message}"
            for one in judged.findings
            if one.code in ("rewrite-differs", "rewrite-claims-more", "malformed-statement")
        ]
        listing = self.git("-c", "core.quotePath=false", "ls-tree", "-r", revision)
        for line in listing.splitlines():
            meta, path = line.split("\t")
            if meta.startswith("160000"):
                continue
            blamed = blame(self.repository, revision, path)
            texts = [text for *_, text in blamed]
            for (commit, place, number, text), authors in zip(
                blamed, self.authors(texts), strict=True
            ):
                if not self.written[text]:
                    continue
                self._one(tally, record, (path, commit, place, number, text), authors)
        return tally

    def _one(
        self, tally: Tally, record: Record, where: tuple[str, str, str, int, str], authors: set[str]
    ) -> None:
        path, commit, place, number, text = where
        tally.lines += 1
        said, why = record.said(commit, place, number)
        if said is not None:
            if said in authors:
                tally.right += 1
            else:
                tally.wrong.append(f"{path}:{number} {text!r} of {authors} is said to be {said}")
        elif not authors & set(self.sessions):
            tally.human += 1
        else:
            claimed = any(text in record.texts_of(one) for one in authors & set(self.sessions))
            tally.unknown[why if claimed else "the session's own record leaves it open"] += 1


class Recorded:
    """A session that is recorded while it lives."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.id = str(uuid.UUID(int=story.random.getrandbits(128)))
        story.sessions.append(self.id)
        self.world = world = World.here(story.top)
        self.model = story.random.choice(("claude-a", "gpt-b"))
        started = world.now()
        directory = SessionDirectory.create(world.git.home, self.id)
        tree = snapshot.take(world.git, started, self.id).tree
        agent = Agent("scripted", "scripted", "/scripted", "0" * 64, "observed")
        refs = ref_state(world.git)
        session = Session(
            id=self.id, started=started, builder=LOCAL_WRAPPER, repository=identity(world.git),
            base_commit=world.git.resolve("HEAD"), base_tree=None, ref=None, platform="test",
            agent=agent, command_line=("scripted",), journal_genesis="0" * 64,
        )  # fmt: skip
        state = State(
            session=session, baseline_tree=tree, phase="open", worktree=str(story.top),
            tips=refs.tips, reflogs=tuple(sorted(refs.reflogs.items())),
        )  # fmt: skip
        directory.save(state)
        directory.mark_live(os.getpid(), "", world.git.git_dir)
        self.recording = Recording(
            world, directory, state, JournalWriter(directory.journal, world.clock)
        )
        self.edits: list[Edit] = []

    def edit(self, path: str, lines: Sequence[Line] | None = None) -> None:
        """Put lines of its own into a file, as its model asked for."""
        lines = self.story.edited(path, self.id) if lines is None else lines
        self.story.put(path, lines)
        text = "".join(f"{text}\n" for text, _ in lines)
        others = tuple(n for n, line in enumerate(lines, 1) if not self.story.is_new(line))
        self.edits.append(
            Edit(
                str(self.story.top / path),
                text,
                "Write",
                self.model,
                "intercepted",
                at=self.world.now(),
                echoed=others,
            )
        )

    @property
    def report(self) -> AgentReport:
        use = ModelUse("anthropic", self.model, self.model, "main", "intercepted", calls=1)
        return AgentReport(
            channels=("hooks",), models=(use,), wire=tuple(self.edits), wire_complete=True
        )

    def bind(self) -> None:
        self.recording.bind(self.recording.find(), self.report, during=True)

    def close(self) -> None:
        self.bind()
        tree = snapshot.take(self.world.git, self.world.now(), self.id).tree
        self.recording.close(
            self.report, outcome="completed", exit_status=0, end_tree=tree, gaps=()
        )
        self.recording.journal.close()
        self.recording.directory.clear_live()


def blame(repository: Repository, revision: str, path: str) -> list[tuple[str, str, int, str]]:
    """Give commit, path there, line number there and text of each line."""
    out = repository.git("--no-replace-objects", "blame", "--line-porcelain", revision, "--", path)
    found, name = [], path
    head: list[str] = []
    for line in out.split("\n"):
        if line.startswith("\t"):
            found.append((head[0], name, int(head[1]), line[1:]))
            head = []
        elif not head:
            head = line.split(" ")
        elif line.startswith("filename "):
            name = line.removeprefix("filename ")
    return found


class Record:
    """What the notes say, read plainly and apart from the judge; nothing is verified."""

    def __init__(self, repository: Repository) -> None:
        self.generations: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.rewrites: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.session_of: dict[str, str] = {}
        self._repository = repository
        self._texts: dict[str, set[str]] = {}
        for _, lines in World.here(repository.top).notes.everything():
            for line in lines:
                payload = base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"])
                self._keep(json.loads(payload), sha256(payload).hexdigest())

    def _keep(self, statement: dict[str, Any], digest: str) -> None:
        predicate = statement["predicate"]
        if statement["predicateType"].startswith("https://slsa.dev/provenance"):
            metadata = predicate["runDetails"]["metadata"]
            commit = metadata["agentprov_commit"]["gitCommit"]
            self.generations[commit].append(statement)
            self.session_of[digest] = metadata["invocationId"]
        elif statement["predicateType"].endswith("/rewrite/v0.1"):
            self.rewrites[predicate["commit"]["gitCommit"]].append(predicate)

    def said(self, commit: str, path: str, number: int) -> tuple[str | None, str]:
        """Give the session that a line is said to be from, or None and why."""
        own = {
            metadata["invocationId"]
            for statement in self.generations[commit]
            for metadata in [statement["predicate"]["runDetails"]["metadata"]]
            for one in _ranges(metadata["agentprov_changes"], path, number)
            if one["origin"] != "unknown"
        }
        if own:
            return (own.pop(), "") if len(own) == 1 else (None, "records disagree")
        linked = set()
        unknown = False
        for link in self.rewrites[commit]:
            for one in _ranges(link["changes"], path, number):
                source = link["sources"][one["source"]]["statement"]["sha256"]
                unknown = unknown or one["origin"] == "unknown"
                if one["origin"] != "unknown":
                    linked.add(self.session_of[source])
        if linked:
            return (linked.pop(), "") if len(linked) == 1 else (None, "links disagree")
        if unknown:
            return None, "carried as unknown"
        if self.rewrites[commit]:
            return None, "the link does not carry it"
        return None, "its commit has a record" if self.generations[commit] else "no record"

    def texts_of(self, session: str) -> set[str]:
        """Give the lines that a session's records claim with an origin."""
        if session not in self._texts:
            self._texts[session] = found = set()
            for statements in self.generations.values():
                for statement in statements:
                    metadata = statement["predicate"]["runDetails"]["metadata"]
                    if metadata["invocationId"] == session:
                        found.update(self._claimed(metadata["agentprov_changes"]))
        return self._texts[session]

    def _claimed(self, changes: Iterable[dict[str, Any]]) -> Iterable[str]:
        for change in changes:
            known = [one for one in change.get("ranges", ()) if one["origin"] != "unknown"]
            if known:
                blob = self._repository.git("cat-file", "blob", change["gitBlob"], check=False)
                lines = blob.split("\n")
                for one in known:
                    yield from lines[one["start"] - 1 : one["end"]]


def _ranges(changes: Iterable[dict[str, Any]], path: str, number: int) -> Iterable[dict[str, Any]]:
    for change in changes:
        if change["path"] == path:
            yield from (
                one for one in change.get("ranges", ()) if one["start"] <= number <= one["end"]
            )
