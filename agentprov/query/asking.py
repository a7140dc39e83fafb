"""Answers a question about lines from the index: which, since when, by whom, and how surely.

`certain` is what an accepted record says outright. `possible` is what cannot be excluded: records
that were not accepted, lines of unknown origin in a session where the model took part, statements
that contradict each other. Nothing is left out because it is merely possible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    exists,
    func,
    literal,
    null,
    or_,
    select,
)

from agentprov.errors import UsageError
from agentprov.formats.value import named_value
from agentprov.query import naming, schema
from agentprov.query.naming import Glob

_MADE = ("model", "agent", "command")
_DOUBTFUL = ("unknown", "agent", "command")


@named_value
class Question:
    """What is asked: each member is a list of alternatives, and all that are given must hold.

    `since` and `until` are seconds since 1970, against the commit's own time. `paths` are
    patterns of labels.
    """

    models: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    agent_digests: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


class Hit(NamedTuple):
    """Some lines of one file, and what is said of them; `start` is None for a file without lines.

    `path`, `start`, `end` are at the revision that was asked about, or at the commit itself for
    all history; `source_path` and `source_start` always at the commit.
    """

    certain: bool
    commit: str
    path: str
    start: int | None
    end: int | None
    source_path: str
    source_start: int | None
    origin: str
    basis: str | None
    model: str | None
    session: str
    agent: str
    plan: str | None
    plan_sha256: str | None
    record: str
    why: str | None
    author: str
    committed: int
    subject: str
    method: str | None


def ask(
    connection: Connection, repository: int, question: Question, glob: Glob, tip: int | None
) -> list[Hit]:
    """Give what fits a question in one repository, sorted by path, line and commit.

    `tip` is the key of a revision that was looked at; None asks all history. Raises UsageError
    for words that mean nothing.
    """
    asked = _Asked(connection, repository, question, glob)
    if asked.empty:
        return []
    hits = [*asked.lines(tip), *asked.files(tip)]
    if question.paths:
        tests = [glob(text) for text in question.paths]
        hits = [hit for hit in hits if any(test(hit.path) for test in tests)]
    hits.sort(key=lambda hit: (hit.path, hit.start or 0, hit.commit, not hit.certain, hit.record))
    return _once(hits)


def _once(hits: Iterable[Hit]) -> list[Hit]:
    """Keep one of several statements that say the same of the same lines, the surest first."""
    kept: dict[tuple[Any, ...], Hit] = {}
    for hit in hits:
        place = (hit.path, hit.start, hit.end, hit.commit, hit.model, hit.session)
        known = kept.get(place)
        if known is None or (hit.certain and not known.certain):
            kept[place] = hit
    return list(kept.values())


class _Asked:
    def __init__(
        self, connection: Connection, repository: int, question: Question, glob: Glob
    ) -> None:
        self._connection = connection
        self._repository = repository
        self._question = question
        self._glob = glob
        self.empty = False
        self._models: list[int] | None = None
        self._of_generation: list[ColumnElement[bool]] = []
        self._prepare()

    def _prepare(self) -> None:
        asked, made = self._question, schema.generation
        if asked.models:
            self._models = self._model_keys(asked.models)
            self.empty = not self._models
            self._of_generation.append(
                made.c.id.in_(
                    select(schema.used.c.generation).where(schema.used.c.model.in_(self._models))
                )
            )
        if asked.agents or asked.agent_digests:
            keys = self._agent_keys()
            self.empty = self.empty or not keys
            self._of_generation.append(schema.opening.c.agent.in_(keys))
        if asked.plans:
            self._of_generation.append(or_(*map(self._plan, asked.plans)))
        if asked.sessions:
            self._of_generation.append(schema.session.c.name.in_(asked.sessions))
        if asked.authors:
            author = func.lower(schema.commit.c.author)
            self._of_generation.append(
                or_(*(author.contains(text.lower(), autoescape=True) for text in asked.authors))
            )
        if asked.reviewers:
            said = schema.decision
            signer = func.lower(said.c.signer)
            who = or_(*(signer.contains(text.lower(), autoescape=True) for text in asked.reviewers))
            self._of_generation.append(
                schema.commit.c.id.in_(select(said.c.commit).where(said.c.valid, who))
            )
        if asked.servers:
            self._of_generation.append(
                made.c.opening.in_(self._openings(schema.server, asked.servers))
            )
        if asked.instructions:
            item = schema.material
            starts = [
                item.c.sha256.startswith(naming.require_digest(text), autoescape=True)
                for text in asked.instructions
            ]
            self._of_generation.append(
                made.c.opening.in_(select(item.c.opening).where(or_(*starts)))
            )
        if asked.hosts:
            rows = self._connection.execute(select(schema.used.c.host).distinct())
            fitting = _fitting(asked.hosts, (host for (host,) in rows if host), self._glob)
            self.empty = self.empty or not fitting
            self._of_generation.append(
                made.c.id.in_(
                    select(schema.used.c.generation).where(schema.used.c.host.in_(fitting))
                )
            )
        if asked.since is not None:
            self._of_generation.append(schema.commit.c.committed >= asked.since)
        if asked.until is not None:
            self._of_generation.append(schema.commit.c.committed <= asked.until)

    def _model_keys(self, texts: Sequence[str]) -> list[int]:
        tests = [naming.model_test(text, self._glob) for text in texts]
        table = schema.model
        rows = self._connection.execute(select(table.c.id, table.c.provider, table.c.served))
        return [key for key, provider, served in rows if any(t(provider, served) for t in tests)]

    def _agent_keys(self) -> list[int]:
        tests = [naming.agent_test(text, self._glob) for text in self._question.agents]
        digests = tuple(naming.require_digest(text) for text in self._question.agent_digests)
        table = schema.agent
        return [
            row.id
            for row in self._connection.execute(select(table))
            if (not tests or any(test(row.name, row.purl, row.version) for test in tests))
            and (not digests or row.sha256.startswith(digests))
        ]

    def _plan(self, text: str) -> ColumnElement[bool]:
        """A digest, a name or a pattern of names; else words that it holds."""
        digest = naming.digest_start(text)
        plan = schema.plan
        if digest is not None:
            return or_(
                plan.c.sha256.startswith(digest, autoescape=True),
                plan.c.statement.startswith(digest, autoescape=True),
            )
        names = self._connection.execute(select(plan.c.name).distinct())
        fitting = _fitting([text], (name for (name,) in names), self._glob)
        if fitting:
            return plan.c.name.in_(fitting)
        if not any(char.isalnum() for char in text):
            raise UsageError(f"{text!r} is no plan's name, digest or words")
        keys = self._connection.execute(select(plan.c.id).where(schema.plan_holds(text)))
        return plan.c.id.in_([key for (key,) in keys])

    def _openings(self, table: Any, texts: Sequence[str]) -> Select[Any]:
        """Find sessions with a server of this name, package or digest."""
        rows = self._connection.execute(select(table.c.name, table.c.purl).distinct()).all()
        names = _fitting(texts, (name for name, _ in rows), self._glob)
        tests = [naming.agent_test(text, self._glob) for text in texts]
        purls = [purl for _, purl in rows if purl and any(test("", purl, "") for test in tests)]
        digests = [found for found in map(naming.digest_start, texts) if found is not None]
        return select(table.c.opening).where(
            or_(
                table.c.name.in_(names),
                table.c.purl.in_(purls),
                *(table.c.sha256.startswith(digest, autoescape=True) for digest in digests),
            )
        )

    def _columns(self) -> list[Any]:
        made = schema.generation
        return [
            schema.commit.c.oid, schema.session.c.name, schema.agent.c.purl, schema.agent.c.name,
            schema.plan.c.name, schema.plan.c.sha256, made.c.sha256, made.c.verified,
            made.c.why, made.c.method, schema.commit.c.author, schema.commit.c.committed,
            schema.commit.c.subject,
        ]  # fmt: skip

    def _joined(self, start: Any) -> Any:
        made, opening = schema.generation, schema.opening
        return (
            start.join(schema.commit, schema.commit.c.id == made.c.commit)
            .join(schema.session, schema.session.c.id == made.c.session)
            .join(opening, opening.c.id == made.c.opening)
            .join(schema.agent, schema.agent.c.id == opening.c.agent)
            .outerjoin(schema.plan, schema.plan.c.id == made.c.plan)
        )

    def lines(self, tip: int | None) -> Iterator[Hit]:
        """Give lines that fit: where they stand now, or for all history where they came in."""
        line, made, survivor, head = schema.line, schema.generation, schema.survivor, schema.head
        came, stands = schema.path.alias(), schema.path.alias()
        other, its = schema.line.alias(), schema.generation.alias()
        disputed = exists(
            select(literal(1))
            .select_from(other)
            .join(its, its.c.id == other.c.generation)
            .where(
                other.c.commit == line.c.commit,
                other.c.path == line.c.path,
                other.c.generation != line.c.generation,
                other.c.first <= line.c.last,
                other.c.last >= line.c.first,
                other.c.origin != "unknown",
                its.c.verified,
                or_(other.c.origin != line.c.origin, other.c.model.is_distinct_from(line.c.model)),
            )
        )
        start = self._joined(made.join(line, line.c.generation == made.c.id))
        start = start.join(came, came.c.id == line.c.path)
        start = start.outerjoin(schema.model, schema.model.c.id == line.c.model)
        where = [schema.commit.c.repository == self._repository, *self._of_generation]
        # The sum keeps a planner from beginning with all files of a revision: few fit a question.
        place: list[Any] = [came.c.label, null(), null(), null(), null()]
        if tip is not None:
            start = (
                start.join(
                    survivor,
                    and_(
                        survivor.c.commit == line.c.commit,
                        survivor.c.path == line.c.path,
                        survivor.c.origin_first <= line.c.last,
                        survivor.c.origin_first + (survivor.c.last - survivor.c.first)
                        >= line.c.first,
                    ),
                )
                .join(head, head.c.blamed == survivor.c.blamed)
                .join(stands, stands.c.id == head.c.path)
            )
            where.append(head.c.tip + 0 == tip)
            place = [
                came.c.label, stands.c.label, survivor.c.first, survivor.c.last,
                survivor.c.origin_first,
            ]  # fmt: skip
        if self._models is not None:
            where.append(
                or_(
                    line.c.model.in_(self._models),
                    line.c.origin.in_(_DOUBTFUL),
                    and_(line.c.origin == "model", line.c.model.is_(None)),
                )
            )
        wanted = self._question.origins
        where.append(line.c.origin.in_(wanted) if wanted else line.c.origin != "human")
        rows = self._connection.execute(
            select(
                *self._columns(), *place, line.c.first, line.c.last, line.c.origin, line.c.basis,
                line.c.why, line.c.model, schema.model.c.provider, schema.model.c.served, disputed,
            )
            .select_from(start)
            .where(*where)
        )  # fmt: skip
        for row in rows:
            yield self._line(row)

    def _line(self, row: Any) -> Hit:
        (
            oid, session, purl, agent, plan, plan_sha256, record, verified, against, method,
            author, committed, subject, came, stands, head_first, head_last, source_first,
            first, last, origin, basis, why, model, provider, served, disputed,
        ) = row  # fmt: skip
        certain, reason = self._surely(verified, against, origin, model, why, disputed)
        begin = first
        if head_first is not None:
            begin = max(first, source_first)
            last = min(last, source_first + head_last - head_first)
            first = head_first + begin - source_first
            last = head_first + last - source_first
        name = None if served is None else f"{provider}/{served}" if provider else served
        return Hit(
            certain, oid.hex(), stands or came, first, last, came, begin, origin, basis, name,
            session, purl or agent, plan, plan_sha256, record.hex(), reason, author, committed,
            subject, method,
        )  # fmt: skip

    def _surely(
        self,
        verified: bool,
        against: str | None,
        origin: str,
        model: int | None,
        why: str | None,
        disputed: bool,
    ) -> tuple[bool, str | None]:
        if not verified:
            return False, against or "not-verified"
        if disputed and origin != "unknown":
            return False, "records-disagree"
        if self._models is not None:
            if origin == "model" and model in self._models:
                return True, why
            if origin == "model":
                return False, "model-not-named"
            return False, why or f"origin-{origin}"
        wanted = self._question.origins or _MADE
        return origin in wanted, why

    def files(self, tip: int | None) -> Iterator[Hit]:
        """Give files without lines that fit: binary ones, and where no range was recorded."""
        file, made, head, came = schema.file, schema.generation, schema.head, schema.path.alias()
        if self._question.origins:
            return
        start = self._joined(made.join(file, file.c.generation == made.c.id))
        start = start.join(came, came.c.id == file.c.path)
        where = [
            schema.commit.c.repository == self._repository,
            file.c.ranges == 0,
            file.c.from_session,
            *self._of_generation,
        ]
        if tip is not None:
            start = start.join(head, and_(head.c.path == file.c.path, head.c.blob == file.c.blob))
            where += [head.c.tip + 0 == tip, file.c.op.in_(("add", "modify", "rename"))]
        rows = self._connection.execute(
            select(*self._columns(), came.c.label, file.c.op, file.c.why)
            .select_from(start)
            .where(*where)
        )
        for row in rows:
            (
                oid, session, purl, agent, plan, plan_sha256, record, verified, against, method,
                author, committed, subject, path, op, why,
            ) = row  # fmt: skip
            certain = verified and self._models is None
            reason = (against or "not-verified") if not verified else why or f"no-lines-of-{op}"
            yield Hit(
                certain, oid.hex(), path, None, None, path, None, "unknown", None, None, session,
                purl or agent, plan, plan_sha256, record.hex(), reason, author, committed, subject,
                method,
            )  # fmt: skip

    def unnamed(self) -> int:
        """Count the sessions of which nobody could say which model answered."""
        made, commit = schema.generation, schema.commit
        served = select(literal(1)).where(schema.used.c.generation == made.c.id)
        return int(
            self._connection.execute(
                select(func.count(func.distinct(made.c.session)))
                .select_from(made)
                .join(commit, commit.c.id == made.c.commit)
                .where(
                    commit.c.repository == self._repository,
                    or_(made.c.unnamed.is_not(None), ~exists(served)),
                )
            ).scalar()
            or 0
        )


def unnamed_sessions(connection: Connection, repository: int) -> int:
    """Count the sessions of which nobody could say which model, or which other one, answered."""
    return _Asked(connection, repository, Question(), _never).unnamed()


def coverage(connection: Connection, repository: int) -> dict[str, str]:
    """Give what the judge said of the coverage of each commit that was judged, by its id."""
    table = schema.commit
    rows = connection.execute(
        select(table.c.oid, table.c.coverage).where(
            table.c.repository == repository, table.c.coverage.is_not(None)
        )
    )
    return {oid.hex(): word for oid, word in rows}


def _never(_text: str) -> Callable[[str], bool]:
    return lambda _: False


def _fitting(texts: Sequence[str], names: Iterable[str], glob: Glob) -> list[str]:
    wanted = {text for text in texts if "*" not in text and "?" not in text}
    tests = [glob(text) for text in texts if text not in wanted]
    return [name for name in names if name in wanted or any(test(name) for test in tests)]


__all__ = ["Hit", "Question", "ask", "coverage", "unnamed_sessions"]
