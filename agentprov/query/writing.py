"""Puts claims into the index, and takes out what they replace.

One writer at a time, inside one transaction of the caller's; keys are counted here, so that rows
go in by the thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from agentprov.formats.claims import CommitClaim, GenerationClaim, OpeningClaim, PlanClaim
from agentprov.query import schema

_TOGETHER = 400
Key = tuple[Any, ...]


class Names:
    """Gives the key of a name that many rows share; makes a row where there is none.

    `new` are the keys of rows that were made here.
    """

    def __init__(self, connection: Connection, table: Table, *columns: str) -> None:
        self._connection = connection
        self._table = table
        self._columns = columns
        self._known: dict[Key, int] = {}
        self._next: int | None = None
        self._new: list[dict[str, Any]] = []
        self.new: set[int] = set()

    def __call__(self, *key: Any, **rest: Any) -> int:
        """Give the key of one row; `rest` is what else it says where it is made."""
        found = self._known.get(key)
        if found is None:
            where = [self._table.c[name] == value for name, value in zip(self._columns, key)]  # noqa: B905
            found = self._connection.execute(select(self._table.c.id).where(*where)).scalar()
            if found is None:
                found = self._make(key, rest)
            self._known[key] = found
        return found

    def expect(self, values: Iterable[Any], *before: Any) -> None:
        """Learn many keys at once, of rows whose last named column has one of these values."""
        wanted = [value for value in dict.fromkeys(values) if (*before, value) not in self._known]
        column = self._table.c[self._columns[-1]]
        fixed = [self._table.c[name] == value for name, value in zip(self._columns, before)]  # noqa: B905
        for start in range(0, len(wanted), _TOGETHER):
            some = wanted[start : start + _TOGETHER]
            found = self._connection.execute(
                select(self._table.c.id, column).where(column.in_(some), *fixed)
            )
            there = {value: key for key, value in found}
            for value in some:
                if value in there:
                    self._known[(*before, value)] = there[value]

    def make(self, *key: Any, **rest: Any) -> int:
        """Give the key of one row that `expect` has looked for; makes it if it was not there."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._make(key, rest)
        return found

    def _make(self, key: Key, rest: Mapping[str, Any]) -> int:
        if self._next is None:
            self._next = next_key(self._connection, self._table)
        number = self._next
        self._next += 1
        self.new.add(number)
        self._new.append({"id": number, **dict(zip(self._columns, key, strict=True)), **rest})
        return number

    def flush(self) -> None:
        """Write the rows that were made."""
        if self._new:
            self._connection.execute(insert(self._table), self._new)
            self._new = []


def next_key(connection: Connection, table: Table) -> int:
    """Give the first key that no row of a table has."""
    return (connection.execute(select(func.max(table.c.id))).scalar() or 0) + 1


class Writer:
    """Writes claims about the commits of one repository, judged together.

    `plan_text` gives the words of a plan by the digest of its bytes, where they are at hand.
    """

    def __init__(
        self,
        connection: Connection,
        repository: int,
        judging: int,
        plan_text: Callable[[PlanClaim], str | None] = lambda _: None,
    ) -> None:
        self._connection = connection
        self._repository = repository
        self._judging = judging
        self._plan_text = plan_text
        self._models = Names(connection, schema.model, "uri")
        self._agents = Names(connection, schema.agent, "name", "version", "purl", "sha256")
        self._plans = Names(connection, schema.plan, "sha256", "statement", "signer")
        self.paths = Names(connection, schema.path, "label")
        self._sessions = Names(connection, schema.session, "repository", "name")
        self._openings = Names(connection, schema.opening, "repository", "sha256", "verified")
        self.commits = Names(connection, schema.commit, "repository", "oid")
        self._rows: dict[Table, list[dict[str, Any]]] = {}
        self._generation = next_key(connection, schema.generation)
        self._file = next_key(connection, schema.file)

    def put(self, claims: Sequence[CommitClaim]) -> None:
        """Replace what is known of these commits by these claims."""
        self.commits.expect((bytes.fromhex(item.commit) for item in claims), self._repository)
        self.paths.expect(
            file.path for item in claims for made in item.generations for file in made.files
        )
        known: list[int] = []
        for item in claims:
            row = {
                "author": item.author,
                "committed": max(-(2**62), min(item.committed, 2**62)),
                "subject": item.subject,
                "coverage": item.coverage,
            }
            number = self.commits.make(self._repository, bytes.fromhex(item.commit), **row)
            self._connection.execute(
                update(schema.commit).where(schema.commit.c.id == number).values(**row)
            )
            known.append(number)
        self.forget(known)
        for number, item in zip(known, claims, strict=True):
            for made in item.generations:
                self._put_generation(number, made)
            for said in item.decisions:
                self._add(
                    schema.decision,
                    commit=number,
                    sha256=bytes.fromhex(said.sha256),
                    signer=said.signer,
                    decision=said.decision,
                    decided_at=said.decided_at,
                    not_after=said.not_after,
                    valid=said.valid,
                    partial=said.partial,
                )
        self.flush()

    def forget(self, commits: Sequence[int]) -> None:
        """Take out what is claimed of commits; the commits stay."""
        of = schema.generation
        for start in range(0, len(commits), _TOGETHER):
            some = commits[start : start + _TOGETHER]
            self._connection.execute(
                delete(schema.decision).where(schema.decision.c.commit.in_(some))
            )
            made = list(self._connection.execute(select(of.c.id).where(of.c.commit.in_(some))))
            ids = [row[0] for row in made]
            for at in range(0, len(ids), _TOGETHER):
                few = ids[at : at + _TOGETHER]
                for table in (schema.line, schema.file, schema.used):
                    self._connection.execute(delete(table).where(table.c.generation.in_(few)))
                self._connection.execute(delete(of).where(of.c.id.in_(few)))

    def _put_generation(self, commit: int, made: GenerationClaim) -> None:
        number = self._generation
        self._generation += 1
        link = made.rewrite
        self._add(
            schema.generation,
            id=number,
            commit=commit,
            session=self._sessions(self._repository, made.session, started=made.started),
            opening=self._opening(made.opening, made.accepted, made.sha256),
            plan=self._plan(made.plan),
            judging=self._judging,
            sha256=bytes.fromhex(made.sha256),
            sequence=made.sequence,
            part=made.part,
            builder=made.builder,
            signer=made.signer,
            verified=made.accepted,
            complete=made.complete,
            why=" ".join(made.why) or None,
            unnamed=made.unnamed[0] if made.unnamed else None,
            method=link.method if link else None,
            link=bytes.fromhex(link.sha256) if link else None,
            old=bytes.fromhex(link.old) if link else None,
            link_signer=link.signer if link else None,
        )
        models = {}
        for model in made.models:
            models[model.uri] = self._models(
                model.uri, provider=model.provider, served=model.served
            )
            self._add(
                schema.used,
                generation=number,
                model=models[model.uri],
                requested=model.requested,
                role=model.role,
                host=model.host,
                basis=model.basis,
            )
        for file in made.files:
            path = self.paths.make(file.path)
            self._add(
                schema.file,
                id=self._file,
                generation=number,
                path=path,
                op=file.op,
                blob=bytes.fromhex(file.blob) if file.blob else None,
                from_session=file.from_session,
                ranges=len(file.lines),
                why=file.why,
            )
            self._file += 1
            for line in file.lines:
                model_key = None
                if line.model is not None:
                    model_key = models.get(line.model) or self._models(
                        line.model, provider="", served=line.model
                    )
                self._add(
                    schema.line,
                    generation=number,
                    commit=commit,
                    path=path,
                    first=line.start,
                    last=line.end,
                    origin=line.origin,
                    basis=line.basis,
                    model=model_key,
                    why=line.why,
                )

    def _opening(self, said: OpeningClaim, verified: bool, generation: str) -> int:
        agent = said.agent
        number = self._openings(
            self._repository,
            # What is not verified may say of an opening what it likes, so each has its own.
            said.sha256 if verified else generation,
            verified,
            agent=self._agents(
                agent.name, agent.version or "", agent.purl or "", agent.sha256 or ""
            ),
            agent_basis=agent.basis,
        )
        if number in self._openings.new:
            self._openings.new.discard(number)
            for server in said.servers:
                self._add(
                    schema.server,
                    opening=number,
                    name=server.name,
                    purl=server.purl,
                    sha256=server.sha256,
                )
            for item in said.materials:
                self._add(
                    schema.material,
                    opening=number,
                    role=item.role,
                    name=item.name,
                    sha256=item.sha256,
                )
        return number

    def _plan(self, said: PlanClaim | None) -> int | None:
        if said is None:
            return None
        signer = said.signer or ""
        number = self._plans(
            said.sha256,
            said.statement,
            signer,
            name=said.name,
            declared_at=said.declared_at,
            intent=said.intent,
        )
        if number in self._plans.new:
            self._plans.new.discard(number)
            words = (said.name, said.intent, self._plan_text(said))
            self._add(
                schema.plan_words, rowid=number, words="\n".join(word for word in words if word)
            )
        return number

    def _add(self, table: Table, **row: Any) -> None:
        self._rows.setdefault(table, []).append(row)

    def flush(self) -> None:
        """Write all rows, those that others point at first."""
        for names in (
            self._models,
            self._agents,
            self._plans,
            self.paths,
            self._sessions,
            self._openings,
            self.commits,
        ):
            names.flush()
        for table in (*schema.metadata.sorted_tables,):
            rows = self._rows.pop(table, [])
            if rows:
                self._connection.execute(insert(table), rows)
