"""What ``git blame`` says, read; and whose its lines are by the records (pure).

git decides which commit a line came from; records say what that commit's lines are. Where several
sessions speak of one line and do not agree, the answer is `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from agentprov.formats.claims import UNREPLAYED, CommitClaim, GenerationClaim
from agentprov.formats.names import path_label
from agentprov.formats.quoting import unquote

SEVERAL = "several-sessions"
NOT_COMMITTED = frozenset({"0" * 40, "0" * 64})


class BlamedLine(NamedTuple):
    """One line of the file that was asked about, and where git says it stood first.

    `number` counts in that file, `source` in `path` (a label) at `commit`. `boundary` says that
    git was told not to look further back. `headers` are git's own lines about it.
    """

    number: int
    commit: str
    path: str
    source: int
    boundary: bool
    content: bytes
    headers: tuple[bytes, ...]


class BlamedCommit(NamedTuple):
    """What git says of a commit in its answer; ``author`` is ``Name <mail>``."""

    author: str
    seconds: int
    zone: str
    summary: str


def read_porcelain(out: bytes) -> tuple[list[BlamedLine], dict[str, BlamedCommit]]:
    """Read the answer of ``git blame --porcelain``; raises ValueError for anything else."""
    lines: list[BlamedLine] = []
    said: dict[str, dict[bytes, bytes]] = {}
    paths: dict[str, str] = {}
    boundaries: set[str] = set()
    headers: list[bytes] = []
    for raw in out.split(b"\n"):
        if not raw.startswith(b"\t"):
            if raw:
                headers.append(raw)
            continue
        words = headers[0].split(b" ")
        commit = words[0].decode("ascii")
        about = said.setdefault(commit, {})
        for header in headers[1:]:
            key, _, value = header.partition(b" ")
            if key == b"filename":
                paths[commit] = path_label(unquote(value))
            elif key == b"boundary":
                boundaries.add(commit)
            else:
                about[key] = value
        lines.append(
            BlamedLine(
                int(words[2]),
                commit,
                paths[commit],
                int(words[1]),
                commit in boundaries,
                raw[1:],
                tuple(headers),
            )
        )
        headers = []
    return lines, {commit: _commit(about) for commit, about in said.items()}


def _commit(about: Mapping[bytes, bytes]) -> BlamedCommit:
    name, mail = about.get(b"author", b""), about.get(b"author-mail", b"")
    seconds = about.get(b"author-time", b"0")
    return BlamedCommit(
        (name + b" " + mail).decode("utf-8", "replace").strip(),
        int(seconds) if seconds.lstrip(b"-").isdigit() and len(seconds) < 15 else 0,
        about.get(b"author-tz", b"+0000").decode("ascii", "replace"),
        about.get(b"summary", b"").decode("utf-8", "replace"),
    )


class Stretch(NamedTuple):
    """Lines that came from one place together: as `BlamedLine`, so many `lines`."""

    first: int
    lines: int
    commit: str
    path: str
    source: int


def read_incremental(out: bytes) -> Iterator[Stretch]:
    """Read the answer of ``git blame --incremental``; raises ValueError for anything else."""
    head: list[bytes] = []
    for raw in out.split(b"\n"):
        if not head:
            if raw:
                head = raw.split(b" ")
        elif raw.startswith(b"filename "):
            path = path_label(unquote(raw.partition(b" ")[2]))
            yield Stretch(int(head[2]), int(head[3]), head[0].decode("ascii"), path, int(head[1]))
            head = []


class Source(NamedTuple):
    """The statement behind a claim about lines. `digest` is of its payload.

    `agent` is the package with its version, or a name. `method` says by which kind of rewrite
    the claim came to this commit, None where it was made for it.
    """

    digest: str
    session: str
    agent: str
    plan: str | None
    plan_sha256: str | None
    signer: str | None
    verified: bool
    why: str | None
    method: str | None


class Span(NamedTuple):
    """A claim about lines `first` to `last` of one file at one commit; `model` is a name."""

    first: int
    last: int
    origin: str
    basis: str
    model: str | None
    why: str | None
    source: Source


class Attribution(NamedTuple):
    """Whose a line is; `source` is None where no record says anything."""

    origin: str
    basis: str | None
    model: str | None
    why: str | None
    source: Source | None


Spans = Mapping[tuple[str, str], Sequence[Span]]


def spans_of(claims: Iterable[CommitClaim]) -> dict[tuple[str, str], list[Span]]:
    """Give the claims about lines by (commit id, path label)."""
    found: dict[tuple[str, str], list[Span]] = {}
    for claim in claims:
        for made in claim.generations:
            source = source_of(made)
            names = {model.uri: model.name for model in made.models}
            for file in made.files:
                for line in file.lines:
                    model = None if line.model is None else names.get(line.model, line.model)
                    found.setdefault((claim.commit, file.path), []).append(
                        Span(line.start, line.end, line.origin, line.basis, model, line.why, source)
                    )
    return found


def source_of(made: GenerationClaim) -> Source:
    """Give what a line's answer says of the statement behind it."""
    agent = made.opening.agent
    return Source(
        made.sha256,
        made.session,
        agent.purl or agent.name,
        made.plan.name if made.plan else None,
        made.plan.sha256 if made.plan else None,
        made.signer,
        made.accepted,
        " ".join(made.why) or None,
        made.rewrite.method if made.rewrite else None,
    )


def attribute(spans: Sequence[Span], line: int) -> Attribution:
    """Say whose a line is, from what is claimed of the lines of its file at its commit."""
    here = [span for span in spans if span.first <= line <= span.last]
    holding = [span for span in here if span.source.verified]
    if not holding:
        if here:
            why = UNREPLAYED if here[0].source.why == UNREPLAYED else "not-verified"
            return Attribution("unknown", None, None, why, here[0].source)
        return Attribution("unknown", None, None, "no-record", None)
    telling = [span for span in holding if span.origin != "unknown"] or holding
    first = telling[0]
    if first.origin == "unknown" and len({span.source.session for span in telling}) > 1:
        return Attribution("unknown", first.basis, None, SEVERAL, None)
    if any((span.origin, span.model) != (first.origin, first.model) for span in telling[1:]):
        return Attribution("unknown", None, None, "records-disagree", first.source)
    return Attribution(first.origin, first.basis, first.model, first.why, first.source)


__all__ = [
    "NOT_COMMITTED",
    "SEVERAL",
    "Attribution",
    "BlamedCommit",
    "BlamedLine",
    "Source",
    "Span",
    "Spans",
    "Stretch",
    "attribute",
    "read_incremental",
    "read_porcelain",
    "source_of",
    "spans_of",
]
