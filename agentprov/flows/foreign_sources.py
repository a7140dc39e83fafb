"""Where imports come from: notes, records, transcripts and messages, one commit after the other.

Each source is read as hostile. What cannot be used becomes a complaint with the name of its
place, and never stops the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentprov.errors import GitFailed, MalformedInput, UsageError, UserError
from agentprov.flows.verify import in_range
from agentprov.flows.world import World
from agentprov.formats import canonical, digest
from agentprov.formats.facts import Agent, AgentReport, Commit, ModelUse, Source
from agentprov.formats.foreign import agent_trace, content_hash, git_ai, trailers
from agentprov.formats.foreign.claims import Author, Claim, Complaint, ForeignRecord, Format
from agentprov.formats.vocabulary import Basis
from agentprov.record import declared, past_session
from agentprov.record.agents.reading import moment, stamp
from agentprov.record.declared import BareCommit, Looker
from agentprov.store.notes import NotesStore
from agentprov.store.notes_tree import is_anchor
from agentprov.system.files import read_bounded
from agentprov.system.git import ALL_HISTORY
from agentprov.system.git_objects import CatFile

MAX_TRACE_FILE = 256 * 1024 * 1024
MAX_TRACES = 500_000
MAX_CHILDREN = 20
_TOGETHER = 200
_PATHS_ASKED = 500
# Where Agent Trace's reference hook files what is about no file.
_NO_FILES = frozenset({b".sessions", b".shell-history", b".unknown"})
_NOBODY_LOOKED = "imported: nobody looked at the program"
_NOBODY = Agent("unknown", "unknown", "", None, "declared", why=_NOBODY_LOOKED)
_NOTHING = AgentReport()
_TIMELESS = Complaint("time-unknown", "the commit has no time of this calendar")


@dataclass(frozen=True)
class Wanted:
    """What the user asked for.

    `range_` limits the commits, `ref` is the notes ref of git-ai, `tops` are further places
    where the work tree lay when a transcript's session ran.
    """

    format: Format
    paths: tuple[Path, ...] = ()
    range_: str | None = None
    ref: str = git_ai.REF
    tops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """One session for one commit, as a source declares it; without a commit only complaints."""

    subject: str
    complaints: tuple[Complaint, ...] = ()
    commit: Commit | None = None
    agent: Agent = _NOBODY
    report: AgentReport = _NOTHING
    labels: tuple[tuple[str, str], ...] = ()
    sources: tuple[Source, ...] = ()
    started: str = ""
    finished: str = ""


def read(world: World, reader: CatFile, wanted: Wanted) -> Iterator[Found]:
    """Give what a source says, session by session.

    Raises UsageError for words that do not go together, UserError where there is no source.
    """
    readers: Mapping[Format, Callable[[World, CatFile, Wanted], Iterator[Found]]] = {
        "git-ai": _git_ai,
        "agent-trace": _agent_trace,
        "trailers": _trailers,
        "claude-transcript": _transcripts,
        "codex-transcript": _transcripts,
    }
    transcript = wanted.format in ("claude-transcript", "codex-transcript")
    if wanted.paths and wanted.format in ("git-ai", "trailers"):
        raise UsageError(f"--format {wanted.format} reads git itself and takes no files")
    if transcript and not wanted.paths:
        raise UsageError(f"--format {wanted.format} needs the transcript's file")
    if wanted.tops and not transcript:
        raise UsageError("--worktree goes with transcripts")
    return readers[wanted.format](world, reader, wanted)


def _limits(world: World, wanted: Wanted) -> frozenset[str] | None:
    return None if wanted.range_ is None else frozenset(in_range(world.git, wanted.range_))


def _git_ai(world: World, reader: CatFile, wanted: Wanted) -> Iterator[Found]:
    if reader.read(wanted.ref) is None:
        raise UserError(
            f"there is no {wanted.ref} here",
            hint=f"fetch it: git fetch origin {wanted.ref}:{wanted.ref}",
        )
    limits = _limits(world, wanted)
    looker = Looker(world.git, reader)
    for commit, blobs in sorted(NotesStore(world.git, ref=wanted.ref).blobs(wanted.ref).items()):
        if limits is not None and commit not in limits:
            continue
        for blob in blobs:
            yield from _note(looker, reader, commit, blob)


def _note(looker: Looker, reader: CatFile, commit: str, blob: str) -> Iterator[Found]:
    subject = f"note of {commit[:12]}"
    note = reader.digest(blob, keep=canonical.MAX_BYTES)
    if note is None or note.content is None:
        yield _complain(subject, "note-unreadable", "missing, or too large to be one")
        return
    try:
        record = git_ai.parse(note.content)
        bare = _look(looker, reader, commit, record.claims)
        if bare is None:
            yield _complain(subject, "commit-missing", f"{commit} is no commit here")
            return
        said = declared.attribute(bare, record.claims)
    except (MalformedInput, GitFailed) as error:
        yield _complain(subject, "note-refused", error.message)
        return
    complaints = (*record.complaints, *said.complaints)
    authors = {author.key: author for author in record.authors}
    made = _made(bare)
    named = [author for author in record.authors if author.kind == "agent"]
    added = sum(len(file.added) for file in bare.files.values())
    if len(named) * added > declared.MAX_LINES:
        # Each session states every added line of its files; no honest note is like this.
        yield _complain(subject, "note-refused", f"{len(named)} sessions for {added} added lines")
        return
    sessions = [(author, declared.commit_of(bare, said, authors, [author.key])) for author in named]
    if not named:
        complaints += (Complaint("no-agent-named", "it names no agent's session"),)
    if made is None:
        complaints += (_TIMELESS,)
    yield Found(subject, complaints)
    for author, stated in sessions:
        if stated.changes and made is not None:
            yield Found(
                subject=subject,
                commit=stated,
                agent=_agent(author.tool, None),
                report=AgentReport(models=_models([author])),
                labels=(("imported-session", author.key),),
                sources=(Source("git-ai", note.sha256),),
                started=made,
                finished=made,
            )


def _agent_trace(world: World, reader: CatFile, wanted: Wanted) -> Iterator[Found]:
    folder = world.git.top / ".agent-trace"
    there = () if folder.is_symlink() else tuple(sorted(folder.glob("*.jsonl")))
    paths = wanted.paths or there
    if not paths:
        raise UserError(
            "there is no .agent-trace/*.jsonl here", hint="name the files that hold the records"
        )
    limits = _limits(world, wanted)
    family, looker = _Family(world), Looker(world.git, reader)
    for path in paths:
        try:
            # A file that the repository brings along must not lead out of it.
            data = read_bounded(path, MAX_TRACE_FILE, follow=bool(wanted.paths))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}: {error}") from error
        if data.count(b"\n") > MAX_TRACES:
            raise UserError(f"{path} has more than {MAX_TRACES} lines", hint="split it")
        lines = [line for line in data.split(b"\n") if line.strip()]
        if not all(
            line.lstrip().startswith(b"{") and line.rstrip().endswith(b"}") for line in lines
        ):
            lines = [data]
        for number, line in enumerate(lines, 1):
            subject = f"{path.name}:{number}" if len(lines) > 1 else path.name
            yield from _trace(looker, reader, line, subject, limits, family)


class _Family:
    """Children of commits, looked up once: a hook notes the commit that it works on top of."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._children: dict[str, list[str]] | None = None

    def children(self, oid: str) -> Sequence[str]:
        if self._children is None:
            self._children = {}
            walk = ("rev-list", "--parents", *ALL_HISTORY, "--")
            for line in self._world.git.run(*walk, check=False).decode().splitlines():
                child, *parents = line.split()
                for parent in parents:
                    self._children.setdefault(parent, []).append(child)
        return self._children.get(oid, ())[:MAX_CHILDREN]


def _trace(
    looker: Looker,
    reader: CatFile,
    line: bytes,
    subject: str,
    limits: frozenset[str] | None,
    family: _Family,
) -> Iterator[Found]:
    try:
        trace = agent_trace.parse(line)
    except MalformedInput as error:
        yield _complain(subject, "record-refused", error.message)
        return
    record = trace.record
    at = moment(trace.written)
    revision = trace.revision
    claims = [claim for claim in record.claims if claim.path not in _NO_FILES]
    if not claims:
        yield Found(subject, record.complaints)
        return
    if revision is None or at is None or not is_anchor(revision, looker.object_format):
        yield _complain(subject, "no-revision", "it names no commit of git by its full id")
        return
    source = Source("agent-trace", digest.sha256(line.strip()))
    complaints = list(record.complaints)
    try:
        placed, left = _place(looker, reader, claims, revision, family)
        if placed is None:
            yield _complain(subject, "commit-missing", f"{revision} is no commit here")
            return
        if left:
            complaints.append(
                Complaint("lines-not-found", f"{left} ranges fit no commit that it can mean")
            )
        for bare, fitting in placed:
            if limits is not None and bare.commit.oid not in limits:
                continue
            said = declared.attribute(bare, fitting)
            complaints += said.complaints
            yield from _traced(subject, record, bare, said, source, stamp(at))
    except (MalformedInput, GitFailed) as error:
        complaints.append(Complaint("record-refused", error.message))
    yield Found(subject, tuple(complaints))


def _place(
    looker: Looker, reader: CatFile, claims: Sequence[Claim], revision: str, family: _Family
) -> tuple[list[tuple[BareCommit, list[Claim]]] | None, int]:
    """Find the commit of each claim: the revision itself, or for hashed lines one on top of it."""
    placed: list[tuple[BareCommit, list[Claim]]] = []
    left = list(claims)
    bare = _look(looker, reader, revision, left)
    if bare is None:
        return None, 0
    budget = declared.Budget()
    for child in ("", *family.children(revision)):
        if child:
            left = [
                one for one in left if one.content_hash and content_hash.known(one.content_hash)
            ]
            bare = _look(looker, reader, child, left) if left else None
        if bare is not None:
            here = bare
            tried = [(one, declared.fits(here, one, budget)) for one in left]
            fitting = [one for one, fits in tried if fits]
            left = [one for one, fits in tried if not fits]
            if fitting:
                placed.append((bare, fitting))
    return placed, len(claims) - sum(len(fitting) for _, fitting in placed)


def _traced(
    subject: str,
    record: ForeignRecord,
    bare: BareCommit,
    said: declared.Attribution,
    source: Source,
    at: str,
) -> Iterator[Found]:
    authors = {author.key: author for author in record.authors}
    agents = [author for author in record.authors if author.kind == "agent"]
    stated = declared.commit_of(bare, said, authors, [author.key for author in agents])
    if not stated.changes:
        return
    first = agents[0]
    yield Found(
        subject=subject,
        commit=stated,
        agent=_agent(first.tool, first.version),
        report=AgentReport(models=_models(agents)),
        sources=(source,),
        started=at,
        finished=at,
    )


def _trailers(world: World, reader: CatFile, wanted: Wanted) -> Iterator[Found]:
    oids = in_range(world.git, wanted.range_ or "HEAD")
    looker = Looker(world.git, reader)
    for at in range(0, len(oids), _TOGETHER):
        together = oids[at : at + _TOGETHER]
        for oid, found in zip(together, reader.get_many(together), strict=True):
            if found is None:
                continue
            message = found[1].partition(b"\n\n")[2]
            for item in trailers.parse(message[: trailers.MAX_MESSAGE].decode("utf-8", "replace")):
                yield _declared(looker, oid, item, digest.sha256(message))


def _declared(looker: Looker, oid: str, item: trailers.Declared, sha256: str) -> Found:
    subject = f"message of {oid[:12]}"
    try:
        bare = looker.look(oid, ())
    except GitFailed as error:
        return _complain(subject, "commit-unreadable", error.message)
    made = _made(bare)
    if made is None:
        return Found(subject, (_TIMELESS,))
    return Found(
        subject=subject,
        commit=declared.whole(bare, ()),
        agent=_agent(item.author.tool, None),
        report=AgentReport(models=_models([item.author])),
        labels=(("trailers", ", ".join(item.trailers)[:1_000]),),
        sources=(Source("trailers", sha256),),
        started=made,
        finished=made,
    )


def _transcripts(world: World, reader: CatFile, wanted: Wanted) -> Iterator[Found]:
    assert wanted.format in ("claude-transcript", "codex-transcript")
    top = os.fspath(world.git.top)
    tops = tuple(dict.fromkeys((*wanted.tops, top, os.path.realpath(top))))
    for path in wanted.paths:
        session = past_session.read(path, wanted.format, tops)
        subject = path.name
        complaints = []
        if session.elsewhere:
            where = "went to places outside this work tree; --worktree names where it lay"
            complaints.append(Complaint("writes-elsewhere", f"{session.elsewhere} writes {where}"))
        if session.started is None or session.finished is None:
            complaints.append(Complaint("no-writes", "it tells of no write into this work tree"))
            yield Found(subject, tuple(complaints))
            continue
        matcher = past_session.Matcher(world.git, reader, session)
        bound = 0
        for oid in _touching(world, wanted.range_, session.writes):
            try:
                commit = matcher.bind(oid)
            except GitFailed as error:
                complaints.append(Complaint("commit-unreadable", error.message))
                continue
            if commit is not None:
                bound += 1
                yield Found(
                    subject=subject,
                    commit=commit,
                    agent=_agent(session.agent, None, "reported"),
                    report=AgentReport(models=session.models),
                    sources=session.sources,
                    started=session.started,
                    finished=session.finished,
                )
        if not bound:
            complaints.append(Complaint("no-commit", "no commit holds what it wrote"))
        yield Found(subject, tuple(complaints))


def _touching(world: World, range_: str | None, paths: Iterable[bytes]) -> list[str]:
    """Give the commits of a range that touch one of these paths, oldest first."""
    wanted = list(paths)
    oids = in_range(world.git, range_ or "HEAD")
    if len(wanted) > _PATHS_ASKED:
        return oids
    walk = ("--literal-pathspecs", "rev-list", "--full-history", "--end-of-options")
    words = [range_ or "HEAD"]
    touching = set(world.git.run(*walk, *words, "--", *wanted).decode().split())
    return [oid for oid in oids if oid in touching]


def _look(looker: Looker, reader: CatFile, oid: str, claims: Iterable[Claim]) -> BareCommit | None:
    """Read a commit where these claims are, or None for what is no commit here."""
    known = reader.digest(oid, keep=0)
    if known is None or known.kind != "commit":
        return None
    return looker.look(oid, {claim.path for claim in claims})


def _made(bare: BareCommit) -> str | None:
    at = past_session.instant_of(bare.commit.committed)
    return stamp(at) if at is not None else None


def _agent(tool: str | None, version: str | None, basis: Basis = "declared") -> Agent:
    name = (trailers.agent_of(tool) or tool.lower()) if tool else "unknown"
    return Agent(name, name, "", None, basis, version=version, why=_NOBODY_LOOKED)


def _models(authors: Iterable[Author]) -> tuple[ModelUse, ...]:
    named = dict.fromkeys(author.model for author in authors if author.model is not None)
    return tuple(ModelUse(model.provider, None, model.name, "main", "declared") for model in named)


def _complain(subject: str, code: str, detail: str) -> Found:
    return Found(subject, (Complaint(code, detail),))
