"""A whole small story in signed records: a plan, a session, a commit; all of it made up, fixed.

Keys come from fixed seeds and signatures are deterministic, so that the same story gives the
same bytes. Git is only imitated: blob ids are right, tree and commit ids are invented.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agentprov import attest, verify
from agentprov.formats import bundle, digest, presentation, review
from agentprov.formats.envelope import pae
from agentprov.formats.facts import (
    Agent,
    AgentReport,
    Change,
    Commit,
    LineRange,
    Material,
    McpServer,
    ModelUse,
    PlanRef,
    Repository,
    Session,
)
from agentprov.formats.names import LOCAL_WRAPPER
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.statement import Statement
from agentprov.ports import EvidenceVerifier
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify.approvals import Surroundings
from agentprov.verify.remotes import RemoteFacts
from agentprov.verify.subjects import CommitFacts, PathDiff
from agentprov.verify.trust import TrustedKey, TrustRoot

AS_OF = "2026-11-24T12:00:00Z"
PLAN_TEXT = b"# Plan\n\nAdd a greeting.\n"


def made_up(word: str, digits: int = 64) -> str:
    """Give an invented digest that is the same every time."""
    return hashlib.sha512(word.encode()).hexdigest()[:digits]


def blob_id(content: bytes) -> str:
    """Give git's SHA-1 id of a blob."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


@dataclass(frozen=True)
class Key:
    """A private key from a fixed seed, with what a trust document says of it."""

    seed: int
    person: str
    roles: frozenset[str]
    builders: frozenset[str] = frozenset()
    custody: str = "passphrase"
    edwards: bool = False

    def private(self) -> Any:
        if self.edwards:
            raw = hashlib.sha256(b"%d" % self.seed).digest()
            return ed25519.Ed25519PrivateKey.from_private_bytes(raw)
        return ec.derive_private_key(self.seed, ec.SECP256R1())

    @property
    def spki(self) -> bytes:
        public = self.private().public_key()
        return bytes(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def sign(self, data: bytes) -> bytes:
        if self.edwards:
            return bytes(self.private().sign(data))
        return bytes(
            self.private().sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        )

    def trusted(self) -> TrustedKey:
        return TrustedKey(
            spki=self.spki,
            person=self.person,
            roles=self.roles,
            builders=self.builders,
            custody=self.custody,
            source="trust.json",
        )


HUMAN = Key(11, "mailto:ada@example.com", frozenset({"human"}))
RECORDER = Key(
    22,
    "recorder of ada@example.com",
    frozenset({"recorder"}),
    frozenset({LOCAL_WRAPPER}),
    custody="file",
    edwards=True,
)
JANE = Key(44, "mailto:jane@example.com", frozenset({"reviewer"}))
STRANGER = Key(33, "nobody we know", frozenset({"human", "reviewer"}))


def seal(statement: Statement | bytes, key: Key, **changes: Any) -> bytes:
    """Sign a statement, or any payload bytes, into a bundle line."""
    payload = statement if isinstance(statement, bytes) else statement.payload
    payload_type = changes.pop("payload_type", "application/vnd.in-toto+json")
    made = bundle.Bundle(
        payload, key.sign(pae(payload_type, payload)), bundle.key_hint(key.spki), payload_type
    )
    return bundle.encode(replace(made, **changes))


@dataclass(frozen=True)
class File:
    """A path before and after a commit; None where it is not there."""

    path: bytes
    after: bytes | None
    before: bytes | None = None
    mode: str = "100644"
    old_mode: str | None = None

    def diff(self) -> PathDiff:
        return PathDiff(
            old_mode=None if self.before is None else self.old_mode or self.mode,
            old_blob=None if self.before is None else blob_id(self.before),
            new_mode=None if self.after is None else self.mode,
            new_blob=None if self.after is None else blob_id(self.after),
        )


FILES = (
    File(b"src/hello.py", b"print('hello')\n"),
    File(b"README.md", b"# Two\nlines\n", b"# Two\n"),
    File(b"old.txt", None, b"gone\n"),
    File(b"run.sh", b"#!/bin/sh\n", b"#!/bin/sh\n", mode="100755", old_mode="100644"),
)


def changes_of(files: Sequence[File]) -> tuple[Change, ...]:
    """State files as a recorder would; a rename is a deleted and an added path to git."""
    found = []
    for file in files:
        if file.after is None:
            found.append(Change(file.path, "delete", file.mode, None, None))
            continue
        op = "add" if file.before is None else "modify"
        if file.before == file.after:
            op = "mode"
        lines = file.after.count(b"\n")
        ranges = (LineRange(1, lines, "model", "reported", "claude-sonnet-4-5-20250929"),)
        found.append(
            Change(
                file.path,
                op,  # type: ignore[arg-type]
                file.mode,
                blob_id(file.after),
                digest.sha256(file.after),
                len(file.after),
                ranges=() if op == "mode" or not lines else ranges,
            )
        )
    return tuple(found)


SESSION = Session(
    id="6b0c6f0e8a554b0e",
    started="2026-11-24T10:31:00Z",
    builder=LOCAL_WRAPPER,
    repository=Repository("git+https://git.example.com/acme/app", "sha1"),
    base_commit=made_up("base commit", 40),
    base_tree=made_up("base tree", 40),
    ref="refs/heads/main",
    platform="linux/amd64",
    agent=Agent(
        name="claude-code",
        command="claude",
        place="/usr/lib/node_modules/claude/cli.js",
        sha256=made_up("agent"),
        basis="observed",
        purl="pkg:npm/%40anthropic-ai/claude-code@2.1.3",
        version="2.1.3",
    ),
    command_line=("/usr/bin/claude", "-p", "add a greeting", "--model=sonnet", "--", "secret"),
    materials=(Material("instruction", "CLAUDE.md", made_up("instructions"), "observed"),),
    mcp_servers=(
        McpServer(
            "github",
            "observed",
            purl="pkg:npm/%40modelcontextprotocol/server-github@0.6.2",
            sha256=made_up("mcp"),
            environment_names=("GITHUB_TOKEN",),
        ),
    ),
    journal_genesis=made_up("journal genesis"),
)
REPORT = AgentReport(
    channels=("hooks", "transcript"),
    models=(
        ModelUse(
            "anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "main", "reported", 3
        ),
    ),
)


@dataclass
class Story:
    """The facts of the story; change any, then `tell`."""

    plan: Mapping[str, Any] = field(default_factory=dict)
    planned: bool = True
    session: Session = SESSION
    report: AgentReport = REPORT
    files: tuple[File, ...] = FILES
    commit: Commit | None = None
    ending: Mapping[str, Any] = field(default_factory=dict)
    human: Key = HUMAN
    recorder: Key = RECORDER

    def plan_statement(self) -> Statement:
        shown = presentation.present(PLAN_TEXT)
        facts: dict[str, Any] = {
            "name": "PLAN.md",
            "digests": {"sha256": digest.sha256(PLAN_TEXT), "gitBlob": blob_id(PLAN_TEXT)},
            "author": "mailto:ada@example.com",
            "declared_at": "2026-11-24T10:30:00Z",
            "presentation": attest.Presentation(shown.renderer, shown.sha256, "terminal"),
            **self.plan,
        }
        return attest.plan_statement(**facts)

    def facts(self) -> Commit:
        if self.commit is not None:
            return self.commit
        return Commit(
            oid=made_up("commit", 40),
            tree=made_up("tree", 40),
            parents=(made_up("base commit", 40),),
            patch_id=made_up("patch", 40),
            ref="refs/heads/main",
            sequence=1,
            changes=changes_of(self.files),
        )

    def tell(self) -> Told:
        plan = self.plan_statement()
        plan_line = seal(plan, self.human)
        session = self.session
        if self.planned and session.plan is None:
            session = replace(
                session,
                plan=PlanRef(
                    "PLAN.md",
                    digest.sha256(PLAN_TEXT),
                    plan.sha256,
                    bundle.parse(plan_line).signature_sha256,
                ),
            )
        opening = attest.session_open(session)
        generations = attest.generation(session, opening.sha256, self.facts(), self.report)
        closing = attest.session_close(
            session,
            **{
                "open_sha256": opening.sha256,
                "generations": [item.sha256 for item in generations],
                "last_sequence": self.facts().sequence,
                "finished": "2026-11-24T10:45:00Z",
                "journal_head": made_up("journal head"),
                "journal_entries": 42,
                "outcome": "completed",
                "exit_status": 0,
                "report": self.report,
                **self.ending,
            },
        )
        return Told(self, session, plan, opening, generations, closing)


@dataclass
class Told:
    """The statements of a story, their bundles, and the question that is put to the judge."""

    story: Story
    session: Session
    plan: Statement
    open: Statement
    generations: list[Statement]
    close: Statement

    @property
    def generation(self) -> Statement:
        return self.generations[0]

    def lines(self) -> dict[str, bytes]:
        """Give the bundles by name: plan, open, generation (generation-2 ...), close."""
        recorder = self.story.recorder
        lines = {"plan": seal(self.plan, self.story.human)} if self.story.planned else {}
        lines["open"] = seal(self.open, recorder)
        for number, statement in enumerate(self.generations, 1):
            lines["generation" if number == 1 else f"generation-{number}"] = seal(
                statement, recorder
            )
        lines["close"] = seal(self.close, recorder)
        return lines

    def approval(self, **changes: Any) -> Statement:
        """State that Jane approved the commit, having seen all of it."""
        facts = self.story.facts()
        said: dict[str, Any] = {
            "commit": facts.oid,
            "tree": facts.tree,
            "base": facts.parents[0] if facts.parents else None,
            "repository": self.session.repository.uri,
            "reviewer": "mailto:jane@example.com",
            "decision": "APPROVED",
            "decided_at": "2026-11-24T10:50:00Z",
            "shown": attest.Shown("agentprov-review/1", made_up("shown"), "terminal", 4),
            "reviewed": attest.Reviewed(
                plans=[digest.sha256(PLAN_TEXT)],
                plan_statements=[self.plan.sha256],
                generations=[item.sha256 for item in self.generations],
                sessions=[self.open.sha256, self.close.sha256],
            ),
            **changes,
        }
        return attest.approval_statement(**said)

    def commit(self, **changes: Any) -> CommitFacts:
        facts = self.story.facts()
        contents = {
            blob_id(file.after): file.after for file in self.story.files if file.after is not None
        }

        def sha256_of(blob: str) -> str | None:
            content = contents.get(blob)
            return None if content is None else digest.sha256(content)

        made = CommitFacts(
            oid=facts.oid,
            tree=facts.tree,
            parents=facts.parents,
            diffs={file.path: file.diff() for file in self.story.files},
            sha256_of=sha256_of,
            trailers=(f"{self.session.id}/{facts.sequence}",),
        )
        return replace(made, **changes)


def trust_of(*keys: Key, **changes: Any) -> TrustRoot:
    """Give a trust root of these keys; without any, of the two of the story."""
    trusted = tuple(key.trusted() for key in keys or (HUMAN, RECORDER))
    return TrustRoot(trusted, **{"sha256": made_up("trust"), "source": "trust.json", **changes})


def judge(
    lines: Mapping[str, bytes] | Sequence[bytes],
    commits: Sequence[CommitFacts] = (),
    *,
    trust: TrustRoot | None = None,
    named: bool | Callable[[str], bool] = False,
    anchor: str | None = None,
    required: bool = True,
    as_of: str = AS_OF,
    plan: bytes | None = None,
    around: Surroundings | None = None,
    shown: Callable[[ApprovalView], review.Change | None] = lambda _: None,
    log: verify.LogFacts | None = None,
    remotes: tuple[RemoteFacts, ...] = (),
    evidence: EvidenceVerifier | None = None,
) -> verify.Judgement:
    """Put bundles and commits before the judge; by default every commit needs a record."""
    items = (
        lines.items()
        if isinstance(lines, Mapping)
        else [(f"line {number}", line) for number, line in enumerate(lines, 1)]
    )
    records = [
        verify.Record(line, name, named=named(name) if callable(named) else named, anchor=anchor)
        for name, line in items
    ]
    case = verify.Case(
        target="HEAD",
        records=records,
        commits=commits,
        trust=trust or trust_of(),
        as_of=as_of,
        required=frozenset(item.oid for item in commits) if required else frozenset(),
        plan_content=lambda _: plan,
        review_material=shown,
        around=around or Surroundings(),
        log=log,
        remotes=remotes,
    )
    return verify.judge(case, KeyVerifier(), evidence)


def codes(judgement: verify.Judgement, severity: str = "error") -> set[str]:
    """Give the codes of all findings of a severity."""
    return {item.code for item in judgement.verdict.findings if item.severity == severity}
