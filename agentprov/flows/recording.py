"""Binds what a session made to commits, in signed statements; shared by `run` and `drain`.

The same code serves the live recorder and the command that comes later, so that a commit gets
the same statement whether a hook told us, a reflog did, or nobody looked until the next day.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from agentprov import attest
from agentprov.flows import declared, kept_hands, log_append, open_ends
from agentprov.flows.ending import Ending, stated, without_texts, writes_by_path
from agentprov.flows.world import World, seal
from agentprov.formats import bundle, frozen
from agentprov.formats.dropbox import Drop
from agentprov.formats.facts import AgentReport, Commit, Gap, McpSeen
from agentprov.formats.names import TRAILER, label_path, path_label
from agentprov.formats.quoting import quote, unquote
from agentprov.formats.redaction import SecretNames, secret_values
from agentprov.formats.statement import Statement
from agentprov.record import commits, snapshot, windows
from agentprov.record.accounts import Circumstances, Moves, Opened
from agentprov.record.describe import Evidence, describe
from agentprov.record.journal import JournalWriter
from agentprov.record.session import SessionDirectory, State
from agentprov.record.versions import Version, kept
from agentprov.record.witness import said_of
from agentprov.system.git_objects import CatFile, read_commit
from agentprov.system.trees import diff_tree

FAILED = "recording-failed"
"""The gap of a session that its recorder, alive, could not close."""


class Recording:
    """One session's statements: opened once, one per commit, closed once.

    Owned by one process at a time: the recorder while it lives, afterwards whoever holds the
    repository's lock. `touched` may be set to the times at which paths changed; with process
    attribution `untouched_by_agent` to paths (git's) that the agent's processes provably never
    opened for writing, `opened_by_agent` to the first and last time at which they did,
    `openings` to the single times and whose hand it was.
    """

    def __init__(
        self, world: World, directory: SessionDirectory, state: State, journal: JournalWriter
    ) -> None:
        self.world = world
        self.directory = directory
        self.state = state
        self.journal = journal
        self._git = snapshot.private_git(world.git)
        self.touched: Mapping[bytes, tuple[str, str]] = {}
        # A later command judges what was left uncommitted by what was known at the end.
        self.untouched_by_agent: frozenset[bytes] | None = None
        self.opened_by_agent: Mapping[bytes, tuple[str, str]] | None = None
        self.openings: Mapping[bytes, Sequence[Opened]] | None = None
        if state.untouched is not None:
            self.untouched_by_agent = frozenset(label_path(label) for label in state.untouched)
            self.opened_by_agent = {
                label_path(label): (first, last) for label, first, last in state.opened
            }
            self.openings = kept_hands.openings(state)
        # Sessions are told apart in time by what the clock said.
        self.clock_jumped = any(gap.why == "clock-jumped" for gap in state.session.gaps)
        self._passed_over: set[str] = set()
        self._to_keep: list[bytes] = []
        self._to_publish: list[tuple[str, list[bytes]]] = []
        self._to_log: list[bytes] = []
        self._log_gaps: list[Gap] = []
        self._contradictions: list[str] = []
        self._holds_secret = SecretNames(secret_values(os.environ))

    def gap(self, why: str, detail: str | None = None, start: str | None = None) -> Gap:
        """Journal a stretch, or a thing, to which we were blind."""
        now = max(self.world.now(), start or "")
        gap = Gap(why, start or now, now, detail)
        self.journal.append("gap", _present(gap))
        return gap

    def note_drop(self, drop: Drop) -> None:
        """Journal that a hook or a channel told something: its digest, never its text."""
        self.journal.append(
            "drop",
            {
                "channel": drop.channel,
                "event": drop.event,
                "sha256": sha256(drop.payload).hexdigest(),
                "size": len(drop.payload),
            },
        )

    def open(self) -> None:
        """Sign the session-open statement; the agent must have been identified by now."""
        if self.state.open_sha256 is not None:
            return
        statement = attest.session_open(self.state.session)
        line = seal(statement, self.world.recorder)
        self._journal_statement(
            "session-open", statement, {"session": frozen.to_plain(self.state.session)}
        )
        self._to_keep.append(line)
        self._step(open_sha256=statement.sha256)
        self._keep()

    def find(self) -> list[str]:
        """List commits made here since the session began that have no statement yet."""
        known = {*self.state.bound, *self._passed_over}
        return commits.new_commits(self.world.git, self.state.refs, known=known)

    def changed_in(self, trees: Sequence[str]) -> frozenset[bytes]:
        """Give the paths in which commits or trees differ from the session's first snapshot."""
        return frozenset(
            change.path
            for tree in trees
            for change in diff_tree(self._git, self.state.baseline_tree, tree, renames=False)
        )

    def bind(
        self,
        oids: Sequence[str],
        report: AgentReport,
        *,
        during: bool,
        limited_to: frozenset[bytes] | None = None,
    ) -> list[Commit]:
        """Sign and store one generation per commit that came wholly or partly out of the session.

        A commit without session content is passed over, unless it carries this session's
        trailer. Each commit is stored before the next is looked at, so that an interruption
        loses none. Raises GitFailed, Busy, KeyUnusable.
        """
        evidence = Evidence(
            baseline_tree=self.state.baseline_tree,
            edits=writes_by_path(report.edits, self._top),
            wire=writes_by_path(report.wire, self._top),
            limited_to=limited_to,
            end_tree=None if during else self.state.end_tree,
            by_command=self._by_command(report),
            circumstances=self._circumstances(report),
        )
        bound = []
        with self._git.cat_file() as reader:
            evidence = replace(evidence, versions_of=self._versions(reader))
            for oid in oids:
                if reader.get(oid) is None:
                    # A reflog can outlive what it names: git waits for no disk by default.
                    self.gap("commit-lost", oid)
                    self._passed_over.add(oid)
                    continue
                commit = describe(
                    self._git,
                    reader,
                    oid,
                    evidence,
                    sequence=self.state.sequence + 1,
                    ref=self._ref(),
                    during=during,
                )
                commit = declared.with_lines(self, commit, report, reader)
                if commit.changes or self._carries_trailer(reader, oid):
                    self._bind_one(commit, report)
                    bound.append(commit)
                else:
                    self._passed_over.add(oid)
        return bound

    def contradict(self, sentences: Iterable[str]) -> None:
        """Journal contradictions, each once; the closing statement counts them."""
        for sentence in sentences:
            if sentence not in self._contradictions:
                self._contradictions.append(sentence)
                self.journal.append("contradiction", {"text": sentence})

    def _by_command(self, report: AgentReport) -> frozenset[bytes]:
        kept = frozenset(label_path(label) for label in self.state.by_command)
        return kept | windows.within_commands(self.touched, report.commands)

    @property
    def _top(self) -> bytes:
        return os.fsencode(self.world.git.top)

    def _circumstances(self, report: AgentReport) -> Circumstances:
        return Circumstances(
            commands=report.commands,
            wire_complete=report.wire_complete,
            followed=self.state.followed,
            alone=self._alone(),
            said=said_of(report),
            untouched_by_agent=self.untouched_by_agent,
            opened_by_agent=self.opened_by_agent,
            openings=self.openings,
            elsewhere=Moves(report.wire, report.edits),
            why_not=_why_not(report),
        )

    def _versions(
        self, reader: CatFile
    ) -> Callable[[Collection[bytes] | None], Mapping[bytes, Sequence[Version]]]:
        def read(blob: str) -> bytes | None:
            found = reader.get(blob)
            return found[1] if found is not None else None

        return lambda paths: kept(self.directory.versions, read, paths, self._times)

    def _times(self, path: bytes) -> Sequence[tuple[datetime, datetime]] | None:
        """Give when the agent's processes named a path for writing, where that is known."""
        if path in (self.untouched_by_agent or ()):
            return ()
        found = (self.openings or {}).get(path)
        return None if found is None else [(one.first, one.last) for one in found]

    def _alone(self) -> bool:
        """Say whether no other session was live in this repository at any time of this one."""
        if self.state.phase != "open":
            return self.state.alone
        if any(gap.why == "another-session-is-live" for gap in self.state.session.gaps):
            return False
        if self.clock_jumped:
            return False
        return not self.directory.others_began_since(self.state.session.started)

    def _bind_one(self, commit: Commit, report: AgentReport) -> None:
        self.open()
        assert self.state.open_sha256 is not None
        statable = stated(report)
        statements = attest.generation(self.state.session, self.state.open_sha256, commit, statable)
        lines = [seal(statement, self.world.recorder) for statement in statements]
        # Decided is what the journal has; whoever goes on from here signs and stores just that.
        self.journal.append(
            "commit", {"commit": frozen.to_plain(commit), "report": frozen.to_plain(statable)}
        )
        for statement in statements:
            self._journal_statement("generation", statement)
        earlier = [] if self.state.anchor else [*self.directory.bundles(), *self._to_keep]
        self._to_keep += lines
        self._to_publish.append((commit.oid, [*earlier, *lines]))
        self._step(
            generations=(*self.state.generations, *(one.sha256 for one in statements)),
            bound=(*self.state.bound, commit.oid),
            sequence=commit.sequence,
            anchor=self.state.anchor or commit.oid,
            report=report,
            published=False,
        )
        self.publish()

    def publish(self) -> None:
        """Store what was decided and is not stored yet; raises OSError, GitFailed, Busy.

        Records first reach this session's own file, then the notes: a record that others can
        see is never one that we do not know of.
        """
        self._keep()
        while self._to_publish:
            anchor, lines = self._to_publish[0]
            self.world.store.add({anchor: lines})
            del self._to_publish[0]
        self._log()
        self.directory.set_next(self.state.sequence + 1)
        if not self.state.published:
            self._step(published=True)

    def close(
        self,
        report: AgentReport,
        *,
        outcome: str,
        exit_status: int | None,
        end_tree: str | None,
        gaps: Sequence[Gap],
        mcp: Sequence[McpSeen] = (),
        finished: str | None = None,
    ) -> None:
        """Sign the session-close statement and keep what is not committed yet as open ends.

        `finished` is when the session ended, by default now; never before it started.
        """
        self.open()
        self.publish()
        assert self.state.open_sha256 is not None
        uncommitted, unnamed = self._uncommitted(end_tree)
        if unnamed:
            detail = f"{unnamed} uncommitted paths; commits of them are not bound later"
            gaps = (*gaps, self.gap("secret-in-a-name", detail))
        self.contradict(declared.untouched(self, report, end_tree))
        told = dict.fromkeys((*report.contradictions, *self._contradictions))
        report = replace(report, contradictions=tuple(told))
        ending = Ending(
            finished=max(finished or self.world.now(), self.state.session.started),
            outcome=outcome,
            exit_status=exit_status,
            last_sequence=self.state.sequence,
            report=stated(report),
            uncommitted=len(uncommitted),
            gaps=(*gaps, *self._log_gaps),
            mcp=tuple(mcp),
        )
        self.journal.append("session-close", {"ending": frozen.to_plain(ending)}, durable=True)
        statement = ending.statement(
            self.state.session,
            self.state.open_sha256,
            self.state.generations,
            self.journal.head,
            self.journal.length,
        )
        self._to_keep.append(seal(statement, self.world.recorder))
        self._keep()
        self._log()
        self.publish_close(statement.sha256)
        self.finish(
            outcome=outcome,
            end_tree=end_tree,
            uncommitted=uncommitted,
            report=without_texts(report, uncommitted, os.fsencode(self.world.git.top)),
            by_command=tuple(sorted(path_label(path) for path in self._by_command(report))),
            **kept_hands.of(
                uncommitted, self.untouched_by_agent, self.opened_by_agent, self.openings
            ),
        )

    def publish_close(self, sha256: str) -> None:
        """Store the closing statement beside the session's first commit, if it has one."""
        if self.state.anchor is None:
            return
        for line in self.directory.bundles():
            if bundle.parse(line).payload_sha256 == sha256:
                self.world.store.add({self.state.anchor: [line]})

    def finish(
        self, *, outcome: str, end_tree: str | None, uncommitted: Sequence[bytes], **known: Any
    ) -> None:
        """Keep what a later commit may need, now that the closing statement is signed.

        The session stays marked as live until `SessionDirectory.clear_live`.
        """
        after = commits.ref_state(self.world.git)
        standing = {"tips": after.tips, "reflogs": tuple(sorted(after.reflogs.items()))}
        # A closed session without them would look as if nothing were left to be committed.
        self.directory.set_pending([quote(path) for path in uncommitted])
        self._step(
            durable=True,
            alone=self._alone(),
            phase="closed" if outcome == "completed" else "incomplete",
            end_tree=end_tree,
            **{**standing, **known},
        )

    def bind_late(self) -> list[Commit]:
        """Bind commits made since the session closed that hold its uncommitted content."""
        pending = frozenset(unquote(line) for line in self.directory.pending())
        found = self.find()
        bound = (
            self.bind(found, self.state.report, during=False, limited_to=pending) if found else []
        )
        left = open_ends.still_open(self._git, self._top, self.state, pending, bound)
        after = commits.ref_state(self.world.git)
        self._step(
            report=without_texts(self.state.report, sorted(left), os.fsencode(self.world.git.top)),
            tips=after.tips,
            reflogs=tuple(sorted(after.reflogs.items())),
        )
        self.directory.set_pending([quote(path) for path in sorted(left)])
        return bound

    def _uncommitted(self, end_tree: str | None, commit: str = "HEAD") -> tuple[list[bytes], int]:
        """Give the paths whose session content is not committed, and how many have no name here.

        A name that holds a secret is not written down, and so cannot be found again.
        """
        paths = open_ends.uncommitted(self._git, self.state.baseline_tree, end_tree, commit)
        unnamed = {path for path in paths if self._holds_secret(path)}
        return sorted(paths - unnamed), len(unnamed)

    def can_read(self, tree: str) -> bool:
        """Say whether a snapshot is here with all its trees; its files' contents are not read."""
        return self._git.succeeds("ls-tree", "-r", "--name-only", tree)

    def left_by(self, end_tree: str | None) -> list[bytes]:
        """Give what was not committed when the session ended, as far as its own commits tell.

        Commits that others made since are not counted: what they hold of it is bound later.
        """
        last = self.state.bound[-1] if self.state.bound else self.state.session.base_commit
        return self._uncommitted(end_tree, last or "")[0]

    def _carries_trailer(self, reader: CatFile, oid: str) -> bool:
        return f"{TRAILER}: {self.directory.id}/" in read_commit(reader, oid).message

    def _ref(self) -> str | None:
        if self.world.git.is_gone:
            return None
        name = self.world.git.text("symbolic-ref", "--quiet", "HEAD", check=False)
        return name or None

    def _keep(self) -> None:
        """Add what was signed to the session's own records; what the disk refuses waits."""
        while self._to_keep:
            self.directory.add_record(self._to_keep[0])
            self._to_log.append(self._to_keep.pop(0))

    def _log(self) -> None:
        """Add what was signed to the signing log; trouble there is a gap and stops nothing."""
        lines, self._to_log = self._to_log, []
        why = log_append.append(self.world, lines)
        if why:
            self._log_gaps.append(self.gap("not-in-the-signing-log", why))

    def _journal_statement(
        self, kind: str, statement: Statement, facts: Mapping[str, Any] | None = None
    ) -> None:
        told = {"kind": kind, "payloadSha256": statement.sha256, **(facts or {})}
        self.journal.append("statement", told, durable=True)

    def _step(self, *, durable: bool = False, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self.directory.save(self.state, durable=durable)


def _why_not(report: AgentReport) -> str:
    return "no-model-text" if report.channels else "agent-reports-nothing"


def _present(gap: Gap) -> dict[str, str]:
    value = {"end": gap.end, "start": gap.start, "why": gap.why}
    if gap.detail is not None:
        value["detail"] = gap.detail
    return value
