"""A corpus of commits as coding agents make them, for the sizes of their records.

Nothing is random but by a seeded generator, so one seed is one corpus. Distributions:

- files of a commit: log-normal, median 4, sigma 1.05, at most 400 (mean about 7, p99 about 46);
- added lines of a file: log-normal. `dense` comes near the only published corpus of line
  records, git-ai's own repository (720 attributed lines a commit; here 750, half of them below
  220): median 14, sigma 2. `sparse` is fitted to this project's own history (35 lines a
  file, median 11): median 11, sigma 1.5;
- hunks of a file: one for a new file, else geometric with mean 2; one hunk in four has a line or
  two of another origin in it;
- commits of a session: geometric with mean 4; one commit in ten also holds work of a second
  session;
- half of the sessions follow a signed plan, half have MCP servers, one in five uses a second model.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from agentprov import attest
from agentprov.formats import names
from agentprov.formats.facts import (
    Agent,
    AgentReport,
    Change,
    Commit,
    FileDigest,
    LineRange,
    Material,
    McpServer,
    ModelUse,
    PlanRef,
    Repository,
    Session,
)
from agentprov.formats.statement import Statement

Density = Literal["dense", "sparse"]
_LINES: dict[Density, tuple[float, float]] = {"dense": (2.64, 2.0), "sparse": (2.4, 1.5)}
_FILES = (1.386, 1.05)
_MOST_FILES = 400
_MOST_LINES = 20_000
_VOCABULARY = """
    account admin api archive audit auth batch billing buffer cache calendar catalog chart
    client cluster command comment config consumer context counter cursor customer dashboard
    database device digest dialog document domain editor email engine entry error event export
    feature filter form gateway graph handler header history import index invoice item job
    journal key layout ledger limit listener loader locale log mailer map market match media
    member menu message metric migration model module monitor notice order page parser payment
    permission pipeline plan player policy pool product profile project prompt provider queue
    quota reader record registry release report request resource response review role route rule
    sample scanner schedule schema scope search section session setting signal snapshot source
    stage state status storage stream style summary table tag task team template tenant test
    theme thread ticket timer token tool trace track transfer upload user validator vector
    version view wallet webhook widget window worker workflow
"""
_WORDS = tuple(_VOCABULARY.split())
_TOPS = ("src", "src", "src", "lib", "tests", "tests", "docs", "web/components")
_ENDINGS = (".py", ".py", ".ts", ".tsx", ".go", ".md", ".json")
_MIXED_IN: tuple[tuple[str, str, str | None], ...] = (
    ("unknown", "observed", "too-short-to-tell"),
    ("unknown", "observed", "no-model-text"),
    ("unknown", "observed", "said-in-an-answer"),
    ("command", "observed", None),
    ("model", "intercepted", "echoed"),
)


@dataclass(frozen=True)
class Made:
    """One statement, the commit that its note hangs on, and how many lines it attributes."""

    anchor: str
    statement: Statement
    lines: int
    commit: str | None


class Corpus:
    """Makes one repository's sessions, commit after commit."""

    def __init__(self, density: Density, seed: int) -> None:
        self.chance = random.Random(seed)
        self.lines = _LINES[density]
        self.head = self._id()
        self.paths = [self._path() for _ in range(1_500)]
        self.seconds = 0

    def commits(self, count: int) -> Iterator[list[Made]]:
        """Give the statements of one commit after another; a close follows its last commit."""
        made = 0
        other: _Session | None = None
        while made < count:
            session = _Session(self)
            commits = min(1 + int(self.chance.expovariate(1 / 3.5)), count - made)
            for number in range(commits):
                oid, tree, parent = self._id(), self._id(), self.head
                self.head = oid
                found = session.commit(oid, tree, parent)
                if other is not None and self.chance.random() < 0.1:
                    found += other.commit(oid, tree, parent, during=False)
                if number == commits - 1:
                    found += session.close()
                yield found
            made += commits
            other = session

    def changes(self) -> tuple[Change, ...]:
        """Give what one session put into one commit."""
        files = min(_MOST_FILES, max(1, round(self.chance.lognormvariate(*_FILES))))
        picked = sorted({self._pick() for _ in range(files)})
        return tuple(self._change(path) for path in picked)

    def time(self) -> str:
        """Give the next point in time."""
        self.seconds += self.chance.randint(20, 900)
        days, seconds = divmod(self.seconds, 86_400)
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        milliseconds = self.chance.randrange(1_000)
        return f"2026-{1 + days // 28 % 12:02d}-{1 + days % 28:02d}T{clock}.{milliseconds:03d}Z"

    def digest(self) -> str:
        """Give the digest of something that nobody has seen before."""
        return sha256(self.chance.randbytes(16)).hexdigest()

    def _id(self) -> str:
        return self.chance.randbytes(20).hex()

    def _pick(self) -> bytes:
        # Few files change often, most of them seldom.
        return self.paths[int(len(self.paths) * self.chance.random() ** 2.5)]

    def _path(self) -> bytes:
        steps = [self.chance.choice(_TOPS)]
        steps += [self.chance.choice(_WORDS) for _ in range(self.chance.choice((1, 1, 2)))]
        name = "_".join(self.chance.sample(_WORDS, self.chance.choice((1, 2, 2))))
        return f"{'/'.join(steps)}/{name}{self.chance.choice(_ENDINGS)}".encode()

    def _change(self, path: bytes) -> Change:
        kind = self.chance.random()
        if kind < 0.04:
            return Change(path, "delete", "100644", None, None)
        blob, content = self._id(), self.digest()
        if kind < 0.06:
            old = path + b".old"
            return Change(path, "rename", "100644", blob, content, old_path=old)
        lines = max(1, min(_MOST_LINES, round(self.chance.lognormvariate(*self.lines))))
        new = kind < 0.3
        hunks = 1 if new else min(lines, 1 + int(self.chance.expovariate(1 / 1.3)))
        ranges = tuple(self._ranges(lines, hunks, new))
        added = self.digest()[:32]
        return Change(
            path,
            "add" if new else "modify",
            "100644",
            blob,
            content,
            ranges=ranges,
            added=None if new else added,
        )

    def _ranges(self, lines: int, hunks: int, new: bool) -> Iterator[LineRange]:
        at = 1 if new else self.chance.randint(1, 300)
        shares = [lines // hunks + (number < lines % hunks) for number in range(hunks)]
        for share in shares:
            end = at + share - 1
            if share > 3 and self.chance.random() < 0.25:
                origin, basis, why = self.chance.choice(_MIXED_IN)
                odd = at + self.chance.randrange(1, share - 2)
                yield LineRange(at, odd - 1, "model", "intercepted", "claude-opus-4-5-20251101")
                model = "claude-opus-4-5-20251101" if origin == "model" else None
                yield LineRange(odd, odd + 1, origin, basis, model, why)  # type: ignore[arg-type]
                at = odd + 2
            if at <= end:
                yield LineRange(at, end, "model", "intercepted", "claude-opus-4-5-20251101")
            at = end + self.chance.randint(4, 60)


class _Session:
    """One session's statements, in order."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.generations: list[str] = []
        self.sequence = 0
        self.anchor: str | None = None
        chance, digest = corpus.chance, corpus.digest
        servers = chance.choice((0, 0, 1, 3))
        self.facts = Session(
            id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            started=corpus.time(),
            builder=names.LOCAL_WRAPPER,
            repository=Repository("git+https://github.com/example/application", "sha1"),
            base_commit=corpus.head,
            base_tree=corpus._id(),
            ref="refs/heads/main",
            platform="linux/x86_64",
            agent=Agent(
                "claude-code",
                "claude",
                "~/bin/claude",
                _AGENT,
                "observed",
                purl="pkg:npm/%40anthropic-ai/claude-code@2.1.4",
                version="2.1.4",
                parts=(FileDigest("node", sha256(b"node").hexdigest()),),
            ),
            command_line=("claude", "--model", "opus"),
            plan=None
            if chance.random() < 0.5
            else PlanRef("PLAN.md", digest(), digest(), digest(), corpus.time()),
            materials=(
                *(
                    Material("instruction", name, sha256(name.encode()).hexdigest(), "observed")
                    for name in ("AGENTS.md", "CLAUDE.md", "~/.claude/CLAUDE.md")
                ),
                Material("settings", "~/.claude/settings.json", digest(), "observed"),
            ),
            mcp_servers=tuple(
                McpServer(
                    name,
                    "observed",
                    "npx",
                    f"pkg:npm/%40modelcontextprotocol/server-{name}@0.6.2",
                    sha256(name.encode()).hexdigest(),
                )
                for name in ("github", "files", "browser")[:servers]
            ),
            principal="somebody@example.com",
            journal_genesis=digest(),
        )
        main = ("anthropic", "claude-opus-4-5", "claude-opus-4-5-20251101", "main")
        small = ("anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001", "helper")
        used = (main, small) if chance.random() < 0.2 else (main,)
        self.report = AgentReport(
            channels=("hooks", "transcript"),
            models=tuple(
                ModelUse(*words, "intercepted", chance.randint(1, 200), host="api.anthropic.com")  # type: ignore[arg-type]
                for words in used
            ),
        )
        self.opening = attest.session_open(self.facts)

    def commit(self, oid: str, tree: str, parent: str, *, during: bool = True) -> list[Made]:
        """State one commit; the opening statement goes before the first."""
        found = []
        if self.anchor is None:
            self.anchor = oid
            found.append(Made(oid, self.opening, 0, None))
        self.sequence += 1
        changes = self.corpus.changes()
        patch = self.corpus._id()
        facts = Commit(
            oid, tree, (parent,), patch, "refs/heads/main", self.sequence, changes, during
        )
        lines = sum(item.end - item.start + 1 for change in changes for item in change.ranges)
        for statement in attest.generation(self.facts, self.opening.sha256, facts, self.report):
            if during:
                self.generations.append(statement.sha256)
            found.append(Made(oid, statement, lines, oid))
            lines = 0
        return found

    def close(self) -> list[Made]:
        """State the end; it hangs where the opening does."""
        assert self.anchor is not None
        closing = attest.session_close(
            self.facts,
            open_sha256=self.opening.sha256,
            generations=self.generations,
            last_sequence=self.sequence,
            finished=self.corpus.time(),
            journal_head=self.corpus.digest(),
            journal_entries=self.corpus.chance.randint(20, 3_000),
            outcome="completed",
            exit_status=0,
            report=self.report,
        )
        return [Made(self.anchor, closing, 0, None)]


_AGENT = sha256(b"claude").hexdigest()
