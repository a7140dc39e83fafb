"""The tables of the index (docs/spec/index.md), as SQLAlchemy Core knows them.

Integer keys and raw digests keep it small and quick. Nothing in here is only here: all of it can
be made again from the records and from git.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    literal,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement

VERSION = "3"

metadata = MetaData()


def _key() -> Column[int]:
    # SQLite numbers rows by itself for this very type only.
    return Column("id", Integer, primary_key=True)


def _to(table: str, *, nullable: bool = False) -> Any:
    name = table
    return Column(name, Integer, ForeignKey(f"{table}.id"), nullable=nullable)


meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text))

repository = Table(
    "repository",
    metadata,
    _key(),
    Column("place", Text, nullable=False, unique=True),
    Column("uri", Text, nullable=False),
    Column("tip", Text),
    Column("trust_sha256", Text),
    Column("trust_source", Text),
    Column("as_of", Text),
    Column("good_until", Text),
    Column("boundary", Text),
    Column("walked", Text),
)
model = Table(
    "model",
    metadata,
    _key(),
    Column("uri", Text, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("served", Text, nullable=False),
)
agent = Table(
    "agent",
    metadata,
    _key(),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("purl", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    UniqueConstraint("name", "version", "purl", "sha256"),
)
plan = Table(
    "plan",
    metadata,
    _key(),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("statement", Text, nullable=False),
    Column("signer", Text, nullable=False),
    Column("declared_at", Text),
    Column("intent", Text),
    UniqueConstraint("sha256", "statement", "signer"),
)
path = Table("path", metadata, _key(), Column("label", Text, nullable=False, unique=True))
session = Table(
    "session",
    metadata,
    _key(),
    _to("repository"),
    Column("name", Text, nullable=False),
    Column("started", Text, nullable=False),
    UniqueConstraint("repository", "name"),
)
opening = Table(
    "opening",
    metadata,
    _key(),
    _to("repository"),
    Column("sha256", Text, nullable=False),
    _to("agent"),
    Column("agent_basis", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    UniqueConstraint("repository", "sha256", "verified"),
)
server = Table(
    "server",
    metadata,
    _to("opening"),
    Column("name", Text, nullable=False),
    Column("purl", Text),
    Column("sha256", Text),
    Index("server_name", "name"),
    Index("server_opening", "opening"),
)
material = Table(
    "material",
    metadata,
    _to("opening"),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sha256", Text),
    Index("material_sha256", "sha256"),
    Index("material_opening", "opening"),
)
# Author and time as git has them; `coverage` is None where no record says anything of the commit.
commit = Table(
    "commit",
    metadata,
    _key(),
    _to("repository"),
    Column("oid", LargeBinary, nullable=False),
    Column("author", Text, nullable=False),
    Column("committed", BigInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("coverage", Text),
    UniqueConstraint("repository", "oid"),
)
# Commits that records speak of and that could not be judged: they, or a parent, are not here.
absent = Table(
    "absent",
    metadata,
    _to("repository"),
    Column("oid", LargeBinary, nullable=False),
    UniqueConstraint("repository", "oid"),
)
# What records say that such commits left: the same may stand here under another commit.
sought = Table(
    "sought",
    metadata,
    _to("repository"),
    Column("oid", LargeBinary, nullable=False),
    _to("path"),
    Column("blob", LargeBinary),
    Index("sought_oid", "repository", "oid"),
)
# What a record was judged to be, under which trust root and when; many rows share one of these.
judging = Table(
    "judging",
    metadata,
    _key(),
    _to("repository"),
    Column("trust_sha256", Text, nullable=False),
    Column("trust_source", Text, nullable=False),
    Column("as_of", Text, nullable=False),
)
generation = Table(
    "generation",
    metadata,
    _key(),
    _to("commit"),
    _to("session"),
    _to("opening"),
    _to("plan", nullable=True),
    _to("judging"),
    Column("sha256", LargeBinary, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    Column("builder", Text, nullable=False),
    Column("signer", Text),
    Column("verified", Boolean, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("why", Text),
    Column("unnamed", Text),
    Column("method", Text),
    Column("link", LargeBinary),
    Column("old", LargeBinary),
    Column("link_signer", Text),
    Index("generation_commit", "commit"),
    Index("generation_session", "session"),
    Index("generation_plan", "plan"),
    Index("generation_opening", "opening"),
)
used = Table(
    "used",
    metadata,
    _to("generation"),
    _to("model"),
    Column("requested", Text),
    Column("role", Text),
    Column("host", Text),
    Column("basis", Text, nullable=False),
    Index("used_model", "model", "generation"),
    Index("used_generation", "generation"),
    Index("used_host", "host"),
)
file = Table(
    "file",
    metadata,
    _key(),
    _to("generation"),
    _to("path"),
    Column("op", Text, nullable=False),
    Column("blob", LargeBinary),
    Column("from_session", Boolean, nullable=False),
    Column("ranges", Integer, nullable=False),
    Column("why", Text),
    Index("file_generation", "generation"),
    Index("file_path", "path"),
)
line = Table(
    "line",
    metadata,
    _to("generation"),
    _to("commit"),
    _to("path"),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    Column("basis", Text, nullable=False),
    _to("model", nullable=True),
    Column("why", Text),
    Index("line_generation", "generation"),
    Index("line_place", "commit", "path"),
)
decision = Table(
    "decision",
    metadata,
    _to("commit"),
    Column("sha256", LargeBinary, nullable=False),
    Column("signer", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("decided_at", Text, nullable=False),
    Column("not_after", Text),
    Column("valid", Boolean, nullable=False),
    Column("partial", Boolean, nullable=False),
    Index("decision_commit", "commit"),
)
# What stands at a revision: files that records speak of, and where git says their lines came from.
tip = Table(
    "tip",
    metadata,
    _key(),
    _to("repository"),
    Column("oid", Text, nullable=False),
    Column("taken", Text, nullable=False),
    Column("seen", Text, nullable=False),
    UniqueConstraint("repository", "oid"),
)
blamed = Table(
    "blamed",
    metadata,
    _key(),
    _to("repository"),
    _to("path"),
    Column("blob", LargeBinary, nullable=False),
    Index("blamed_repository", "repository"),
)
survivor = Table(
    "survivor",
    metadata,
    _to("blamed"),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    _to("commit"),
    _to("path"),
    Column("origin_first", Integer, nullable=False),
    Index("survivor_blamed", "blamed"),
    Index("survivor_place", "commit", "path"),
)
head = Table(
    "head",
    metadata,
    _to("tip"),
    _to("path"),
    _to("blamed"),
    Column("blob", LargeBinary, nullable=False),
    Index("head_tip", "tip"),
    Index("head_path", "path"),
    Index("head_blamed", "blamed"),
)
renamed = Table(
    "renamed",
    metadata,
    _to("repository"),
    Column("old", Integer, ForeignKey("path.id"), nullable=False),
    Column("new", Integer, ForeignKey("path.id"), nullable=False),
    UniqueConstraint("repository", "old", "new"),
)
# How often the history touched a path, by which commit first, and what that made of it where the
# path was new: one that was touched once needs no blame.
touched = Table(
    "touched",
    metadata,
    _to("repository"),
    _to("path"),
    Column("times", Integer, nullable=False),
    Column("first", LargeBinary, nullable=False),
    Column("blob", LargeBinary),
    UniqueConstraint("repository", "path"),
)

# Words of plans. Where the database is SQLite this is a table of its full-text search.
plan_words = Table(
    "plan_words", metadata, Column("rowid", Integer, primary_key=True), Column("words", Text)
)


def create(connection: Connection) -> None:
    """Make all tables that are not there."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            "CREATE VIRTUAL TABLE IF NOT EXISTS plan_words USING fts5(words)"
        )
    metadata.create_all(connection)


class plan_holds(ColumnElement[bool]):
    """Ask whether name, intent or text of a plan hold all of some words.

    The only place, with `create`, where databases differ: each brings its own search.
    """

    inherit_cache = False
    type = Boolean()

    def __init__(self, words: str) -> None:
        self.wanted = words


@compiles(plan_holds, "sqlite")
def _in_sqlite(element: plan_holds, compiler: Any, **kw: Any) -> str:
    quoted = " ".join('"' + word.replace('"', '""') + '"' for word in element.wanted.split())
    wanted = compiler.process(literal(quoted), **kw)  # a bound parameter
    return f"plan.id IN (SELECT rowid FROM plan_words WHERE plan_words MATCH {wanted})"  # noqa: S608


@compiles(plan_holds)
def _elsewhere(element: plan_holds, compiler: Any, **kw: Any) -> str:
    wanted = compiler.process(literal(element.wanted), **kw)  # a bound parameter
    found = f"to_tsvector('simple', words) @@ plainto_tsquery('simple', {wanted})"
    return f"plan.id IN (SELECT rowid FROM plan_words WHERE {found})"  # noqa: S608
