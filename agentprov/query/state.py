"""What the index knows of itself: its version, and how far each repository was taken in."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, inspect, select, update

from agentprov.formats.value import value
from agentprov.query import schema


@value
class State:
    """How far one repository was taken in.

    `tip` is the commit of the notes ref that was read, None for a repository without notes.
    `good_until` (RFC 3339, Z) is when time alone may change a verdict, None for never. `boundary`
    tells where the history of a shallow clone was cut.
    """

    key: int
    place: str
    uri: str
    tip: str | None
    trust_sha256: str
    trust_source: str
    as_of: str
    good_until: str | None
    boundary: str

    def fresh(self, tip: str | None, trust_sha256: str, boundary: str, now: str) -> bool:
        """Say whether nothing has changed that a verdict hangs on."""
        known = (self.tip, self.trust_sha256, self.boundary)
        same = known == (tip, trust_sha256, boundary) and self.as_of <= now
        return same and (self.good_until is None or now < self.good_until)


def usable(connection: Connection, version: str) -> bool:
    """Say whether this is an index that this version of the program has written."""
    if not inspect(connection).has_table("meta"):
        return False
    found = connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == "version"))
    return bool(found.scalar() == version)


def vacant(connection: Connection) -> bool:
    """Say whether there is no table at all."""
    return not inspect(connection).get_table_names()


def begin(connection: Connection, version: str) -> None:
    """Make the tables of an empty index."""
    schema.create(connection)
    connection.execute(insert(schema.meta), [{"key": "version", "value": version}])


def of(connection: Connection, place: str) -> State | None:
    """Give the state of a repository; None where it was never taken in as a whole."""
    table = schema.repository
    row = connection.execute(select(table).where(table.c.place == place)).mappings().first()
    return None if row is None or row["as_of"] is None else _state(dict(row))


def everything(connection: Connection) -> list[State]:
    """Give the states of all repositories, by place."""
    table = schema.repository
    rows = connection.execute(
        select(table).where(table.c.as_of.is_not(None)).order_by(table.c.place)
    ).mappings()
    return [_state(dict(row)) for row in rows]


def _state(row: dict[str, object]) -> State:
    return State(
        key=int(str(row["id"])),
        place=str(row["place"]),
        uri=str(row["uri"]),
        tip=None if row["tip"] is None else str(row["tip"]),
        trust_sha256=str(row["trust_sha256"]),
        trust_source=str(row["trust_source"]),
        as_of=str(row["as_of"]),
        good_until=None if row["good_until"] is None else str(row["good_until"]),
        boundary=str(row["boundary"]),
    )


def repository(connection: Connection, place: str, uri: str) -> int:
    """Give the key of a repository; makes its row if need be."""
    table = schema.repository
    found = connection.execute(select(table.c.id).where(table.c.place == place)).scalar()
    if found is not None:
        connection.execute(update(table).where(table.c.id == found).values(uri=uri))
        return int(found)
    made = connection.execute(insert(table).values(place=place, uri=uri))
    key = made.inserted_primary_key
    assert key is not None
    return int(key[0])


def settle(
    connection: Connection,
    key: int,
    *,
    tip: str | None,
    trust_sha256: str,
    trust_source: str,
    as_of: str,
    good_until: str | None,
    boundary: str,
) -> None:
    """Write down how far a repository was taken in; the last thing that taking in does."""
    connection.execute(
        update(schema.repository)
        .where(schema.repository.c.id == key)
        .values(
            tip=tip,
            trust_sha256=trust_sha256,
            trust_source=trust_source,
            as_of=as_of,
            good_until=good_until,
            boundary=boundary,
        )
    )


def judging(
    connection: Connection, key: int, trust_sha256: str, trust_source: str, as_of: str
) -> int:
    """Give the key of a row that says under which trust root, and when, records were judged."""
    made = connection.execute(
        insert(schema.judging).values(
            repository=key, trust_sha256=trust_sha256, trust_source=trust_source, as_of=as_of
        )
    )
    found = made.inserted_primary_key
    assert found is not None
    return int(found[0])


def forget(connection: Connection, key: int) -> None:
    """Take everything of one repository out but its row; what only it used stays as names."""
    commits = select(schema.commit.c.id).where(schema.commit.c.repository == key)
    made = select(schema.generation.c.id).where(schema.generation.c.commit.in_(commits))
    tips = select(schema.tip.c.id).where(schema.tip.c.repository == key)
    blames = select(schema.blamed.c.id).where(schema.blamed.c.repository == key)
    starts = select(schema.opening.c.id).where(schema.opening.c.repository == key)
    for table in (schema.line, schema.file, schema.used):
        connection.execute(delete(table).where(table.c.generation.in_(made)))
    connection.execute(delete(schema.generation).where(schema.generation.c.commit.in_(commits)))
    connection.execute(delete(schema.decision).where(schema.decision.c.commit.in_(commits)))
    for table in (schema.server, schema.material):
        connection.execute(delete(table).where(table.c.opening.in_(starts)))
    connection.execute(delete(schema.head).where(schema.head.c.tip.in_(tips)))
    connection.execute(delete(schema.survivor).where(schema.survivor.c.blamed.in_(blames)))
    for table in (
        schema.opening, schema.session, schema.commit, schema.judging, schema.tip, schema.blamed,
        schema.renamed, schema.touched, schema.absent, schema.sought,
    ):  # fmt: skip
        connection.execute(delete(table).where(table.c.repository == key))
    connection.execute(
        update(schema.repository)
        .where(schema.repository.c.id == key)
        .values(tip=None, as_of=None, good_until=None, trust_sha256=None, walked=None)
    )


__all__ = [
    "State",
    "begin",
    "everything",
    "forget",
    "judging",
    "of",
    "repository",
    "settle",
    "usable",
    "vacant",
]
