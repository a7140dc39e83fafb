"""What the judge says: findings, and the verdict that they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Literal, NamedTuple

from agentprov.formats.evidence import TrustedTime
from agentprov.formats.value import value
from agentprov.verify.catalogue import CATALOGUE, EXIT_ORDER, Severity

Coverage = Literal["covered", "human", "uncovered"]
Via = Literal["record", "rewrite", "content"]


class Problem(NamedTuple):
    """A code with its sentence, before it is known whether it matters to the question asked.

    `path` is the label of the file that it is about, where it is about one.
    """

    code: str
    message: str
    path: str | None = None


class Finding(NamedTuple):
    """One thing that was found, in the form in which it is reported.

    `path` is the label (formats.names.path_label) of the file that it is about, if any.
    """

    code: str
    severity: Severity
    exit_code: int
    subject: str
    commit: str | None
    message: str
    remedy: str
    path: str | None = None


def finding(
    problem: Problem, *, subject: str, commit: str | None, severity: Severity | None = None
) -> Finding:
    """Make a finding; its severity is the catalogue's unless one is given."""
    kind = CATALOGUE[problem.code]
    return Finding(
        code=problem.code,
        severity=severity or kind.severity,
        exit_code=kind.exit_code,
        subject=subject,
        commit=commit,
        message=problem.message,
        remedy=kind.remedy,
        path=problem.path,
    )


class Unproven(NamedTuple):
    """A claim that the verdict does not make, and why."""

    claim: str
    why: str
    basis: str


class GenerationRef(NamedTuple):
    """A generation statement that holds, as the verdict names it.

    `planned` says that a signed plan stands behind it; `commit` is the one that it describes.
    """

    sha256: str
    session: str
    sequence: int
    part: int
    signer: str
    builder: str
    planned: bool = False
    commit: str | None = None


class PlanRef(NamedTuple):
    """A plan statement that holds and stands behind a commit.

    `proven` is when its signature is first known to have existed.
    """

    name: str
    sha256: str
    statement_sha256: str
    signer: str
    declared_at: str
    proven: TrustedTime | None = None


class ApprovalRef(NamedTuple):
    """What a person decided about a commit.

    `valid` says whether it stands: signed by a reviewer, unexpired, and that person's newest.
    `partial` says that not all of the change was shown; `proven` is when the signature is first
    known to have existed.
    """

    sha256: str
    signer: str
    role: str
    decision: str
    decided_at: str
    not_after: str | None
    valid: bool
    partial: bool
    proven: TrustedTime | None = None


class RewriteRef(NamedTuple):
    """A rewrite link that holds; `commits` are those that the commit was made of, oldest first.

    `replayed` says whether all of it was made again here, `generations` are the statements that
    it goes back to. Of `claimed` lines of these, `carried` live on.
    """

    sha256: str
    method: str
    signer: str
    builder: str
    commits: tuple[str, ...]
    replayed: bool
    claimed: int
    carried: int
    generations: tuple[GenerationRef, ...] = ()


class ContentRef(NamedTuple):
    """A generation of another commit whose content was found in this one; no link says so.

    `key` is what was found: `tree` (all files), `path-blob`, `blob`, `added` (the same lines
    added), `lines`. `paths` are the labels here.
    """

    generation: GenerationRef
    commit: str
    key: str
    paths: tuple[str, ...]


class CommitVerdict(NamedTuple):
    """What is known of one commit.

    `via` says by what a covered one is: its own record, a rewrite link, or content. `content` is
    what content was found again, also where that does not cover it; `candidates` are those of
    which nobody can say which it is. `matched` says that content accounts for all its added lines.
    """

    commit: str
    coverage: Coverage
    generations: tuple[GenerationRef, ...] = ()
    plans: tuple[PlanRef, ...] = ()
    approvals: tuple[ApprovalRef, ...] = ()
    via: Via | None = None
    rewrites: tuple[RewriteRef, ...] = ()
    content: tuple[ContentRef, ...] = ()
    candidates: tuple[ContentRef, ...] = ()
    matched: bool = False

    @property
    def way(self) -> str:
        """Say in a few words by what it is covered, where that is not its own record."""
        if self.via == "rewrite":
            olds = ", ".join(oid[:12] for oid in self.rewrites[0].commits[:3])
            more = len(self.rewrites[0].commits) - 3
            again = all(link.replayed for link in self.rewrites)
            return (
                f"rewritten from {olds}{f' and {more} more' if more > 0 else ''}, "
                f"{'made again' if again else 'not made again here'}"
            )
        if self.via == "content":
            olds = ", ".join(sorted({one.commit[:12] for one in self.content})[:3])
            link = "as a link says" if self.rewrites else "without a link"
            return f"by the content of {olds}, {link}"
        return ""

    @property
    def behind(self) -> tuple[GenerationRef, ...]:
        """Give all generations that it rests on, whatever way leads to them."""
        linked = tuple(one for link in self.rewrites for one in link.generations)
        return (*self.generations, *linked, *(one.generation for one in self.content))


@value
class Verdict:
    """Everything the judge found; `as_of` is the time it judged at (RFC 3339, Z)."""

    target: str
    findings: tuple[Finding, ...]
    commits: tuple[CommitVerdict, ...]
    not_proven: tuple[Unproven, ...]
    trust_sha256: str
    trust_source: str
    as_of: str
    policy_sha256: str | None = None
    policy_source: str | None = None
    exit_code: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "exit_code", exit_code(self.findings))

    @property
    def holds(self) -> bool:
        """Say whether no error was found."""
        return self.exit_code == 0


def exit_code(findings: Iterable[Finding]) -> int:
    """Give the first code in the documented order that an error carries, or 0."""
    codes = {item.exit_code for item in findings if item.severity == "error"}
    return next((code for code in EXIT_ORDER if code in codes), 0)
