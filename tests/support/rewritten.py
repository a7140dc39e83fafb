"""Recorded commits in a real repository, and links to what git made of them, without a recorder.

The statements are made by `attest` and `carrying` directly, signed with the keys of the story.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agentprov import attest
from agentprov.attest.rewrite import Rewritten
from agentprov.flows import verify as verifying
from agentprov.flows.commit_facts import commit_facts
from agentprov.flows.world import World
from agentprov.formats import carrying
from agentprov.formats.carrying import OldCommit
from agentprov.formats.digest import sha256
from agentprov.formats.facts import Change, Commit, LineRange
from agentprov.formats.names import path_label
from agentprov.formats.predicates import generation
from agentprov.formats.predicates.rewrite import RewrittenPath
from agentprov.formats.statement import Statement
from agentprov.formats.vocabulary import Basis, Origin
from agentprov.system.clock import SystemClock
from agentprov.system.git import Git
from agentprov.system.git_objects import parse_commit
from agentprov.system.patches import added_lines, patch_id
from agentprov.system.trees import diff_tree
from agentprov.verify.judge import Judgement
from agentprov.verify.subjects import CommitFacts
from support.repository import Repository
from support.story import RECORDER, SESSION, Story, Told, seal, trust_of

_OPS = {"A": "add", "D": "delete", "R": "rename", "M": "modify", "T": "modify"}


def lines(first: int, last: int, word: str = "line") -> str:
    """Give a text of numbered lines that say enough to be told apart."""
    return "".join(f"{word} number {number} of this file\n" for number in range(first, last + 1))


@dataclass
class Team:
    """A repository whose commits are recorded, linked and judged as a test says."""

    repository: Repository
    home: Path
    told: dict[str, list[Told]] = field(default_factory=dict)
    links: dict[str, Statement] = field(default_factory=dict)

    @property
    def git(self) -> Git:
        return Git.discover(self.repository.top)

    @property
    def world(self) -> World:
        return World(self.git, self.home, SystemClock())

    def record(
        self,
        oid: str,
        session: str = "one",
        *,
        origin: Origin = "model",
        basis: Basis = "reported",
        sequence: int = 1,
        added: bool = True,
    ) -> Told:
        """Record a commit as one session's whose every added line has one origin."""
        facts = self._commit(oid, sequence, origin, basis, added=added)
        told = Story(
            session=replace(SESSION, id=session, plan=None), planned=False, commit=facts
        ).tell()
        self.told.setdefault(oid, []).append(told)
        self.world.store.add({oid: list(told.lines().values())})
        return told

    def _commit(
        self, oid: str, sequence: int, origin: Origin, basis: Basis, *, added: bool
    ) -> Commit:
        git = self.git
        with git.cat_file() as reader:
            found = reader.get(oid)
            assert found is not None
            commit = parse_commit(oid, found[1])
            before = commit.parents[0] if commit.parents else git.empty_tree
            spans = added_lines(git, before, oid)
            changes = []
            for raw in diff_tree(git, before, oid):
                if raw.status == "D":
                    changes.append(Change(raw.path, "delete", raw.old_mode, None, None))
                    continue
                read = reader.get(raw.new_blob)
                assert read is not None
                op = "mode" if raw.old_blob == raw.new_blob and raw.status == "M" else None
                mine = spans.get(raw.path, [])
                changes.append(
                    Change(
                        raw.path,
                        op or _OPS[raw.status],  # type: ignore[arg-type]
                        raw.new_mode,
                        raw.new_blob,
                        sha256(read[1]),
                        len(read[1]),
                        old_path=raw.old_path,
                        ranges=tuple(LineRange(*span, origin, basis) for span in mine),
                        added=carrying.added_digest(read[1], mine) if mine and added else None,
                    )
                )
        return Commit(
            oid, commit.tree, commit.parents, patch_id(git, commit), "refs/heads/main", sequence,
            tuple(changes),
        )  # fmt: skip

    def link(
        self,
        new: str,
        olds: Sequence[str],
        method: str = "rebase",
        *,
        put: bool = True,
        **changes: object,
    ) -> Statement:
        """State and sign what a commit was made of, as a recorder would."""
        statement = attest.rewrite(
            replace(self.rewritten(new, olds, method), **changes),  # type: ignore[arg-type]
            builder=SESSION.builder,
            version={"agentprov": "0"},
            repository=SESSION.repository.uri,
        )
        if put:
            self.put(new, statement)
        return statement

    def put(self, new: str, statement: Statement) -> None:
        self.links[new] = statement
        self.world.store.add({new: [seal(statement, RECORDER)]})

    def rewritten(self, new: str, olds: Sequence[str], method: str) -> Rewritten:
        git = self.git
        sources: list[tuple[str, str]] = []
        stated = []
        for old in olds:
            merged = {}
            for told in self.told.get(old, ()):
                for statement in told.generations:
                    merged.update(generation.stated(statement.predicate, len(sources)))
                    sources.append((old, statement.sha256))
            blobs = {
                path_label(path): (diff.old_blob, diff.new_blob)
                for path, diff in self._facts(old).diffs.items()
            }
            stated.append(OldCommit(old, blobs, merged))
        facts = self._facts(new)
        before = facts.parents[0] if facts.parents else git.empty_tree
        spans = added_lines(git, before, new)
        changes, claimed = [], 0
        for one in stated:
            for change in one.stated.values():
                claimed += sum(claim.end - claim.start + 1 for claim in change.claims)
        with git.cat_file() as reader:

            def content(oid: str) -> bytes | None:
                found = reader.get(oid)
                return None if found is None else found[1]

            for raw in diff_tree(git, before, new):
                label = path_label(raw.path)
                if raw.status == "D" or raw.path not in spans:
                    continue
                claims = carrying.carry(
                    carrying.versions(label, stated),
                    content,
                    content(raw.new_blob) or b"",
                    spans[raw.path],
                )
                if claims:
                    changes.append(
                        RewrittenPath(
                            label,
                            _OPS[raw.status],
                            raw.new_mode,
                            raw.new_blob,
                            path_label(raw.old_path) if raw.old_path else None,
                            label,
                            tuple(claims),
                            None,
                        )
                    )
        return Rewritten(
            new, facts.tree, facts.parents, method, tuple(olds), tuple(sources), tuple(changes),
            claimed,
        )  # fmt: skip

    def _facts(self, oid: str) -> CommitFacts:
        with self.git.cat_file() as reader:
            return commit_facts(self.git, reader, [oid], lambda _: None)[0]

    def judge(self, *words: str, repository: Repository | None = None) -> Judgement:
        world = self.world
        if repository is not None:
            world = World(Git.discover(repository.top), self.home, SystemClock())
        targets = verifying.resolve(world.git, words or ("HEAD",))
        return verifying.judge_targets(world, targets, trust_of())

    def clone(self, place: Path, *options: str) -> Repository:
        """Clone as somebody else would: branches and records, and nothing that is unreachable."""
        made = Repository(place)
        made.git("remote", "add", "origin", f"file://{self.repository.top}")
        made.git("fetch", "-q", *options, "origin", "HEAD", "+refs/notes/*:refs/notes/*")
        made.git("checkout", "-q", "FETCH_HEAD")
        return made
